"""The losses are those of the papers, head by head."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from edge.training.objective import distilled_objective, objective
from edge.training.recipe import Distillation


@pytest.fixture
def heads():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(6, 4, generator=generator), torch.randn(6, 4, generator=generator)


@pytest.fixture
def teacher():
    return torch.randn(6, 4, generator=torch.Generator().manual_seed(1))


LABELS = torch.tensor([0, 1, 2, 3, 0, 1])
TARGETS = F.one_hot(LABELS, 4).float()


def test_one_head_learns_the_labels(heads):
    found = objective(heads[0], TARGETS, label_smoothing=0.1)
    torch.testing.assert_close(found, F.cross_entropy(heads[0], LABELS, label_smoothing=0.1))


def test_without_a_teacher_both_heads_learn_the_labels(heads):
    found = objective(heads, TARGETS, label_smoothing=0.0)
    torch.testing.assert_close(found, (F.cross_entropy(heads[0], LABELS) + F.cross_entropy(heads[1], LABELS)) / 2)


def test_hard_distillation_teaches_the_second_head_the_teachers_class(heads, teacher):
    found = distilled_objective(heads, TARGETS, teacher, Distillation.HARD, label_smoothing=0.1)
    own = F.cross_entropy(heads[0], LABELS, label_smoothing=0.1)
    torch.testing.assert_close(found, 0.5 * own + 0.5 * F.cross_entropy(heads[1], teacher.argmax(1)))


def test_soft_distillation_is_least_where_the_probabilities_agree(heads, teacher):
    def loss(taught):
        return distilled_objective((heads[0], taught), TARGETS, teacher, Distillation.SOFT, label_smoothing=0.0)

    own = 0.5 * F.cross_entropy(heads[0], LABELS)
    torch.testing.assert_close(loss(teacher + 3.0), own)  # a shift of all logits changes no probability
    assert loss(heads[1]) > own + 0.01


@pytest.mark.parametrize("kind", Distillation)
def test_a_network_of_one_head_learns_from_both(kind, heads, teacher):
    alone = distilled_objective(heads[0], TARGETS, teacher, kind, label_smoothing=0.0)
    pair = distilled_objective((heads[0], heads[0]), TARGETS, teacher, kind, label_smoothing=0.0)
    torch.testing.assert_close(alone, pair)
