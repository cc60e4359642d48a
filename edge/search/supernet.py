"""The supernet: one set of weights, of the size of the largest networks of a space, that every network borrows from."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from edge.models.network import seeded
from edge.search.lending import KERNEL_RANK, lent
from edge.space import SearchSpace
from edge.spec import ModelSpec
from edge.training.loop import Leaky


class Supernet(nn.Module):
    """Weights, freshly initialised, that all networks of `space` have in common; as a network, it is the largest of them.

    The statistics of batch norms belong to no one: each network has its own, and they want calibration before it is judged.
    """

    def __init__(self, space: SearchSpace, seed: int = 0) -> None:
        super().__init__()
        self.space = space
        self.leak = 1.0
        for name, weight in _largest_weights(space, seed).items():
            self._keep(name, weight)

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        return self.network(self.space.largest()).train(self.training)(x)

    def set_leak(self, value: float) -> None:
        """How linear the activations of deeply trained networks are that it lends to from now on; others have none."""
        self.leak = value

    def network(self, spec: ModelSpec) -> nn.Module:
        """The network of a point, whose gradients flow into the supernet: its weights are not parameters of its own.

        It is in training mode, and as the supernet is now: make it anew after every step. Raises `UsageError`.
        """
        network = self._skeleton(spec)
        for name, borrowed in self._borrowed(spec, network).items():
            module, leaf = _owner(network, name)
            del module._parameters[leaf]
            setattr(module, leaf, borrowed)
        return network

    def extract(self, spec: ModelSpec) -> nn.Module:
        """The same network with weights of its own. Raises `UsageError`."""
        network = self._skeleton(spec)
        for name, borrowed in self._borrowed(spec, network).items():
            module, leaf = _owner(network, name)
            setattr(module, leaf, nn.Parameter(borrowed.detach().clone()))
        return network

    def _skeleton(self, spec: ModelSpec) -> nn.Module:
        with seeded(0):
            network = self.space.build(spec)
        if isinstance(network, Leaky):
            network.set_leak(self.leak)
        return network

    def _borrowed(self, spec: ModelSpec, network: nn.Module) -> dict[str, Tensor]:
        """By their names in `network`, compact in memory: so the same sums are made with them as with its own weights."""
        prefixes = self.space.lent_from(spec)
        lenders = {name: self.get_parameter(renamed(name, prefixes)) for name, _ in network.named_parameters()}
        return {
            name: lent(name, lenders[name], tuple(weight.shape)).contiguous(memory_format=_memory_format(lenders[name]))
            for name, weight in network.named_parameters()
        }

    def _keep(self, name: str, weight: Tensor) -> None:
        module: nn.Module = self
        *path, leaf = name.split(".")
        for part in path:
            if part not in module._modules:
                module.add_module(part, nn.Module())
            module = module.get_submodule(part)
        module.register_parameter(leaf, nn.Parameter(weight))


def renamed(name: str, prefixes: Mapping[str, str]) -> str:
    """The name in the supernet of a network's weight, by what `SearchSpace.lent_from` says."""
    for own, lender in prefixes.items():
        if name.startswith(f"{own}."):
            return f"{lender}{name.removeprefix(own)}"
    return name


def _largest_weights(space: SearchSpace, seed: int) -> dict[str, Tensor]:
    """Every weight that any network of the space has, at its largest."""
    found: dict[str, Tensor] = {}
    for spec in space.covering():
        prefixes = space.lent_from(spec)
        with seeded(seed):
            network = space.build(spec)
        for own_name, weight in network.named_parameters():
            name = renamed(own_name, prefixes)
            if name not in found or weight.numel() > found[name].numel():
                found[name] = weight.detach()
    return found


def _owner(network: nn.Module, name: str) -> tuple[nn.Module, str]:
    """The module whose own weight `name` is, and what it calls it."""
    path, _, leaf = name.rpartition(".")
    return network.get_submodule(path), leaf


def _memory_format(weight: Tensor) -> torch.memory_format:
    """Channels last only where they cannot be taken for anything else, which they can in kernels of 1x1."""
    if weight.dim() == KERNEL_RANK and not weight.is_contiguous():
        return torch.channels_last
    return torch.contiguous_format
