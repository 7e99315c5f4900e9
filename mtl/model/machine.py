"""Device, precision and threads of this machine. Knows nothing of training."""

import os
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cache
from multiprocessing import parent_process

import torch

from mtl.errors import MtlError
from mtl.runs.folder import on_zero_gpu


@dataclass(frozen=True)
class Machine:
    """Where and how a model runs: device 'cpu' or 'cuda...', precision 'fp32' or 'bf16', number of CPU threads."""

    device: str
    precision: str
    threads: int

    def autocast(self) -> AbstractContextManager:
        """Inside, matrix products are in bf16 if that is the precision."""
        return torch.autocast(torch.device(self.device).type, dtype=torch.bfloat16, enabled=self.precision == "bf16")


def find_machine(device: str, precision: str, threads: int, processes: int = 1) -> Machine:
    """The machine for these settings, with 'auto' and 0 replaced by what this machine has. Raises MtlError if there is no such device."""
    if device == "cuda" and not has_gpu():
        raise MtlError("Device 'cuda' was asked for, but no GPU can be used here. Choose 'auto' or 'cpu'.")
    if device == "auto":
        device = "cuda" if has_gpu() else "cpu"
    if precision == "auto":
        precision = "bf16" if bf16_is_fast(device) else "fp32"
    threads, limit = threads or max(1, cores() // processes), os.environ.get("OMP_THREAD_LIMIT", "")
    # torch must not count on threads that it does not get: a product in bf16 would be computed in part, and its rest be any number
    return Machine(device, precision, min(threads, int(limit)) if limit.isdecimal() else threads)


def has_gpu() -> bool:
    """Whether this process can use a GPU. On ZeroGPU only a forked one can, though torch says so in the main one too."""
    return torch.cuda.is_available() and (not on_zero_gpu() or parent_process() is not None)


def cores() -> int:
    """The CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def use_threads(count: int) -> None:
    """Make the calling thread compute with `count` threads, whatever other threads set."""
    torch.get_num_threads()  # a thread's first call copies the number that any thread set last, so it must come before set_num_threads
    torch.set_num_threads(count)


@contextmanager
def one_thread() -> Iterator[None]:
    """Inside, the calling thread computes alone: on small products and busy cores, several threads can take 50 times as long."""
    before = torch.get_num_threads()  # of this thread only
    use_threads(1)
    try:
        yield
    finally:
        use_threads(before)


@cache
def bf16_is_fast(device: str) -> bool:
    """Whether bf16 matrix products are at least 1.2x as fast as fp32 ones: measured in about 20 ms on a CPU, looked up on a GPU."""
    if device != "cpu":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return _product_seconds(torch.float32) > 1.2 * _product_seconds(torch.bfloat16)


def _product_seconds(dtype: torch.dtype) -> float:
    """The time of a product in the shape of a small encoder's feed-forward layer on a batch: the shortest of several, so that a busy
    machine comes to the same answer as an idle one."""
    left, right = torch.ones(256, 384, dtype=dtype), torch.ones(384, 1536, dtype=dtype)  # ones, so that no random numbers are drawn
    times = []
    while len(times) < 5 or sum(times) < 0.01:
        start = time.perf_counter()
        left @ right
        times.append(time.perf_counter() - start)
    return min(times)
