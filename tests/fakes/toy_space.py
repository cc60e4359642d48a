"""A search space of a few plain layers, and a bench whose times are known exactly: blocks, unequal borders, a constant."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

from torch import nn

from edge.device_state import DeviceInfo
from edge.latency.bench import FileTime
from edge.latency.tag import Setup, Tag
from edge.measurement import Measurement, Source
from edge.space import Block, SearchSpace, Shape
from edge.spec import Choice, ModelSpec, Precision

START_MS = 0.3


class ToySpace(SearchSpace):
    """Two stages of 3x3 convolutions, then tokens: stem, depth1 blocks, down, depth2 blocks, flatten, a block, head."""

    @property
    def choices(self) -> Mapping[str, tuple[Choice, ...]]:
        return {"width1": (4, 8), "width2": (8, 16), "depth1": (1, 2, 3), "depth2": (1, 2, 3)}

    @property
    def members(self) -> Mapping[str, ModelSpec]:
        return {"toy_s": self.smallest()}

    @property
    def together(self) -> tuple[tuple[str, ...], ...]:
        return (("width1", "width2"),)

    def canonical(self, spec: ModelSpec) -> ModelSpec:
        return spec

    def uniform(self, share: float) -> ModelSpec:
        return self.largest() if share > 0.5 else self.smallest()

    def build(self, spec: ModelSpec) -> nn.Module:
        return nn.Sequential(*map(self.module, self.blocks(spec)))

    def blocks(self, spec: ModelSpec) -> tuple[Block, ...]:
        self.check(spec)
        first, second = (int(spec.choices[name]) for name in ("width1", "width2"))
        picture, early, late = (3, *self.image_size), self._map(first, 2), self._map(second, 4)
        tokens = (late[1] * late[2], second)
        return (
            Block("stem", (), picture, early),
            *[Block("conv", (("kernel", 3),), early, early)] * int(spec.choices["depth1"]),
            Block("down", (), early, late),
            *[Block("conv", (("kernel", 3),), late, late)] * int(spec.choices["depth2"]),
            Block("mix", (), late, tokens),
            Block("mix", (), tokens, tokens),
            Block("head", (), tokens, (self.num_classes,)),
        )

    def parts(self, block: Block) -> tuple[nn.Module, ...]:
        channels, out = block.input[0], block.output[0]
        match block.kind:
            case "stem" | "down":
                return (nn.Conv2d(channels, out, 3, stride=2, padding=1), nn.ReLU())
            case "conv":
                return (nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU())
            case "mix":
                to_tokens = () if block.input == block.output else (nn.Flatten(2), Transpose())
                return (*to_tokens, nn.Linear(block.output[1], block.output[1]), nn.ReLU())
            case "head":
                return (Mean(), nn.Linear(block.input[1], out))
        raise self.unknown_block(block)

    def _map(self, width: int, stride: int) -> Shape:
        return (width, self.image_size[0] // stride, self.image_size[1] // stride)


class Transpose(nn.Module):
    def forward(self, x):
        return x.transpose(1, 2)


class Mean(nn.Module):
    def forward(self, x):
        return x.mean(1)


class ExactBench:
    """Gives every file the time that it has by an additive model; remembers what it was asked to time."""

    def __init__(self, space: SearchSpace) -> None:
        self.space = space
        self.timed: list[object] = []

    def time(self, contents: Iterable[object], seed: int = 0) -> dict[object, FileTime]:  # noqa: ARG002
        wanted = list(dict.fromkeys(contents))
        self.timed += wanted
        return {content: exactly(self.ms(content)) for content in wanted}

    def ms(self, content: object) -> float:
        blocks = self.space.blocks(content) if isinstance(content, ModelSpec) else content
        ends = _ms("in", str(blocks[0].input)) + _ms("out", str(blocks[-1].output))
        return START_MS + ends + sum(_ms("block", block.key) for block in blocks)


def exactly(ms: float) -> FileTime:
    """A file whose every run takes `ms`."""
    return FileTime((measurement((ms, ms, ms)), measurement((ms, ms, ms))))


def measurement(samples_ms: tuple[float, ...], **more: object) -> Measurement:
    """Of a made-up device."""
    info = DeviceInfo("toy", "toy", "ready", "Toy 1")
    fields = {"device": "toy", "source": Source.MEASURED, "runtime": "toy 1.0", "threads": 1, "init_ms": 1.0}
    return Measurement(**{**fields, "samples_ms": samples_ms, "peak_rss_kb": 1, "info": info, **more})


def toy_space() -> ToySpace:
    return ToySpace((16, 16), 5)


def tag(space: SearchSpace, **more: object) -> Tag:
    """The tag of tables of the made-up device."""
    return Tag.found(Setup.of(space, "toy", "tflite", Precision.FP32, 1), measurement((1.0,), **more))


def _ms(*name: str) -> float:
    """Between 0.01 and 1, another number for each name, the same every time."""
    return 0.01 + int(hashlib.sha256(" ".join(name).encode()).hexdigest()[:8], 16) / 2**32 * 0.99
