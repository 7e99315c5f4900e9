"""mtl/comparing/cost.py: what a comparison will cost, from histories that are made up."""

import pytest

from mtl.comparing.cost import cost, run_seconds, seconds_left
from mtl.comparing.plan import Member, Plan
from mtl.errors import MtlError
from mtl.runs.events import Estimated, Evaluated, Logged, RunStarted, StatusChanged, StepDone
from mtl.runs.history import History
from mtl.settings.config import make_config

STARTED = RunStarted(0, 100, 10, {}, 40, 10, 1000, "cpu", "fp32", 1, 1, 1)


def ran(status: str, *events) -> History:
    history = History()
    for event in (STARTED, *events, StatusChanged(status)):
        history.add(Logged(0.0, event))
    return history


def stepped(step: int, seconds: float) -> StepDone:
    return StepDone(step, 1.0, {}, 1e-3, 1.0, 10.0, seconds)


EVALUATED = Evaluated(50, 5.0, "validation", {}, {}, 0.5, 0.5, True, 10.0)
FINISHED = ran("finished", stepped(50, 110.0), EVALUATED)  # patience ended it: 120 s for half of the steps


def test_a_run_costs_what_all_its_steps_and_evaluations_take_at_its_pace_or_what_was_estimated():
    assert run_seconds(FINISHED) == 240.0
    assert run_seconds(ran("running", Estimated(50.0, 10.0))) == 60.0
    assert run_seconds(ran("running")) is run_seconds(History()) is run_seconds(None) is None


@pytest.mark.parametrize(("kind", "tasks", "times", "is_run", "words"), [
    ("alone", 3, 1, True, "3 runs, about 12 min on this machine"),
    ("alone", 3, 1, False, "4 runs, about 16 min on this machine"),
    ("alone", 2, 3, True, "8 runs, about 32 min on this machine"),
    ("sweep", 2, 5, True, "5 runs, about 20 min on this machine"),
    ("search", 1, 10, True, "many short runs, about 10 min in all")])
def test_the_cost_is_said_in_runs_and_minutes(kind, tasks, times, is_run, words):
    assert cost(FINISHED, kind, tasks, times, is_run).words == words


def test_without_a_pace_the_cost_is_the_number_of_runs():
    assert cost(None, "alone", 3, 1, is_run=False).words == "4 runs"


@pytest.mark.parametrize(("history", "kind", "tasks", "sentence"), [
    (FINISHED, "alone", 1, "two tasks or more"), (FINISHED, "sweep", 3, "3 tasks are chosen"), (ran("running"), "alone", 2, "is running")])
def test_what_cannot_be_compared_says_why(history, kind, tasks, sentence):
    with pytest.raises(MtlError, match=sentence):
        cost(history, kind, tasks)




def test_the_time_left_counts_the_runs_that_have_not_begun_and_a_search_has_its_minutes():
    member = Member(role="x", config=make_config({}))
    plan = Plan(kind="alone", members=(member,) * 4)
    assert seconds_left(plan, [FINISHED, ran("running", stepped(50, 120.0)), None, None]) == 120.0 + 2 * 240.0
    assert seconds_left(plan, [None] * 4) is None
    search = Plan(kind="search", minutes=2.0, members=(member.model_copy(update={"seconds": 30.0}), member))
    assert seconds_left(search, [FINISHED, ran("running", stepped(10, 20.0))]) == 70.0
