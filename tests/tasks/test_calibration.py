"""Calibration (mtl/tasks/calibration.py, Task.tune): probabilities mean what they say, and no answer changes for it."""

import random

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar

from mtl.data.values import Label, Labels, Spans
from mtl.data.words import Span
from mtl.settings.config import TaskSpec
from mtl.tasks import make_task
from mtl.tasks.calibration import PULL, UNCALIBRATED, Calibration, fit
from mtl.tasks.multilabel import Chosen
from mtl.tasks.tagging import Tagged

LABELS = ("a", "b", "c", "d")


def task(kind: str):
    return make_task(TaskSpec(name="it", kind=kind, labels=LABELS))


def drawn(rows: int, sharpness: float, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits (rows, 4) that are `sharpness` times too large for the labels (rows), which are drawn from what they should be."""
    draw = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(rows, 4, generator=draw, dtype=torch.float64)
    return sharpness * logits, torch.multinomial(logits.softmax(-1), 1, generator=draw)[:, 0]


@pytest.mark.parametrize("sharpness", [0.5, 1.0, 3.0])
def test_the_temperature_is_the_one_by_which_the_logits_are_too_large(sharpness):
    logits, right = drawn(4000, sharpness)
    found = fit(logits, right)
    assert found.temperature == pytest.approx(sharpness, rel=0.1) and found.shift == 0

    def loss(log_inverse: float) -> float:
        return torch.nn.functional.cross_entropy(logits * np.exp(log_inverse), right, reduction="sum").item() + PULL * log_inverse**2

    assert found.temperature == pytest.approx(np.exp(-minimize_scalar(loss, bounds=(-2, 2), method="bounded").x), rel=1e-3)
    assert fit(logits, right) == found  # to the last bit, as an exact resume needs


def test_decisions_have_a_temperature_and_entities_also_a_shift():
    logits = torch.linspace(-6, 6, 4001, dtype=torch.float64)
    right = torch.rand(4001, generator=torch.Generator().manual_seed(1)) < (logits / 2 - 0.7).sigmoid()
    found = fit(logits, right, has_shift=True)
    assert found == pytest.approx((2, -0.7), rel=0.15) and fit(logits, right).shift == 0


@pytest.mark.parametrize("wrong", [0, 1, 2])
def test_few_rows_change_little_and_many_may_change_more_but_within_limits(wrong):
    def of(rows: int) -> float:
        logits, right = torch.zeros(rows, 2, dtype=torch.float64), torch.ones(rows, dtype=torch.long)
        logits[:, 1], right[:wrong] = 3.0, 0
        return fit(logits, right).temperature

    assert 0.75 < of(4) < 2 and 0.1 <= of(100_000) < of(400) < 1.2
    assert fit(torch.zeros(0, dtype=torch.float64), torch.zeros(0, dtype=torch.bool), has_shift=True) == UNCALIBRATED
    worse_than_chance = fit(torch.tensor([[9.0, -9.0]] * 9999, dtype=torch.float64), torch.ones(9999, dtype=torch.long))
    assert worse_than_chance.temperature == pytest.approx(10, rel=0.01)


@pytest.mark.parametrize("kind", ["classification", "multilabel"])
def test_what_a_task_tunes_is_what_it_then_decodes_and_no_class_changes(kind):
    it, (logits, right) = task(kind), drawn(300, 3.0)
    logits = logits.float()
    golds = [Label(LABELS[label]) if kind == "classification" else Labels([LABELS[label]]) for label in right]
    golds[7] = None  # not labelled for it
    before = it.decode(logits, [])
    tuned = it.tune(golds, before)
    assert it.calibration.temperature > 1.8 and it.calibration.shift == 0
    again = it.decode(logits, [])
    for one, two, first in zip(tuned, again, before, strict=True):
        assert one.value == two.value and one.probabilities == pytest.approx(two.probabilities, abs=1e-4)
        assert kind == "multilabel" or (one.value == first.value and [*one.probabilities] == [*first.probabilities])
    for one, two in zip(it.rescaled(again, it.calibration), before, strict=True):  # and back
        assert one.probabilities == pytest.approx(two.probabilities, abs=1e-4)


def test_an_entity_s_probability_is_that_of_being_right_as_a_whole():
    it, draw = task("tagging"), random.Random(0)
    golds, made = [], []
    for _ in range(1500):
        sure = draw.uniform(0.5, 0.999)
        span = Span(0, 4, "a")
        golds.append(Spans((span,) if draw.random() < sure**3 else ()))  # of three words
        made.append(Tagged((span, Span(6, 9, "b")), (sure, 0.02)))  # and one that is never right
    tuned = it.tune([*golds, None], [*made, Tagged((), ())])
    assert [guess.spans for guess in tuned[:-1]] == [guess.spans for guess in made] and tuned[-1] == Tagged((), ())
    judged = [item for gold, guess in zip(golds, tuned, strict=False) for item in guess.judged(gold)]
    for low in (0.2, 0.5, 0.8):
        part = [item for item in judged if low <= item[0] < low + 0.2]
        assert len(part) > 50 and np.mean([sure - right for sure, right in part]) == pytest.approx(0, abs=0.08)
    assert it.calibration.temperature > 0 and it.rescaled(tuned, it.calibration)[0].confidences == pytest.approx(made[0].confidences)


def test_without_labelled_rows_nothing_is_calibrated():
    for kind in ("classification", "multilabel", "tagging"):
        it = task(kind)
        made = {"tagging": Tagged((), ()), "multilabel": Chosen(dict.fromkeys(LABELS, 0.3), ())}.get(kind) or it.decode(
            torch.zeros(1, 4), [])[0]
        assert it.tune([None], [made]) == [made] and it.calibration == UNCALIBRATED == Calibration(1.0, 0.0)
