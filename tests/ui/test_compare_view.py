"""The Compare tab without a page: which curves, which words, which buttons, from plans and logs that are made up."""

import json
from dataclasses import replace

import pytest

from mtl.comparing.joint_vs_alone import Card, Compared
from mtl.comparing.plan import Comparison, Member, Plan
from mtl.runs.events import Evaluated, RunStarted, StatusChanged, StepDone
from mtl.runs.history import YIELDED, History
from mtl.settings.config import TaskSpec, make_config
from mtl.ui import compare_view as view
from mtl.ui.status import enabled_buttons
from tests.ui.test_charts import history_of

CONFIG = make_config({"source": "hypothetical", "tasks": (TaskSpec(name="a<b>", kind="classification"),
                                                          TaskSpec(name="slots", kind="tagging"))})
FACTS = {"a<b>": {"kind": "classification", "labels": [], "main_score": "accuracy"}, "slots": {"kind": "tagging", "labels": [],
                                                                                                "main_score": "f1"}}


def ran(status: str, *tasks: str, scores=(0.5, 0.7)) -> History:
    """A run of `tasks` with two evaluations."""
    measures = {task: FACTS[task]["main_score"] for task in tasks}
    evaluations = [Evaluated(10 * at, 1.0, "validation", {}, {task: {measure: score} for task, measure in measures.items()}, 0.25, score,
                             True, 0.1) for at, score in enumerate(scores, 1)]
    started = RunStarted(0, 20, 10, {task: FACTS[task] for task in tasks}, 40, 10, 1000, "cpu", "fp32", 1, 1, 1)
    return history_of(started, *evaluations, StepDone(20, 2.0, {}, 0.0, 1.0, 100.0, 4.0), StatusChanged(status))


@pytest.fixture
def seen(tmp_path):
    """A function that makes a comparison as it is seen."""
    def make(plan: Plan, runs: tuple, status: str = "running") -> view.Seen:
        folder = tmp_path / "comparisons" / ("20260101-120000-" + "0" * 32)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.json").write_text(CONFIG.model_dump_json())
        (folder / "plan.json").write_text(plan.model_dump_json())
        return view.Seen(Comparison(folder), plan, history_of(StatusChanged(status)), runs)

    return make


@pytest.fixture
def alone(seen):
    """Did it help?, the second of three runs in work."""
    members = [Member(role="joint", config=CONFIG, run="r1")]
    members += [Member(role=f"alone: {task.name}", config=CONFIG.model_copy(update={"tasks": (task,)}), run="r2" if index == 0 else "")
                for index, task in enumerate(CONFIG.tasks)]
    return seen(Plan(kind="alone", members=tuple(members)), (ran("finished", "a<b>", "slots"), ran("running", "a<b>"), None))


def test_a_tasks_curves_are_those_of_all_runs_that_have_it_and_have_begun(alone):
    assert view.task_names(alone) == ["a<b>", "slots"]
    told = json.loads(view.curves_of(alone, "slots"))
    assert told["task"] == "slots" and told["runs"] == [["r1", "joint"]]  # the other one has not begun
    assert json.loads(view.curves_of(alone, "a<b>"))["runs"] == [["r1", "joint"], ["r2", "alone: a\u2039b\u203a"]]


def test_state_and_runs_are_shown_and_what_a_user_wrote_is_escaped(alone):
    state = view.state_html(alone, 0)
    assert "run 2 of 3: <bdi>alone: a\u2039b\u203a</bdi> · about" in state and 'value="2.0"' in state and "Did it help?" in state
    table = view.members_html(alone)
    assert "<b>" not in table + state.replace("<b>Did", "").replace("<b>No", "") and "a&lt;b&gt; 70.0%" in table
    assert "best by" in table and table.count("<bdi>mean of the main scores</bdi>") == 2  # of the runs that were measured
    assert 'href="?run=r2"' in table and "not begun" in table
    assert view.result_html(alone) == "" and view.state_html(None, 0).count("No comparison yet") == 1


def test_a_pause_of_the_run_in_work_is_seen_and_can_be_ended(alone, seen):
    it = seen(alone.plan, (alone.runs[0], ran("paused", "a<b>"), None))
    assert "mtl-paused" in view.state_html(it, 0) and enabled_buttons(it.status, True, True) == ["resume", "stop"]


def test_a_run_that_was_deleted_is_named_and_what_resume_does_about_it_is_said_before_it_is_pressed(alone, seen):
    gone = (None, alone.runs[1], None)  # the third was not made yet
    stopped = seen(alone.plan, gone, "stopped")
    table = view.members_html(stopped)
    assert table.count("<bdi>deleted</bdi>") == 1 and table.count("<bdi>not begun</bdi>") == 1 and "?run=r1" not in table
    assert "Deleted: joint. Resume trains joint again." in view.state_html(stopped, 0)
    assert "resume" in enabled_buttons(stopped.status, True, False)
    for status in ("running", "finished"):
        assert "<div>Deleted: joint.</div>" in view.state_html(seen(alone.plan, gone, status), 0)
    with_onward = replace(stopped, history=replace(stopped.history, message="Stopped in run 1 of 3. Resume goes on with it."))
    assert "Stopped in run 1 of 3.</div>" in view.state_html(with_onward, 0) and "goes on with it" not in view.state_html(with_onward, 0)
    assert view.task_names(stopped) == ["a<b>", "slots"] and json.loads(view.curves_of(stopped, "slots"))["runs"] == []
    cut = seen(stopped.plan.with_member(0, is_cut=True), gone, "stopped")
    assert "<div>Deleted: joint.</div>" in view.state_html(cut, 0)  # there was no time for it, and will be none
    assert "Deleted" not in view.state_html(alone, 0)


def test_a_comparison_that_gave_its_place_up_is_shown_as_paused_and_can_be_resumed(alone, seen):
    it = seen(alone.plan, (alone.runs[0], ran(YIELDED, "a<b>"), None), YIELDED)
    assert "mtl-paused" in view.state_html(it, 0)
    assert "resume" in enabled_buttons(it.status, True, False) and "stop" not in enabled_buttons(it.status, True, True)
    assert "<bdi>paused</bdi>" in view.members_html(it) and "42 s" not in view.state_html(it, 0, 42.0)
    paused = seen(alone.plan, (alone.runs[0], ran("paused", "a<b>"), None))
    assert "in 42 s it is saved and lets the next run train" in view.state_html(paused, 0, 42.0)
    waiting = seen(alone.plan, (None,) * 3, "queued")
    assert "2 runs ahead; the one in training is paused and lets the next one train in 42 s" in view.state_html(waiting, 2, 42.0)


def test_several_seeds_are_told_apart(alone):
    plan = alone.plan
    more = plan.model_copy(update={"members": plan.members + tuple(
        member.model_copy(update={"config": member.config.model_copy(update={"seed": 2})}) for member in plan.members)})
    assert [view.series(member, more) for member in more.members][::3] == ["joint, seed 1", "joint, seed 2"]


def test_the_card_is_a_sentence_a_task_coloured_by_its_verdict_and_escaped():
    tasks = (Compared("a<b>", "accuracy", 0.8, 0.7, 0.1, 0.05, 0.15, 0.001, "helped"),
             Compared("slots", "f1", 0.6, 0.7, -0.1, -0.15, -0.05, 0.001, "hurt"))
    everything = Compared("everything right", "share of rows", 0.5, 0.5, 0.0, -0.9, 0.9, 1.0, "no difference")
    steps = {"together": (20, 20), "a<b> alone": (20, 20), "slots alone": (20, 20)}
    card = Card(tasks, everything, 10, (1, 2), steps, (100, 200), (1000, 2000), (1.0, 2.0))
    page = view.card_html(card)
    assert "mtl-fine" in page and "mtl-problem" in page
    assert "<bdi>a&lt;b&gt;</bdi>: 80.0 together, 70.0 alone: +10.0 (+5.0 to +15.0)" in page
    assert "left:0.0%;width:100.0%" in page  # what is beyond the scale ends at its edge
    assert "1.0 ms" in page and "same 10 validation rows" in page and "each run took 20 (seeds 1, 2)" in page

    one_seed = view.card_html(replace(card, seeds=(1,), tasks=(replace(tasks[0], verdict="higher"), replace(tasks[1], verdict="lower")),
                                      steps=steps | {"together": (10,)}))
    assert "mtl-fine" not in one_seed and "mtl-problem" not in one_seed  # no colour of a verdict
    assert "<em>higher</em>" in one_seed and "lower together with this one seed" in one_seed
    assert "With one seed there is no verdict" in one_seed and "Seeds on the Compare tab" in one_seed
    assert "together 10; a&lt;b&gt; alone 20" in one_seed


@pytest.mark.parametrize(("seeds", "verdicts", "sentence"), [
    (3, ("helped", "helped", "no difference"), "Training together helped t0 and t1. It hurt no task clearly."),
    (3, ("helped", "hurt", "hurt"), "Training together helped t0 and hurt t1 and t2."),
    (3, ("no difference", "hurt"), "Training together hurt t1. It helped no task clearly."),
    (3, ("helped",) * 4, "Training together helped 4 tasks. It hurt no task clearly."),
    (3, ("no difference", "unknown"), "No difference is shown between one model for all tasks and one for each."),
    (1, ("higher", "lower"), "In this one try, training together made t0 better and t1 worse. That may be luck: ask again with 3 seeds."),
    (1, ("no difference",) * 2, "No difference is shown between one model for all tasks and one for each, in this one try."),
    (3, ("unknown",) * 2, "There is no answer: no validation row is labelled.")])
def test_the_card_begins_with_a_verdict_that_claims_no_more_than_its_tasks(seeds, verdicts, sentence):
    tasks = tuple(Compared(f"t{place}", "f1", 0.6, 0.7, -0.1, -0.15, -0.05, 0.001, found) for place, found in enumerate(verdicts))
    card = Card(tasks, replace(tasks[0], name="everything right"), 10, tuple(range(seeds)), {}, (1, 2), (1, 2), (1.0, 2.0))
    assert view.verdict(card) == sentence
    assert view.card_html(card).index(sentence) < view.card_html(card).index("t0</bdi>")


def test_a_sweep_has_a_point_for_every_run_that_was_measured_and_a_colour_for_every_alpha(seen):
    members = tuple(Member(role=f"alpha = {alpha}", config=CONFIG.model_copy(update={"alpha": alpha, "balancing": "fixed"}), run="r")
                    for alpha in (0.2, 0.5, 0.8))
    plan = Plan(kind="sweep", members=members)
    assert view.trade_off(seen(plan, (None,) * 3)) is None
    it = seen(plan, (ran("finished", "a<b>", "slots"), ran("running", "a<b>", "slots", scores=(0.9,)), None))
    frame, titles, colours = view.trade_off(it)
    assert titles == ("a\u2039b\u203a accuracy", "slots f1") and list(colours) == ["0.2", "0.5", "0.8"]
    assert set(frame["alpha"]) == set(colours) and frame.dropna().values.tolist() == [[0.7, 0.7, "0.2"], [0.9, 0.9, "0.5"]]
    assert "a&lt;b&gt; accuracy" in view.result_html(it) and "<b>" not in view.result_html(it)


def test_the_table_of_a_search_fills_and_its_best_settings_can_be_taken(seen):
    members = [Member(role="pace", config=CONFIG, run="r0", seconds=3.0)]
    waiting = seen(Plan(kind="search", minutes=5.0, members=tuple(members)), (ran("running", "slots"),))
    assert "how fast this machine is" in view.result_html(waiting) and not view.advice(waiting).settings
    usual = CONFIG.model_copy(update={"learning_rate": 2e-4, "head_learning_rate": 1e-3})  # a search writes the automatic ones down
    frozen = usual.model_copy(update={"fine_tuning": "heads", "learning_rate": None})
    good = usual.model_copy(update={"learning_rate": 5e-4, "weights": {"a<b>": 2.0}, "balancing": "fixed"})
    members += [Member(role=f"candidate {number}", config=config, run=f"r{number}", rung=1, seconds=3.0, is_cut=number == 3)
                for number, config in enumerate((usual, good, frozen), 1)]
    plan = Plan(kind="search", minutes=5.0, members=tuple(members), rungs=((3, 20),))
    it = seen(plan, (waiting.runs[0], ran("finished", "slots"), ran("finished", "slots", scores=(0.9,)), ran("stopped", "slots")))
    page = view.result_html(it)
    assert page.index("0.0005") < page.index("0.0002") and "<bdi>cut</bdi></td><td><bdi>-</bdi>" in page and "a&lt;b&gt; 2" in page
    taken = view.advice(it).settings
    assert taken == {name: getattr(good, name) for name in taken} and taken["weights"] == {"a<b>": 2.0}
