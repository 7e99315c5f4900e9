"""mtl/training/looks.py: quick looks are cheap and rare enough, and change nothing in a run."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import safetensors.torch
import torch

from mtl.runs.checkpoint import LAST
from mtl.runs.events import Evaluated, RunStarted, Sampled, StepDone
from mtl.training.looks import OFTEN, QuickLooks
from mtl.training.pace import LOOKS_SHARE
from mtl.training.trainer import TrainingProgress

HOUR = 3600.0


def of(kind: type, events: list) -> list:
    return [event for event in events if isinstance(event, kind)]


def simulate(monkeypatch, pace: float, cost: float, hours: float, every: int = 10**9) -> list[float]:
    """The seconds at which a run with steps of `pace` seconds takes looks, each of which costs so many."""
    trainer = SimpleNamespace(progress=TrainingProgress(), total_steps=int(hours * HOUR / pace), steps_per_epoch=10**9, tasks=[], epoch=0.0,
                              config=SimpleNamespace(eval_every=every, quick_looks=True))
    seen = SimpleNamespace(scores={}, losses={}, everything_right=0.5)
    monkeypatch.setattr(QuickLooks, "_look", lambda self, rows: (seen, cost))
    monkeypatch.setattr(QuickLooks, "_choose", lambda self: SimpleNamespace(rows=[None] * 64))
    looks, now, at = QuickLooks(trainer), trainer.progress, []
    while now.step < trainer.total_steps:
        is_due = looks.are_due
        now.step, now.seconds = now.step + 1, now.seconds + pace
        if now.step % every == 0:
            looks.postpone()
        elif is_due:
            looks.take()
            at.append(now.seconds)
    return at


@pytest.mark.parametrize(("pace", "cost"), [(0.1, 0.01), (0.4, 0.2), (3.0, 4.0)])
def test_the_first_look_comes_after_a_second_and_the_others_within_their_share_of_the_time(pace, cost, monkeypatch):
    at = simulate(monkeypatch, pace, cost, 0.1)
    gaps = [end - start for start, end in zip(at, at[1:], strict=False)]
    wanted = max(OFTEN, cost / LOOKS_SHARE)
    assert at[0] <= 1 + 2 * pace and wanted - 1e-6 < min(gaps) and gaps[0] <= wanted + 2 * pace
    assert cost * (len(at) - 1) <= LOOKS_SHARE * at[-1]


@pytest.mark.parametrize(("hours", "most"), [(1, 180), (24, 280), (170, 350)])
def test_looks_get_rarer_in_a_long_run(hours, most, monkeypatch):
    assert most / 2 < len(simulate(monkeypatch, 2.0, 0.05, hours)) < most


def test_there_is_no_look_right_before_or_after_an_evaluation(monkeypatch):
    for every in (2, 5, 12, 50):
        at = [round(seconds / 0.5) for seconds in simulate(monkeypatch, 0.5, 0.1, 0.05, every)]
        assert all(step > 4 and 2 <= step % every <= every - 2 or step < 5 for step in at), (every, at)
        assert bool(at[1:]) == (every > 5)


@pytest.mark.parametrize(("seconds_a_row", "rows"), [(1e-4, 90), (2e-3, 64), (4e-3, 32), (1.0, 32)])
def test_the_more_a_row_costs_the_fewer_rows_a_look_has(seconds_a_row, rows, tiny_config, finish, monkeypatch, tmp_path):
    monkeypatch.setattr(QuickLooks, "are_due", True)
    look = QuickLooks._look
    monkeypatch.setattr(QuickLooks, "_look", lambda self, rows: (look(self, rows)[0], len(rows.rows) * seconds_a_row))
    seen = of(Sampled, finish(tiny_config(hypothetical_rows=180, validation_share=0.5, max_steps=3, eval_every=9), tmp_path))
    assert [(look.step, look.rows) for look in seen] == [(1, rows), (2, rows)]
    assert seen[0].seconds == pytest.approx(rows * seconds_a_row)


@pytest.mark.parametrize("changes", [
    {}, {"accumulation": 2}, {"balancing": "famo"}, {"balancing": "random"}, {"sampling": "alternating", "max_steps": 12},
    {"balancing": "pcgrad"},
    {"encoder": "bundled", "fine_tuning": "heads", "max_steps": 8}], ids=str)
def test_a_run_is_bit_for_bit_the_same_with_and_without_looks_also_after_a_resume(changes, tiny_config, finish, monkeypatch, tmp_path):
    monkeypatch.setattr(QuickLooks, "are_due", property(lambda self: self._trainer.config.quick_looks))
    config = tiny_config(eval_every=5, diagnose_every=3, **changes)
    without, looked = finish(config, tmp_path / "without"), config.model_copy(update={"quick_looks": True})
    events = finish(looked, tmp_path / "with", between_steps=lambda trainer: trainer.progress.step == 6)
    events += finish(looked, tmp_path / "with", resume=True)
    evaluated = [seen.step for seen in of(Evaluated, events)]
    assert [look.step for look in of(Sampled, events)] == [step for step in range(1, of(RunStarted, events)[0].total_steps)
                                                           if step not in evaluated]
    assert not of(Sampled, without) and curves(without) == curves(events)
    for name in ("model.safetensors", "config.json", "optimizer.pt", "balancer.pt"):
        files = [tmp_path / run / LAST / name for run in ("without", "with")]
        if name == "model.safetensors":
            one, two = map(safetensors.torch.load_file, files)
            assert all(torch.equal(weight, two[key]) for key, weight in one.items())
        else:
            assert files[0].exists() == files[1].exists() and (not files[0].exists() or files[0].read_bytes() == files[1].read_bytes())


def curves(events: list) -> list:
    """What the steps and evaluations gave, without what the clock decides."""
    return [replace(event, seconds=0.0, **{"sentences_per_second": 0.0} if isinstance(event, StepDone) else {})
            for event in events if isinstance(event, (StepDone, Evaluated))]


def test_a_look_has_the_main_scores_of_an_evaluation_and_leaves_what_that_one_tuned(tiny_config, finish, write_rows, monkeypatch, tmp_path):
    monkeypatch.setattr(QuickLooks, "are_due", True)
    rows = [{"text": f"{word} {place} {place % 7}", "topics": [word] * (place % 3 > 0), "mood": "ab"[place % 2] if place % 4 else None}
            for place in range(60) for word in ("sea", "sky")]
    config = tiny_config(source="files", train_files=(write_rows(tmp_path / "rows.jsonl", rows),), validation_share=0.3, eval_every=2,
                         max_steps=3, quick_looks=True)
    tuned = []

    def note(trainer) -> bool:
        tuned.append((trainer.model.config.thresholds, trainer.model.config.calibration, trainer.model.tasks["topics"].thresholds))
        return False

    events = finish(config, tmp_path / "run", between_steps=note)
    first, = of(Sampled, events)
    assert (first.step, first.rows) == (1, of(RunStarted, events)[0].validation_rows)
    assert set(first.scores) == set(first.losses) == {"topics", "mood"}
    assert 0 <= first.everything_right <= 1 and all(0 <= score <= 1 for score in first.scores.values())
    assert tuned[0] == tuned[1] != tuned[2]
