"""Every sampling with every balancing, through the whole loop: they run, are exact when resumed, and tell what they do."""

import math
from dataclasses import replace
from itertools import product
from typing import get_args

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from mtl.data.dataset import load
from mtl.errors import MtlError
from mtl.model.machine import Machine
from mtl.runs.checkpoint import LAST
from mtl.runs.events import Diagnosed, StepDone
from mtl.settings.config import RunConfig, make_config
from mtl.settings.methods import METHODS
from mtl.training import step as stepping
from mtl.training.gradient_conflict import Diagnoser, last_layer
from mtl.training.loop import train
from mtl.training.sampling import SAMPLINGS
from mtl.training.trainer import Learner

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


def learner_of(config: RunConfig, folder) -> Learner:
    return Learner(config, folder, load(config, folder), Machine("cpu", "fp32", 1), None, folder)


def gradient_of(learner: Learner, places: np.ndarray | None = None) -> dict[str, torch.Tensor]:
    """What the learner's first step adds to the gradients."""
    step, found = learner.plan(0)[0], {}
    learner.stepper.optimizer.step = lambda: found.update(
        {name: weight.grad.clone() for name, weight in learner.model.named_parameters() if weight.grad is not None})
    learner.optimize(step)
    return found


@pytest.mark.parametrize("sampling", ["joint", "proportional"])
def test_gradient_methods_take_rows_of_each_task_apart_and_get_the_gradient_of_one_batch(sampling, separate, tmp_path, monkeypatch):
    """Without its weighting, which is set to ones here, the cheap way has to give the plain sum: to that it is compared."""
    passes = []
    real = stepping.Stepper._losses
    monkeypatch.setattr(stepping.Stepper, "_losses", lambda self, step, at, tasks: passes.append(len(at)) or real(self, step, at, tasks))
    plain = gradient_of(learner_of(separate(sampling=sampling, max_grad_norm=0.0), tmp_path))
    assert passes == [16]
    cut = learner_of(separate(sampling=sampling, balancing="pcgrad", max_grad_norm=0.0), tmp_path)
    cut.stepper.balancer.weighting = lambda: lambda gramian: torch.ones(len(gramian))
    passes.clear()
    apart = gradient_of(cut)
    assert len(passes) == 2 and sum(passes) == 16
    assert apart.keys() == plain.keys() and all(torch.allclose(apart[name], plain[name], atol=1e-5) for name in plain)


def test_jointly_labelled_rows_go_through_the_encoder_once_whatever_the_method(tiny_config, tmp_path, monkeypatch):
    passes = []
    real = stepping.Stepper._losses
    monkeypatch.setattr(stepping.Stepper, "_losses", lambda self, step, at, tasks: passes.append(len(at)) or real(self, step, at, tasks))
    gradient_of(learner_of(tiny_config(balancing="pcgrad"), tmp_path))
    assert passes == [16]


def test_a_row_drawn_for_one_task_teaches_the_others_nothing(tiny_config, tmp_path):
    learner = learner_of(tiny_config(sampling="proportional"), tmp_path)
    step = learner.plan(0)[0]
    only = replace(step, owners=np.zeros_like(step.owners))  # all rows for the first task
    learner.stepper.optimize(only, 1.0)
    assert list(learner.stepper.window.losses) == [step.tasks[0]]


def test_famo_sees_the_step_s_own_rows_again_with_the_same_features_hidden(tiny_config, tmp_path):
    seen = []
    learner = learner_of(tiny_config(balancing="famo"), tmp_path)
    balancer = learner.stepper.balancer
    real_backward, real_update = balancer.backward, balancer.update
    balancer.backward = lambda losses: seen.append({task: loss.item() for task, loss in losses.items()}) or real_backward(losses)
    balancer.update = lambda losses: seen.append({task: loss.item() for task, loss in losses.items()}) or real_update(losses)
    for group in learner.stepper.optimizer.param_groups:
        group["base_lr"] = 0.0  # nothing changes, so the losses after must be those before
    learner.optimize(learner.plan(0)[0])
    assert seen[0] == pytest.approx(seen[1], rel=1e-5)


# The looks at how the tasks get along


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_every_few_steps_the_tasks_gradients_are_compared(sampling, tiny_config, finish, tmp_path):
    events = finish(tiny_config(sampling=sampling, diagnose_every=3, epochs=3, hypothetical_rows=120), tmp_path)
    looks = [event for event in events if isinstance(event, Diagnosed)]
    total = max(event.step for event in events if isinstance(event, StepDone))
    assert len(looks) >= total // 6
    for look in looks:
        assert set(look.norms) == {"class", "sentiment", "entities"} and all(norm > 0 for norm in look.norms.values())
        assert [pair[:2] for pair in look.cosines] == [["class", "sentiment"], ["class", "entities"], ["sentiment", "entities"]]
        assert all(-1 <= pair[2] <= 1 for pair in look.cosines)


def test_looking_changes_nothing(tiny_config, finish, tmp_path):
    runs = [finish(tiny_config(diagnose_every=every), tmp_path / str(every)) for every in (0, 1)]
    assert told(runs[0]) == told(runs[1])
    assert not any(isinstance(event, Diagnosed) for event in runs[0])


@pytest.mark.parametrize("sampling", ["joint", "proportional"])
def test_a_look_sees_all_batches_of_a_step_as_if_they_were_one(sampling, separate, finish, tmp_path):
    def looks(batch_size: int, accumulation: int) -> list[Diagnosed]:
        config = separate(batch_size=batch_size, accumulation=accumulation, sampling=sampling, diagnose_every=1, epochs=1)
        return [event for event in finish(config, tmp_path / str(batch_size)) if isinstance(event, Diagnosed)]

    whole, parts = looks(16, 1), looks(2, 8)  # two rows: many batches have none of the rare task
    assert len(whole) == len(parts) > 2
    for one, other in zip(whole, parts, strict=True):
        assert min(one.norms.values()) > 0 and other.norms == pytest.approx(one.norms, rel=1e-3)
        assert other.cosines[0][2] == pytest.approx(one.cosines[0][2], abs=1e-3)


def test_norms_and_cosine_are_those_of_the_gradients():
    weight = torch.nn.Parameter(torch.ones(2))
    diagnoser = Diagnoser(["a", "b"], [weight], every=10)
    assert diagnoser.wants(0)
    diagnoser.look({"a": torch.tensor([1.0, 0.0]) @ weight})
    diagnoser.look({"a": torch.tensor([2.0, 0.0]) @ weight})
    diagnoser.close()
    assert diagnoser.told(1) is None and diagnoser.wants(1)  # b is still to be seen
    diagnoser.look({"b": torch.tensor([-1.0, 1.0]) @ weight})
    diagnoser.close()
    found = diagnoser.told(2)
    assert found.norms == pytest.approx({"a": 3.0, "b": 2 ** 0.5}) and found.cosines[0][2] == pytest.approx(-(0.5 ** 0.5))
    assert not diagnoser.wants(2) and diagnoser.wants(10)


def test_one_task_or_a_frozen_encoder_gives_nothing_to_compare():
    assert not Diagnoser(["a"], [torch.nn.Parameter(torch.ones(1))], 1).wants(0)
    assert not Diagnoser(["a", "b"], [], 1).wants(0)


@pytest.mark.parametrize(("asked", "at_most", "looks"), [(10, 50, [0, 50, 100]), (10, 4, list(range(0, 101, 10))), (0, 50, [])])
def test_a_long_run_looks_no_more_often_than_it_logs(asked, at_most, looks):
    weight = torch.nn.Parameter(torch.ones(2))
    diagnoser = Diagnoser(["a", "b"], [weight], asked)
    diagnoser.at_most_every(at_most)
    seen = []
    for step in range(101):
        if diagnoser.wants(step):
            diagnoser.look({"a": weight.sum(), "b": (weight ** 2).sum()})
            diagnoser.close()
            seen.append(step)
        diagnoser.told(step)
    assert seen == looks


def test_what_is_watched_is_the_last_layer(tiny_config, tmp_path):
    model = learner_of(tiny_config(), tmp_path).model
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
