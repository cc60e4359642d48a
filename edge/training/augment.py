"""Changes to training pictures that leave their class alone, and mixtures of two pictures with both their classes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Jitter:
    """How far a picture may be moved and resized: both as shares of its size; `mirror` is the share of pictures mirrored."""

    shift: float
    scale: float
    mirror: float

    def __call__(self, pictures: Tensor, draw: np.random.Generator) -> Tensor:
        """A moved, resized and perhaps mirrored copy of each picture; (B, 3, H, W) to the same. Borders are repeated."""
        count = len(pictures)
        zoom = 1 + draw.uniform(-self.scale, self.scale, (count, 2))
        place = np.zeros((count, 2, 3), np.float32)
        place[:, 0, 0] = np.where(draw.random(count) < self.mirror, -zoom[:, 0], zoom[:, 0])
        place[:, 1, 1] = zoom[:, 1]
        place[:, :, 2] = draw.uniform(-2 * self.shift, 2 * self.shift, (count, 2))  # the grid runs from -1 to 1
        grid = F.affine_grid(torch.from_numpy(place), list(pictures.shape), align_corners=False)
        return F.grid_sample(pictures, grid, padding_mode="border", align_corners=False)


UPRIGHT = Jitter(shift=0.08, scale=0.15, mirror=0.0)
"""For signs that are read, such as digits: a mirrored one is another sign."""
NATURAL = Jitter(shift=0.1, scale=0.25, mirror=0.5)
"""For photographs."""


@dataclass(frozen=True, slots=True)
class Mixture:
    """Mixup (arXiv 1710.09412) and cutmix (arXiv 1905.04899): the alphas of their beta distributions, 0 for none.

    Where both are given, each batch draws one of them.
    """

    mixup: float = 0.0
    cutmix: float = 0.0

    def __call__(self, pictures: Tensor, targets: Tensor, draw: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Mix pictures (B, 3, H, W) and their class shares (B, K) with those of the batch in reverse order."""
        kinds = [(mix, alpha) for mix, alpha in ((_blended, self.mixup), (_pasted, self.cutmix)) if alpha > 0]
        if not kinds:
            return pictures, targets
        mix, alpha = kinds[int(draw.integers(len(kinds)))]
        mixed, kept = mix(pictures, float(draw.beta(alpha, alpha)), draw)
        return mixed, torch.lerp(targets.flip(0), targets, kept)


def _blended(pictures: Tensor, share: float, _: np.random.Generator) -> tuple[Tensor, float]:
    return torch.lerp(pictures.flip(0), pictures, share), share


def _pasted(pictures: Tensor, share: float, draw: np.random.Generator) -> tuple[Tensor, float]:
    """A rectangle of about 1 - `share` of the area comes from the partner; the share kept is counted after clipping."""
    height, width = pictures.shape[2:]
    half_height, half_width = (size * (1 - share) ** 0.5 / 2 for size in (height, width))
    row, column = draw.uniform(0, height), draw.uniform(0, width)
    rows = slice(max(0, round(row - half_height)), min(height, round(row + half_height)))
    columns = slice(max(0, round(column - half_width)), min(width, round(column + half_width)))
    mixed = pictures.clone()
    mixed[:, :, rows, columns] = pictures.flip(0)[:, :, rows, columns]
    return mixed, 1 - (rows.stop - rows.start) * (columns.stop - columns.start) / (height * width)
