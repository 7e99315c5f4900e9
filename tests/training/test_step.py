"""Every sampling with every balancing, through the whole loop: they run, are exact when resumed, and tell what they do."""

import math
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
from mtl.runs.events import GradientConflict, StepDone
from mtl.settings.config import RunConfig, make_config
from mtl.settings.methods import METHODS
from mtl.training.gradient_conflict import MOST, ConflictMeter, last_layer
from mtl.training.loop import train
from mtl.training.sampling import SAMPLINGS, Step
from mtl.training.step import cut_into_batches
from mtl.training.trainer import Trainer

# of one length, so that every step has some of both
SEPARATE = [{"text": f"word{index} is {'good' if index % 2 else 'bad'} now", "mood": "up" if index % 2 else "down"} for index in range(40)]
SEPARATE += [{"text": f"go{index} to {('left', 'right')[index % 2]} now", "turn": ("left", "right")[index % 2]} for index in range(16)]


@pytest.fixture
def separate(tiny_config, write_rows, tmp_path):
    """Settings for two tasks that have rows of their own, 40 and 16."""
    return lambda **changes: tiny_config(**{"source": "files", "train_files": (write_rows(tmp_path / "rows.jsonl", SEPARATE),),
                                            "dropout": 0.0, "encoder_dropout": 0.0} | changes)


def settings_of(sampling: str, balancing: str) -> dict:
    return {"sampling": sampling, "balancing": balancing} | ({"weights": {"class": 2.0}} if balancing == "fixed" else {})


def goes(sampling: str, balancing: str) -> bool:
    try:
        return bool(make_config(settings_of(sampling, balancing)))
    except MtlError:
        return False


def told(events: list) -> list:
    return [replace(event, seconds=0.0, sentences_per_second=0.0) for event in events if isinstance(event, StepDone)]


@pytest.mark.parametrize(("sampling", "balancing"), [pair for pair in product(SAMPLINGS, METHODS) if goes(*pair)])
def test_a_run_killed_in_the_middle_ends_bit_for_bit_like_the_unbroken_one(sampling, balancing, tiny_config, finish, tmp_path):
    config = tiny_config(hypothetical_rows=30, batch_size=8, max_steps=5, epochs=9, eval_every=100, checkpoint_every=2,
                         **settings_of(sampling, balancing))
    whole = finish(config, tmp_path / "whole")
    (tmp_path / "killed").mkdir()
    events = train(config, tmp_path / "killed")
    for event in events:
        if isinstance(event, StepDone) and event.step == 3:
            break
    events.close()
    rest = finish(config, tmp_path / "killed", resume=True)
    assert told(rest) == [event for event in told(whole) if event.step > 2]
    one, two = (load_file(tmp_path / run / LAST / "model.safetensors") for run in ("whole", "killed"))
    assert all(torch.equal(weight, two[name]) for name, weight in one.items())
    assert all(math.isfinite(loss) for event in told(whole) for loss in event.losses.values())


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
def test_gradient_methods_take_rows_of_each_task_apart_and_get_the_gradient_of_one_batch(sampling, separate, tmp_path):
    """Without its weighting, which is set to ones here, the cheap way has to give the plain sum: to that it is compared."""
    def weigh_equally(trainer: Trainer) -> None:
        trainer.balancer.weighting = lambda tasks: lambda gramian: torch.ones(tasks)

    passes, plain = first_pass(separate(sampling=sampling, max_grad_norm=0.0), tmp_path)
    assert passes == [16]
    passes, apart = first_pass(separate(sampling=sampling, balancing="pcgrad", max_grad_norm=0.0), tmp_path, weigh_equally)
    assert len(passes) == 2 and sum(passes) == 16
    assert apart.keys() == plain.keys() and all(torch.allclose(apart[name], plain[name], atol=1e-5) for name in plain)


def test_jointly_labelled_rows_go_through_the_encoder_once_whatever_the_method(tiny_config, tmp_path):
    assert first_pass(tiny_config(balancing="pcgrad"), tmp_path)[0] == [16]


def test_a_row_drawn_for_one_task_teaches_the_others_nothing(tiny_config, tmp_path):
    def all_rows_for_the_first_task(trainer: Trainer) -> None:
        begin = trainer.begin
        trainer.begin = lambda plan: begin(replace(plan, owners=np.zeros_like(plan.owners)))

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


def test_a_process_without_rows_in_a_short_step_takes_part_with_a_row_that_teaches_nothing():
    plan = Step(np.array([7]), ("a", "b"))
    labels = {"a": np.ones(9, int), "b": np.ones(9, int)}
    mine, others = (cut_into_batches(plan, rank, 2, 4, labels, ["a", "b"], by_task=False) for rank in (0, 1))
    assert len(mine) == len(others) == 1 and mine[0].rows.tolist() == [7] and mine[0].ignored == {}
    assert len(others[0].rows) == 1 and all(rows.all() for rows in others[0].ignored.values()) and set(others[0].ignored) == {"a", "b"}


# The looks at how the tasks get along


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_every_few_steps_the_tasks_gradients_are_compared(sampling, tiny_config, finish, tmp_path):
    events = finish(tiny_config(sampling=sampling, diagnose_every=3, epochs=3, hypothetical_rows=120), tmp_path)
    looks = [event for event in events if isinstance(event, GradientConflict)]
    total = max(event.step for event in events if isinstance(event, StepDone))
    assert len(looks) >= total // 6
    for look in looks:
        assert set(look.norms) == {"class", "sentiment", "entities"} and all(norm > 0 for norm in look.norms.values())
        assert [pair[:2] for pair in look.cosines] == [["class", "sentiment"], ["class", "entities"], ["sentiment", "entities"]]
        assert all(-1 <= pair[2] <= 1 for pair in look.cosines)


def test_looking_changes_nothing(tiny_config, finish, tmp_path):
    runs = [finish(tiny_config(diagnose_every=every), tmp_path / str(every)) for every in (0, 1)]
    assert told(runs[0]) == told(runs[1])
    assert not any(isinstance(event, GradientConflict) for event in runs[0])


@pytest.mark.parametrize("sampling", ["joint", "proportional"])
def test_a_look_sees_all_batches_of_a_step_as_if_they_were_one(sampling, separate, finish, tmp_path):
    def looks(batch_size: int, accumulation: int) -> list[GradientConflict]:
        config = separate(batch_size=batch_size, accumulation=accumulation, sampling=sampling, diagnose_every=1, epochs=1)
        return [event for event in finish(config, tmp_path / str(batch_size)) if isinstance(event, GradientConflict)]

    whole, parts = looks(16, 1), looks(2, 8)  # two rows: many batches have none of the rare task
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


@pytest.mark.parametrize(("tasks", "every", "total", "wanted"), [
    ("ab", 10, 101, list(range(0, 101, 10))), ("ab", 10, 50 * MOST, [0, 50, 100]), ("ab", 0, 101, []), ("a", 1, 101, [])])
def test_gradients_are_compared_as_often_as_asked_but_in_a_long_run_less_often(tasks, every, total, wanted):
    weight, seen = torch.nn.Parameter(torch.ones(2)), []
    meter = ConflictMeter(list(tasks), [weight], every, total)
    for step in range(101):
        meter.measure(step, {task: (weight ** 2).sum() for task in tasks})
        seen += [step] if meter.finish(step + 1) else []
    assert seen == wanted


def test_a_frozen_encoder_gives_nothing_to_compare():
    meter = ConflictMeter(["a", "b"], [], 1, 100)
    meter.measure(0, {"a": torch.ones(1), "b": torch.ones(1)})
    assert meter.finish(1) is None


def test_what_is_watched_is_the_last_layer(make_model):
    model = make_model()
    watched = {id(weight) for weight in last_layer(model.encoder)}
    assert {name.split(".")[2] for name, weight in model.encoder.named_parameters() if id(weight) in watched} == {"1"}


def test_the_weights_in_effect_are_told(tiny_config, finish, tmp_path):
    for balancing, wanted in (("equal", {"class": 1.0, "sentiment": 1.0, "entities": 1.0}), ("random", None)):
        events = told(finish(tiny_config(balancing=balancing, epochs=1), tmp_path / balancing))
        assert all(set(event.weights) == {"class", "sentiment", "entities"} for event in events)
        if wanted:
            assert all(event.weights == wanted for event in events)
        else:
            assert len({event.weights["class"] for event in events}) == len(events)
