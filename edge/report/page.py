"""One HTML page that stands alone: no script, no request, every label and name escaped."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from numpy.typing import NDArray
from PIL import Image

from edge import __version__
from edge.measurement import Source
from edge.report import plots
from edge.report.facts import FileFacts, Report

ENLARGED = 112
"""Pictures smaller than this many pixels are enlarged, each pixel to a square of whole pixels."""


def render(report: Report) -> str:
    """The page as HTML text; the same report gives the same text."""
    timed = [file.latency for file in report.files if file.latency is not None]
    return environment(Path(__file__).parent).get_template("page.html").render(
        report=report,
        figures=_figures(report),
        latency=min(timed, key=lambda latency: latency.source is not Source.MEASURED, default=None),
        unmeasured=any(latency.source is Source.REFERENCE_RUNTIME for latency in timed),
        worst_error=max((file.relative_error for file in report.files if file.relative_error is not None), default=None),
        tools=_tools(report.files),
        version=__version__,
        style=style(),
    )  # fmt: skip


def data_uri(picture: NDArray[np.uint8]) -> str:
    """A picture uint8 (H, W, 3) as a PNG inside a data URI."""
    factor = max(1, -(-ENLARGED // picture.shape[1]))
    enlarged = picture.repeat(factor, axis=0).repeat(factor, axis=1)
    buffer = io.BytesIO()
    Image.fromarray(enlarged).save(buffer, format="PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _figures(report: Report) -> list[tuple[str, str, Markup]]:
    """Title, caption and drawing of each plot that has something to show."""
    drawn = (
        ("Size", "on disk", plots.sizes(report.files) if report.files else ""),
        ("Latency", "median and its 95 % interval", plots.latencies(report.files)),
        ("Error against PyTorch", "dot: measured; upright line: what is allowed", plots.errors(report.files)),
        ("Training", "each epoch, held-out pictures", plots.training(report.epochs)),
    )
    return [(title, caption, Markup(svg)) for title, caption, svg in drawn if svg]


def _tools(files: Iterable[FileFacts]) -> dict[str, str]:
    """Every tool that made a file, with its version (versions, should files differ), by name."""
    versions: dict[str, set[str]] = {}
    for file in files:
        for name, version in file.tools.items():
            versions.setdefault(name, set()).add(version)
    return {name: ", ".join(sorted(versions[name])) for name in sorted(versions)}


def style() -> Markup:
    """The style sheet of every page that edge writes."""
    return Markup(Path(__file__).with_name("page.css").read_text(encoding="utf-8"))


@cache
def environment(folder: Path) -> Environment:
    """Where the templates of `folder` are rendered: names are escaped, and a name that is not given is an error.

    They begin with our `head.html`: nothing is loaded but styles inside the page and what `allowed` adds for it.
    """
    made = Environment(
        loader=FileSystemLoader([folder, Path(__file__).parent]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(percent=_percent, error=_error, compact=_compact, size=_size, ms=_ms)
    made.filters.update(data_uri=data_uri)
    return made


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"


def _error(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.1e}" if value else "exact"


def _compact(count: int) -> str:
    """`418_342` → `418 k`, `12_289_928` → `12.3 M`."""
    for unit, name in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if count >= unit:
            return f"{count / unit:.3g} {name}"
    return str(count)


def _size(count: int) -> str:
    return f"{count / 1e6:.2f} MB" if count >= 1e6 else f"{count / 1e3:.1f} kB"


def _ms(value: float) -> str:
    return f"{value:.3g}"
