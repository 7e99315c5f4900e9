"""mtl/jobs/steering.py: what is asked of a run in training holds from its next step on, and is refused with a reason where it cannot."""

import pytest
from safetensors.torch import load_file
from torch import equal

from mtl.comparing.plan import alone_plan
from mtl.errors import MtlError
from mtl.jobs.queue import Jobs
from mtl.jobs.steering import steer, why_not
from mtl.runs.events import StatusChanged
from mtl.runs.folder import Run
from mtl.runs.history import changes_of
from mtl.settings.steering import Steered
from tests.watcher import wait, wait_for_step

KEY = "the owner's key"


@pytest.fixture
def paused(jobs, tiny_config) -> Run:
    """A run that has taken some steps and is paused."""
    run = jobs.start(tiny_config(epochs=30, eval_every=10_000), KEY)
    wait_for_step(jobs, run.id, 3)
    jobs.pause(run.id, KEY)
    wait(jobs, run.id, "paused")
    return run


def wait_for_change(jobs: Jobs, run: Run, count: int) -> list[Steered]:
    while len(changes := jobs.history(run.id).steered) < count:
        wait(jobs, run.id, "running", "paused")
    return changes


def test_changes_during_a_pause_are_logged_at_once_and_the_run_can_be_repeated_bit_for_bit(jobs, paused):
    step = jobs.history(paused.id).step
    steer(jobs, paused.id, KEY, {"weights": {"class": 0.0}, "rate": 0.5})
    steer(jobs, paused.id, KEY, {"frozen": True, "evaluate": True})
    assert wait_for_change(jobs, paused, 2) == [Steered(step, {"class": 0.0}, 0.5), Steered(step, frozen=True, evaluate=True)]
    while jobs.history(paused.id).evaluations[-1].step != step:
        wait(jobs, paused.id, "paused")
    jobs.resume(paused.id, KEY)
    wait_for_step(jobs, paused.id, step + 3)
    steer(jobs, paused.id, KEY, {"weights": {"class": 2.0}, "frozen": False})
    last = wait_for_change(jobs, paused, 3)[-1]
    assert last.step > step and last.weights == {"class": 2.0}
    wait(jobs, paused.id, "finished")
    history = jobs.history(paused.id)
    statuses = [at.event.status for at in history.entries if isinstance(at.event, StatusChanged)]
    assert statuses == ["queued", "running", "paused", "running", "finished"]
    assert {done.weights["class"] == 0 for done in history.steps if step < done.step <= last.step} == {True}
    assert history.marks[0][0] == step and [event for _, event in history.marks if event == last]

    repeated = jobs.start(paused.config.model_copy(update={"steering": changes_of(paused)}), KEY)
    wait(jobs, repeated.id, "finished")
    one, other = (load_file(run.folder / "last" / "model.safetensors") for run in (paused, repeated))
    assert all(equal(weight, other[name]) for name, weight in one.items())
    assert [seen.step for seen in jobs.history(repeated.id).evaluations] == [seen.step for seen in history.evaluations]


def test_save_now_saves_a_checkpoint_and_is_no_change(jobs, paused):
    step = jobs.history(paused.id).step
    steer(jobs, paused.id, KEY, {"save": True})
    while jobs.history(paused.id).checkpoints.get("last") != step:
        wait(jobs, paused.id, "paused")
    assert not jobs.history(paused.id).steered and [seen.step for seen in jobs.history(paused.id).evaluations] == [0]


def test_a_run_that_stops_after_its_epoch_says_where_and_goes_on_from_there(jobs, paused):
    steer(jobs, paused.id, KEY, {"stop": True})
    steer(jobs, paused.id, KEY, {"stop": False})
    assert not jobs.history(paused.id).ends_epoch
    steer(jobs, paused.id, KEY, {"stop": True})
    assert jobs.history(paused.id).ends_epoch
    history = jobs.history(paused.id)
    end = -(-history.step // history.started.steps_per_epoch) * history.started.steps_per_epoch
    assert f"after step {end:,}." in history.entries[-1].event.message
    jobs.resume(paused.id, KEY)
    wait(jobs, paused.id, "stopped")
    assert jobs.history(paused.id).step == jobs.history(paused.id).checkpoints["last"] == end
    jobs.resume(paused.id, KEY)
    wait(jobs, paused.id, "finished")
    assert not jobs.history(paused.id).ends_epoch


def test_what_cannot_be_is_refused_with_the_reason_and_changes_nothing(jobs, paused, tiny_config):
    for wanted, reason in [({"weights": {"mood": 2.0}}, "there is no task 'mood'"),
                           ({"weights": {"class": 9.0}}, "found 9, wanted a number from 0 to 4"),
                           ({"rate": "much"}, "found 'much', wanted a number from 0 to 4"),
                           ({"weights": dict.fromkeys(("class", "sentiment", "entities"), 0.0)}, "Every task would have weight 0")]:
        with pytest.raises(MtlError, match=reason):
            steer(jobs, paused.id, KEY, wanted)
    with pytest.raises(MtlError, match="not started in this browser"):
        steer(jobs, paused.id, "another key", {"rate": 2.0})
    waiting = jobs.start(tiny_config(seed=2), KEY)
    with pytest.raises(MtlError, match="Only a run in training can be steered, and this one is queued."):
        steer(jobs, waiting.id, KEY, {"rate": 2.0})
    jobs.stop(waiting.id, KEY)
    jobs.stop(paused.id, KEY)
    wait(jobs, paused.id, "stopped")
    assert why_not(jobs, paused.id, KEY) == "Only a run in training can be steered, and this one is stopped."
    assert not jobs.history(paused.id).steered


def test_the_encoder_of_a_run_that_trains_only_heads_cannot_be_frozen(jobs, tiny_config):
    run = jobs.start(tiny_config(encoder="bundled", fine_tuning="heads", epochs=400, learning_rate=None, head_learning_rate=None), KEY)
    wait_for_step(jobs, run.id, 1)
    with pytest.raises(MtlError, match="its encoder is frozen anyway"):
        steer(jobs, run.id, KEY, {"frozen": True})


def test_a_run_of_a_comparison_is_not_steered_nor_are_changes_of_the_form_part_of_one(jobs, tiny_config):
    config = tiny_config(epochs=400, steering=(Steered(3, rate=0.5),))
    plan = alone_plan(config, 1)
    assert not any(member.config.steering for member in plan.members)
    comparison = jobs.start(config, KEY, plan)
    while not (member := comparison.plan.members[0].run):
        wait(jobs, comparison.id, "queued", "running")
    wait_for_step(jobs, member, 1)
    with pytest.raises(MtlError, match="part of a comparison"):
        steer(jobs, member, KEY, {"rate": 2.0})


def test_on_a_gpu_that_is_lent_and_in_another_program_a_run_cannot_be_steered(jobs, paused, monkeypatch):
    assert why_not(Jobs(jobs.root), paused.id, KEY).startswith("Another program trains this run")
    monkeypatch.setenv("SPACES_ZERO_GPU", "true")
    assert why_not(Jobs(jobs.root), paused.id, KEY).startswith("On ZeroGPU")
    assert not why_not(jobs, paused.id, KEY), "it trains here, on the CPU"
