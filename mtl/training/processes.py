"""The processes that train one model together. Each reads the same plan and works on its share of every step's rows; what has to be
known by all of them goes through here. Knows no model's inside and no data."""

import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from accelerate import PartialState
from accelerate.utils import broadcast_object_list, gather_object
from torch import nn


@dataclass(frozen=True)
class Processes:
    """All processes of a run as one of them sees them: its own number `rank`, their `count`, and its own GPU if it has one."""

    rank: int = 0
    count: int = 1
    gpu: str | None = None

    @property
    def is_first(self) -> bool:
        """Whether this process is the one that writes files."""
        return self.rank == 0

    def gather(self, value: Any) -> list[Any]:
        """The `value` of every process, in the order of their ranks."""
        return gather_object([value]) if self.count > 1 else [value]

    def any(self, *wishes: bool) -> list[bool]:
        """For each wish, whether at least one process has it. Processes must agree before one of them leaves the loop, or the others
        would wait for it forever."""
        return [any(wish) for wish in zip(*self.gather(wishes), strict=True)]

    def from_first(self, make: Callable[[], str]) -> str:
        """What `make` returns in the first process, in all of them."""
        return broadcast_object_list([make() if self.is_first else ""])[0]

    def share_gradients(self, model: nn.Module, *, some_unused: bool) -> nn.Module:
        """`model`, wrapped so that a backward pass averages the gradients of all processes. `some_unused`: some weights may get none."""
        if not torch.distributed.is_initialized():
            return model
        return nn.parallel.DistributedDataParallel(model, find_unused_parameters=some_unused)

    def sync(self, model: nn.Module, now: bool) -> AbstractContextManager:
        """Around a batch's forward and backward pass through the wrapped `model`: average gradients `now`, or with a later batch.
        Gradients add up over a step's batches, so that one exchange at the last batch is enough."""
        return nullcontext() if now or self.count == 1 else model.no_sync()


ALONE = Processes()


def join_processes(device: str) -> Processes:
    """Meet the other processes if a launcher (accelerate, torchrun) started several; `device` is the setting: auto, cpu, cuda, mps."""
    if int(os.environ.get("WORLD_SIZE", 1)) == 1:
        return ALONE
    state = PartialState(cpu=device == "cpu" or not torch.cuda.is_available())
    return Processes(state.process_index, state.num_processes, None if state.device.type == "cpu" else str(state.device))
