"""Lets the package `spaces` run where torch has no CUDA: on the path of a process that takes a CPU for the GPU that ZeroGPU lends. Only
what `spaces` calls of CUDA is there; tensors that are moved to a GPU stay on the CPU. Bursts take FIRST_BURST seconds if that is set."""

import os
import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import PathFinder


def _is_in_bad_fork() -> bool:
    return False


def _equip_torch(torch) -> None:
    torch.version.cuda = torch.version.cuda or "12.8"
    torch._C._cuda_init = getattr(torch._C, "_cuda_init", lambda: None)
    torch.cuda.synchronize = lambda *device: None
    torch.Tensor.cuda = lambda self, *args, **kwargs: self
    _is_in_bad_fork.__module__, torch.cuda._is_in_bad_fork = "sitecustomize", _is_in_bad_fork


def _shorten(zero_gpu) -> None:
    zero_gpu.FIRST = int(os.environ.get("FIRST_BURST", zero_gpu.FIRST))


class _After(MetaPathFinder):
    """Changes a module once it is imported."""

    changes = {"torch": _equip_torch, "mtl.jobs.zero_gpu": _shorten}

    def find_spec(self, name, path, target=None):
        if name not in self.changes or not (spec := PathFinder.find_spec(name, path)):
            return None
        execute, change = spec.loader.exec_module, self.changes[name]
        spec.loader.exec_module = lambda module: (execute(module), change(module))
        return spec


if os.environ.get("SPACES_ZERO_GPU"):
    sys.meta_path.insert(0, _After())
