"""How good a network is with the weights that the supernet lends it, told on the validation pictures."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from scipy.optimize import minimize_scalar
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from edge.preprocess import Preprocess
from edge.search.supernet import Supernet
from edge.search.trial import Evaluation
from edge.spec import ModelSpec
from edge.training.augment import Jitter
from edge.training.data import Dataset, Pictures
from edge.training.lesson import floats, normalised

BATCH = 128
"""The most pictures at once."""
LOG_SCALES = (-math.log(8), math.log(8))
"""Of 1/T. Ours: a network without a mistake would be surest at T = 0, and all of those alike."""


class Judge:
    """Judges networks of a supernet: the same network is told the same, to the bit, by the same machine.

    `calibration` pictures, uint8 (N, H, W, 3), set the batch norms of each network, two or more. The `validation` pictures
    that tell how good it is are moved and resized by `jitter` as in training, once and for all: on an easy task all
    networks know them as they are.
    """

    def __init__(
        self, supernet: Supernet, validation: Dataset, calibration: Pictures, preprocess: Preprocess, jitter: Jitter
    ) -> None:
        self._supernet = supernet
        moved = jitter(floats(validation.pictures), np.random.default_rng(0))
        self._validation = batches(normalised(moved, preprocess))
        self._calibration = batches(torch.from_numpy(preprocess.normalise(calibration)))
        self._labels = torch.from_numpy(validation.labels)

    def __call__(self, spec: ModelSpec) -> Evaluation:
        """Raises `UsageError` for no point of the supernet's space."""
        return evaluated(self.calibrated(spec), self._validation, self._labels)

    def calibrated(self, spec: ModelSpec) -> nn.Module:
        """The network itself, with weights and batch norms of its own, in inference mode. Raises `UsageError`."""
        network = self._supernet.extract(spec).to(memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
        calibrate(network, self._calibration)
        return network


@torch.no_grad()
def calibrate(network: nn.Module, batches: tuple[Tensor, ...]) -> None:
    """Set the statistics of a network's batch norms to the means over `batches`, all else being in inference mode.

    A network of slices has the statistics of none of the networks that were trained (US-Nets, arXiv 1903.05134).
    """
    norms = [module for module in network.eval().modules() if isinstance(module, _BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # each batch counts alike
        norm.train()
    for batch in batches if norms else ():
        network(batch)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        norm.eval()


def evaluated(network: nn.Module, batches: tuple[Tensor, ...], labels: Tensor) -> Evaluation:
    """How a network in inference mode answers pictures (B, 3, H, W) of these class numbers, (N,) in all."""
    with torch.inference_mode():
        logits = torch.cat([network(batch) for batch in batches]).double()
    right = logits.argmax(1) == labels
    return Evaluation(right.double().mean().item(), confidence(logits, labels))


def confidence(logits: Tensor, labels: Tensor) -> float:
    """The geometric mean of the right class's probability, softmax(logits / T), at the T of 1/8 to 8 that makes it largest.

    Of logits (N, K) in float64 and class numbers (N,). How sure a network sounds depends on its size and on its training
    (label smoothing, distillation); without a temperature of its own (arXiv 1706.04599) that would count as knowledge.
    """

    def loss(log_scale: float) -> float:
        return F.cross_entropy(logits * math.exp(log_scale), labels).item()

    found = minimize_scalar(loss, bounds=LOG_SCALES, method="bounded", options={"xatol": 1e-6})
    return math.exp(-float(found.fun))


def batches(normalised: Tensor) -> tuple[Tensor, ...]:
    """Pictures (N, 3, H, W) as the network takes them, in batches of nearly the same size."""
    parts = normalised.tensor_split(math.ceil(len(normalised) / BATCH))
    return tuple(part.contiguous(memory_format=torch.channels_last) for part in parts)
