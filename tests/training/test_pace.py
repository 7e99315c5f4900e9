"""mtl/training/pace.py: minutes before there is a run; how near they come is measured by tests/bench/estimate.py."""

from dataclasses import replace

import pytest

from mtl.runs.events import Logged, StepDone
from mtl.runs.history import History
from mtl.settings.config import RunConfig, make_config
from mtl.training.pace import OPENING, Breaks, Pace, looks_seconds
from tests.watcher import started

PACE = Pace("cpu", 6e-4, 2e-4, 0.01, 0.3, 0.6, has_int8=True)


def seconds(pace: Pace = PACE, rows: int = 1600, subwords: float = 30.0, **changes) -> float | None:
    return pace.run_seconds(make_config({"diagnose_every": 0, "quick_looks": False} | changes), rows, 200, subwords)


def test_the_time_of_a_run_is_that_of_its_steps_evaluations_and_checkpoints():
    step, evaluation = 16 * 30 * 6e-4 + 0.01, 200 * 30 * 2e-4
    breaks = Breaks(evaluation, 1.2 * evaluation, 0.3, 0.6)
    assert seconds(epochs=2) == pytest.approx(OPENING + 200 * step + breaks.seconds(200, 100, 0))
    assert breaks.seconds(200, 100, 0) == pytest.approx(2 * (evaluation + 0.6 + 0.7 * (0.3 + 1.2 * evaluation)))
    assert breaks.seconds(201, 100, 50) == pytest.approx(1.5 * breaks.seconds(200, 100, 0) + 4 * 0.6)
    assert seconds(epochs=2, quick_looks=True) - seconds(epochs=2) == pytest.approx(looks_seconds(200 * step))


@pytest.mark.parametrize("changes", [
    {"max_steps": 50}, {"frozen_layers": 3}, {"fine_tuning": "lora"}, {"fine_tuning": "heads"},
    {"rows": 800}, {"subwords": 15.0}, {"max_length": 15}, {"pace": replace(PACE, training=3e-4)}], ids=str)
def test_what_makes_a_run_shorter_makes_the_guess_shorter(changes):
    assert seconds(epochs=2, **changes) < 0.95 * seconds(epochs=2)


@pytest.mark.parametrize("changes", [{"epochs": 4}, {"balancing": "pcgrad"}, {"freeze_embeddings": False}, {"checkpoint_every": 5},
                                     {"eval_every": 10}, {"diagnose_every": 1}], ids=str)
def test_what_makes_a_run_longer_makes_the_guess_longer(changes):
    assert seconds(**{"epochs": 2} | changes) > 1.05 * seconds(epochs=2)


@pytest.mark.parametrize("changes", [{"encoder": "tiny"}, {"encoder": "a/model"}, {"device": "cuda"}, {"sampling": "alternating"}], ids=str)
def test_of_what_was_not_measured_nothing_is_guessed(changes):
    assert seconds(**changes) is None


def test_quick_looks_take_a_share_of_a_short_run_and_little_of_a_long_one():
    assert looks_seconds(60.0) == pytest.approx(3.0) and looks_seconds(3600.0) < 0.01 * 3600


def test_a_run_corrects_the_pace_unless_it_was_too_short_or_its_log_is_an_older_one():
    config = RunConfig(diagnose_every=0, quick_looks=False)

    def after(step: int, subwords: float | None) -> Pace:
        history, begun = History(), replace(started(), train_rows=1600, subwords=subwords)
        for event in (begun, StepDone(step, 1.0, {}, 1e-4, 1.0, 99.0, step * 2 * PACE.step_seconds(config, 1600, 30.0))):
            history.add(Logged(1.0, event))
        return PACE.corrected(config, history)

    assert after(10, 30.0) == after(100, None) == PACE.corrected(config, History()) == PACE
    assert after(100, 30.0).step_seconds(config, 1600, 30.0) == pytest.approx(2 * PACE.step_seconds(config, 1600, 30.0))
