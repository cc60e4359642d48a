"""Classifies pictures with an exported file: its own preprocessing, its own labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge import plugins
from edge.check import execute
from edge.errors import UsageError
from edge.logs import log_folder
from edge.preprocess import load_picture
from edge.verification import read_card


def classify(artifact: Path, pictures: Sequence[Path], *, top_k: int, timeout_s: float) -> list[dict[str, Any]]:
    """Per picture, the `top_k` classes with label, index and score (a probability), best first.

    Raises `PictureError`, `BadArtifactError`, `NotExecutableHereError`, and `UsageError` for a file that is no classifier.
    """
    plugins.exporter_for(artifact)
    with log_folder() as logs:
        card = read_card(artifact, logs)
        if card.preprocess is None or len(card.outputs[0].shape) != 2:
            raise UsageError(
                f"{artifact.name} is no picture classifier", hint="`edge inspect` shows its inputs and outputs"
            )
        arrays = np.stack([card.preprocess.picture(load_picture(picture)) for picture in pictures])
        logits = execute(artifact, [card.file_input(arrays)], log=logs / "run.log", timeout_s=timeout_s)[0]
    scores = probabilities(logits)
    return [
        {"picture": str(picture), "top": best(row, card.labels, top_k)}
        for picture, row in zip(pictures, scores, strict=True)
    ]


def probabilities(outputs: NDArray[Any]) -> NDArray[np.float64]:
    """Softmax of logits (N, K); rows that already are probabilities stay as they are."""
    values = outputs.astype(np.float64)
    if values.min() >= 0 and np.allclose(values.sum(axis=1), 1, atol=1e-3):
        return values
    powers = np.exp(values - values.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def best(scores: NDArray[np.float64], labels: Sequence[str], top_k: int) -> list[dict[str, Any]]:
    """The `top_k` classes of one row of scores (K,); ties go to the lower index."""
    order = np.argsort(-scores, kind="stable")[:top_k]
    return [
        {"label": labels[i] if i < len(labels) else str(i), "index": int(i), "score": float(scores[i])} for i in order
    ]
