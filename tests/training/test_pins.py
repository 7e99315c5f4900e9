"""mtl/training/pins.py: sentences are watched while a model learns; that is cheap, and changes nothing in the run."""

from dataclasses import replace
from itertools import count
from types import SimpleNamespace

import numpy as np
import pytest
import safetensors.torch
import torch

from mtl.data.rows import Row
from mtl.data.values import Label, Number, Spans
from mtl.data.words import Span
from mtl.runs.checkpoint import LAST
from mtl.runs.events import LONGEST_PINNED, MOST_PINNED, Evaluated, Pinned, StepDone, Watched
from mtl.runs.folder import create_run
from mtl.runs.history import read_history
from mtl.settings.config import Scale, TaskSpec
from mtl.training import pins as pins_module
from mtl.training.execute import run_training
from mtl.training.pins import FIRST, MOVED, OFTEN, SHARE, Pins
from mtl.training.step import TrainingProgress
from tests.watcher import Watcher

TASKS = [SimpleNamespace(name="mood", spec=TaskSpec(name="mood", kind="classification", labels=("bad", "good"))),
         SimpleNamespace(name="places", spec=TaskSpec(name="places", kind="tagging", labels=("LOC",))),
         SimpleNamespace(name="stars", spec=TaskSpec(name="stars", kind="number", scale=Scale(3.0, 1.0, 1.0, 5.0)))]
TEXT = "We flew to Rome \U0001f60a, which was good"


def of(kind: type, events: list) -> list:
    return [event for event in events if isinstance(event, kind)]


def says(mood: str = "good", sure: float = 0.8, places: tuple[Span, ...] = (Span(11, 15, "LOC"),), stars: float = 4.0) -> dict:
    """A prediction for each of TASKS."""
    return {"mood": SimpleNamespace(value=Label(mood), confidences=(sure,)),
            "places": SimpleNamespace(value=Spans(places), confidences=(0.5,) * len(places)),
            "stars": SimpleNamespace(value=Number(stars, TASKS[2].spec.scale), confidences=())}


@pytest.fixture
def watch():
    """A function that makes Pins over `rows` whose model says what is in the list `said`, last first; and their progress."""
    def make(said: list[dict], rows: list[Row] = ()) -> tuple[Pins, TrainingProgress]:
        progress = TrainingProgress()
        return Pins(lambda texts: [said[-1]] * len(texts), TASKS, rows, 1, progress), progress

    return make


def row(text: str, mood: str | None = "good") -> Row:
    return Row(text, {"mood": mood and Label(mood), "places": Spans([Span(11, 15, "LOC")]), "stars": None})


def test_an_answer_has_what_is_said_how_surely_where_and_whether_it_is_right(watch):
    pins, _ = watch([says()], [row(TEXT, "bad")])
    pinned, watched = pins.open([], True)
    assert pinned.sentences == [{"id": 1, "text": TEXT, "truth": {"mood": "bad", "places": [{"start": 11, "end": 15, "label": "LOC"}]}}]
    assert watched.answers == [[1, [[False, ["good", 0.8]], [True, ["LOC", 0.5, 11, 15]], [None, ["4", None]]]]]


def test_only_what_changed_is_logged_and_every_look_is(watch):
    said = [says()]
    pins, progress = watch(said, [row(TEXT), row(f"{TEXT} too")])
    list(pins.open([], True))
    for changed, is_new in ((says(sure=0.8 + MOVED - 0.01), False), (says(sure=0.7), True), (says(sure=0.7, places=()), True),
                            (says("bad", 0.7, ()), True), (says("bad", 0.7, (), 2.0), True), (says("bad", 0.7, (), 2.0), False)):
        said.append(changed)
        progress.step += 1
        watched, = pins.look(must=True)
        assert (watched.step, [number for number, _ in watched.answers]) == (progress.step, [1, 2] if is_new else [])


@pytest.mark.parametrize(("cost", "hours", "least", "most"), [(0.001, 0.05, 30, 60), (0.5, 0.05, 3, 4), (0.02, 1, 90, 120),
                                                              (0.02, 170, 180, 220)])
def test_looks_take_a_share_of_the_time_and_are_at_most_some_hundreds(cost, hours, least, most, watch, monkeypatch):
    pins, progress = watch([says()], [row(TEXT)])
    list(pins.open([], True))
    clock = (number * cost for number in count())
    monkeypatch.setattr(pins_module, "time", SimpleNamespace(perf_counter=lambda: next(clock)))
    pins._next, at = 0.0, []
    while progress.seconds < 3600 * hours:
        progress.seconds += 1.0
        at += [progress.seconds] * bool(list(pins.look()))
    assert least <= len(at) <= most and np.diff(at).min() >= OFTEN and cost * len(at) <= SHARE * at[-1] * 1.001


def test_at_most_five_are_pinned_and_each_once(watch):
    pins, progress = watch([says()])
    assert list(pins.open([], False)) == []
    logged = [len(list(pins.add(f"Sentence {number}"))) for number in (0, 1, 0, 2, 3, 4, 5)]
    assert logged == [2, 2, 0, 2, 2, 2, 0]  # of each new one, that it is pinned and what is said of it
    assert [one["text"] for one in pins._sentences] == [f"Sentence {number}" for number in range(MOST_PINNED)]
    removed, = pins.remove(2)
    pinned, watched = pins.add("Another")
    assert [one["id"] for one in removed.sentences] == [1, 3, 4, 5] and pinned.sentences[-1] == {"id": 6, "text": "Another", "truth": {}}
    assert [number for number, _ in watched.answers] == [6]


def test_after_an_evaluation_what_got_worse_and_what_is_wrong_for_most_tasks_is_offered_with_its_truth(watch):
    rows = [row(f"{TEXT} {number}") for number in range(5)] + [row("x" * (LONGEST_PINNED + 1))]
    pins, _ = watch([says()], rows)
    fine, wrong, none = (1, 2), (0, 2), (0, 0)
    counts = [[fine, fine], [fine, wrong], [wrong, wrong], [wrong, wrong], [none, wrong], [wrong, wrong]]

    def evaluate(*changed: tuple[int, tuple]) -> list[dict]:
        now = [dict(changed).get(place, found) for place, found in enumerate(counts)]
        return next(iter(pins.look(dict(zip(("mood", "places"), np.array(now).transpose(1, 0, 2), strict=True)), must=True))).hard

    first = evaluate()
    assert [one["text"][-1] for one in first] == ["2", "3", "1"] and first[0]["why"] == "wrong: mood, places"
    worse = evaluate((0, [wrong, fine]))
    assert [(one["text"][-1], one["why"]) for one in worse[:2]] == [("0", "got worse: mood"), ("2", "wrong: mood, places")]
    pinned, watched = pins.add(worse[0]["text"])
    assert pinned.sentences[0]["truth"]["mood"] == "good" and worse[0]["text"] not in [one["text"] for one in pinned.hard]
    assert watched.answers[0][1][0][0] is True


def curves(events: list) -> list:
    """What the steps and evaluations gave, without what the clock decides."""
    return [replace(event, seconds=0.0, **{"sentences_per_second": 0.0} if isinstance(event, StepDone) else {})
            for event in events if isinstance(event, (StepDone, Evaluated))]


@pytest.mark.parametrize("changes", [
    {}, {"balancing": "famo"}, {"balancing": "uncertainty", "accumulation": 2}, {"balancing": "random"}, {"balancing": "pcgrad"},
    {"sampling": "alternating", "max_steps": 8}, {"encoder": "bundled", "fine_tuning": "heads", "max_steps": 6}], ids=str)
def test_a_run_is_bit_for_bit_the_same_whether_sentences_are_watched_at_every_step_or_not(changes, tiny_config, finish, tmp_path):
    config = tiny_config(eval_every=4, diagnose_every=3, **{"max_steps": 10} | changes)

    def watch(trainer) -> bool:
        if not trainer.progress.step:
            watch.seen += list(trainer.pins.add("Mr Smith in London is happy.")) + list(trainer.pins.add("I never liked it."))
        watch.seen += trainer.pins.look(must=True)
        return False

    watch.seen = []
    without, watched = finish(config, tmp_path / "without"), finish(config, tmp_path / "with", between_steps=watch)
    assert len(of(Watched, watch.seen)) >= 6 and len(of(Watched, watch.seen)[0].answers) == 1
    assert curves(without) == curves(watched)
    one, two = (safetensors.torch.load_file(tmp_path / run / LAST / "model.safetensors") for run in ("without", "with"))
    assert one.keys() == two.keys() and all(torch.equal(weight, two[name]) for name, weight in one.items())
    for name in ("config.json", "optimizer.pt", "balancer.pt"):
        files = [tmp_path / run / LAST / name for run in ("without", "with")]
        assert files[0].exists() == files[1].exists() and (not files[0].exists() or files[0].read_bytes() == files[1].read_bytes())


def test_a_run_pins_some_validation_rows_by_itself_sees_them_learned_and_ends_with_a_look(tiny_config, finish, tmp_path):
    config = tiny_config(hypothetical_rows=300, epochs=6, learning_rate=4e-3, head_learning_rate=6e-3, quick_looks=True)
    events = finish(config, tmp_path / "run")
    first, watched = of(Pinned, events)[0], of(Watched, events)
    assert len(first.sentences) == FIRST and all(set(one["truth"]) == {"class", "sentiment", "entities"} for one in first.sentences)
    assert (watched[0].step, watched[-1].step) == (0, of(StepDone, events)[-1].step) and len(watched[0].answers) == FIRST
    assert of(Pinned, finish(config.model_copy(update={"max_steps": 1}), tmp_path / "again"))[0].sentences == first.sentences
    before, after = dict(watched[0].answers), {number: answer for look in watched for number, answer in look.answers}
    right = [sum(one[0] for answers in said.values() for one in answers) for said in (before, after)]
    assert right[0] < right[1]
    assert not of(Pinned, finish(config.model_copy(update={"quick_looks": False, "max_steps": 1}), tmp_path / "none"))


def test_a_resume_goes_on_with_what_people_pinned_and_takes_back_what_was_said_after_its_checkpoint(tiny_config, tmp_path):
    run = create_run(tmp_path, tiny_config(quick_looks=True, epochs=4, eval_every=6, hypothetical_rows=120))

    class Hand(Watcher):
        def between_steps(self, trainer) -> bool:
            if trainer.progress.step == 8 and self.is_first:
                for event in trainer.pins.add("A sentence of my own."):
                    run.log.append(event)
            if trainer.progress.step == 9 and self.is_first:
                raise KeyboardInterrupt  # no checkpoint is saved, as with kill -9
            return super().between_steps(trainer)

    first, second = Hand(), Hand(step=10)
    first.is_first, second.is_first = True, False
    with pytest.raises(KeyboardInterrupt):
        run_training(run, resume=False, control=first)
    before = read_history(run)
    assert before.watched[-1].step == 8
    run_training(run, resume=True, control=second)
    after = read_history(run)
    assert after.started.step == 6 and 8 not in [look.step for look in after.watched] and after.watched[-1].step == 10
    assert after.pinned[-1].sentences == before.pinned[-1].sentences and after.pinned[-1].sentences[-1]["text"] == "A sentence of my own."
    assert 4 in [number for look in after.watched for number, _ in look.answers]
