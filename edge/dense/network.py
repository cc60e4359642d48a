"""The promise of a network that answers several tasks, each with a map, and says where its experts sent the tokens."""

from __future__ import annotations

from typing import Protocol, cast, runtime_checkable

from torch import Tensor, nn

from edge.errors import UsageError
from edge.models.m3vit import TaskPass
from edge.models.m3vit_config import M3ViTConfig


@runtime_checkable
class MultiTask(Protocol):
    """A network for pictures (B, 3, H, W) of `image_size` (height, width) that is asked one task at a time."""

    image_size: tuple[int, int]
    config: M3ViTConfig

    @property
    def tasks(self) -> tuple[str, ...]:
        """What it answers."""

    def run(self, image: Tensor, task: str) -> TaskPass:
        """The map (B, C, H, W) of one task, with the routing of every layer of experts."""

    def trace(self, image: Tensor, task: str) -> list[Tensor]:
        """The experts (N, k) of each token of one picture, layer by layer."""


def multi_task(network: nn.Module, reference: str) -> MultiTask:
    """The network as what it is. Raises `UsageError` for one that does not answer tasks."""
    if not isinstance(network, MultiTask):
        raise UsageError(
            f"{reference} does not answer with a map per task",
            hint="give m3vit_tiny, or one of its tasks such as m3vit_tiny_seg; classifiers learn --data digits or a folder",
        )
    return cast(MultiTask, network)
