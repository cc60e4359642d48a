"""A search as one HTML page that stands alone: what was found, against what, on which way, and where each number came from."""

from __future__ import annotations

from pathlib import Path

from markupsafe import Markup

from edge import __version__
from edge.latency.page import scatter
from edge.report import page as report
from edge.report.facts import Epoch
from edge.report.plots import training
from edge.search import drawings
from edge.search.architecture import drawn
from edge.search.heat_map import heat_maps
from edge.search.ours import choices
from edge.search.story import Story

FOLDER = Path(__file__).parent


def render(story: Story) -> str:
    """The page as HTML text; the same story gives the same text. Raises `UsageError` for points of another space."""
    setup = story.tag.setup
    return report.environment(FOLDER).get_template("page.html").render(
        story=story,
        setup=setup,
        outcomes=story.outcomes,
        plots=_plots(story),
        training=_training(story),
        heat_maps=heat_maps(story),
        networks=drawn(story),
        choices=choices(story),
        version=__version__,
        style=report.style() + Markup((FOLDER / "page.css").read_text(encoding="utf-8")),
    )  # fmt: skip


def _plots(story: Story) -> dict[str, Markup]:
    """The drawings that have something to show."""
    drawn = {
        "pareto": drawings.pareto(story) if story.trials else "",
        "path": drawings.path(story) if story.steps else "",
        "scatter": scatter(story.measured, story.measured_as) if story.measured else "",
    }
    return {name: Markup(svg) for name, svg in drawn.items() if svg}


def _training(story: Story) -> Markup:
    return Markup(training([Epoch(each.epoch, each.train_loss, each.accuracy) for each in story.supernet]))
