"""The page on a Space with ZeroGPU, in a real browser: the app in a process of its own, with the real package `spaces` and a device API on
loopback. The processes that it lends have a CPU in the place of the GPU."""

import os

import pytest

from mtl.runs.events import CheckpointSaved, LogReader, RunStarted, StatusChanged
from mtl.runs.folder import open_run
from tests import browser as web
from tests.browser import press, start_tiny, status, step, wait_for
from tests.fake_zero_gpu import FakeZeroGpu

SECONDS = 28  # of a burst
SENTENCE = "Honestly, the concert in Lisbon was superb!"


@pytest.fixture(scope="module")
def api():
    """The device API."""
    api = FakeZeroGpu()
    yield api
    api.close()


@pytest.fixture(autouse=True)
def willing(api):
    """At first it lends what it is asked for."""
    api.refusal, api.cut_after = "", 0.0


@pytest.fixture(scope="module")
def app(chromium, api, tmp_path_factory):
    """The app on such a Space."""
    app = web.App(tmp_path_factory.mktemp("app"))
    app.environment |= api.environment | {"FIRST_BURST": str(SECONDS), "SPACE_ID": "owner/space", "SPACE_HOST": "owner-space.hf.space"}
    app.start()
    yield app
    app.kill()


def said(page):
    """The run's state, in the words of the page."""
    return page.locator("#status").inner_text()


def can_press(page):
    """The names of the run's buttons that are enabled."""
    return {name for name in ("pause", "resume", "gpu", "stop", "delete") if page.locator(f"#{name}").is_enabled()}


def events(app, run_id):
    return [logged.event for logged in LogReader(open_run(app.runs, run_id).log.path).read()]


def burst_pid(app, api, run_id):
    """The process that trained last; it is the one that was let have the GPU."""
    pid = [event.pid for event in events(app, run_id) if isinstance(event, RunStarted)][-1]
    assert pid == int(api.last("/allow")["pid"]) and pid not in (app.pid, os.getpid())
    return pid


def test_the_start_is_reported_and_a_text_is_answered_in_a_process_that_has_the_gpu(api, app, open_page, new_person):
    assert api.asked[:1] == [("/startup-report", {})]
    page = open_page(new_person())
    web.open_tab(page, "Predict")
    assert "starter model" in web.ask(page, SENTENCE) and "no GPU" not in web.answered_by(page)
    assert api.count("/schedule") == api.count("/allow") == api.count("/release") == 1
    assert int(api.last("/allow")["pid"]) != app.pid
    for api.refusal, words in {"quota": "GPU limit", "busy": "No GPU was available", "down": "ZeroGPU API"}.items():
        about = web.ask(page, f"{api.refusal}: {SENTENCE}")
        assert "starter model; no GPU was lent" in about and words in about and "cpu" in about


def test_a_run_trains_in_bursts_on_gpus_that_are_lent_and_goes_on_after_each_of_their_ends(api, app, open_page, new_person):
    page, asked = open_page(new_person()), api.count("/schedule")
    run_id = start_tiny(page)
    wait_for("a step on the GPU", lambda: status(page) == "running" and step(page) > 0)
    first = burst_pid(app, api, run_id)
    assert api.count("/schedule") == asked + 1 and int(api.last("/schedule")["durationSeconds"]) >= SECONDS
    wait_for("the buttons", lambda: can_press(page) == {"pause", "stop"})

    wait_for("the end of the burst", lambda: status(page) == "paused")  # in time, by itself
    assert f"The {SECONDS} s of this GPU are used. It goes on from step " in said(page)
    wait_for("the buttons", lambda: can_press(page) == {"resume", "gpu", "delete"})
    wait_for("the release", lambda: api.count("/release") == api.count("/allow"))
    assert "fail" not in api.last("/release") or api.last("/release")["fail"] == "false"
    reached = step(page)

    press(page, "gpu", until="running")
    wait_for("another step", lambda: step(page) > reached + 1)
    begun = [event.step for event in events(app, run_id) if isinstance(event, RunStarted)]
    assert begun == [0, reached]
    press(page, "pause", until="paused")
    assert "Paused. It goes on from step" in said(page)

    api.cut_after = 18.0  # before its time is over
    press(page, "gpu", until="running")
    wait_for("the GPU to be taken away", lambda: status(page) == "paused" and "GPU task aborted" in said(page))
    api.cut_after = 0.0
    assert burst_pid(app, api, run_id) != first
    saved = max(event.step for event in events(app, run_id) if isinstance(event, CheckpointSaved) and event.name == "last")
    begun = [event.step for event in events(app, run_id) if isinstance(event, RunStarted)][-1]
    assert begun < saved  # not all of the burst is lost

    api.refusal = "quota"
    press(page, "gpu")
    wait_for("the refusal", lambda: status(page) == "paused" and "GPU limit" in said(page))
    api.refusal = ""
    press(page, "resume", until="running")
    wait_for("a step on the CPU", lambda: step(page) > saved)
    started = [event for event in events(app, run_id) if isinstance(event, RunStarted)][-1]
    assert started.pid == app.pid and started.device == "cpu" and started.step == saved
    press(page, "stop", until="stopped")
    press(page, "gpu", until="running")
    press(page, "stop", until="stopped")
    assert [event.status for event in events(app, run_id) if isinstance(event, StatusChanged)][-1] == "stopped"


def test_nobody_else_can_spend_on_a_run_of_mine(api, app, open_page, new_person):
    page, asked = open_page(new_person()), api.count("/schedule")
    run_id = start_tiny(page)
    wait_for("a step", lambda: step(page) > 0)
    other = open_page(new_person(viewport={"width": 1000, "height": 800}), run_id)
    wait_for("the run to be shown", lambda: status(other) == "running")
    assert not can_press(other)
    press(page, "stop", until="stopped")
    wait_for("the buttons", lambda: "gpu" in can_press(page))
    assert not can_press(other) and api.count("/schedule") == asked + 1
