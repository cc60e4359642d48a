"""Who watches a search sees its phases and the best of each budget; on no terminal there is nothing to see."""

from __future__ import annotations

import io
from dataclasses import replace
from itertools import count

import pytest
from rich.console import Console

from edge.search.trial import Evaluation
from edge.search.watch import Phase, SearchWatcher, Terminal, watcher
from edge.training.watch import Watcher
from tests.fakes import stories


@pytest.fixture(scope="module")
def story():
    return stories.story()


def terminal(clock=lambda: 0.0) -> tuple[Terminal, io.StringIO]:
    shown = io.StringIO()
    return Terminal(Console(file=shown, force_terminal=True, width=200), clock), shown


def moves(shown: io.StringIO) -> bool:
    """Whether something moves on the terminal: the cursor is hidden meanwhile."""
    return shown.getvalue().rfind("\x1b[?25l") > shown.getvalue().rfind("\x1b[?25h")


def whole_search(watched: SearchWatcher, story) -> None:
    with watched:
        watched.begins(Phase.SUPERNET)
        with watched.training("supernet"):
            pass
        watched.begins(Phase.SEARCH)
        watched.aims(story.budgets)
        for number, step in enumerate(story.steps):
            watched.took(step)
            watched.tried(story.trials[: number + 1])
        watched.begins(Phase.FINAL)
        with watched.training("best-4.0ms"):
            pass
        watched.says("best-4.0ms: 4.1 ms")


def test_nothing_is_printed_where_there_is_no_terminal(story, capsys):
    watched = watcher()
    whole_search(watched, story)
    assert capsys.readouterr() == ("", "")
    assert type(watched) is SearchWatcher
    assert type(watched.training("supernet")) is Watcher


def test_a_terminal_shows_each_phase_action_and_training(story):
    watched, shown = terminal()
    whole_search(watched, story)
    text = shown.getvalue()
    for phase in (Phase.SUPERNET, Phase.SEARCH, Phase.FINAL):
        assert f"{list(Phase).index(phase) + 1}/{len(Phase)}  {phase.value}" in text
    for step in story.steps:
        assert f"{step.action}: {step.trial.predicted_ms:.3g} ms" in text
    assert "best-4.0ms: 4.1 ms" in text
    assert text.index("supernet") < text.index(story.steps[0].action) < text.index("best-4.0ms")


def test_only_the_search_moves_so_that_a_training_has_the_terminal_to_itself(story):
    watched, shown = terminal()
    moving = {}
    for phase in Phase:
        watched.begins(phase)
        moving[phase] = moves(shown)
    assert moving == {phase: phase is Phase.SEARCH for phase in Phase}
    watched.begins(Phase.SEARCH)
    watched.training("best-4.0ms")
    assert not moves(shown)


def test_what_moves_is_gone_when_the_search_fails(story):
    watched, shown = terminal()
    with pytest.raises(KeyError), watched:
        watched.begins(Phase.SEARCH)
        raise KeyError
    assert not moves(shown)


def test_it_says_the_best_of_each_budget_so_far(story):
    watched, _ = terminal()
    small, large = sorted(story.trials, key=lambda trial: trial.predicted_ms)[:: len(story.trials) - 1]
    watched.aims(story.budgets)
    watched.tried([large])
    assert watched.words == "1 tried  4.0ms: –  50%: –  2.5ms: –"
    watched.tried([large, replace(small, evaluation=Evaluation(0.912, 0.8), params=1)])
    assert watched.words.endswith("2.5ms: 91.2%")


def test_the_pace_counts_what_was_tried_since_the_phase_began(story):
    seconds = count(0, 30)
    watched, _ = terminal(lambda: float(next(seconds)))
    watched.tried(story.trials[:10])
    watched.begins(Phase.BLOCKS)
    watched.tried(story.trials[:40])
    assert "40 tried, 60 a minute" in watched.words


def test_names_are_no_markup():
    watched, shown = terminal()
    watched.says("[red]stage1[/red]")
    assert "[red]stage1[/red]" in shown.getvalue()
