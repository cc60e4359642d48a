"""Turns a model request into a network that is ready to capture, with what its card needs."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from edge import plugins, probe, runfolder
from edge.card import TensorSpec, WeightsOrigin
from edge.errors import UsageError
from edge.models import from_timm, hub, point, signature, user_factory
from edge.models.catalog import entry
from edge.models.m3vit import M3ViT
from edge.models.network import Network, picture, seeded
from edge.models.randomise import randomise_statistics
from edge.models.settle import settle_statistics
from edge.models.weights import load_state, load_weights, state_sha256
from edge.preprocess import Preprocess
from edge.reference import Kind, ModelRequest

CROP = {"efficientformer": 0.95, "efficientformer_v2": 0.95}
"""The share of the resized picture that a family was evaluated on, where it is not 0.875 (models.md §6)."""

DEFAULT_SIZE, DEFAULT_CLASSES = (224, 224), 1000
"""Of a point of a search space, which says neither."""


@dataclass(frozen=True, slots=True)
class Model:
    """A network in its training form, in inference mode, with the facts that its card repeats."""

    reference: str
    module: nn.Module
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    weights: WeightsOrigin
    preprocess: Preprocess | None = None
    labels: tuple[str, ...] = ()

    def example_inputs(self, seed: int = 0) -> tuple[Tensor, ...]:
        """Random inputs of the right shapes and dtypes: N(0, 1) for floats, 0 or 1 for all others."""
        return _examples(self.inputs, seed)

    def deploy(self) -> nn.Module:
        """The fast, folded form of the network where its family has one, else the network itself."""
        deploy = getattr(self.module, "deploy", None)
        return deploy() if callable(deploy) else self.module


def resolve(request: ModelRequest) -> Model:
    """The model that `request` names. Without weights it gets random ones in which every branch matters.

    Raises `UnknownNameError`, `WeightsError`, `ToolchainMissingError`, and `UsageError` for overrides that do not fit.
    """
    network = _with_weights(request)
    if network.weights is None:
        randomise_statistics(network.module, request.seed)
        with signature.running(request.reference, network.inputs):
            settle_statistics(network.module.eval(), network.inputs[0], request.seed)
    if request.experts_of is not None:
        network = _with_experts_of(request.experts_of, network, request)
    return _model(network, request)


def resolve_fresh(request: ModelRequest) -> Model:
    """Like `resolve`, but a network without weights keeps its own initialisation: where training starts."""
    return _model(_with_weights(request), request)


def _with_weights(request: ModelRequest) -> Network:
    network = _BUILDERS[request.kind](request)
    if request.weights is None:
        return network
    load_weights(network.module, load_state(request.weights))
    return replace(network, weights=WeightsOrigin(f"file {request.weights.name}"))


def _with_experts_of(folder: Path, network: Network, request: ModelRequest) -> Network:
    """The network with only the experts that the pictures in `folder` visit. Raises `UsageError` for one without experts."""
    preprocess = _normalised(network.preprocess, request)
    if not isinstance(network.module, M3ViT) or preprocess is None:
        raise UsageError(f"{request.reference} has no experts to choose from", hint="leave --experts-of out")
    pictures = torch.from_numpy(preprocess.normalise(probe.users(folder, preprocess)))
    every = sum(map(len, network.module.kept_experts))
    module = network.module.eval().deploy_with_experts_of(pictures)
    kept = sum(map(len, module.kept_experts))
    weights = network.weights or _untrained(request)
    said = f"{weights.source}; {kept} of {every} experts, those that {len(pictures)} pictures visit"
    return replace(network, module=module, weights=replace(weights, source=said))


def _from_catalog(request: ModelRequest) -> Network:
    row = entry(request.reference)
    published = hub.published(row.name) if request.pretrained else None
    size = request.image_size or row.image_size
    family = importlib.import_module(f"edge.models.{row.family}")
    with seeded(request.seed):
        module: nn.Module = family.build(row.name, num_classes=request.num_classes, image_size=size)
    weights = None
    if published is not None:
        load_weights(module, load_state(hub.fetch(published.repository)))
        weights = WeightsOrigin(f"huggingface.co/{published.repository}", published.licence)
    return Network(module, (picture(size),), weights, usual_preprocess(row.family, size))


def usual_preprocess(family: str, size: tuple[int, int]) -> Preprocess:
    """How pictures of `size` (height, width) enter the networks of a family."""
    return Preprocess(*size, crop=CROP.get(family, 0.875))


def _from_point(request: ModelRequest) -> Network:
    if request.pretrained:
        raise UsageError("--pretrained is for published networks; a point has no weights", hint="give --weights FILE")
    spec, size = point.spec_of(request.reference), request.image_size or DEFAULT_SIZE
    space = plugins.space(spec.space, size, request.num_classes or DEFAULT_CLASSES)
    try:
        space.check(spec)
    except UsageError as error:
        sized = f"{error.hint}, at {size[0]}x{size[1]}; other sizes have other choices: --image-size"
        raise UsageError(str(error), hint=sized) from None
    with seeded(request.seed):
        module = space.build(spec)
    return Network(module, (picture(size),), preprocess=usual_preprocess(space.name, size))


def _from_run(request: ModelRequest) -> Network:
    folder = Path(request.reference)
    card = runfolder.read(folder)
    if request.pretrained:
        raise UsageError("--pretrained is for published networks; a run has its own weights", hint="leave it out")
    wanted = runfolder.network(folder, card, request)
    network = _BUILDERS[wanted.kind](wanted)
    preprocess = None
    if network.preprocess is not None:
        built_for = network.preprocess
        preprocess = replace(card.preprocess(), height=built_for.height, width=built_for.width)
    weights = WeightsOrigin(f"trained on {card.data or 'unknown data'}", card.licence)
    if request.weights is None:
        load_weights(network.module, load_state(folder / runfolder.WEIGHTS))
    return replace(network, weights=weights, preprocess=preprocess, labels=card.labels)


_BUILDERS: Mapping[Kind, Callable[[ModelRequest], Network]] = {
    Kind.CATALOG: _from_catalog,
    Kind.TIMM: from_timm.build,
    Kind.POINT: _from_point,
    Kind.RUN: _from_run,
    Kind.FACTORY: user_factory.build,
}


def _model(network: Network, request: ModelRequest) -> Model:
    """The network with the user's labels and normalisation, and with the outputs it turns out to have."""
    module = network.module.eval()
    examples = _examples(network.inputs, request.seed)
    outputs = signature.outputs(module, examples, network.output_names, request.reference)
    labels = network.labels if request.labels is None else _read_labels(request.labels)
    _require_labels_fit(labels, outputs)
    return Model(
        request.reference,
        module,
        network.inputs,
        outputs,
        replace(network.weights or _untrained(request), sha256=state_sha256(module)),
        _normalised(network.preprocess, request),
        labels,
    )


def _untrained(request: ModelRequest) -> WeightsOrigin:
    return WeightsOrigin(f"random weights, seed {request.seed}: for latency and verification only", "not applicable")


def _examples(inputs: tuple[TensorSpec, ...], seed: int) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)
    return tuple(_example(spec, generator) for spec in inputs)


def _example(spec: TensorSpec, generator: torch.Generator) -> Tensor:
    dtype: torch.dtype = getattr(torch, spec.dtype)
    if dtype.is_floating_point:
        return torch.randn(spec.shape, generator=generator).to(dtype)
    return torch.randint(0, 2, spec.shape, generator=generator).to(dtype)


def _normalised(preprocess: Preprocess | None, request: ModelRequest) -> Preprocess | None:
    if request.mean is None and request.std is None:
        return preprocess
    if preprocess is None:
        raise UsageError(f"{request.reference} does not take one picture", hint="leave --mean and --std out")
    try:
        return replace(preprocess, mean=request.mean or preprocess.mean, std=request.std or preprocess.std)
    except ValueError as error:
        raise UsageError(str(error), hint="give three numbers each, std above zero") from None


def _read_labels(path: Path) -> tuple[str, ...]:
    """One label per line, UTF-8. Raises `UsageError` when the file cannot be read or a line is empty."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise UsageError(
            f"cannot read the labels in {path}: {reason}", hint="give a text file, one label per line"
        ) from None
    labels = tuple(line.strip() for line in text.rstrip().split("\n"))
    if "" in labels:
        raise UsageError(f"line {labels.index('') + 1} of {path} is empty", hint="give one label per line")
    return labels


def _require_labels_fit(labels: tuple[str, ...], outputs: tuple[TensorSpec, ...]) -> None:
    if not labels:
        return
    if len(outputs) != 1 or len(outputs[0].shape) != 2:
        raise UsageError("labels are for a network with one output of classes", hint="leave the labels out")
    classes = outputs[0].shape[1]
    if len(labels) != classes:
        raise UsageError(
            f"there are {len(labels)} labels, but the model has {classes} classes",
            hint=f"give {classes} lines, or a model with --num-classes {len(labels)}",
        )
