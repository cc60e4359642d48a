"""How well a multi-task network answers scenes that it was not trained on: one metric per task."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from edge.dense.gallery import Gallery
from edge.dense.metrics import fresh_metrics
from edge.dense.network import MultiTask
from edge.preprocess import Preprocess
from edge.training.score import Score, TaskMetric

BATCH = 32
UNITS = {"depth": "m", "normals": "°"}
"""All other metrics are shares 0..1."""
HEADLINE = "seg"
"""The task whose metric is a share of pixels that are right, so the one that `accuracy` stands for."""


def evaluate(network: MultiTask, scenes: Gallery, preprocess: Preprocess, classes: int) -> Score:
    """The metric of each task over all `scenes`, as the network answers in inference mode."""
    fresh = fresh_metrics(classes)
    metrics = {task: fresh[task] for task in network.tasks}
    for start in range(0, len(scenes), BATCH):
        part = scenes.chosen(slice(start, start + BATCH))
        inputs = torch.from_numpy(preprocess.normalise(part.pictures))
        for task, metric in metrics.items():
            metric.update(answer(network, inputs, task).numpy(), part.maps[task])
    measured = {
        task: TaskMetric(metric.name, _known(metric.value()), UNITS.get(task, ""), metric.higher_is_better)
        for task, metric in metrics.items()
    }
    return Score(_headline(measured), measured)


@torch.no_grad()
def answer(network: MultiTask, inputs: Tensor, task: str) -> Tensor:
    """The raw map (B, C, H, W) of one task."""
    return network.run(inputs, task).map


def _headline(measured: Mapping[str, TaskMetric]) -> float | None:
    return measured[HEADLINE].value if HEADLINE in measured else None


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
