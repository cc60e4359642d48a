"""The pictures shown: mistakes first, then the classes in turn."""

from __future__ import annotations

import numpy as np

from edge.report.examples import MISTAKES, SHOWN, examples

CLASSES = 5
TRUTHS = np.arange(60) // 12  # sorted by class: taking the first ones would show one class only
PICTURES = np.arange(60, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 2, 3), np.uint8)
RIGHT = np.eye(CLASSES)[TRUTHS] * 4


def with_mistakes(*rows: int) -> np.ndarray:
    logits = RIGHT.copy()
    logits[list(rows)] = np.roll(logits[list(rows)], 1, axis=1)
    return logits


def test_without_mistakes_every_class_is_shown() -> None:
    shown = examples(PICTURES, TRUTHS, "abcde", {"PyTorch": RIGHT})
    assert len(shown) == SHOWN
    assert [example.truth for example in shown[:CLASSES]] == list("abcde")


def test_a_mistake_of_any_file_comes_first_and_is_marked() -> None:
    shown = examples(PICTURES, TRUTHS, "abcde", {"PyTorch": RIGHT, "tflite": with_mistakes(30)})
    assert int(shown[0].picture[0, 0, 0]) == 30
    assert [(answer.by, answer.label, answer.right) for answer in shown[0].answers] == [
        ("PyTorch", "c", True),
        ("tflite", "d", False),
    ]
    assert all(answer.right for example in shown[1:] for answer in example.answers)


def test_mistakes_do_not_crowd_out_the_rest() -> None:
    shown = examples(PICTURES, TRUTHS, "abcde", {"onnx": with_mistakes(*range(20))})
    assert sum(not example.answers[0].right for example in shown) == MISTAKES
    assert len(shown) == SHOWN


def test_scores_are_probabilities() -> None:
    (answer,) = examples(PICTURES, TRUTHS, "abcde", {"onnx": RIGHT})[0].answers
    assert np.isclose(answer.score, np.exp(4) / (np.exp(4) + CLASSES - 1))


def test_pictures_that_nobody_labelled_are_shown_in_order_without_judgement() -> None:
    shown = examples(PICTURES[:3], None, (), {"onnx": RIGHT[[0, 20, 40]]})
    assert [example.truth for example in shown] == [None] * 3
    assert [(example.answers[0].label, example.answers[0].right) for example in shown] == [
        ("0", None),
        ("1", None),
        ("3", None),
    ]
