"""mtl/ui/steer.py and mtl/ui/replay.py: what the feed says holds, the marks, and the changes that the form repeats."""

import json
from types import SimpleNamespace

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from mtl.errors import MtlError
from mtl.jobs.queue import Jobs
from mtl.runs.events import StatusChanged, StepDone
from mtl.runs.folder import create_run
from mtl.runs.history import read_history
from mtl.settings.steering import Steered
from mtl.ui.live import ADDRESS, Feed
from mtl.ui.runs_tab import differing
from mtl.ui.steer import in_force_now
from tests.watcher import started

HEBREW = "\u05e8\u05d2\u05e9 7"
CHANGES = [Steered(2, {"intent": 2.0, HEBREW: 0.5}), Steered(4, {"intent": 1.0}, 0.3, frozen=True, evaluate=True)]


@pytest.fixture
def run(tmp_path, tiny_config):
    """A run from the terminal, of which nothing is trained, with two changes in its log, the second after its last step."""
    run = create_run(tmp_path, tiny_config())
    for event in (started(tasks=("intent", HEBREW)), StatusChanged("running"), StepDone(2, 0.2, {}, 1e-4, 1.0, 9.0, 0.2), *CHANGES,
                  StepDone(3, 0.3, {}, 1e-4, 1.0, 9.0, 0.3)):
        run.log.append(event)
    return run


def test_the_feed_says_what_holds_now_and_has_a_mark_for_each_change(run, tmp_path):
    answer = TestClient(Starlette(routes=[Feed(Jobs(tmp_path)).route])).get(ADDRESS, params={"run": run.id}).json()
    assert answer["state"]["steering"]["tasks"] == [["intent", "intent", 2.0], [HEBREW, f"\u2068{HEBREW}\u2069", 0.5]]
    assert answer["state"]["steering"]["said"] == f"weight of intent × 2, weight of \u2068{HEBREW}\u2069 × 0.5"
    assert [mark[:2] for mark in answer["curves"]["marks"]] == [[2, "steered"], [4, "steered"]]
    run.log.append(StepDone(4, 0.4, {}, 1e-4, 1.0, 9.0, 0.4))
    assert in_force_now(read_history(run))["said"] == f"weight of \u2068{HEBREW}\u2069 × 0.5, learning rate × 0.3, encoder frozen"


def test_a_resume_before_a_change_keeps_it_and_its_mark_because_it_is_made_again(run):
    run.log.append(started(3, tasks=("intent", HEBREW)))
    history = read_history(run)
    assert history.steered == CHANGES and [(step, event) for step, event in history.marks if event in CHANGES] == [
        (change.step, change) for change in CHANGES]
    assert in_force_now(history)["rate"] == 1.0


def test_run_again_takes_the_changes_into_the_form_until_they_are_dropped(tabs, filled, tiny_config):
    run = create_run(tabs.jobs.root, tiny_config())
    run.log.append(started(tasks=("class",)))
    run.log.append(Steered(2, {"class": 2.0}))
    form = tabs.form
    shown = form.fill(run.id, with_changes=True)
    assert "Replays 1 change of that run" in shown[form.replay.line] and "weight of class × 2" in shown[form.replay.line]
    values = filled("hypothetical", rows="60") | {form.replay.plan: shown[form.replay.plan]}
    assert form.config(values).steering == (Steered(2, {"class": 2.0}),)
    with pytest.raises(MtlError, match="Steering: there is no task 'mood'"):
        form.config(values | {form.replay.plan: json.dumps([{"step": 2, "weights": {"mood": 2.0}}])})
    looked_at = form.fill(run.id)
    assert looked_at[form.replay.plan] == "" == looked_at[form.replay.line].strip()


def test_runs_side_by_side_differ_in_their_changes(tiny_config):
    rows = differing([tiny_config(), tiny_config(steering=tuple(CHANGES[1:]))])
    assert rows == [["Steering", "–", "Steered after step 4: weight of intent × 1, learning rate × 0.3, encoder frozen, evaluation."]]


def test_the_panel_says_why_a_run_cannot_be_steered(run, tmp_path):
    from mtl.ui.steer import SteerPanel

    panel = SimpleNamespace(page=SimpleNamespace(jobs=Jobs(tmp_path)))
    assert SteerPanel.why(panel, "", {"key": "k"}) == "There is no run yet."
    assert SteerPanel.why(panel, "gone", {"key": "k"}) == "There is no such run."
    assert "this one is interrupted" in SteerPanel.why(panel, run.id, {"key": "k"})
