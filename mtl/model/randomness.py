"""Random numbers from our own generators, because a page that loads a model while a run begins would change what the run draws from
torch's global one; and seeded dropout, so that a resumed run drops the same features as an unbroken one."""

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

DRAWS = frozenset({  # of torch, Tensor and torch.nn.init
    "rand", "randn", "randint", "randperm", "normal", "bernoulli", "multinomial", "normal_", "uniform_", "random_", "bernoulli_",
    "exponential_", "trunc_normal_", "kaiming_uniform_", "kaiming_normal_", "xavier_uniform_", "xavier_normal_", "orthogonal_", "sparse_"})
LEVELS = 2**16  # 16 random bits decide about a feature, so one 64-bit draw serves four features


class OwnRandomness(TorchFunctionMode):
    """Inside, in this thread, torch draws on a CPU, also in libraries, from a generator of its own, the numbers of `manual_seed(seed)`."""

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


def seeded_dropout(seed: int, device: str) -> AbstractContextManager:
    """A context in which dropout on `device` follows from `seed`. On GPUs torch's own generators are seeded, because only training draws
    from them. The CPU's generator belongs to the whole process, so a generator of our own is used there."""
    if device == "cpu":
        return FastDropout(seed)
    torch.cuda.manual_seed_all(seed)
    return nullcontext()


class FastDropout(OwnRandomness):
    """Inside, `F.dropout` and the dropout of `F.scaled_dot_product_attention` draw 16 bits per feature from a generator seeded with `seed`:
    twice as fast as torch. The rate is within 1/65536 of the one asked for, and kept features are scaled by exactly 1 / (1 - rate)."""

    def __torch_function__(self, function: Callable[..., Any], types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        kwargs = kwargs or {}
        if function is F.dropout:
            return self._dropout(*args, **kwargs)
        # causal attention is left to torch, because no encoder uses it
        if function is F.scaled_dot_product_attention and kwargs.get("dropout_p") and not kwargs.get("is_causal"):
            return self._attention(*args, **kwargs)
        return super().__torch_function__(function, types, args, kwargs)

    def _dropout(self, features: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
        dropped = min(round(p * LEVELS), LEVELS - 1)
        if not training or not dropped:
            return features
        draws = torch.randint(-2**63, 2**63 - 1, (-(-features.numel() // 4),), generator=self.generator)
        draws = draws.view(torch.int16)[:features.numel()].view(features.shape)
        factors = torch.empty(features.shape, dtype=features.dtype)
        torch.ge(draws, dropped - LEVELS // 2, out=factors)  # 1 where kept, in the features' own type; draws begin at -LEVELS / 2
        return features * factors.mul_(LEVELS / (LEVELS - dropped))

    def _attention(self, query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None, dropout_p: float = 0.0,
                   is_causal: bool = False, scale: float | None = None, enable_gqa: bool = False) -> Tensor:
        """As torch computes attention on a CPU with dropout, weights (B, heads, T, T); with `enable_gqa`, query heads share keys."""
        if enable_gqa:
            key, value = (shared.repeat_interleave(query.shape[-3] // shared.shape[-3], -3) for shared in (key, value))
        weights = query * (scale or 1 / math.sqrt(query.shape[-1])) @ key.transpose(-1, -2)
        if attn_mask is not None and attn_mask.dtype == torch.bool:
            attn_mask = torch.zeros(attn_mask.shape, dtype=weights.dtype).masked_fill_(~attn_mask, -math.inf)
        if attn_mask is not None:
            weights += attn_mask  # in place, which autograd allows here: it is the largest tensor of a layer
        return self._dropout(weights.softmax(-1), dropout_p) @ value
