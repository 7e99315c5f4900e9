"""Random numbers from our own generators. torch's global one belongs to the whole process: a page that loads a model while a run begins
would change what the run draws."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

DRAWS = frozenset({
    "rand", "randn", "randint", "randperm", "normal", "bernoulli", "multinomial",
    "normal_", "uniform_", "random_", "bernoulli_", "exponential_",  # of Tensor and torch.nn.init
    "trunc_normal_", "kaiming_uniform_", "kaiming_normal_", "xavier_uniform_", "xavier_normal_", "orthogonal_", "sparse_"})


class OwnRandomness(TorchFunctionMode):
    """Inside, and in this thread, all that torch draws on a CPU comes from a new generator seeded with `seed`, also in libraries that take
    no generator. The numbers are those that `torch.manual_seed(seed)` would give."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.generator = torch.Generator().manual_seed(seed)

    def __torch_function__(self, function: Callable[..., Any], types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None) -> Any:
        kwargs = kwargs or {}
        if getattr(function, "__name__", "") in DRAWS:
            device = next((value.device for value in args if isinstance(value, Tensor)), kwargs.get("device"))
            if device is None or torch.device(device).type == "cpu":
                kwargs = kwargs | {"generator": kwargs.get("generator") or self.generator}
        return function(*args, **kwargs)
