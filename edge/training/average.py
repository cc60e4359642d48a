"""The moving average of a network's weights and statistics, which is what a run leaves behind."""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import nn


class Average:
    """A copy of a network that follows it slowly; counters and indices are copied as they are."""

    def __init__(self, network: nn.Module) -> None:
        self.network = deepcopy(network).requires_grad_(False).eval()

    @torch.no_grad()
    def follow(self, network: nn.Module, decay: float) -> None:
        """Move every value to decay · its own + (1 - decay) · the network's."""
        current = network.state_dict()
        for name, value in self.network.state_dict().items():
            if value.is_floating_point():
                value.lerp_(current[name], 1 - decay)
            else:
                value.copy_(current[name])
