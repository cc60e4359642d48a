"""How good a network is with the weights that the supernet lends it, told on the validation pictures."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from edge.preprocess import Preprocess
from edge.search.supernet import Supernet
from edge.search.trial import Evaluation
from edge.spec import ModelSpec
from edge.training.data import Dataset, Pictures

BATCH = 128
"""The most pictures at once."""


class Judge:
    """Judges networks of a supernet: the same network is told the same, to the bit, by the same machine.

    `calibration` pictures, uint8 (N, H, W, 3), set the batch norms of each network, two or more; `validation` pictures tell
    how good it is.
    """

    def __init__(self, supernet: Supernet, validation: Dataset, calibration: Pictures, preprocess: Preprocess) -> None:
        self._supernet = supernet
        self._validation = _batches(validation.pictures, preprocess)
        self._calibration = _batches(calibration, preprocess)
        self._labels = torch.from_numpy(validation.labels)

    def __call__(self, spec: ModelSpec) -> Evaluation:
        """Raises `UsageError` for no point of the supernet's space."""
        network = self.calibrated(spec)
        with torch.inference_mode():
            shares = torch.cat([network(batch) for batch in self._validation]).softmax(1)
        right = shares.argmax(1) == self._labels
        confidence = shares.gather(1, self._labels[:, None])
        return Evaluation(right.double().mean().item(), confidence.double().mean().item())

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


def _batches(pictures: Pictures, preprocess: Preprocess) -> tuple[Tensor, ...]:
    """As the network takes them, in batches of nearly the same size."""
    normalised = torch.from_numpy(preprocess.normalise(pictures))
    parts = normalised.tensor_split(math.ceil(len(pictures) / BATCH))
    return tuple(part.contiguous(memory_format=torch.channels_last) for part in parts)
