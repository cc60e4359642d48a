"""The processes that train one network together when `torchrun` started them; one process alone otherwise."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel


@dataclass(frozen=True, slots=True)
class Group:
    """This process is number `rank` of `size`; number 0 speaks and writes."""

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        return self.rank == 0

    def shared(self, network: nn.Module) -> nn.Module:
        """The network with its gradients averaged over the group."""
        return network if self.size == 1 else DistributedDataParallel(network)

    def wait(self) -> None:
        """Go on when every process has come here."""
        if self.size > 1:
            dist.barrier()


@contextmanager
def joined() -> Iterator[Group]:
    """Join the group that `torchrun` describes in RANK and WORLD_SIZE, over gloo, and leave it at the end."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield Group()
        return
    dist.init_process_group("gloo")
    try:
        yield Group(int(os.environ["RANK"]), size)
    finally:
        dist.destroy_process_group()
