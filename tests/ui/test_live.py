"""The live feed: every page gets all there is once, then only what is new, exactly; and whatever is asked is answered in words."""

from itertools import pairwise

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from mtl.jobs.queue import Jobs
from mtl.runs.events import Evaluated, GradientConflict, Notice, Pinned, StatusChanged, StepDone, Watched
from mtl.runs.folder import create_run, delete_run
from mtl.ui import live
from mtl.ui.live import ADDRESS, Feed, columns
from tests.watcher import started

HEBREW = "\u05e8\u05d2\u05e9 7"


@pytest.fixture
def run(tmp_path, tiny_config):
    """A run from the terminal, of which nothing is trained."""
    return create_run(tmp_path, tiny_config(name=f"<b>{HEBREW}</b>"))


@pytest.fixture
def ask(tmp_path, monkeypatch):
    """A function that asks the feed, which looks at the run each time."""
    monkeypatch.setattr(live, "FRESH", -1.0)
    client = TestClient(Starlette(routes=[Feed(Jobs(tmp_path)).route]))
    return lambda run_id, cursor="": client.get(ADDRESS, params={"run": run_id, "cursor": cursor})


def step(number: int, loss: float | None = 0.5) -> StepDone:
    return StepDone(number, number / 10, {"intent": loss}, 1e-4, 1.0, 100.0, number / 10, {"intent": 1.0})


def evaluated(number: int, split: str = "validation", score: float = 0.25) -> Evaluated:
    return Evaluated(number, number / 10, split, {"intent": 0.75}, {"intent": {"accuracy": score, "macro_f1": 0.1}}, 0.2, score, True, 1.0)


def log(run, *events) -> None:
    for event in events:
        run.log.append(event)


def test_a_page_that_asks_again_gets_what_is_new_and_nothing_twice(ask, run):
    log(run, started(), StatusChanged("running"), evaluated(0), step(1), step(2))
    first = ask(run.id).json()
    assert first["curves"]["reset"] and first["curves"]["tasks"] == [["intent", "accuracy"]]
    assert first["curves"]["train"] == {"step": [1, 2], "loss": [[0.5, 0.5]], "weight": [[1.0, 1.0]]}
    assert first["curves"]["full"] == {"step": [0], "loss": [[0.75]], "score": [[0.25]], "right": [[0.2]]}
    log(run, step(3, None), evaluated(3, "test"), evaluated(3), GradientConflict(3, {"intent": 2.0}, []))
    for _ in range(2):  # the first answer may be lost on the way
        new = ask(run.id, first["cursor"]).json()
        assert new["curves"] == {"train": {"step": [3], "loss": [[None]], "weight": [[1.0]]}, "gradient": {"step": [3], "norm": [[2.0]]},
                                 "full": {"step": [3], "loss": [[0.75]], "score": [[0.25]], "right": [[0.2]]}}
        assert new["state"]["step"] == 3 and new["news"] != first["news"]
    assert ask(run.id, new["cursor"]).status_code == 204
    assert ask(run.id, "nonsense").json()["curves"] == ask(run.id).json()["curves"]


def test_after_a_resume_from_an_earlier_step_a_page_starts_over(ask, run):
    log(run, started(), *map(step, range(1, 6)), StatusChanged("stopped", "By you."))
    before = ask(run.id).json()
    log(run, StatusChanged("queued"))
    assert "curves" not in ask(run.id, before["cursor"]).json()
    log(run, started(3), Notice("The rest is new."), *map(step, range(4, 9)))
    after = ask(run.id, before["cursor"]).json()["curves"]
    assert after["reset"] and after["train"]["step"] == list(range(1, 9))
    assert [mark[:2] for mark in after["marks"]] == [[3, "resumed"], [3, "notice"]]
    assert before["curves"]["marks"] == [[5, "stopped", "By you."]]


def test_a_long_run_of_many_tasks_takes_tens_of_kilobytes_at_first_and_two_when_little_is_new(ask, run):
    tasks = tuple(f"{HEBREW} {number}" for number in range(8))

    def done(number):
        return StepDone(number, 0.1, dict.fromkeys(tasks, 1 / 3), 1e-4, 1.0, 100.0, 1.0, dict.fromkeys(tasks, 1 / 7))

    log(run, started(0, 100_000, tasks=tasks), *map(done, range(100, 100_000, 100)))
    first = ask(run.id)
    assert len(first.content) < 60_000 and first.json()["curves"]["train"]["step"][-1] == 99_900
    log(run, done(100_000))
    new = ask(run.id, first.json()["cursor"])
    assert len(new.content) < 2048 and new.json()["curves"]["train"]["step"] == [100_000]


def test_a_point_that_stands_for_several_steps_is_their_mean_and_evaluations_keep_both_ends():
    steps = [step(number, number if number % 2 else None) for number in range(1, 1201)]
    few = columns(steps, {"loss": lambda one: [one.losses["intent"]]})
    assert few["step"] == list(range(4, 1201, 4)) and few["loss"][0][:2] == [2.0, 6.0]  # of 1 and 3, of 5 and 7
    looks = columns([evaluated(number) for number in range(5000)], {"score": lambda one: [one.score]})["step"]
    assert (looks[0], looks[-1], len(looks)) == (0, 4999, live.POINTS) and {late - early for early, late in pairwise(looks)} <= {16, 17}


def test_what_users_wrote_is_data_and_kept_apart_from_the_words_around_it(ask, run):
    log(run, started(tasks=(f"<i>{HEBREW}</i>",)), StatusChanged("running"))
    answer = ask(run.id)
    assert answer.headers["content-type"] == "application/json" and answer.headers["cache-control"] == "no-store"
    assert answer.json()["state"]["name"].startswith(f"\u2068<b>{HEBREW}</b>\u2069, ")
    assert answer.json()["curves"]["tasks"] == [[f"\u2068<i>{HEBREW}</i>\u2069", "accuracy"]]


def test_a_run_that_is_not_there_is_refused_in_words(ask, run):
    ask(run.id)
    delete_run(run)
    for wrong in (run.id, "", "../../etc/passwd", "20260101-000000-" + "0" * 32):
        refused = ask(wrong)
        assert refused.status_code == 200 and refused.json()["error"].startswith("There is no such run")


def test_pages_that_ask_at_once_get_the_answer_that_was_made_for_the_first_one(run, monkeypatch):
    jobs, looks = Jobs(run.folder.parent), []
    peek = jobs.peek
    jobs.peek = lambda run_id: looks.append(run_id) or peek(run_id)
    monkeypatch.setattr(live, "FRESH", 60.0)
    client = TestClient(Starlette(routes=[Feed(jobs).route]))
    answers = {client.get(ADDRESS, params={"run": run.id}).content for _ in range(50)}
    assert len(answers) == len(looks) == 1


def test_the_sentence_about_the_run_is_made_anew_only_when_something_happened(ask, run, monkeypatch):
    told = []
    monkeypatch.setattr(live, "tell", lambda history: told.append(1) or f"told {len(told)} times")
    log(run, started(), StatusChanged("running"), step(1))
    assert ask(run.id).json()["state"]["story"] == "told 1 times"
    log(run, step(2))
    assert ask(run.id).json()["state"]["story"] == "told 1 times"
    log(run, evaluated(2))
    assert ask(run.id).json()["state"]["story"] == "told 2 times"


def test_pinned_sentences_and_the_looks_at_them_are_told_once_and_what_a_resume_took_back_is_gone(ask, run):
    look = Watched(0, [[1, [[False, ["a", 0.5]]]]])
    log(run, started(), StatusChanged("running"), Pinned(0, [{"id": 1, "text": HEBREW, "truth": {"intent": "b"}}], []), look)
    first = ask(run.id).json()
    assert first["curves"]["pins"] == {"sentences": [[1, HEBREW, [["b"]]]], "hard": [], "labels": [None], "looks": [[0, look.answers]]}
    log(run, Watched(5, []), step(5))
    new = ask(run.id, first["cursor"]).json()
    assert new["curves"]["pins"] == {"looks": [[5, []]]}
    log(run, Pinned(5, [], [{"text": "Hard.", "truth": {}, "why": "wrong: intent"}]))
    newer = ask(run.id, new["cursor"]).json()["curves"]
    assert newer == {"pins": {"sentences": [], "hard": [["Hard.", "wrong: intent"]], "labels": [None]}}
    log(run, started(3))
    assert ask(run.id, new["cursor"]).json()["curves"]["pins"]["looks"] == [[0, look.answers]]
