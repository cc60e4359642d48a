"""The pictures that a report shows, with what PyTorch and every file say of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.classify import best, probabilities
from edge.report.facts import Answer, Example

SHOWN = 12
MISTAKES = 4


def examples(
    pictures: NDArray[np.uint8],
    truths: NDArray[Any] | None,
    labels: Sequence[str],
    logits: Mapping[str, NDArray[Any]],
) -> tuple[Example, ...]:
    """At most 12 of `pictures` (N, H, W, 3), each with the best class of all `logits` (N, K), by who answers.

    With `truths` (N,), class numbers: first up to four that somebody got wrong, then the classes in turn. `labels` name
    the K classes, or are empty.
    """
    scores = {by: probabilities(each) for by, each in logits.items()}
    chosen = range(min(SHOWN, len(pictures))) if truths is None else _chosen(truths, scores)
    shown = []
    for i in chosen:
        truth = None if truths is None else int(truths[i])
        answers = tuple(_answer(by, each[i], labels, truth) for by, each in scores.items())
        shown.append(Example(pictures[i], None if truth is None else _label(labels, truth), answers))
    return tuple(shown)


def _chosen(truths: NDArray[Any], scores: Mapping[str, NDArray[np.float64]]) -> list[int]:
    wrong = np.zeros(len(truths), bool)
    for each in scores.values():
        wrong |= each.argmax(axis=1) != truths
    mistakes = [int(i) for i in np.flatnonzero(wrong)[:MISTAKES]]
    turns: Counter[int] = Counter()
    in_turn = []
    for i in np.flatnonzero(~wrong):
        truth = int(truths[i])
        in_turn.append((turns[truth], truth, int(i)))
        turns[truth] += 1
    return mistakes + [i for _, _, i in sorted(in_turn)[: SHOWN - len(mistakes)]]


def _answer(by: str, scores: NDArray[np.float64], labels: Sequence[str], truth: int | None) -> Answer:
    (first,) = best(scores, labels, 1)
    return Answer(by, first["label"], first["score"], None if truth is None else first["index"] == truth)


def _label(labels: Sequence[str], index: int) -> str:
    return labels[index] if labels else str(index)
