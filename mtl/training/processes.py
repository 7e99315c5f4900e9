"""The processes that train one model together, each on its share of every step's rows, and what they exchange. Knows no data, no model."""

import os
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from accelerate import PartialState
from accelerate.utils import gather_object
from torch import nn


@dataclass(frozen=True)
class Processes:
    """One of the processes of a run: its `rank`, the `count` of all, and its own GPU if it has one."""

    rank: int = 0
    count: int = 1
    gpu: str | None = None

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes files."""
        return self.rank == 0

    def gather(self, value: Any) -> list[Any]:
        """The `value` of every process, by rank."""
        return gather_object([value]) if self.count > 1 else [value]

    def any(self, *flags: bool) -> list[bool]:
        """For each flag, whether any process has it. One process must not leave the loop alone: the others would wait for it forever."""
        return [any(flag) for flag in zip(*self.gather(flags), strict=True)]

    def sync(self, model: nn.Module, now: bool) -> AbstractContextManager:
        """A context for a batch's forward and backward pass: average gradients `now`, or with a later batch, up to which they add up."""
        return nullcontext() if now or self.count == 1 else model.no_sync()


ALONE = Processes()


def join_processes(device: str) -> Processes:
    """Connect to the other processes if a launcher (accelerate, torchrun) started several. `device` is the setting: auto, cpu, cuda."""
    if int(os.environ.get("WORLD_SIZE", 1)) == 1:
        return ALONE
    state = PartialState(cpu=device == "cpu" or not torch.cuda.is_available())
    return Processes(state.process_index, state.num_processes, None if state.device.type == "cpu" else str(state.device))
