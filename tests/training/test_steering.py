"""mtl/training/steering.py: every change does what it says from the next step on, and a steered run can be repeated bit for bit."""

import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from mtl.errors import MtlError
from mtl.runs.checkpoint import BEST, LAST, read_facts
from mtl.runs.events import CheckpointSaved, Evaluated, EventLog, StepDone
from mtl.runs.folder import Run, create_run
from mtl.runs.history import changes_of, read_history
from mtl.settings.steering import Steered, in_force, merged
from mtl.training.execute import run_training
from mtl.training.step import rate_factor
from tests.training.test_loop import curves, of, same, stop_at, weights

CHANGES = [Steered(2, {"class": 3.0}), Steered(3, {"entities": 0.0}, 0.5), Steered(5, frozen=True, evaluate=True),
           Steered(6, {"entities": 1.0}, frozen=False)]
TASKS = ("class", "sentiment", "entities")


@pytest.fixture(scope="module")
def config(tiny_config):
    """A function that makes settings for a run of 8 steps, of which the checkpoint after step 4 is saved."""
    return lambda **changes: tiny_config(**{"max_steps": 8, "diagnose_every": 3} | changes)


def ask(*changes: Steered):
    """A person who asks for the changes when the run has done their steps."""
    left = list(changes)

    def between_steps(trainer) -> bool:
        while left and left[0].step == trainer.progress.step:
            trainer.steering.ask(replace(left.pop(0), step=999))
        return False

    return between_steps


def state(run: Path) -> dict[str, torch.Tensor]:
    """Adam's moments and counts of every weight."""
    stored = torch.load(run / LAST / "optimizer.pt", weights_only=True)["state"]
    return {f"{index} {name}": value for index, slots in stored.items() for name, value in slots.items()}


def progress(run: Path) -> dict:
    return read_facts(run / LAST)["progress"] | {"seconds": 0}


def have_the_same_end(one: Path, other: Path) -> bool:
    """Whether weights, Adam's state and progress agree bit for bit."""
    return all(same(weights(one, name), weights(other, name)) for name in (LAST, BEST)) and (
        same(state(one), state(other)) and progress(one) == progress(other))


# What a change does


@pytest.mark.parametrize("balancing", ["even", "fixed"])
def test_a_weight_is_multiplied_from_the_next_step_on_as_if_the_settings_said_so(balancing, config, finish, tmp_path):
    given = {"balancing": balancing, "weights": {"class": 1.0, "entities": 0.5}}
    finish(config(**given), tmp_path / "steered", between_steps=ask(Steered(0, {"class": 2.0, "entities": 4.0})))
    finish(config(balancing=balancing, weights={"class": 2.0, "entities": 2.0}), tmp_path / "given")
    assert same(weights(tmp_path / "steered"), weights(tmp_path / "given"))


@pytest.mark.parametrize("balancing", ["equal", "uncertainty", "random", "famo", "pcgrad", "upgrad"])
def test_the_loss_of_a_task_is_multiplied_with_any_balancing_and_a_task_of_0_moves_nothing(balancing, config, finish, tmp_path):
    steps = {name: of(StepDone, finish(config(balancing=balancing, weight_decay=0.0), tmp_path / name, between_steps=ask(*changes)))
             for name, changes in {"plain": [], "steered": [Steered(0, {"class": 0.5}), Steered(1, {"class": 0.0})]}.items()}
    first, second = (step.weights for step in (steps["plain"][0], steps["steered"][0]))
    if balancing not in ("pcgrad", "upgrad"):  # which compare the gradients as they are then
        assert second == pytest.approx(first | {"class": first["class"] / 2}, rel=1e-4)
    assert [step.weights["class"] for step in steps["steered"][1:]] == [0.0] * 7
    assert all(step.weights["sentiment"] > 0 and step.losses["class"] > 0 for step in steps["steered"])
    assert not same(weights(tmp_path / "plain"), weights(tmp_path / "steered"))


def test_all_learning_rates_are_multiplied_until_that_is_changed_again(config, finish, tmp_path):
    events = finish(config(), tmp_path, between_steps=ask(Steered(3, rate=0.5), Steered(5, rate=2.0), Steered(7, rate=0.0)))
    factors = [1, 1, 1, 0.5, 0.5, 2, 2, 0]
    assert [step.learning_rate for step in of(StepDone, events)] == pytest.approx(
        [2e-3 * factor * rate_factor(step, 8, 0.1, "linear") for step, factor in enumerate(factors)])


@pytest.mark.parametrize("balancing", ["even", "pcgrad"])
def test_a_frozen_encoder_and_its_moments_stand_still_while_the_heads_learn_on(balancing, config, finish, tmp_path):
    seen = {}

    def look(trainer) -> bool:
        if trainer.progress.step in (0, 5) and trainer.progress.step not in seen:  # it is asked again after a change
            trainer.steering.ask(Steered(0, frozen=trainer.progress.step == 0))
        slots = trainer.optimizer.state
        moments = {name: {part: value.clone() for part, value in slots[weight].items()} if weight in slots else {}
                   for name, weight in trainer.model.named_parameters()}
        seen[trainer.progress.step] = {name: weight.clone() for name, weight in trainer.model.state_dict().items()}, moments
        return False

    finish(config(balancing=balancing), tmp_path, between_steps=look)
    for name in (name for name in seen[0][0] if name.startswith("encoder")):
        assert torch.equal(seen[0][0][name], seen[5][0][name]) and not seen[5][1].get(name), name
    heads = [name for name in seen[0][0] if name.startswith("heads")]
    assert heads and not any(torch.equal(seen[4][0][name], seen[5][0][name]) for name in heads)
    moved = [name for name in seen[0][0] if name.startswith("encoder") and not torch.equal(seen[5][0][name], seen[7][0][name])]
    assert moved and all(seen[7][1][name]["step"] == 2 for name in moved if name in seen[7][1])


def test_an_evaluation_that_is_asked_for_may_be_the_best_and_counts_for_patience(config, finish, tmp_path):
    asked = [Steered(step, evaluate=True) for step in (0, 1, 2, 4, 5, 6)]
    events = finish(config(patience=0), tmp_path / "all", between_steps=ask(*asked))
    assert [seen.step for seen in of(Evaluated, events)] == [0, 1, 2, 4, 5, 6, 8]  # those of steps 0 and 4 are made anyway
    best = max(of(Evaluated, events)[1:], key=lambda seen: seen.score)
    assert read_facts(tmp_path / "all" / BEST)["step"] == best.step
    frozen = [Steered(0, rate=0.0), *(Steered(step, evaluate=True) for step in (1, 2, 3))]  # no score is better than the first
    ended = finish(config(patience=2), tmp_path / "early", between_steps=ask(*frozen))
    assert ended[-1].message.startswith("Finished early, after 2 evaluations without a better score, at step 3.")
    again = finish(config(patience=2, steering=tuple(frozen)), tmp_path / "again")
    assert curves(again) == curves(ended)


def test_a_checkpoint_that_is_asked_for_changes_nothing_else(config, finish, tmp_path):
    def save(trainer) -> bool:
        trainer.steering.wants_checkpoint = trainer.progress.step in (0, 3) and not (tmp_path / "saved" / LAST).exists()
        return False

    events = finish(config(), tmp_path / "saved", between_steps=save)
    assert [event.step for event in of(CheckpointSaved, events) if event.name == LAST] == [0, 4, 8] and not of(Steered, events)
    finish(config(), tmp_path / "plain")
    assert have_the_same_end(tmp_path / "plain", tmp_path / "saved")


def test_whoever_waits_between_two_steps_is_asked_again_after_a_change_before_the_next_step(config, finish, tmp_path):
    calls = []

    def wait(trainer) -> bool:  # as a pause does, which lets changes through
        calls.append(trainer.progress.step)
        if calls.count(3) in (1, 2) and calls[-1] == 3:
            trainer.steering.ask(Steered(0, {"class": 0.5 * calls.count(3)}, evaluate=calls.count(3) == 2))
        return False

    events = finish(config(), tmp_path, between_steps=wait)
    assert calls == [0, 1, 2, 3, 3, 3, 4, 5, 6, 7]
    assert of(Steered, events) == [Steered(3, {"class": 0.5}), Steered(3, {"class": 1.0}, evaluate=True)]
    places = [events.index(event) for event in (*of(Steered, events), next(seen for seen in of(Evaluated, events) if seen.step == 3))]
    assert places == sorted(places) and events[places[0] - 1].step == 3  # the steps before it were reported first


# The same run again


@pytest.mark.parametrize("balancing", ["even", "equal", "pcgrad"])
def test_a_run_that_plans_the_changes_of_another_one_is_the_same_bit_for_bit_also_in_pieces(balancing, config, finish, tmp_path):
    live = finish(config(balancing=balancing), tmp_path / "live", between_steps=ask(*CHANGES))
    assert of(Steered, live) == CHANGES
    finish(config(balancing=balancing), tmp_path / "plain")
    assert not same(weights(tmp_path / "live"), weights(tmp_path / "plain"))

    planned = config(balancing=balancing, steering=tuple(CHANGES))
    assert curves(finish(planned, tmp_path / "planned")) == curves(live)
    for name in ("planned", "pieces"):
        for stop in (3, 5, 7, -1) if name == "pieces" else ():
            for event in finish(planned, tmp_path / name, resume=stop != 3, between_steps=stop_at(stop)):
                EventLog(tmp_path / name / "events.jsonl").append(event)
        assert have_the_same_end(tmp_path / "live", tmp_path / name), name
    history = read_history(Run(tmp_path / "pieces"))
    assert history.steered == CHANGES  # nothing is logged twice
    assert [event for _, event in history.marks if event in CHANGES] == CHANGES


@pytest.mark.parametrize(("killed_at", "resumes_from"), [(3, 0), (6, 5), (7, 5)])
def test_a_run_killed_between_two_changes_makes_them_again_at_their_steps_and_ends_like_one_that_was_not(
        killed_at, resumes_from, config, finish, tmp_path):
    """The evaluation after step 5 saves a checkpoint; so does the one after step 4."""
    settings = config(eval_every=99, steering=())
    finish(settings, tmp_path / "calm", between_steps=ask(*CHANGES))
    run = create_run(tmp_path, settings)
    if not (pid := os.fork()):
        class Control:
            """Steers, and waits to be killed."""

            can_interrupt_preparing, save_every, stopped, steer = False, 1e9, False, staticmethod(ask(*CHANGES))

            def between_steps(self, trainer) -> bool:
                if trainer.progress.step == killed_at:
                    (run.folder / "here").touch()
                    time.sleep(600)
                return self.steer(trainer)

        run_training(run, resume=False, control=Control())
        os._exit(1)
    while not (run.folder / "here").exists():
        assert os.waitpid(pid, os.WNOHANG) == (0, 0)
        time.sleep(0.02)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    done = [change for change in CHANGES if change.step < killed_at]
    assert read_history(run).steered == done
    assert run_training(run, resume=True, control=_rest(CHANGES[len(done):])) == "finished"
    assert read_history(run).started.step == resumes_from
    assert have_the_same_end(tmp_path / "calm", run.folder) and read_history(run).steered == CHANGES

    repeated = create_run(tmp_path, config(eval_every=99, steering=changes_of(run)))
    assert run_training(repeated, resume=False) == "finished"
    assert have_the_same_end(repeated.folder, run.folder) and read_history(repeated).steered == CHANGES


def _rest(changes):
    from mtl.runs.stop import StopControl

    control = StopControl()
    control.between_steps = ask(*changes)
    return control


def test_a_change_that_was_logged_but_not_made_yet_is_made_after_the_resume(config, finish, tmp_path):
    finish(config(), tmp_path / "calm", between_steps=ask(Steered(5, {"class": 0.0}, evaluate=True)))
    finish(config(), tmp_path / "cut", between_steps=stop_at(5))
    EventLog(tmp_path / "cut" / "events.jsonl").append(Steered(5, {"class": 0.0}, evaluate=True))  # then it was killed
    events = finish(config(), tmp_path / "cut", resume=True)
    assert not of(Steered, events) and [seen.step for seen in of(Evaluated, events)] == [5, 8]
    assert have_the_same_end(tmp_path / "calm", tmp_path / "cut")


# What does not fit


def test_changes_of_other_tasks_are_refused_before_the_first_step(config, finish, tmp_path):
    with pytest.raises(MtlError, match="Steering: there is no task 'mood' to steer after step 3. The trained tasks are: class, "):
        finish(config(steering=(Steered(3, {"mood": 2.0}),)), tmp_path)


def test_what_holds_at_a_step_is_what_was_said_last_and_an_evaluation_is_only_there():
    changes = [Steered(9, rate=3.0), Steered(4, {"a": 0.5}, evaluate=True), Steered(4, {"a": 2.0, "b": 0.0}, 0.5), Steered(6, frozen=True)]
    assert in_force(changes, 3) == Steered(3, {}, 1.0, False)
    assert in_force(changes, 4) == Steered(4, {"a": 2.0, "b": 0.0}, 0.5, False, evaluate=True)
    assert in_force(changes, 7) == Steered(7, {"a": 2.0, "b": 0.0}, 0.5, True)
    assert in_force(changes, 99).rate == 3.0


def test_a_plan_and_a_log_that_has_a_part_of_it_are_one_list_with_a_change_a_step():
    planned = [Steered(2, rate=2.0), Steered(2, rate=3.0), Steered(8, frozen=True)]
    logged = [Steered(2, rate=3.0), Steered(2, {"a": 2.0}), Steered(5, evaluate=True)]
    assert merged(planned, logged) == [Steered(2, {"a": 2.0}, 3.0), Steered(5, evaluate=True), Steered(8, frozen=True)]
