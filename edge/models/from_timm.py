"""Networks of timm, by `timm:NAME` or `timm:NAME.TAG`."""

from __future__ import annotations

import importlib
from difflib import get_close_matches
from typing import Any

from edge.card import WeightsOrigin
from edge.errors import ToolchainMissingError, UnknownNameError, UsageError, WeightsError
from edge.models import hub
from edge.models.network import Network, picture, seeded
from edge.preprocess import FILTERS, Preprocess
from edge.reference import TIMM_PREFIX, ModelRequest
from edge.suggest import unknown
from edge.toolchain import installed_version


def build(request: ModelRequest) -> Network:
    """Build the network under the request's seed; size, mean, std and crop are those of its timm configuration.

    Raises `ToolchainMissingError` without a working timm, `UnknownNameError`, `WeightsError` for weights that cannot be
    fetched, and `UsageError` for a head or an image size that the network cannot take.
    """
    timm = _timm()
    name = request.reference.removeprefix(TIMM_PREFIX)
    _require_known(timm, name)
    config = timm.get_pretrained_cfg(name)
    size = request.image_size or tuple(config.input_size[1:])
    options: dict[str, Any] = {} if request.num_classes is None else {"num_classes": request.num_classes}
    if config.fixed_input_size and size != tuple(config.input_size[1:]):
        options["img_size"] = size
    weights = None
    if request.pretrained:
        options |= _pretrained(config, request)
        weights = WeightsOrigin(f"huggingface.co/{config.hf_hub_id}", config.license or "unknown")
    try:
        with seeded(request.seed):
            module = timm.create_model(name, **options)
    except (TypeError, ValueError, RuntimeError, AssertionError) as error:
        why = next(iter(str(error).splitlines()), type(error).__name__)
        raise UsageError(
            f"timm cannot build {name} with {', '.join(options) or 'its defaults'}: {why}",
            hint=f"its own input size is {'x'.join(str(side) for side in config.input_size[1:])}",
        ) from None
    return Network(module, (picture(size),), weights, _preprocess(config, size))


def _timm() -> Any:
    try:
        return importlib.import_module("timm")
    except ModuleNotFoundError as error:
        if error.name == "timm":
            raise ToolchainMissingError("timm is not installed", hint="pip install 'edge-toolchain[timm]'") from None
        problem = str(error)
    except Exception as error:  # torchvision, which timm imports, fails in its own ways
        problem = next(iter(str(error).splitlines()), type(error).__name__)
    pair = f"torchvision {installed_version('torchvision') or 'missing'}, torch {installed_version('torch')}"
    raise ToolchainMissingError(
        f"timm cannot be imported: {problem} ({pair})",
        hint="install the torchvision that was built together with your torch, from the same source (CPU or CUDA)",
    )


def _require_known(timm: Any, name: str) -> None:
    architecture, _, tag = name.partition(".")
    if not timm.is_model(architecture):
        near = get_close_matches(architecture, timm.list_models(), n=3, cutoff=0.5)
        if near:
            raise unknown("timm model", architecture, near)
        raise UnknownNameError(f"no timm model named {architecture!r}", hint="timm.list_models() lists them")
    if tag and name not in (tags := timm.list_pretrained(f"{architecture}.*")):
        raise unknown("timm weights", name, tags or [architecture])


def _pretrained(config: Any, request: ModelRequest) -> dict[str, Any]:
    """The options that make timm load the published weights from the hub's cache, through its own renaming."""
    if not config.hf_hub_id:
        raise WeightsError(f"{request.reference} has no published weights on the hub", hint="give --weights FILE")
    if request.num_classes not in (None, config.num_classes):
        raise WeightsError(
            f"the weights have {config.num_classes} classes, the model {request.num_classes}",
            hint=f"give --num-classes {config.num_classes}",
        )
    path = hub.fetch(config.hf_hub_id)
    return {"pretrained": True, "pretrained_cfg_overlay": {"file": str(path), "custom_load": False}}


def _preprocess(config: Any, size: tuple[int, int]) -> Preprocess | None:
    if config.input_size[0] != 3:
        return None
    interpolation = config.interpolation if config.interpolation in FILTERS else "bicubic"
    return Preprocess(*size, config.crop_pct or 0.875, interpolation, tuple(config.mean), tuple(config.std))
