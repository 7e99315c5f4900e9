"""What this machine has and does fast: device, precision, threads. Knows nothing of training."""

import os
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cache

import torch

from mtl.errors import MtlError


@dataclass(frozen=True)
class Machine:
    """Where and how a model runs: device 'cpu' or 'cuda...', precision 'fp32' or 'bf16', CPU threads."""

    device: str
    precision: str
    threads: int

    def autocast(self) -> AbstractContextManager:
        """Matrix products in bf16 inside, if that is the precision."""
        return torch.autocast(torch.device(self.device).type, dtype=torch.bfloat16, enabled=self.precision == "bf16")


def find_machine(device: str, precision: str, threads: int, processes: int = 1) -> Machine:
    """The machine to use for what was asked; 'auto' and 0 are decided by looking. Raises MtlError if what was asked is not there."""
    if device == "cuda" and not torch.cuda.is_available():
        raise MtlError("Device 'cuda' was asked for, but no GPU can be used here. Choose 'auto' or 'cpu'.")
    if device == "auto":
        device = "cuda" if has_gpu() else "cpu"
    threads = threads or max(1, cores() // processes)
    if precision == "auto":
        precision = "bf16" if bf16_is_fast(device) else "fp32"
    return Machine(device, precision, threads)


def has_gpu() -> bool:
    """Whether a GPU can be used from any thread (on ZeroGPU it is there only inside short decorated calls)."""
    return torch.cuda.is_available() and os.environ.get("SPACES_ZERO_GPU", "") != "true"


def cores() -> int:
    """The CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def use_threads(count: int) -> None:
    """From now on the calling thread computes with so many threads, whatever other threads ask for."""
    torch.get_num_threads()  # a thread's first question sets its number to the one that any thread asked for last: so it comes before
    torch.set_num_threads(count)


@contextmanager
def one_thread() -> Iterator[None]:
    """What this thread computes inside, it computes alone.

    Several threads at one small product gain little, and wait for each other at every one: if the cores are busy, 50 times as long.
    """
    before = torch.get_num_threads()  # of this thread; others keep theirs
    use_threads(1)
    try:
        yield
    finally:
        use_threads(before)


@cache
def bf16_is_fast(device: str) -> bool:
    """Whether bf16 matrix products are at least 1.2x as fast as fp32 ones: tried for about 20 ms on a CPU, looked up on a GPU."""
    if device != "cpu":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return _products_per_second(torch.bfloat16) > 1.2 * _products_per_second(torch.float32)


def _products_per_second(dtype: torch.dtype) -> float:
    """At the shape of a small encoder's feed-forward layer on a batch; ones, so that no random numbers are drawn."""
    left, right = torch.ones(256, 384, dtype=dtype), torch.ones(384, 1536, dtype=dtype)
    left @ right
    start, count = time.perf_counter(), 0
    while time.perf_counter() - start < 0.01:
        left @ right
        count += 1
    return count / (time.perf_counter() - start)
