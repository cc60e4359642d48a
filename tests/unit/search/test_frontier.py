"""What is worth having of what was tried does not depend on the order in which it was."""

from __future__ import annotations

from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st

from edge.search.budget import Budget
from edge.search.frontier import best, frontier, ranked
from edge.search.trial import Evaluation, Trial
from edge.spec import ModelSpec


def trial(ms: float, confidence: float, *, accuracy: float = 0.5, width: int = 8, params: int = 10) -> Trial:
    return Trial(ModelSpec("toy", {"width": width}), Evaluation(accuracy, confidence), ms, params, 100)


def test_the_frontier_is_what_nothing_beats_from_the_fastest() -> None:
    fast, middle, slow = trial(1, 0.3), trial(2, 0.5), trial(4, 0.6)
    beaten = [trial(3, 0.5), trial(2, 0.4), trial(5, 0.1)]
    assert frontier([slow, *beaten, fast, middle]) == (fast, middle, slow)


def test_no_trials_have_an_empty_frontier_and_no_best() -> None:
    assert frontier([]) == ()
    assert best([], Budget("1ms", 1)) is None


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(0, 5)), max_size=12))
def test_everything_off_the_frontier_is_matched_by_something_on_it(points: list[tuple[int, int]]) -> None:
    trials = [trial(ms, confidence / 5, width=width) for width, (ms, confidence) in enumerate(points)]
    kept = frontier(trials)
    for each in trials:
        assert any(
            other.predicted_ms <= each.predicted_ms and other.evaluation.confidence >= each.evaluation.confidence
            for other in kept
        )
    for each in kept:
        assert not any(
            (other.predicted_ms < each.predicted_ms and other.evaluation.confidence >= each.evaluation.confidence)
            or (other.predicted_ms <= each.predicted_ms and other.evaluation.confidence > each.evaluation.confidence)
            for other in trials
        )


def test_the_best_is_the_most_confident_that_fits_in_every_way() -> None:
    trials = [trial(2, 0.9, params=50), trial(5, 0.8), trial(2, 0.7), trial(1, 0.6)]
    assert best(trials, Budget("3ms", 3, params=20)) == trials[2]
    assert best(trials, Budget("3ms", 3)) == trials[0]
    assert best(trials, Budget("0.5ms", 0.5)) is None


def test_equals_are_ranked_by_accuracy_then_latency_then_name_in_any_order() -> None:
    trials = [
        trial(3, 0.5, accuracy=0.8), trial(1, 0.5, accuracy=0.7), trial(2, 0.5, accuracy=0.7, width=1),
        trial(2, 0.5, accuracy=0.7, width=2),
    ]  # fmt: skip
    for shuffled in permutations(trials):
        assert ranked(shuffled, Budget("9ms", 9)) == tuple(trials)
        assert frontier(shuffled) == (trials[1],)
