"""A search as one HTML page that stands alone: what was found, against what, on which way, and where each number came from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from edge import __version__, plugins
from edge.latency.page import scatter
from edge.measurement import Source
from edge.report import page as report
from edge.report.facts import Epoch
from edge.report.plots import training
from edge.search import drawings
from edge.search.architecture import Stage, stages
from edge.search.heat_map import heat_maps
from edge.search.ours import choices
from edge.search.story import Finished, Outcome, Story
from edge.space import SearchSpace
from edge.spec import ModelSpec

FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Drawn:
    """A network that was chosen for a budget, stage by stage; the widest of its layers has `most` channels."""

    budget: str
    spec: ModelSpec
    stages: tuple[Stage, ...]
    most: int


def render(story: Story) -> str:
    """The page as HTML text; the same story gives the same text. Raises `UsageError` for points of another space."""
    setup = story.tag.setup
    space = plugins.space(setup.space, setup.image_size, setup.num_classes)
    return report.environment(FOLDER).get_template("page.html").render(
        story=story,
        setup=setup,
        outcomes=story.outcomes,
        comparison=comparison,
        measured_as=sorted({each.source.value for each in story.finished}),
        plots=_plots(story),
        training=_training(story),
        heat_maps=heat_maps(story),
        networks=_networks(story, space),
        choices=choices(story),
        version=__version__,
        style=report.style() + Markup((FOLDER / "page.css").read_text(encoding="utf-8")),
    )  # fmt: skip


def comparison(outcome: Outcome) -> str:
    """How the chosen network compares with the uniform one, in words; empty unless both were timed in the same way."""
    best, uniform = outcome.best, outcome.uniform
    if best is None or uniform is None:
        return ""
    if not _timed_alike(best, uniform) or best.measured_ms is None or uniform.measured_ms is None:
        return ""
    points, faster = 100 * (best.accuracy - uniform.accuracy), 1 - best.measured_ms / uniform.measured_ms
    right = f"{abs(points):.2f} points {'more' if points > 0 else 'less'} accurate" if points else "as accurate"
    time = f"{abs(faster):.1%} {'faster' if faster > 0 else 'slower'}" if faster else "as fast"
    return f"{right}, {time} ({best.source.value})"


def _timed_alike(one: Finished, other: Finished) -> bool:
    return one.source is other.source is not Source.PREDICTED


def _plots(story: Story) -> dict[str, Markup]:
    """The drawings that have something to show."""
    drawn = {
        "pareto": drawings.pareto(story) if story.trials else "",
        "path": drawings.path(story) if story.steps else "",
        "scatter": scatter(story.measured) if story.measured else "",
    }
    return {name: Markup(svg) for name, svg in drawn.items() if svg}


def _training(story: Story) -> Markup:
    return Markup(training([Epoch(each.epoch, each.train_loss, each.accuracy) for each in story.supernet]))


def _networks(story: Story, space: SearchSpace) -> tuple[Drawn, ...]:
    found = []
    for outcome in story.outcomes:
        trial = story.chosen(outcome.budget)
        spec = outcome.best.spec if outcome.best else trial.spec if trial else None
        if spec is not None:
            own = stages(space, spec, story.block_ms)
            most = max(layer.channels for stage in own for layer in stage.layers)
            found.append(Drawn(outcome.budget.name, spec, own, most))
    return tuple(found)
