"""A search as text for a terminal."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from edge.measurement import Source
from edge.search.explain import explain
from tests.fakes import stories

PARTS = (
    "The question",
    "What was found",
    "What was tried",
    "The path",
    "Importance, block by block",
    "Predicted against measured",
    "The networks, stage by stage",
    "Training of the supernet",
    "What the papers leave open, and what is done here",
)


@pytest.fixture(scope="module")
def story():
    return stories.story()


@pytest.fixture(scope="module")
def text(story):
    return explain(story)


def headings(text: str) -> tuple[str, ...]:
    lines = text.splitlines()
    return tuple(above for above, line in pairwise(lines) if line and {*line} == {"═"})


def row(text: str, *begins: str) -> list[str]:
    """The cells of the line of a table that begins with these."""
    (found,) = [line for line in text.splitlines() if line.split()[: len(begins)] == [*begins]]
    return found.split()


def test_the_text_of_a_whole_story_has_every_part(text):
    assert headings(text) == PARTS


@pytest.mark.parametrize("role", ["found", "uniform"])
def test_each_budget_stands_with_its_measured_numbers(story, text, role):
    for outcome in story.outcomes:
        network = outcome.best if role == "found" else outcome.uniform
        cells = row(text, outcome.budget.name, role)
        assert cells[2:7] == [
            network.name,
            f"{network.measured_ms:.3g}",
            "measured",
            f"{network.predicted_ms:.3g}",
            f"{network.accuracy:.2%}",
        ]
        assert f"{outcome.budget.name}: {outcome.comparison}" in text


def test_times_that_were_not_measured_are_never_called_so(story):
    emulated = {
        name: tuple(replace(each, source=Source.EMULATED) for each in getattr(story, name))
        for name in ("finished", "measured")
    }
    text = explain(replace(story, **emulated))
    assert "measured" not in text.split("What the papers leave open")[0]
    assert row(text, "4.0ms", "found")[4] == "emulated"
    assert f"({story.measured[0].measured_ms:.3g} emulated)" in text


def test_each_action_is_a_line_that_says_what_was_measured(story, text):
    lines = [line for line in text.splitlines() if line.lstrip().split(".")[0].isdigit() and ", confidence" in line]
    assert len(lines) == len(story.steps)
    for line, step in zip(lines, story.steps, strict=True):
        assert f"{step.action}: {step.trial.predicted_ms:.3g} ms" in line
        assert ("measured" in line) is (step.measured_ms is not None)


def test_every_block_of_the_networks_is_counted(story, text):
    for outcome in story.outcomes:
        kinds = [block.kind for block in stories.space().blocks(outcome.best.spec)]
        part = text.split(f"\n{outcome.budget.name}\noutput")[1].split("\n\n")[0]
        assert part.count("downsample") == kinds.count("downsample")


def test_a_search_that_has_only_begun_says_so():
    text = explain(stories.begun())
    assert headings(text) == (PARTS[0], PARTS[1], PARTS[-1])
    assert "Nothing has been trained to the end and measured yet" in text


def test_a_story_without_path_members_and_importance_leaves_them_out(story):
    less = explain(replace(story, steps=(), members={}, importance={}, measured=(), supernet=()))
    assert {*PARTS} - {*headings(less)} == {PARTS[3], PARTS[4], PARTS[5], PARTS[7]}
