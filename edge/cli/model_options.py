"""The options that say which network, with which weights, head and input size: the same wherever a MODEL is asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edge.errors import UsageError
from edge.reference import ModelRequest

Reference = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="A name of `edge models`, timm:NAME, point:SPEC.json (of a search space), "
        "package.module:factory, file.py:factory, or a folder that `edge train` wrote.",
    ),
]
Weights = Annotated[Path | None, typer.Option(help="A safetensors or .pth file.")]
Pretrained = Annotated[bool, typer.Option("--pretrained", help="Fetch the published weights.")]
NumClasses = Annotated[int | None, typer.Option(min=1, help="Classes of the head.")]
ImageSize = Annotated[str | None, typer.Option(metavar="N|HxW", help="Input size in pixels.")]
Labels = Annotated[Path | None, typer.Option(help="A text file, one label per line.")]
Mean = Annotated[str | None, typer.Option(metavar="R,G,B", help="Normalisation mean, for values in 0..1.")]
Std = Annotated[str | None, typer.Option(metavar="R,G,B", help="Normalisation standard deviation, for values in 0..1.")]
Seed = Annotated[int, typer.Option(help="Seed of the random weights when none are given.")]


def image_size(text: str | None) -> tuple[int, int] | None:
    """`224` or `192x256` (height x width)."""
    if text is None:
        return None
    parts = text.lower().split("x")
    if len(parts) > 2 or not all(part.isdecimal() and 0 < int(part) <= 8192 for part in parts):
        raise UsageError(f"not an image size: {text!r}", hint="write 224, or 192x256 for height x width")
    return int(parts[0]), int(parts[-1])


def per_channel(text: str | None, name: str) -> tuple[float, float, float] | None:
    """Three numbers separated by commas."""
    if text is None:
        return None
    try:
        red, green, blue = (float(part) for part in text.split(","))
    except ValueError:
        raise UsageError(
            f"--{name} takes three numbers, not {text!r}", hint=f"for example --{name} 0.5,0.5,0.5"
        ) from None
    if name == "std" and min(red, green, blue) <= 0:
        raise UsageError(f"--std must be above zero, not {text!r}", hint="it divides the picture's values")
    return red, green, blue


def request(
    reference: str, weights: Path | None, pretrained: bool, num_classes: int | None, size: str | None,
    labels: Path | None, mean: str | None, std: str | None, seed: int,
) -> ModelRequest:  # fmt: skip
    """The request that these options make."""
    if weights is not None and pretrained:
        raise UsageError("--weights and --pretrained name two sets of weights", hint="give one of them")
    return ModelRequest(
        reference,
        weights,
        pretrained,
        num_classes,
        image_size(size),
        labels,
        per_channel(mean, "mean"),
        per_channel(std, "std"),
        seed,
    )
