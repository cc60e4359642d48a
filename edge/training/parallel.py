"""The processes that train one network together when `torchrun` started them; one process alone otherwise."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import nn


@dataclass(frozen=True, slots=True)
class Group:
    """This process is number `rank` of `size`; number 0 speaks and writes."""

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        return self.rank == 0

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace each gradient by its mean over the group; a process that did not use a parameter counts as zero."""
        if self.size == 1:
            return
        learned = [each for each in parameters if each.requires_grad]
        gradients = [torch.zeros_like(each) if each.grad is None else each.grad for each in learned]
        joint = torch.cat([gradient.flatten() for gradient in gradients])
        dist.all_reduce(joint)
        means = (joint / self.size).split([each.numel() for each in learned])
        for parameter, mean in zip(learned, means, strict=True):
            parameter.grad = mean.view(parameter.shape)

    def any(self, flag: bool) -> bool:
        """Whether it holds in one process of the group at least; every process must ask."""
        if self.size == 1:
            return flag
        holding = torch.tensor(float(flag))
        dist.all_reduce(holding)
        return bool(holding)

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


@contextmanager
def alone() -> Iterator[None]:
    """For the process that goes on when the others of its group have ended: inside, `joined` joins nobody."""
    size = os.environ.pop("WORLD_SIZE", None)
    try:
        yield
    finally:
        if size is not None:
            os.environ["WORLD_SIZE"] = size
