"""A run folder: what `edge train` leaves behind, `run.json` and `weights.safetensors`, which is a model reference."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from edge import whole
from edge.errors import UsageError
from edge.preprocess import IMAGENET_MEAN, IMAGENET_STD, Preprocess
from edge.reference import Kind, ModelRequest

SCHEMA = "edge.run/1"
RECORD = "run.json"
WEIGHTS = "weights.safetensors"
MOST_CLASSES = 1_000_000
LARGEST_SIDE = 8192
"""A damaged record must not make us build a network that fills the memory."""


@dataclass(frozen=True, slots=True)
class RunCard:
    """What a run trained, on what, and how its network takes pictures.

    `model` is a model reference, `image_size` (height, width) in pixels, `accuracy` the share 0..1 on held-out pictures,
    `data` and `licence` words. Raises `ValueError` for values that no network can have.
    """

    model: str
    num_classes: int
    image_size: tuple[int, int]
    labels: tuple[str, ...] = ()
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    crop: float = 0.875
    interpolation: str = "bicubic"
    data: str = ""
    seed: int = 0
    epochs: int = 0
    accuracy: float | None = None
    licence: str = "unknown"

    def __post_init__(self) -> None:
        if not 1 <= self.num_classes <= MOST_CLASSES or max(self.image_size) > LARGEST_SIDE:
            raise ValueError(f"{self.num_classes} classes of {self.image_size} pixels")
        if self.labels and len(self.labels) != self.num_classes:
            raise ValueError(f"{len(self.labels)} labels for {self.num_classes} classes")
        self.preprocess()

    def preprocess(self) -> Preprocess:
        """How a picture becomes the network's input."""
        height, width = self.image_size
        return Preprocess(height, width, self.crop, self.interpolation, self.mean, self.std)


def write(folder: Path, card: RunCard) -> None:
    """Write `run.json`; it appears whole."""
    whole.write_text(folder / RECORD, json.dumps({"schema": SCHEMA, **asdict(card)}, indent=2) + "\n")


def read(folder: Path) -> RunCard:
    """Read `run.json` back. Raises `UsageError` when it is missing, or is not a run of this schema."""
    path = folder / RECORD
    if not path.is_file():
        raise UsageError(
            f"{folder} holds no {RECORD}", hint="a folder is a model when `edge train` or `edge search` wrote it"
        )
    try:
        fields: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse)
        if fields.pop("schema") != SCHEMA:
            raise ValueError(f"not of schema {SCHEMA}")
        return _card(fields)
    except (OSError, KeyError, TypeError, ValueError, AttributeError, RecursionError, OverflowError) as error:
        problem = f"{error} is missing" if isinstance(error, KeyError) else error
        raise UsageError(f"{path} cannot be read: {problem}", hint="train again, or restore the file") from None


def network(folder: Path, card: RunCard, request: ModelRequest) -> ModelRequest:
    """The request for the network that the run trained, before its weights.

    Raises `UsageError` for a run of another run, and for one that brings its own code: reading a folder runs nothing.
    """
    trained = replace(
        request,
        reference=card.model,
        num_classes=request.num_classes or card.num_classes,
        image_size=request.image_size or card.image_size,
        weights=None,
        labels=None,
    )
    if trained.kind is Kind.RUN:
        raise UsageError(
            f"{folder / RECORD} names another folder as its network: {card.model!r}", hint="name that folder"
        )
    code = Path(card.model.rpartition(":")[0])
    if trained.kind is Kind.FACTORY and folder.resolve() in code.resolve().parents:
        raise UsageError(
            f"{folder / RECORD} wants to run {code}, which lies in the run folder itself",
            hint=f"if you trust it: edge export {card.model} --weights {folder / WEIGHTS}",
        )
    return trained


def _card(fields: Mapping[str, Any]) -> RunCard:
    height, width = (int(side) for side in fields["image_size"])
    accuracy = fields["accuracy"]
    return RunCard(
        model=_text(fields["model"]),
        num_classes=int(fields["num_classes"]),
        image_size=(height, width),
        labels=tuple(_text(label) for label in fields["labels"]),
        mean=_per_channel(fields["mean"]),
        std=_per_channel(fields["std"]),
        crop=float(fields["crop"]),
        interpolation=_text(fields["interpolation"]),
        data=_text(fields["data"]),
        seed=int(fields["seed"]),
        epochs=int(fields["epochs"]),
        accuracy=None if accuracy is None else float(accuracy),
        licence=_text(fields["licence"]),
    )


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not a text")
    return value


def _per_channel(values: Any) -> tuple[float, float, float]:
    red, green, blue = (float(value) for value in values)
    return red, green, blue


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is not a number")
