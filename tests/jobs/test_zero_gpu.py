"""Bursts on a GPU that is lent for seconds: how long, what becomes of a run, whatever happens to the GPU. The page and the real package
`spaces` are in tests/ui/test_zero_gpu.py."""

import threading
import time
from dataclasses import asdict
from types import SimpleNamespace

import pytest

from mtl.errors import MtlError
from mtl.jobs import models, zero_gpu
from mtl.jobs.models import ask
from mtl.jobs.queue import Jobs
from mtl.jobs.zero_gpu import FIRST, MOST, STOP, burst_seconds
from mtl.model import machine
from mtl.model.machine import Machine
from mtl.runs.events import CheckpointSaved, LogReader, Notice, StatusChanged
from mtl.runs.folder import Run, on_zero_gpu
from mtl.runs.history import History, read_history
from mtl.training import saving
from tests.watcher import wait_for_step

KEY = "the owner's key"


@pytest.fixture
def lent(monkeypatch):
    """A function that replaces what happens in the lent process."""
    return lambda train: monkeypatch.setattr(zero_gpu, "_train_on_gpu", train)


def a_gpu_that_is_cut(error: Exception, steps: int = 0):
    """Trains so many steps, saves, and then raises what `spaces` raises when the process is killed or no GPU was lent."""
    def train(folder, seconds):
        if steps:
            run = Run(folder)
            run.log.append(CheckpointSaved(steps, "last", 0.1))
            run.log.append(StatusChanged("running"))
        raise error
    return train


def began(history: History, device: str, at: int, **changes) -> History:
    """`history` after a burst on `device` began at step `at`."""
    history.started = SimpleNamespace(step=at, device=device, total_steps=1000, **changes)
    return history


def test_the_first_burst_asks_for_a_minute_and_later_ones_for_what_is_left_at_the_pace_of_the_last():
    def steps(*done):
        return [SimpleNamespace(step=step, seconds=seconds) for step, seconds in done]

    assert burst_seconds(History()) == FIRST
    assert burst_seconds(began(History(steps=steps((10, 30.0), (20, 60.0))), "cpu", 0)) == FIRST  # a CPU says nothing of a GPU
    slow = steps((100, 300.0))  # what was trained on the CPU before
    assert burst_seconds(began(History(steps=slow), "cuda", 100)) == FIRST
    assert burst_seconds(began(History(steps=[*slow, *steps((110, 301.0), (600, 350.0))]), "cuda", 100)) == 66  # 400 steps, 0.1 s each
    assert burst_seconds(began(History(steps=[*slow, *steps((110, 301.0), (120, 350.0))]), "cuda", 100)) == MOST


@pytest.mark.parametrize(("value", "is_on"), [("true", True), ("True", True), ("1", True), ("t", True), ("", False), ("false", False),
                                              ("yes", False)])
def test_zero_gpu_is_recognised_as_the_package_spaces_does_and_only_a_forked_process_has_its_gpu(monkeypatch, value, is_on):
    from spaces.config import boolean

    monkeypatch.setenv("SPACES_ZERO_GPU", value)
    assert on_zero_gpu() == boolean(value) == is_on
    monkeypatch.setattr(machine.torch.cuda, "is_available", lambda: True)  # as `spaces` makes torch say
    assert machine.has_gpu() != is_on
    monkeypatch.setattr(machine, "parent_process", lambda: "the page's process")
    assert machine.has_gpu()


def test_a_run_that_is_sent_to_a_gpu_waits_for_its_burst_and_is_trained_by_it_to_the_end(jobs, tiny_config):
    run = jobs.start(tiny_config(), KEY, on_gpu=True)
    assert jobs.history(run.id).state == "paused" and not jobs.has(run.id)
    jobs.train_on_gpu(run.id, KEY)
    assert read_history(run).status == "finished" and not jobs.has(run.id) and not run.is_alive()
    with pytest.raises(MtlError, match="This run is finished: there is nothing to resume."):
        jobs.train_on_gpu(run.id, KEY)


def test_libraries_are_loaded_before_a_process_is_forked_that_needs_them(jobs, tiny_config, lent, monkeypatch):
    order = []
    monkeypatch.setattr(jobs, "loaded", lambda: order.append("loaded"))
    lent(lambda folder, seconds: order.append("forked") or "finished")
    jobs.train_on_gpu(jobs.start(tiny_config(), KEY, on_gpu=True).id, KEY)
    assert order == ["loaded", "forked"]


def test_a_burst_ends_when_the_process_of_the_page_is_gone_which_held_the_lock_of_the_run(tmp_path, monkeypatch):
    control = zero_gpu._Deadline(tmp_path, 1000)
    assert not control.stopped
    monkeypatch.setattr(zero_gpu.os, "getppid", lambda: 1)
    assert control.stopped


def test_a_burst_saves_often_and_ends_in_time_and_the_cpu_goes_on_from_there(jobs, tiny_config, monkeypatch):
    monkeypatch.setattr(zero_gpu, "FIRST", zero_gpu.CLOSING + 4)
    monkeypatch.setattr(zero_gpu._Deadline, "save_every", 0.1)
    run = jobs.start(tiny_config(epochs=2000), KEY, on_gpu=True)
    begun = time.monotonic()
    jobs.train_on_gpu(run.id, KEY)
    assert time.monotonic() - begun < 60
    history = read_history(run)
    assert history.state == "paused" and history.message == (f"The {zero_gpu.FIRST} s of this GPU are used. It goes on from step "
                                                             f"{history.step:,}, on a GPU or on the CPU.")
    logged = [entry.event for entry in LogReader(run.log.path).read()]
    assert len({event.step for event in logged if isinstance(event, CheckpointSaved) and event.name == "last"}) > 1
    jobs.resume(run.id, KEY)
    wait_for_step(jobs, run.id, history.step + 2)
    with pytest.raises(MtlError, match="This run is in training or waits already"):
        jobs.train_on_gpu(run.id, KEY)


@pytest.mark.parametrize(("error", "words"), [(RuntimeError("ZeroGPU API /schedule error: 500"), "ZeroGPU API /schedule error: 500"),
                                              (TimeoutError(), "TimeoutError")])
def test_a_gpu_that_is_refused_or_taken_away_is_told_in_words_and_what_was_saved_goes_on(jobs, tiny_config, lent, error, words):
    run = jobs.start(tiny_config(), KEY, on_gpu=True)
    lent(a_gpu_that_is_cut(error))
    jobs.train_on_gpu(run.id, KEY)
    said = f"The GPU was not lent, or was taken away: {words}."
    assert read_history(run).message == f"{said} It begins anew, on a GPU or on the CPU."
    lent(a_gpu_that_is_cut(error, steps=7))
    jobs.train_on_gpu(run.id, KEY)
    history = read_history(run)
    assert history.state == "paused" and history.message == f"{said} It goes on from step 7, on a GPU or on the CPU."


def test_pause_and_stop_reach_the_lent_process_also_before_it_has_begun(jobs, tiny_config, lent):
    run, real, begins, go = jobs.start(tiny_config(epochs=2000), KEY, on_gpu=True), zero_gpu._train, threading.Event(), threading.Event()

    def late(folder, seconds):
        begins.set()
        go.wait(30)
        return real(folder, seconds)

    lent(late)
    for press, status, words in ((jobs.pause, "paused", "Paused. It begins anew"), (jobs.stop, "stopped", "Stopped ")):
        begins.clear(), go.clear()
        burst = threading.Thread(target=jobs.train_on_gpu, args=(run.id, KEY))
        burst.start()
        assert begins.wait(30) and jobs.has(run.id) and jobs.ahead(run.id) == 0
        press(run.id, KEY)
        go.set()
        burst.join(30)
        history = read_history(run)
        assert history.state == status and words in history.message and not jobs.has(run.id)
    assert (run.folder / STOP).exists()  # and the next burst takes no notice of it
    lent(lambda folder, seconds: real(folder, 1000))
    burst = threading.Thread(target=jobs.train_on_gpu, args=(run.id, KEY))
    burst.start()
    deadline = time.monotonic() + 30
    while read_history(run).step < 3:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    jobs.pause(run.id, KEY)
    burst.join(30)
    assert read_history(run).message.startswith("Paused. It goes on from step ")


def test_data_that_cannot_be_read_end_the_run_before_a_gpu_is_asked_for(jobs, tiny_config, lent, monkeypatch):
    def refuse(*asked):
        raise MtlError("This file has no texts.")

    monkeypatch.setattr("mtl.jobs.zero_gpu.load_run", refuse)
    lent(lambda *asked: pytest.fail("a GPU was asked for"))
    run = jobs.start(tiny_config(), KEY, on_gpu=True)
    jobs.train_on_gpu(run.id, KEY)
    assert (read_history(run).status, read_history(run).message) == ("failed", "This file has no texts.")


def test_only_the_owner_may_spend_a_gpu_on_a_run_and_a_double_click_makes_one(jobs, tiny_config, lent):
    run, seen = jobs.start(tiny_config(), KEY, on_gpu=True), []
    with pytest.raises(MtlError, match="This run was not started in this browser"):
        jobs.train_on_gpu(run.id, "another")

    def train(folder, seconds):
        seen.append(jobs.start(tiny_config(), KEY, on_gpu=True).id)
        return "stopped"

    lent(train)
    jobs.train_on_gpu(run.id, KEY)
    assert seen == [run.id]


def test_a_resume_on_another_device_says_that_the_result_is_close_and_not_bit_for_bit(tmp_path, tiny_config, finish, monkeypatch):
    real = saving._surroundings
    monkeypatch.setattr(saving, "_surroundings", lambda trainer: real(trainer) | {"machine": asdict(Machine("cuda", "bf16", 1))})
    finish(tiny_config(), tmp_path, between_steps=lambda trainer: trainer.progress.step == 2)
    monkeypatch.setattr(saving, "_surroundings", real)
    notices = [event.message for event in finish(tiny_config(), tmp_path, resume=True) if isinstance(event, Notice)]
    assert any("another device" in message and "not bit for bit the same" in message for message in notices)


def test_on_zero_gpu_a_question_goes_to_a_gpu_and_to_the_cpu_if_none_is_lent(tmp_path, monkeypatch):
    monkeypatch.setattr(models, "on_zero_gpu", lambda: True)
    jobs, asked = Jobs(tmp_path), []

    def lend(*question):
        asked.append(question)
        return models._in_lent_process(*question)

    monkeypatch.setattr(models, "_answer_on_gpu", lend)
    there = ask(jobs, "starter", ["A fine day in Oslo."])
    assert len(asked) == 1 and there.model == "starter model"
    with pytest.raises(MtlError, match="The text is empty"):
        ask(jobs, "starter", [" "])
    assert ask(jobs, "starter", ["A fine day in Oslo."], "cpu").predicted == there.predicted and len(asked) == 2

    def refuse(*question):
        raise RuntimeError("No GPU was available")

    monkeypatch.setattr(models, "_answer_on_gpu", refuse)
    here = ask(jobs, "starter", ["A fine day in Oslo."])
    assert here.predicted == there.predicted and here.model == "starter model; no GPU was lent: No GPU was available"
