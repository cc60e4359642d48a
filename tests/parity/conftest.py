"""Small networks that hold the operators which go wrong, and a way to lower each once for all tests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edge import plugins
from edge.card import Card, TensorSpec, WeightsOrigin
from edge.passes.capture import capture, rewrite
from edge.preprocess import Preprocess
from edge.spec import InputKind, PictureLayout, Precision, Recipe

SIDE, CLASSES, HEADS = 32, 10, 2
LABELS = ("crane", "crane", *(f"class {index}" for index in range(2, CLASSES)))  # ImageNet too has two cranes


class Mixed(nn.Module):
    """Picture (B, 3, 32, 32) to logits (B, 10): convolution, batch norm, pooling, attention, bilinear upsampling."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 16, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(16)
        self.depthwise = nn.Conv2d(16, 16, 3, padding=1, groups=16)
        self.pool = nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)
        self.token_norm, self.qkv, self.out = nn.LayerNorm(16), nn.Linear(16, 48), nn.Linear(16, 16)
        self.head = nn.Linear(16, CLASSES)

    def forward(self, image: Tensor) -> Tensor:
        x = F.gelu(self.depthwise(F.relu(self.norm(self.stem(image)))))
        x = x + self.pool(x)
        batch, channels, height, width = x.shape
        tokens = self.token_norm(x.flatten(2).transpose(1, 2))
        qkv = self.qkv(tokens).reshape(batch, height * width, 3, HEADS, channels // HEADS).permute(2, 0, 3, 1, 4)
        q, k, v = qkv.unbind(0)
        attended = ((q * 0.35) @ k.transpose(-1, -2)).softmax(-1) @ v
        tokens = tokens + self.out(attended.transpose(1, 2).reshape(batch, height * width, channels))
        maps = tokens.transpose(1, 2).reshape(batch, channels, height, width)
        maps = F.interpolate(maps, scale_factor=2.0, mode="bilinear", align_corners=False)
        return self.head(maps.amax((2, 3)))


class Normalised(nn.Module):
    """A network behind the normalisation of its picture, uint8 (B, H, W, 3) or float32 planes of 0..255."""

    def __init__(self, network: nn.Module, preprocess: Preprocess, layout: PictureLayout) -> None:
        super().__init__()
        self.network, self.layout = network, layout
        self.register_buffer("mean", torch.tensor(preprocess.mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(preprocess.std).view(1, 3, 1, 1))

    def forward(self, picture: Tensor) -> Tensor:
        planes = picture.permute(0, 3, 1, 2).float() if self.layout is PictureLayout.BYTES_NHWC else picture
        return self.network((planes / 255 - self.mean) / self.std)


class SeveralEnds(nn.Module):
    """Three inputs, one of them unused, and two outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.network = Mixed()

    def forward(self, image: Tensor, extra: Tensor, unused: Tensor) -> tuple[Tensor, Tensor]:  # noqa: ARG002
        return self.network(image), F.gelu(extra) * 2


@dataclass(frozen=True)
class Case:
    """A network, an input for each of its arguments, and the card of its file."""

    module: nn.Module
    inputs: tuple[Tensor, ...]
    card: Card

    def expected(self, inputs: tuple[Tensor, ...]) -> tuple[np.ndarray, ...]:
        with torch.no_grad():
            outputs = self.module(*inputs)
        return tuple(output.numpy() for output in (outputs if isinstance(outputs, tuple) else (outputs,)))


def randomised(module: nn.Module) -> nn.Module:
    """Batch-norm statistics and weights under which every branch shows in the output."""
    torch.manual_seed(0)
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.normal_(0, 0.3)
            layer.running_var.uniform_(0.5, 1.5)
            nn.init.normal_(layer.bias)
        if isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, std=0.4)
    return module.eval()


def case(module: nn.Module, inputs: tuple[Tensor, ...], names: tuple[str, ...], outputs: tuple[str, ...]) -> Case:
    """A case without picture or labels."""
    with torch.no_grad():
        results = module(*inputs)
    results = results if isinstance(results, tuple) else (results,)
    card = Card(
        model="small",
        inputs=tuple(TensorSpec(name, tuple(x.shape), str(x.dtype)[6:]) for name, x in zip(names, inputs, strict=True)),
        outputs=tuple(TensorSpec(name, tuple(y.shape)) for name, y in zip(outputs, results, strict=True)),
        precision=Precision.FP32,
        input_kind=InputKind.FLOAT,
        weights=WeightsOrigin("random numbers", "Apache-2.0", "0123456789abcdef" * 4),
    )
    return Case(module, inputs, card)


def _classifier() -> Case:
    plain = case(randomised(Mixed()), (torch.randn(1, 3, SIDE, SIDE),), ("image",), ("logits",))
    return replace(plain, card=replace(plain.card, preprocess=Preprocess(SIDE, SIDE), labels=LABELS))


def _picture(layout: PictureLayout) -> Case:
    preprocess = Preprocess(SIDE, SIDE)
    shape = (1, SIDE, SIDE, 3) if layout is PictureLayout.BYTES_NHWC else (1, 3, SIDE, SIDE)
    picture = torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(1))
    picture = picture.to(torch.uint8 if layout is PictureLayout.BYTES_NHWC else torch.float32)
    plain = case(Normalised(randomised(Mixed()), preprocess, layout).eval(), (picture,), ("image",), ("logits",))
    card = replace(plain.card, preprocess=preprocess, labels=LABELS, input_kind=InputKind.IMAGE)
    return replace(plain, card=card)


def _several() -> Case:
    inputs = (torch.randn(1, 3, SIDE, SIDE), torch.randn(1, 6), torch.randn(1, 2))
    return case(randomised(SeveralEnds()), inputs, ("conv2d", "gelu", "left out"), ("relu", "network.head.bias"))


CASES: dict[str, Callable[[], Case]] = {
    "classifier": _classifier,
    "bytes": lambda: _picture(PictureLayout.BYTES_NHWC),
    "planes": lambda: _picture(PictureLayout.PLANES_NCHW),
    "several": _several,  # the names are also those of operators and weights inside, or no identifiers
}


@pytest.fixture(scope="session")
def cases() -> dict[str, Case]:
    return {name: make() for name, make in CASES.items()}


@pytest.fixture(scope="session")
def make_case() -> Callable[..., Case]:
    return case


@pytest.fixture(scope="session")
def lower() -> Callable[..., Path]:
    """`lower(case, recipe, path)`: captured, rewritten by the target's passes, written to `path`."""

    def lower(case: Case, recipe: Recipe, path: Path) -> Path:
        exporter = plugins.exporter(recipe.exporter)
        program = rewrite(capture(case.module, case.inputs), exporter.passes())
        exporter.lower(program, recipe, replace(case.card, precision=recipe.precision), path)
        return path

    return lower


@pytest.fixture(scope="session")
def file_of(cases, lower, tmp_path_factory) -> Callable[..., Path]:
    """`file_of(name, recipe)`: the file of one of the cases, written once."""
    files: dict[tuple[str, Recipe], Path] = {}

    def file_of(name: str, recipe: Recipe) -> Path:
        if (name, recipe) not in files:
            folder = tmp_path_factory.mktemp(f"{recipe.exporter}-{name}")
            suffix = plugins.exporter(recipe.exporter).suffix
            files[name, recipe] = lower(cases[name], recipe, folder / f"small{suffix}")
        return files[name, recipe]

    return file_of
