"""How runs are called and told apart, what is said of them, and that names written from right to left leave the rest where it is."""

import html
import re

import pytest

from mtl.comparing.advice import advise
from mtl.comparing.plan import alone_plan, create
from mtl.data.dataset import NEWSROOM
from mtl.data.findings import Finding
from mtl.data.report import Coverage, LabelCount, Report
from mtl.data.words import Span
from mtl.jobs.queue import Jobs
from mtl.runs.events import Evaluated, GradientConflict, RunStarted, StatusChanged, StepDone, describe
from mtl.runs.folder import create_run
from mtl.runs.history import History
from mtl.settings.config import RunConfig, TaskSpec
from mtl.ui.data_panel import SOURCES
from mtl.ui.data_view import examples_html, report_html
from mtl.ui.insight import insight_html, outlook_html
from mtl.ui.predict_tab import model_choices
from mtl.ui.scores_tab import scores_state
from mtl.ui.status import facts, run_name, state_of, who_may
from tests.plain import Row
from tests.ui.test_charts import history_of

ARABIC = "\u0645\u0634\u0627\u0639\u0631 7"
APART = f"<bdi>{ARABIC}</bdi>"
SPECS = [TaskSpec(name=ARABIC, kind="classification", labels=(ARABIC, "x")), TaskSpec(name="ner", kind="tagging", labels=(ARABIC,))]


@pytest.fixture
def make_runs(tmp_path, tiny_config):
    """A function that makes runs of one name, a second apart, with the last state of each."""
    def make(*states: str, name: str = "x") -> list:
        made = []
        for second, state in enumerate(states):
            run = create_run(tmp_path / "runs", tiny_config(name=name), key="me")
            run.log.append(StatusChanged(state))
            folder = run.folder.with_name(f"20261126-0958{second:02}" + run.id[15:])
            made.append(type(run)(run.folder.rename(folder)))
        return made

    return make


def test_sixteen_runs_of_one_name_are_told_apart_by_time_and_state(make_runs, tabs):
    made = make_runs(*["finished"] * 15, "stopped")
    names = [name for name, _ in tabs.train.menu.choices({"key": "me", "run": made[0].id})]
    assert len(set(names)) == 16 and names[0] == "x, 26 Nov 09:58:15, stopped" and names[-1] == "x, 26 Nov 09:58:00, finished"


def test_the_models_of_runs_of_one_name_are_told_apart_and_the_scores_tab_names_the_run_it_is_about(make_runs, tmp_path):
    for run in make_runs("finished", "failed"):
        (run.folder / "best").mkdir()
        (run.folder / "best" / "manifest.json").write_text('{"facts": {"step": 1200}}')
    jobs = Jobs(tmp_path / "runs")
    names = [name for name, _ in model_choices(jobs, "me", "")][:2]
    assert names == ["x, 26 Nov 09:58:01: best checkpoint, step 1,200", "x, 26 Nov 09:58:00: best checkpoint, step 1,200"]
    assert "<b>x, 26 Nov 09:58:01</b>, failed" in scores_state(jobs, run.id, "me")[2]


def test_a_run_that_was_saved_in_a_long_pause_is_called_paused_in_every_menu(make_runs):
    assert [state_of(run) for run in make_runs("yielded", "stopped")] == ["paused", "stopped"]


def test_comparisons_of_one_name_are_told_apart_by_time_and_state(tabs, tiny_config):
    config = tiny_config(name="x")
    comparison = create(tabs.jobs.root, config, alone_plan(config, 1), key="me")
    comparison.log.append(StatusChanged("stopped"))
    [(name, _)] = tabs.compare.menu.choices({"key": "me"})
    assert re.fullmatch(r"Did it help\? x, \d\d \w+ \d\d:\d\d:\d\d, stopped", name)


@pytest.mark.parametrize(("states", "expected"), [
    (["running"], "interrupted"), (["running", "finished"], "finished"), (["running", "finished", "stopping"], "finished"),
    (["running", "stopped", "queued"], "interrupted"), (["running", "failed"], "failed")])
def test_the_state_in_a_menu_is_the_state_of_the_run(tmp_path, tiny_config, states, expected):
    run = create_run(tmp_path, tiny_config())
    for state in states:
        run.log.append(StatusChanged(state))
        run.log.append(StepDone(1, 0.1, {}, 0.0, 0.0, 0.0, 0.0))
    assert state_of(run) == expected == Jobs(tmp_path).history(run.id).status
    with run.hold():
        assert state_of(run) == (states[-1] if expected == "interrupted" else expected)


def test_beside_the_link_it_is_said_who_may_do_what(tmp_path, tiny_config):
    owned, of_terminal = create_run(tmp_path, tiny_config(), key="me"), create_run(tmp_path, tiny_config())
    assert "Only this browser can" in who_may(owned, is_owner=True)
    watched = who_may(owned, is_owner=False)
    assert "this browser can" not in watched.lower() and "not started in this browser" in watched
    assert "Ctrl-C" in who_may(of_terminal, is_owner=True) and "browser" not in who_may(of_terminal, is_owner=True)
    assert "can watch" in who_may(None, is_owner=False)


def test_the_bundled_corpus_is_described_in_the_numbers_and_the_word_that_the_page_counts_in():
    sizes = {split: (NEWSROOM / f"{split}.jsonl").read_text("utf-8").count("\n") for split in ("train", "validation", "test")}
    assert f"{sizes['train']:,} news sentences" in SOURCES["newsroom"]["line"]


@pytest.mark.parametrize(("labels", "steps", "threads", "told"), [
    (1, 1, 1, ["1 label)", "1 training row and 1 validation row", "1 step;", "1 thread."]),
    (2, 2000, 2, ["2 labels)", "2 training rows and 2 validation rows", "2,000 steps;", "2 threads."])])
def test_the_log_counts_in_singular_and_plural(labels, steps, threads, told):
    tasks = {"a": {"kind": "classification", "labels": [""] * labels}}
    line = describe(RunStarted(0, steps, 1, tasks, labels, labels, 1, "cpu", "fp32", threads, 1, 7))
    assert all(part in line for part in told), line


STARTED = RunStarted(0, 10, 5, {name: {"kind": "classification", "labels": ["a"], "main_score": "accuracy"} for name in (ARABIC, "b")},
                     40, 10, 1000, "cpu", "fp32", 2, 1, 7)


def seen_history() -> History:
    return history_of(STARTED, *[GradientConflict(1, {ARABIC: 1.0, "b": 9.0}, [[ARABIC, "b", -0.5]])] * 5,
                      StepDone(1, 0.2, {ARABIC: 0.5}, 1e-3, 1.0, 9.0, 1.0))


def report() -> Report:
    coverage = Coverage("train", 12, {ARABIC: 12, "ner": 9}, {f"{ARABIC} only": 3, "ner": 9}, {(ARABIC,): 3, ("ner",): 9})
    counts = (LabelCount(ARABIC, 12, 3, 4, ARABIC),)
    return Report((coverage,), {ARABIC: counts, "ner": counts}, None, (Finding("note", "a"),), ())


ROW = Row(f"{ARABIC} Anna 12", {ARABIC: ARABIC, "ner": (Span(8, 12, ARABIC),)})


@pytest.mark.parametrize(("shown", "places"), [
    (lambda: report_html(report(), SPECS), 7),
    (lambda: examples_html([ROW], SPECS, {"ner": (ARABIC,)}), 3),
    (lambda: insight_html(seen_history(), advise(seen_history(), RunConfig())), 1),
    (lambda: outlook_html([[[ARABIC], 60]], [ARABIC], "joint", 2.0, 10, 3), 1)], ids=["report", "rows", "gradients", "outlook"])
def test_a_name_from_right_to_left_is_kept_apart_in_html(shown, places):
    html = shown()
    assert html.count(APART) + html.count(f"<bdi>{ARABIC} only</bdi>") == places
    bare = html.replace(APART, "").replace(f"<bdi>{ARABIC} only</bdi>", "").replace(f"\u2068{ARABIC}\u2069", "")
    assert ARABIC not in re.sub(r"<bdi>[^<]* <mark", "", bare)


@pytest.mark.parametrize(("by", "score", "told"), [("a<b> accuracy", 0.812, "a<b> accuracy 81.2%"),
                                                   ("validation loss", -0.4121, "validation loss 0.412")])
def test_the_best_evaluation_so_far_is_told_with_what_it_is_best_by(make_runs, tmp_path, by, score, told):
    run, = make_runs("running")
    later = Evaluated(10, 2.0, "validation", {}, {}, 0.0, 0.0, False, 1.0)
    events = [STARTED, Evaluated(5, 1.0, "validation", {}, {}, 0.5, score, True, 1.0, by), later]
    for event in events:
        run.log.append(event)
    assert f"best so far: {told} at step 5" in facts(history_of(*events, StatusChanged("running")), 0)
    assert "best so far" not in " ".join(facts(history_of(*events, StatusChanged("finished", "It tells.")), 0))
    assert f"<p>The best checkpoint is that of step 5: {html.escape(told)}.</p>" in scores_state(Jobs(tmp_path / "runs"), run.id, "me")[2]


def test_a_name_from_right_to_left_is_kept_apart_where_there_is_only_plain_text(make_runs):
    evaluated = Evaluated(1, 0.2, "validation", {ARABIC: 0.5}, {ARABIC: {"accuracy": 0.5}}, 0.5, 0.5, True, 1.0)
    lines = [describe(STARTED), describe(evaluated)]
    [run] = make_runs("finished", name=ARABIC)
    lines.append(f"{run_name(run)}, {state_of(run)}")
    for line in lines:
        assert line.count(ARABIC) == line.count(f"\u2068{ARABIC}\u2069") > 0, line


def test_a_sentence_from_right_to_left_is_laid_out_in_its_own_direction():
    shown = examples_html([ROW], SPECS, {"ner": (ARABIC,)})
    assert re.search(rf"<bdi>{ARABIC} <mark[^>]*>Anna<sub>{APART}</sub></mark> 12</bdi>", shown)
