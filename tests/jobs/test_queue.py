"""The worker thread and the hand on it: queue, pause, resume, stop, owners, and predictions that leave the training as it was."""

import math
import re
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress
from dataclasses import replace
from itertools import product
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file

from mtl.errors import MtlError
from mtl.jobs import control
from mtl.jobs.control import JobControl
from mtl.jobs.job import Job
from mtl.jobs.queue import Jobs
from mtl.model.machine import Machine
from mtl.runs.events import StepDone
from mtl.runs.folder import Limits, Run, create_run
from mtl.runs.history import YIELDED, read_history
from mtl.settings.config import RunConfig, make_config
from mtl.training import execute, loop, step
from mtl.training.pace import Pace
from mtl.ui.status import facts, run_name
from tests.watcher import wait, wait_for_step

KEY = "the owner's key"


@pytest.fixture
def yields_at_once(monkeypatch):
    """A paused run gives its place up as soon as somebody waits."""
    monkeypatch.setattr(control, "PAUSE_YIELDS", 0.0)
    monkeypatch.setattr(control, "PAUSE_CHECK", 0.01)


def told(*of) -> str:
    """The facts that the page tells."""
    return ", ".join(facts(*of))


def start_and_pause(jobs: Jobs, config: RunConfig) -> Run:
    """A run that has taken some steps and is paused."""
    run = jobs.start(config, KEY)
    wait_for_step(jobs, run.id, 3)
    jobs.pause(run.id, KEY)
    wait(jobs, run.id, "paused")
    return run


def have_the_same_weights(*runs: Run) -> bool:
    """Whether the last checkpoints agree bit for bit."""
    first, second = (load_file(run.folder / "last" / "model.safetensors") for run in runs)
    return all(torch.equal(value, second[name]) for name, value in first.items())


def test_runs_are_trained_one_after_another_in_the_order_they_came(jobs, tiny_config):
    runs = [jobs.start(tiny_config(seed=seed), KEY) for seed in (1, 2, 3)]
    assert [jobs.ahead(run.id) for run in runs] == [0, 1, 2]
    for run in runs:
        wait(jobs, run.id, "finished")
    begun = [next(at.time for at in jobs.history(run.id).entries if getattr(at.event, "status", "") == "running") for run in runs]
    ended = [jobs.history(run.id).entries[-1].time for run in runs]
    assert begun[1] >= ended[0] and begun[2] >= ended[1]


def test_the_same_start_pressed_twice_is_one_run_and_one_that_waits_and_is_stopped_leaves_the_queue(jobs, tiny_config):
    first = jobs.start(tiny_config(epochs=200), KEY)
    assert jobs.start(tiny_config(epochs=200), KEY) == first
    second = jobs.start(tiny_config(epochs=200), "another key")
    assert second != first
    jobs.stop(second.id, "another key")
    assert jobs.history(second.id).status == "stopped" and not jobs.has(second.id) and jobs.has(first.id)


def test_a_paused_run_takes_no_step_until_it_is_resumed(jobs, tiny_config):
    run = start_and_pause(jobs, tiny_config(epochs=400, eval_every=10_000))
    step = jobs.history(run.id).step
    assert jobs.snapshot(run.id).step == jobs.snapshot(run.id).step == step  # the trainer itself makes them, where it stands
    jobs.resume(run.id, KEY)
    wait(jobs, run.id, "running")
    wait_for_step(jobs, run.id, step + 3)


def test_a_paused_run_gives_its_place_to_one_that_waits_and_ends_bit_for_bit_like_one_left_alone(jobs, tiny_config, yields_at_once):
    config = tiny_config(epochs=12, eval_every=10_000)
    run = start_and_pause(jobs, config)
    step = jobs.history(run.id).step
    assert jobs.yields_in() is None  # nobody waits: it may stay for ever
    calm = jobs.start(config, "somebody else")
    wait(jobs, calm.id, "finished")
    paused = jobs.history(run.id)
    assert (paused.status, paused.state, paused.step, paused.checkpoints["last"]) == (YIELDED, "paused", step, step)
    assert f"Resume goes on from step {step}" in paused.message and not jobs.has(run.id)
    jobs.resume(run.id, KEY)
    wait(jobs, run.id, "finished")
    assert have_the_same_weights(run, calm)


def test_a_paused_run_keeps_its_place_for_a_while_and_the_page_of_one_that_waits_shows_how_long(jobs, tiny_config):
    run = start_and_pause(jobs, tiny_config(epochs=400))
    waiting = jobs.start(tiny_config(seed=2), "somebody else")
    assert 0 < jobs.yields_in() <= control.PAUSE_YIELDS
    shown = told(jobs.history(waiting.id), jobs.ahead(waiting.id), 41.7)
    assert "1 run ahead; the one in training is paused and lets the next one train in 42 s" in shown
    assert "in 42 s it is saved and lets the next run train" in told(jobs.history(run.id), 0, 41.7)
    jobs.resume(run.id, KEY)
    wait(jobs, run.id, "running")
    assert jobs.yields_in() is None and "paused" not in told(jobs.history(waiting.id), 1, jobs.yields_in())


def test_a_public_host_ends_long_pauses_even_if_nobody_waits(tmp_path, tiny_config, yields_at_once):
    jobs = Jobs(tmp_path, Limits(pause=0.001))
    run = start_and_pause(jobs, tiny_config(epochs=400))
    wait(jobs, run.id, YIELDED)
    jobs.close()
    later = Jobs(tmp_path)  # after a restart it is paused still, and goes on
    assert later.history(run.id).state == "paused"
    later.resume(run.id, KEY)
    wait_for_step(later, run.id, later.history(run.id).checkpoints["last"] + 1)
    later.close()


def test_a_press_while_a_paused_run_gives_its_place_up_is_not_lost(tmp_path):
    hand = JobControl(create_run(tmp_path, make_config({})), Limits(pause=0.0))
    trained = SimpleNamespace(progress=SimpleNamespace(step=7, seconds=1.0), report=lambda: None, steering=SimpleNamespace(is_asked=False))
    hand.set_paused(True)
    assert hand.between_steps(trained) and hand.has_yielded and hand.stopped
    with pytest.raises(MtlError, match="Press Resume again in a moment"):  # or the press would be lost
        hand.set_paused(False)
    hand.stop()
    assert not hand.has_yielded  # who presses Stop meanwhile gets a stopped run


def test_the_step_of_a_long_run_is_the_true_one_between_the_steps_that_are_logged_and_a_pause_logs_it(jobs, tiny_config, monkeypatch):
    monkeypatch.setattr(step, "LOGGED_STEPS", 1)
    monkeypatch.setattr(step, "LOGGED_AFTER", math.inf)
    run = jobs.start(tiny_config(epochs=10_000, batch_size=4, eval_every=1_000_000), KEY)
    wait_for_step(jobs, run.id, 1)
    assert "getting ready" not in told(jobs.history(run.id), 0)
    wait_for_step(jobs, run.id, 5)
    assert [step.step for step in read_history(run).steps] == [1]
    jobs.pause(run.id, KEY)
    wait(jobs, run.id, "paused")
    at = jobs.snapshot(run.id).step
    assert at >= 5 and jobs.history(run.id).step == at
    assert [step.step for step in read_history(run).steps] == [1, at], "what the log tells who trains elsewhere"


def test_predicting_from_live_weights_leaves_the_training_bit_for_bit_as_it_was(jobs, tiny_config, monkeypatch):
    monkeypatch.setattr(control, "FRESH", 0.0)  # a new copy each time
    config = tiny_config(epochs=12, eval_every=10_000)
    asked, left_alone = jobs.start(config, KEY), jobs.start(config, "somebody else")
    steps, texts = [], ["Anna flew to Oslo with Acme Group.", "The soup was great!"]
    while jobs.has(asked.id):
        with suppress(MtlError):  # it has no model yet, or no more
            snapshot = jobs.snapshot(asked.id)
            before = {name: value.clone() for name, value in snapshot.predictor.model.state_dict().items()}
            assert [answer.text for answer in snapshot.predictor.predict(texts)] == texts
            assert all(torch.equal(value, before[name]) for name, value in snapshot.predictor.model.state_dict().items())
            steps.append(snapshot.step)
    wait(jobs, left_alone.id, "finished")
    assert len(set(steps)) > 3 and steps == sorted(steps)
    assert have_the_same_weights(asked, left_alone)


def test_a_snapshot_of_a_paused_run_is_the_weights_of_its_step_and_stopped_and_resumed_it_ends_like_one_left_alone(jobs, tiny_config):
    config = tiny_config(epochs=12, eval_every=10_000)
    run, calm = start_and_pause(jobs, config), jobs.start(config, "somebody else")
    snapshot = jobs.snapshot(run.id)
    jobs.stop(run.id, KEY)
    wait(jobs, run.id, "stopped")
    assert snapshot.step == jobs.history(run.id).checkpoints["last"]
    saved = load_file(run.folder / "last" / "model.safetensors")
    assert all(torch.equal(value, saved[name]) for name, value in snapshot.predictor.model.state_dict().items())
    jobs.resume(run.id, KEY)
    for one in (run, calm):
        wait(jobs, one.id, "finished")
    assert have_the_same_weights(run, calm)  # bit for bit


def test_an_older_snapshot_is_handed_out_at_once_while_the_next_is_made_and_a_fresh_one_is_kept(make_model, tiny, tmp_path, monkeypatch):
    trained = SimpleNamespace(progress=SimpleNamespace(step=1, seconds=0.0), model=make_model(), tokenizer=tiny[1],
                              machine=Machine("cpu", "fp32", 1))
    hand = JobControl(create_run(tmp_path, make_config({})), Limits())
    with ThreadPoolExecutor() as pool:
        asked = pool.submit(hand.snapshot)
        while not asked.done():
            hand.between_steps(trained)

    def after_step(number: int, fresh: float) -> int:
        """The step of the weights that are handed out then."""
        monkeypatch.setattr(control, "FRESH", fresh)
        trained.progress.step = number
        hand.between_steps(trained)
        return hand.snapshot().step

    assert after_step(1, 0.0) == 1, "the weights are the same"
    assert after_step(2, 0.0) == 1  # nobody had asked after step 1; nobody waits now
    assert after_step(3, 0.0) == 3
    assert [after_step(number, 60.0) for number in (4, 5)] == [3, 3], "a fresh one is not copied anew"


def test_only_the_owner_can_change_a_run_and_nobody_one_that_does_not_exist(jobs, tiny_config):
    run = jobs.start(tiny_config(epochs=200), KEY)
    acts = jobs.pause, jobs.resume, jobs.stop, jobs.delete
    for act, key in product(acts, ("", "a guess", run.id)):
        with pytest.raises(MtlError, match="not started in this browser"):
            act(run.id, key)
    assert jobs.history(run.id).status in ("queued", "running")
    for act, run_id in product((lambda run_id, key: jobs.history(run_id), *acts), ("", "..", "../secret", "20260101-000000-" + "0" * 32)):
        with pytest.raises(MtlError, match="no such run"):
            act(run_id, KEY)


def test_a_queued_run_is_told_how_long_the_one_in_training_still_needs(jobs, tiny_config):
    assert jobs.seconds_left() is None
    first = jobs.start(tiny_config(epochs=2000), KEY)
    wait_for_step(jobs, first.id, 2)
    second = jobs.start(tiny_config(), KEY)
    shown = told(jobs.history(second.id), jobs.ahead(second.id), jobs.yields_in(), jobs.seconds_left())
    assert re.search(r"1 run ahead; the one in training has about .+ left", shown), shown
    jobs.stop(first.id, KEY)


def test_a_learning_rate_out_of_this_world_fails_with_its_step_and_task_and_keeps_what_was_saved(jobs, tiny_config):
    run = jobs.start(tiny_config(learning_rate=1e9, head_learning_rate=1e9, warmup=0.0, epochs=40, checkpoint_every=1), KEY)
    wait(jobs, run.id, "failed")
    message = jobs.history(run.id).message
    assert message.startswith("Step ") and "is not a number any more" in message and "'" in message and "learning rate" in message
    assert all(value.isfinite().all() for value in load_file(run.folder / "last" / "model.safetensors").values())


def test_an_app_that_ends_saves_the_run_in_work_and_keeps_the_waiting_ones_to_be_resumed(jobs, tiny_config):
    first, second = jobs.start(tiny_config(epochs=400), KEY), jobs.start(tiny_config(seed=2), KEY)
    wait_for_step(jobs, first.id, 3)
    jobs.close()
    later = Jobs(jobs.root)
    assert (later.history(first.id).status, later.history(second.id).status) == ("stopped", "interrupted")
    assert later.history(first.id).checkpoints["last"] == later.history(first.id).step
    later.resume(second.id, KEY)
    wait(later, second.id, "finished")
    later.close()


def test_a_manifest_that_says_nothing_is_damage_and_training_starts_again(jobs, tiny_config):
    run = create_run(jobs.root, tiny_config(), KEY)
    (run.folder / "last").mkdir()
    (run.folder / "last" / "manifest.json").write_text("{}")
    jobs.resume(run.id, KEY)
    wait(jobs, run.id, "finished")
    assert any("damaged" in getattr(at.event, "message", "") for at in read_history(run).entries)


def test_a_run_of_the_terminal_is_watched_but_not_touched_while_its_process_has_it(jobs, tiny_config):
    run = create_run(jobs.root, tiny_config())
    with run.hold():
        assert jobs.history(run.id).status == "queued"
        with pytest.raises(MtlError, match="terminal"):
            jobs.stop(run.id, KEY)
        with pytest.raises(MtlError, match="queued"):
            jobs.resume(run.id, KEY)
    assert jobs.history(run.id).status == "interrupted"
    jobs.resume(run.id, KEY)
    wait(jobs, run.id, "finished")


def test_a_stop_is_obeyed_while_the_data_are_still_read(jobs, tiny_config, monkeypatch):
    def read_for_ever(config, folder, *, progress, **how):
        while True:
            progress("Reading", 0.5)
            time.sleep(0.01)
        yield

    monkeypatch.setattr(execute, "train", read_for_ever)
    monkeypatch.setattr(execute, "PROGRESS_EVERY", 0.0)
    run, waiting = (jobs.start(tiny_config(seed=seed), KEY) for seed in (1, 2))
    while jobs.history(run.id).preparing is None:
        time.sleep(0.01)
    monkeypatch.undo()
    jobs.stop(run.id, KEY)
    wait(jobs, run.id, "stopped")
    assert "Resume begins anew" in jobs.history(run.id).message
    wait(jobs, waiting.id, "finished")
    jobs.resume(run.id, KEY)
    wait(jobs, run.id, "finished")


def test_a_run_is_deleted_when_it_is_over_and_whoever_presses_on_it_later_reads_why_nothing_happens(jobs, tiny_config):
    run = jobs.start(tiny_config(), KEY)
    with pytest.raises(MtlError, match="still going"):
        jobs.delete(run.id, KEY)
    wait(jobs, run.id, "finished")
    for act in (jobs.pause, jobs.stop):
        with pytest.raises(MtlError, match="This run is finished and not in training any more"):
            act(run.id, KEY)
    jobs.delete(run.id, KEY)
    assert not run.folder.exists()
    with pytest.raises(MtlError, match="no such run"):
        jobs.history(run.id)
    for act in (jobs.pause, jobs.stop, jobs.resume, jobs.delete):
        with pytest.raises(MtlError, match="no such run here. It was deleted"):
            act(run.id, KEY)


def test_a_press_just_when_a_run_has_ended_is_obeyed_or_refused_but_never_lost(jobs, tiny_config, monkeypatch):
    train = Job.train
    monkeypatch.setattr(Job, "train", lambda job: (train(job), time.sleep(1)))  # its end is in the log long before
    run = jobs.start(config := tiny_config(epochs=3000), KEY)
    wait_for_step(jobs, run.id, 1)
    for act, words in {jobs.pause: "stopped and not in training", jobs.stop: "stopped and not in training", jobs.resume: ""}.items():
        jobs.stop(run.id, KEY)
        wait(jobs, run.id, "stopped")
        assert jobs.has(run.id)
        with pytest.raises(MtlError, match=words) if words else nullcontext():
            act(run.id, KEY)
        if words:
            jobs.resume(run.id, KEY)
        wait(jobs, run.id, "running")
    jobs.stop(run.id, KEY)
    wait(jobs, run.id, "stopped")
    assert jobs.start(config, KEY).id != run.id, "no second click on the first one"
    wait(jobs, run.id, "stopped")
    jobs.delete(run.id, KEY)


def test_a_public_host_begins_no_run_on_a_nearly_full_disk_and_ends_long_runs_with_a_word_and_a_checkpoint(tmp_path, tiny_config):
    with pytest.raises(MtlError, match="GB of the disk is free"):
        Jobs(tmp_path, Limits(free_disk=1e9)).start(tiny_config(), KEY)
    assert not list(tmp_path.iterdir())
    jobs = Jobs(tmp_path, Limits(minutes=0.005, runs=1))
    run = jobs.start(tiny_config(epochs=2000), KEY)
    with pytest.raises(MtlError, match="You have 1 run in"):
        jobs.start(tiny_config(seed=2), KEY)
    wait(jobs, run.id, "stopped")
    history = jobs.history(run.id)
    assert any("may train for" in getattr(at.event, "message", "") for at in history.entries)
    assert history.checkpoints["last"] == history.step > 0
    jobs.close()


def test_runs_with_bad_data_or_damaged_settings_fail_with_a_sentence_and_the_next_one_is_trained(jobs, tiny_config, tmp_path):
    (tmp_path / "bad.csv").write_text("text,topic\nonly one label,a\nhere,a\n")
    first, bad = jobs.start(tiny_config(epochs=30), KEY), tiny_config(source="files", train_files=(str(tmp_path / "bad.csv"),))
    damaged, bad, last = (jobs.start(config, KEY) for config in (tiny_config(seed=2), bad, tiny_config(seed=3)))
    (damaged.folder / "config.json").write_text("{")
    jobs.stop(first.id, KEY)
    for run, message in ((damaged, "config.json"), (bad, "bad.csv: task 'topic' has one label, 'a'")):
        wait(jobs, run.id, "failed")
        assert message in jobs.history(run.id).message
    wait(jobs, last.id, "finished")
    assert "cannot be read" in run_name(damaged) and "hypothetical data" in run_name(last)  # and the page's menu still opens


def test_a_rehearsal_takes_the_first_step_of_a_run_of_which_nothing_stays(monkeypatch, tiny_config, tmp_path):
    seen = []
    monkeypatch.setattr(execute, "make_config", lambda values: tiny_config())
    monkeypatch.setattr(execute, "train", lambda *given, **how: (seen.append(event) or event for event in loop.train(*given, **how)))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    pace = execute.rehearse(lambda: False)
    assert 0 < pace.reading < pace.training < 1
    assert isinstance(seen[-1], StepDone) and not any(tmp_path.iterdir())
    seen.clear()
    assert execute.rehearse(lambda: True) is None
    assert len(seen) == 1 and not any(tmp_path.iterdir())


def test_a_run_that_is_asked_for_during_the_rehearsal_ends_it_and_the_pace_is_measured_after_the_run(jobs, monkeypatch, tiny_config):
    begun, ended = threading.Event(), threading.Event()

    def rehearse(is_called):
        if ended.is_set():
            return Pace("cpu", 6e-4, 2e-4, 0.01, 0.3, 0.6, has_int8=True)
        begun.set()
        while not is_called():
            time.sleep(0.01)
        ended.set()
        return None

    monkeypatch.setattr(execute, "rehearse", rehearse)
    jobs.prepare()
    assert begun.wait(30) and not ended.is_set()
    wait(jobs, jobs.start(tiny_config(), KEY).id, "finished")
    assert ended.is_set()
    while not jobs.pace:
        time.sleep(0.01)


def test_the_minutes_of_the_recipes_are_unknown_at_first_then_those_of_the_machine_and_corrected_by_a_run(jobs, monkeypatch, tiny_config):
    config, pace = RunConfig(), Pace("cpu", 6e-4, 2e-4, 0.01, 0.3, 0.6, has_int8=True)
    assert jobs.recipe_seconds(config, 1867, 306, 29.0) == {"quick": None, "balanced": None, "thorough": None}
    monkeypatch.setattr(execute, "rehearse", lambda is_called: pace)
    jobs.prepare()
    while not jobs.pace:
        time.sleep(0.01)
    found = jobs.recipe_seconds(config, 1867, 306, 29.0)
    assert found["quick"] < found["balanced"] / 2 and found["balanced"] < found["thorough"] / 2
    assert jobs.recipe_seconds(config, 0, 0, 0.0)["quick"] is None  # the data are not read yet
    monkeypatch.setattr(Pace, "corrected", lambda self, config, history: replace(self, training=history.steps[-1].step))
    wait(jobs, jobs.start(tiny_config(max_steps=7), KEY).id, "finished")
    assert jobs.pace.training == 7


def test_who_asks_a_model_while_the_worker_still_loads_its_libraries_waits_for_them(tmp_path):
    code = ("import sys\nfrom pathlib import Path\nfrom mtl.jobs.queue import Jobs\njobs = Jobs(Path(sys.argv[1]))\njobs.prepare()\n"
            "assert not jobs._loaded.is_set()\njobs.loaded()\nfrom mtl.inference.predictor import Predictor\n"
            "assert 'mtl.training.execute' in sys.modules\njobs.close()")
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stderr
