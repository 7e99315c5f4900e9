"""Calibration: probabilities that mean what they say, so that of the answers given with 90 %, 90 % are right. Knows no kind of task."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

PULL = 2.0  # holds the fit near no calibration, against as much evidence as a few dozen rows hold
LIMIT = 2.3  # of the logarithm of a temperature: 0.1 to 10


class Calibration(NamedTuple):
    """Calibrated logits are logits / `temperature` (Guo et al., 2017, https://arxiv.org/abs/1706.04599) + `shift` (Platt, 1999), which is
    0 for classes and labels. They change no answer, but numbers, which have a line of their own (number.py)."""

    temperature: float = 1.0
    shift: float = 0.0


UNCALIBRATED = Calibration()


def fit(logits: Tensor, targets: Tensor, has_shift: bool = False) -> Calibration:
    """The calibration of highest likelihood for uncalibrated `logits`: (N, classes) with `targets` (N), or of any shape, each of one
    decision, with `targets` 0 or 1 of that shape. With few rows it is near to none."""
    is_class = targets.ndim < logits.ndim
    loss, targets = (F.cross_entropy, targets) if is_class else (F.binary_cross_entropy_with_logits, targets.to(logits))
    weights = torch.zeros(2, dtype=torch.float64, requires_grad=True)  # log of 1 / temperature, shift
    optimizer = torch.optim.LBFGS([weights], max_iter=100, line_search_fn="strong_wolfe")

    def total() -> Tensor:
        optimizer.zero_grad()
        value = loss(logits * weights[0].exp() + weights[1] * has_shift, targets, reduction="sum") + PULL * (weights**2).sum()
        value.backward()
        return value

    optimizer.step(total)
    return Calibration(weights[0].detach().clamp(-LIMIT, LIMIT).neg().exp().item(), weights[1].item())
