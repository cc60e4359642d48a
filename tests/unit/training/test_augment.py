"""Changed pictures stay pictures, and mixed classes add up."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from edge.training.augment import NATURAL, UPRIGHT, Jitter, Mixture


@pytest.fixture
def pictures():
    return torch.rand(8, 3, 12, 16, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def targets():
    return torch.eye(4).repeat(2, 1)


def draw(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("jitter", [UPRIGHT, NATURAL])
def test_changed_pictures_stay_within_0_and_1(jitter, pictures):
    changed = jitter(pictures, draw())
    assert changed.shape == pictures.shape
    assert changed.min() >= 0
    assert changed.max() <= 1


def test_the_same_seed_changes_pictures_the_same_way(pictures):
    assert torch.equal(NATURAL(pictures, draw()), NATURAL(pictures, draw()))
    assert not torch.equal(NATURAL(pictures, draw()), NATURAL(pictures, draw(1)))


def test_no_jitter_changes_nothing(pictures):
    torch.testing.assert_close(Jitter(0, 0, 0)(pictures, draw()), pictures)


def test_a_mirror_of_all_pictures_mirrors_their_columns(pictures):
    torch.testing.assert_close(Jitter(0, 0, 1)(pictures, draw()), pictures.flip(3))


def test_digits_are_never_mirrored():
    marked = torch.zeros(64, 3, 16, 16)
    marked[..., :4] = 1
    changed = UPRIGHT(marked, draw())
    assert (changed[..., 0].mean((1, 2)) > changed[..., -1].mean((1, 2))).all()


def test_a_shift_moves_by_a_share_of_the_size():
    spot = torch.zeros(200, 3, 32, 32)
    spot[:, :, 16, 16] = 1
    moved = Jitter(shift=0.25, scale=0, mirror=0)(spot, draw())
    columns = moved.sum((1, 2)).argmax(1) - 16
    assert 6 <= columns.abs().max() <= 8


def test_nothing_is_mixed_by_default(pictures, targets):
    mixed, shares = Mixture()(pictures, targets, draw())
    assert mixed is pictures
    assert shares is targets


def test_mixup_blends_pictures_and_classes_by_the_same_share(pictures, targets):
    mixed, shares = Mixture(mixup=1.0)(pictures, targets, draw())
    kept = shares[0, 0]
    assert 0.01 < kept < 0.99
    torch.testing.assert_close(mixed, kept * pictures + (1 - kept) * pictures.flip(0))
    torch.testing.assert_close(shares.sum(1), torch.ones(8))


def test_cutmix_counts_the_pixels_that_it_kept(pictures, targets):
    mixed, shares = Mixture(cutmix=1.0)(pictures, targets, draw(5))
    kept = (mixed == pictures).all(1).float().mean((1, 2))
    assert 0.01 < kept[0] < 0.99
    torch.testing.assert_close(kept, shares[0, 0].expand(8))


def test_with_both_each_batch_draws_one(pictures, targets):
    mix, source = Mixture(mixup=1.0, cutmix=1.0), draw()
    pasted = [bool(((mixed := mix(pictures, targets, source)[0]) == pictures).any()) for _ in range(20)]
    assert mixed.shape == pictures.shape
    assert 4 < sum(pasted) < 16
