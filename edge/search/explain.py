"""A search as plain text for a terminal: what was found, on which way, and where each number came from."""

from __future__ import annotations

from edge.search.architecture import Drawn, drawn
from edge.search.heat_map import HeatMap, heat_maps
from edge.search.ours import choices
from edge.search.story import Finished, Outcome, Story
from edge.search.trial import Step
from edge.text_table import text_table


def explain(story: Story) -> str:
    """The story in parts, each under a heading. Raises `UsageError` for points of another space."""
    parts = (
        ("The question", _question(story)),
        ("What was found", _found(story)),
        ("What was tried", _tried(story)),
        ("The path", _path(story)),
        ("Importance, block by block", _importance(story)),
        (f"Predicted against {story.measured_as}", _predictions(story)),
        ("The networks, stage by stage", "\n\n".join(map(_network, drawn(story)))),
        ("Training of the supernet", _supernet(story)),
        ("What the papers leave open, and what is done here", text_table(("question", "here"), choices(story))),
    )
    return "\n\n".join(f"{title}\n{'═' * len(title)}\n{text}" for title, text in parts if text) + "\n"


def _question(story: Story) -> str:
    tag, setup, (least_ms, most_ms) = story.tag, story.tag.setup, story.reachable_ms
    height, width = setup.image_size
    threads = f"{setup.threads} thread{'s' if setup.threads > 1 else ''}"
    return (
        f"Which networks of the space {setup.space} answer {story.data} best "
        f"({height}x{width} pixels, {setup.num_classes} classes),\n"
        f"as {setup.target} files ({setup.precision.value}) on {tag.described}, {tag.runtime}, {threads},\n"
        f"within {', '.join(budget.name for budget in story.budgets)}? "
        f"Its networks take {least_ms:.3g} to {most_ms:.3g} ms (predicted).\n"
        f"Strategy {story.strategy}, effort {story.effort}, seed {story.seed}, last training {story.finish}."
    )


def _found(story: Story) -> str:
    if not story.finished:
        return "Nothing has been trained to the end and measured yet: all that follows is predicted."
    rows = [
        _finished(outcome, called, network)
        for outcome in story.outcomes
        for called, network in (("found", outcome.best), ("uniform", outcome.uniform))
        if network is not None
    ]
    heads = (
        "budget",
        "network",
        "ms",
        "source",
        "predicted ms",
        "held-out accuracy",
        "parameters",
        "keeps budget",
        "file",
    )
    compared = [f"{outcome.budget.name}: {words}" for outcome in story.outcomes if (words := outcome.comparison)]
    return "\n".join(
        (
            "Each was trained to the end with the same recipe, seen on held-out pictures, and its file timed whole.\n",
            text_table(heads, rows),
            *(("\nFound against uniform:", *compared) if compared else ()),
        )
    )


def _finished(outcome: Outcome, called: str, network: Finished) -> tuple[str, ...]:
    return (
        outcome.budget.name,
        f"{called} {network.name}",
        f"{network.measured_ms:.3g}",
        network.source.value,
        f"{network.predicted_ms:.3g}",
        f"{network.accuracy:.2%}",
        f"{network.params:,}",
        "yes" if network.keeps() else "no",
        network.verdict,
    )


def _tried(story: Story) -> str:
    if not story.trials:
        return ""
    chosen = [(f"chosen for {b.name}", trial) for b in story.budgets if (trial := story.chosen(b)) is not None]
    members = [(f"{name}, hand-made", trial) for name, trial in story.members.items()]
    uniform = [(f"uniform, {share:.0%} of the way", trial) for share, trial in story.uniform]
    rate = "" if story.evaluations_per_minute is None else f", {story.evaluations_per_minute:.0f} a minute"
    rows = [
        (
            name,
            f"{trial.predicted_ms:.3g}",
            f"{trial.evaluation.confidence:.2%}",
            f"{trial.evaluation.accuracy:.2%}",
            f"{trial.params:,}",
        )
        for name, trial in (*chosen, *members, *uniform)
    ]
    return (
        f"{len(story.trials)} networks were tried{rate}, with the supernet's weights on validation pictures.\n"
        "Confidence is how probable the right class is (the geometric mean, at each network's best temperature);\n"
        "latencies are predicted by the table.\n\n"
        + text_table(("network", "predicted ms", "confidence", "accuracy", "parameters"), rows)
    )


def _path(story: Story) -> str:
    if not story.steps:
        return ""
    return (
        "Each action costs the least confidence per ms that it saves, with the supernet's weights. Latencies are predicted\n"
        f"by the table, unless they are called {story.measured_as}.\n\n"
        + "\n".join(_step(number, step, story.measured_as) for number, step in enumerate(story.steps))
    )


def _step(number: int, step: Step, measured_as: str) -> str:
    trial = step.trial
    measured = "" if step.measured_ms is None else f" ({step.measured_ms:.3g} {measured_as})"
    of = f", of {len(step.candidates)} candidates" if step.candidates else ""
    return (
        f"{number:>3}. {step.action}: {trial.predicted_ms:.3g} ms{measured}, confidence {trial.evaluation.confidence:.2%}, "
        f"accuracy {trial.evaluation.accuracy:.2%}{of}"
    )


def _importance(story: Story) -> str:
    if not (found := heat_maps(story)):
        return ""
    what = (
        "How probable the supernet's mixture holds each kind of block, learned with its weights."
        if story.importance
        else "What the largest network loses when one choice alone is at its fastest, with the supernet's weights."
    )
    return "\n\n".join((what, *map(_heat_map, found)))


def _heat_map(found: HeatMap) -> str:
    rows = [(name, *("" if share is None else f"{100 * share:.1f}" for share in shares)) for name, shares in found.rows]
    return f"{found.title}, %\n{text_table(('', *found.columns), rows)}"


def _predictions(story: Story) -> str:
    if not story.measured:
        return ""
    rows = [(f"{row.predicted_ms:.3g}", f"{row.measured_ms:.3g}", f"{row.error:+.1%}") for row in story.measured]
    return (
        "Whole networks that were exported and timed on the device in this search, beside networks of the table, whose\n"
        "change since then is taken out.\n\n"
    ) + text_table(("predicted ms", f"{story.measured_as} ms", "error"), rows)


def _network(found: Drawn) -> str:
    rows = [
        (
            "" if index else stage.size,
            f"{layer.words}{f' x {layer.count}' if layer.count > 1 else ''}",
            f"{layer.channels}",
            "–" if layer.share is None else f"{layer.share:.0%}",
        )
        for stage in found.stages
        for index, layer in enumerate(stage.layers)
    ]
    return f"{found.budget}\n{text_table(('output', 'blocks', 'channels', 'predicted time'), rows)}"


def _supernet(story: Story) -> str:
    if not story.supernet:
        return ""
    first, last = story.supernet[0], story.supernet[-1]
    return (
        f"{last.epoch} epochs: loss {first.train_loss:.4f} at first, {last.train_loss:.4f} in the end; "
        f"{last.words} on validation pictures."
    )
