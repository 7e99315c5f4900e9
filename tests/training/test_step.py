"""Every sampling with every balancing, through the whole loop, on the three kinds of task; and the measurement of gradient conflicts."""

import json
import math
import shutil
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from mtl.errors import MtlError
from mtl.runs.checkpoint import LAST
from mtl.runs.events import Evaluated, GradientConflict, StepDone
from mtl.settings.config import RunConfig, make_config
from mtl.settings.methods import METHODS
from mtl.settings.shorthand import parse_columns
from mtl.training.gradient_conflict import MOST, ConflictMeter, last_layer
from mtl.training.loop import train
from mtl.training.sampling import SAMPLINGS, Step
from mtl.training.step import cut_into_batches
from mtl.training.trainer import Trainer
from tests.tasks.test_multilabel import topic_rows

# of one length, so that every step has some of both
SEPARATE = [{"text": f"word{index} is {'good' if index % 2 else 'bad'} now", "mood": "up" if index % 2 else "down"} for index in range(40)]
SEPARATE += [{"text": f"go{index} to {('left', 'right')[index % 2]} now", "turn": ("left", "right")[index % 2]} for index in range(16)]


@pytest.fixture
def separate(tiny_config, write_rows, tmp_path):
    """Settings for two tasks that have rows of their own, 40 and 16."""
    return lambda **changes: tiny_config(**{"source": "files", "train_files": (write_rows(tmp_path / "rows.jsonl", SEPARATE),),
                                            "dropout": 0.0, "encoder_dropout": 0.0} | changes)


def settings_of(sampling: str, balancing: str) -> dict:
    return {"sampling": sampling, "balancing": balancing} | ({"weights": {"topics": 2.0}} if balancing == "fixed" else {})


def goes(sampling: str, balancing: str) -> bool:
    try:
        return bool(make_config(settings_of(sampling, balancing)))
    except MtlError:
        return False


def steps_of(events: list) -> list[StepDone]:
    return [replace(event, seconds=0.0, sentences_per_second=0.0) for event in events if isinstance(event, StepDone)]


@pytest.mark.parametrize(("sampling", "balancing"), [pair for pair in product(SAMPLINGS, METHODS) if goes(*pair)])
def test_a_run_killed_in_the_middle_ends_bit_for_bit_like_the_unbroken_one(sampling, balancing, tiny_config, finish, write_rows, tmp_path):
    rows = [row | {"mood": "good" if len(row["topics"]) > 1 else "bad", "size": len(row["text"].split())}
            for row in topic_rows(30)]  # the four kinds of task
    config = tiny_config(source="files", train_files=(write_rows(tmp_path / "rows.jsonl", rows),), batch_size=8, max_steps=4, epochs=9,
                         eval_every=100, checkpoint_every=2, columns=parse_columns("size=number"), **settings_of(sampling, balancing))
    whole = []
    for event in train(config, tmp_path / "whole"):
        whole.append(event)
        if isinstance(event, StepDone) and event.step == 3:  # what a kill would leave: the checkpoint of step 2
            shutil.copytree(tmp_path / "whole", tmp_path / "killed")
    rest = finish(config, tmp_path / "killed", resume=True)
    assert steps_of(rest) == [event for event in steps_of(whole) if event.step > 2]
    one, two = (load_file(tmp_path / run / LAST / "model.safetensors") for run in ("whole", "killed"))
    assert all(torch.equal(weight, two[name]) for name, weight in one.items())
    configs = [json.loads((tmp_path / run / LAST / "config.json").read_text()) for run in ("whole", "killed")]
    assert configs[0]["thresholds"] == configs[1]["thresholds"] != {} and configs[0]["calibration"] == configs[1]["calibration"] != {}
    assert all(math.isfinite(loss) for event in steps_of(whole) for loss in event.losses.values())
    assert {task for event in steps_of(whole) for task in event.losses} == {"topics", "place", "mood", "size"}
    assert next(event for event in whole[::-1] if isinstance(event, Evaluated)).losses.keys() == {"topics", "place", "mood", "size"}


def test_only_what_makes_no_sense_is_refused():
    refused = {pair for pair in product(SAMPLINGS, METHODS) if not goes(*pair)}
    assert refused == {("alternating", balancing) for balancing in ("random", "famo", "pcgrad", "upgrad")}
    assert set(get_args(RunConfig.model_fields["balancing"].annotation)) == set(METHODS)


def first_step(config: RunConfig, folder: Path, change: Callable[[Trainer], object] = lambda trainer: None) -> StepDone:
    """Take one step of a run, after `change` was made to its trainer."""
    def before(trainer: Trainer) -> bool:
        if trainer.progress.step == 0:
            change(trainer)
        return False

    with closing(train(config, folder, between_steps=before)) as events:
        return next(event for event in events if isinstance(event, StepDone))


def first_pass(config: RunConfig, folder: Path, change: Callable[[Trainer], object] = lambda trainer: None) -> tuple[list[int], dict]:
    """The number of rows of each batch of a run's first step, and the gradients at its end."""
    passes, found = [], {}

    def watch(trainer: Trainer) -> None:
        change(trainer)
        forward = trainer.forward
        trainer.forward = lambda batch: passes.append(len(batch.rows)) or forward(batch)
        trainer.optimizer.step = lambda: found.update(
            {name: weight.grad.clone() for name, weight in trainer.model.named_parameters() if weight.grad is not None})

    first_step(config, folder, watch)
    return passes, found


@pytest.mark.parametrize("sampling", ["joint", "proportional"])
def test_gradient_methods_take_rows_of_each_task_apart_and_get_the_gradient_of_one_batch(sampling, separate, tiny_config, tmp_path):
    """Without its weighting, which is set to ones here, the cheap way has to give the plain sum: to that it is compared."""
    def weigh_equally(trainer: Trainer) -> None:
        trainer.balancer.weighting = lambda tasks: lambda gramian: torch.ones(tasks)

    passes, plain = first_pass(separate(sampling=sampling, max_grad_norm=0.0), tmp_path)
    assert passes == [16]
    passes, apart = first_pass(separate(sampling=sampling, balancing="pcgrad", max_grad_norm=0.0), tmp_path, weigh_equally)
    assert len(passes) == 2 and sum(passes) == 16
    assert apart.keys() == plain.keys() and all(torch.allclose(apart[name], plain[name], atol=1e-5) for name in plain)
    assert first_pass(tiny_config(balancing="pcgrad"), tmp_path)[0] == [16]  # rows with the labels of all tasks are read once


def test_a_row_drawn_for_one_task_teaches_the_others_nothing(tiny_config, tmp_path):
    def all_rows_for_the_first_task(trainer: Trainer) -> None:
        begin = trainer.begin
        trainer.begin = lambda planned: begin(replace(planned, owners=np.zeros_like(planned.owners)))

    assert list(first_step(tiny_config(sampling="proportional"), tmp_path, all_rows_for_the_first_task).losses) == ["class"]


def test_famo_sees_the_step_s_own_rows_again_with_the_same_features_hidden(tiny_config, tmp_path):
    seen = []

    def watch(trainer: Trainer) -> None:
        for name in ("backward", "update"):
            real = getattr(trainer.balancer, name)
            setattr(trainer.balancer, name, lambda losses, real=real: seen.append(
                {task: loss.item() for task, loss in losses.items()}) or real(losses))
        for group in trainer.optimizer.param_groups:
            group["base_lr"] = 0.0  # nothing changes, so the losses after must be those before

    first_step(tiny_config(balancing="famo"), tmp_path, watch)
    assert len(seen) == 2 and seen[0] == pytest.approx(seen[1], rel=1e-5)


@pytest.mark.parametrize("processes", [1, 2, 3, 4])
@pytest.mark.parametrize("count", [1, 2, 7, 24, 25])
def test_the_shares_of_the_processes_are_the_step_and_equally_many_batches(count, processes):
    plan, targets = Step(np.arange(100, 100 + count), ("a",)), {"a": np.ones(200, int)}
    shares = [cut_into_batches(plan, rank, processes, 4, targets, ["a"], by_task=False) for rank in range(processes)]
    assert sorted(row for batches in shares for one in batches for row in one.rows[~one.ignored["a"]].tolist()) == plan.rows.tolist()
    assert len({len(batches) for batches in shares}) == 1 and len(shares[0]) >= 1
    assert all(len(batch.rows) <= 4 for batches in shares for batch in batches)
    whole = cut_into_batches(Step(np.arange(10), ("a",)), 0, 1, 4, targets, ["a"], by_task=False)
    assert [batch.rows.tolist() for batch in whole] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_a_process_without_rows_in_a_short_step_takes_part_with_a_row_that_teaches_nothing():
    plan = Step(np.array([7]), ("a", "b"))
    targets = {"a": np.ones(9, int), "b": np.ones(9, int)}
    (mine,), (others,) = (cut_into_batches(plan, rank, 2, 4, targets, ["a", "b"], by_task=False) for rank in (0, 1))
    assert mine.rows.tolist() == [7] and mine.ignored == {"a": [False], "b": [False]}
    assert len(others.rows) == 1 and others.ignored == {"a": [True], "b": [True]}


# Gradient conflicts


def conflicts(events: list) -> list[GradientConflict]:
    return [event for event in events if isinstance(event, GradientConflict)]


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_every_few_steps_the_tasks_gradients_are_compared(sampling, tiny_config, finish, tmp_path):
    found = conflicts(finish(tiny_config(sampling=sampling, diagnose_every=3, max_steps=12, epochs=9, eval_every=99), tmp_path))
    assert len(found) >= 2
    for each in found:
        assert set(each.norms) == {"class", "sentiment", "entities"} and all(norm > 0 for norm in each.norms.values())
        assert [pair[:2] for pair in each.cosines] == [["class", "sentiment"], ["class", "entities"], ["sentiment", "entities"]]
        assert all(-1 <= pair[2] <= 1 for pair in each.cosines)


def test_measuring_conflicts_changes_nothing_and_the_weights_in_effect_are_logged(tiny_config, finish, tmp_path):
    for balancing in ("equal", "even"):
        runs = [finish(tiny_config(diagnose_every=every, max_steps=16, epochs=9, balancing=balancing), tmp_path / f"{balancing} {every}")
                for every in (0, 1)]
        assert steps_of(runs[0]) == steps_of(runs[1]) and not conflicts(runs[0]) and len(conflicts(runs[1])) == 16
        equal = [event.weights == {"class": 1.0, "sentiment": 1.0, "entities": 1.0} for event in steps_of(runs[0])]
        assert equal == [balancing == "equal" or index == 0 for index in range(len(equal))]
    random = steps_of(finish(tiny_config(balancing="random", epochs=1), tmp_path / "random"))
    assert all(set(event.weights) == {"class", "sentiment", "entities"} for event in random)
    assert len({event.weights["class"] for event in random}) == len(random)


@pytest.mark.parametrize("sampling", ["joint", "proportional"])
def test_all_batches_of_a_step_are_measured_as_if_they_were_one(sampling, separate, finish, tmp_path):
    whole, parts = (conflicts(finish(separate(batch_size=size, accumulation=16 // size, sampling=sampling, diagnose_every=1, epochs=1),
                                     tmp_path / str(size))) for size in (16, 2))  # of two rows, many batches have none of the rare task
    assert len(whole) == len(parts) > 2
    for one, other in zip(whole, parts, strict=True):
        assert min(one.norms.values()) > 0 and other.norms == pytest.approx(one.norms, rel=1e-3)
        assert other.cosines[0][2] == pytest.approx(one.cosines[0][2], abs=1e-3)


def test_norms_and_cosine_are_those_of_the_gradients():
    weight = torch.nn.Parameter(torch.ones(2))
    meter = ConflictMeter(["a", "b"], [weight], 10, 100)
    meter.measure(0, {"a": torch.tensor([1.0, 0.0]) @ weight})
    meter.measure(0, {"a": torch.tensor([2.0, 0.0]) @ weight})
    assert meter.finish(1) is None  # b is still to be seen
    meter.measure(1, {"b": torch.tensor([-1.0, 1.0]) @ weight})
    found = meter.finish(2)
    assert found.step == 2
    assert found.norms == pytest.approx({"a": 3.0, "b": 2 ** 0.5}) and found.cosines[0][2] == pytest.approx(-(0.5 ** 0.5))


@pytest.mark.parametrize(("tasks", "every", "total", "is_frozen", "wanted"), [
    ("ab", 10, 101, False, list(range(0, 101, 10))), ("ab", 10, 50 * MOST, False, [0, 50, 100]), ("ab", 0, 101, False, []),
    ("a", 1, 101, False, []), ("ab", 10, 101, True, [])])
def test_gradients_are_compared_as_often_as_asked_but_in_a_long_run_less_often(tasks, every, total, is_frozen, wanted):
    weight, seen = torch.nn.Parameter(torch.ones(2)), []
    meter = ConflictMeter(list(tasks), [] if is_frozen else [weight], every, total)
    for step in range(101):
        meter.measure(step, {task: (weight ** 2).sum() for task in tasks})
        seen += [step] if meter.finish(step + 1) else []
    assert seen == wanted


def test_what_is_watched_is_the_last_layer(make_model):
    model = make_model()
    watched = {id(weight) for weight in last_layer(model.encoder)}
    assert {name.split(".")[2] for name, weight in model.encoder.named_parameters() if id(weight) in watched} == {"1"}
