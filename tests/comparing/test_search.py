"""Good settings and the weight sweep: what is drawn, what fits into the time, who goes on, and what a person gets to see."""

import math
from dataclasses import dataclass, field, replace

import pytest

from mtl.comparing.execute import run_comparison
from mtl.comparing.plan import create, drop_weights, list_comparisons, open_comparison, sweep_plan
from mtl.comparing.search import COUNTS, Pace, best, draw, flags, plan_rounds, search_markdown, search_plan, tried
from mtl.comparing.sweep import parse_numbers, sweep_markdown, sweep_points
from mtl.data.dataset import load
from mtl.data.hypothetical import TASKS as SPECS
from mtl.data.kept import open_rows
from mtl.errors import MtlError
from mtl.runs.events import CheckpointSaved, Evaluated, StatusChanged, StepDone
from mtl.runs.folder import Run, delete_run
from mtl.runs.history import read_history
from mtl.runs.stop import StopControl
from mtl.settings.config import make_config
from tests.watcher import started

TASKS = ("class", "sentiment", "entities")


@dataclass
class Machine(StopControl):
    """A machine with a clock of its own, on which a run costs `overhead` seconds and `step` a step; the best learning rate is 3e-3. After
    `patience` runs somebody presses Stop."""

    overhead: float = 4.0
    step: float = 0.5
    now: float = 0.0
    patience: int = 999
    after: float = 0.0  # seconds of training in the next run, until Stop is pressed
    dies: bool = False  # instead of being stopped
    slow: bool = False  # slower than it was measured to be, after three runs
    runs: list[Run] = field(default_factory=list)

    def clock(self) -> float:
        return self.now

    def begin(self, run: Run) -> None:
        self.runs.append(run)

    def train(self, run: Run, *, control, **how) -> str:
        config = run.config
        self.now += self.overhead
        run.log.append(started(0, config.max_steps, 30, TASKS))
        is_last = len(self.runs) > self.patience
        for step in range(config.max_steps):
            self.is_asked = is_last and step * self.step >= self.after
            if self.is_asked and self.dies:
                run.log.append(StepDone(step, 1.0, {}, 0.0, 1.0, 32 / self.step, self.step * step))
                raise KeyboardInterrupt
            if control.between_steps(None):
                run.log.append(StatusChanged("stopped"))
                return "stopped"
            self.now += self.step * (9 if self.slow and len(self.runs) > 3 else 1)
        run.log.append(StepDone(config.max_steps, 1.0, {}, 0.0, 1.0, 32 / self.step, self.step * config.max_steps))
        if (config.learning_rate or 0) > 7e-3:
            run.log.append(StatusChanged("failed", "The loss is not a number any more."))
            return "failed"
        score = 0.9 - 0.1 * abs(math.log((config.learning_rate or 3e-3) / 3e-3)) - 1 / config.max_steps
        run.log.append(Evaluated(config.max_steps, 1.0, "validation", {}, {}, 0.0, score, True, 0.1))
        run.log.append(CheckpointSaved(config.max_steps, "best", 0.1))
        run.log.append(StatusChanged("finished"))
        return "finished"


@pytest.fixture(scope="module")
def search(tmp_path_factory, tiny_config):
    """A function that searches for so many minutes on a machine, and returns the comparison, its end status, plan and histories."""
    def run(machine: Machine, minutes: float = 30, comparison=None, **changes):
        config = tiny_config(epochs=3, **changes)  # of 30 steps each
        comparison = comparison or create(tmp_path_factory.mktemp("runs"), config, search_plan(config, minutes))
        status = run_comparison(comparison, machine, train=machine.train)
        return comparison, status, comparison.plan, comparison.histories()

    return run


@pytest.fixture(scope="module")
def stopped(search):
    """A function that searches until the seventh run is stopped; returns the comparison and the machine."""
    def run():
        machine = Machine(patience=6)
        comparison, status, _, _ = search(machine)
        assert status == "stopped" and len(machine.runs) == 7
        return open_comparison(comparison.root, comparison.id), machine

    return run


def test_a_search_measures_the_pace_tries_many_a_little_and_the_best_for_longer(search):
    comparison, status, plan, histories = search(Machine())
    assert status == "finished" and plan.members[0].role == "pace" and plan.rounds == ((27, 10), (9, 30), (3, 90))
    assert [member.round for member in plan.members] == [0] + [1] * 27 + [2] * 9 + [3] * 3
    assert all(member.config.max_steps == plan.rounds[member.round - 1][1] for member in plan.members[1:])
    assert [member.config.warmup for member in plan.members] == [comparison.config.warmup] * 40  # a schedule of its own
    won = best(plan, histories)
    distance = {member.role: abs(math.log(member.config.learning_rate / 3e-3)) for member in plan.members[1:28]}
    assert won.member.round == 3 and distance[won.member.role] == min(distance.values())
    assert f"Best: {won.member.role}" in read_history(comparison).message
    for round in (1, 2):
        scores = {member.role: history.best.score if history.best else 0.0
                  for member, history in zip(plan.members, histories, strict=True) if member.round == round}
        gone_on = {member.role for member in plan.members if member.round == round + 1}
        assert min(scores[role] for role in gone_on) >= max(score for role, score in scores.items() if role not in gone_on)


@pytest.mark.parametrize("minutes", [1.5, 4, 12])
def test_a_search_keeps_to_its_minutes_and_uses_them(search, minutes):
    machine = Machine()
    _, status, plan, histories = search(machine, minutes)
    assert status == "finished" and machine.now <= 60 * minutes
    assert machine.now > 20 * minutes or plan.rounds[0][0] == COUNTS[0]
    assert best(plan, histories) is not None


def test_a_candidate_that_would_overrun_is_cut_and_the_table_shows_it(search):
    machine = Machine(slow=True)
    comparison, status, plan, histories = search(machine, 7)
    assert status == "finished" and machine.now <= 7 * 60 + 4.5  # the step in work is ended
    assert any(member.is_cut for member in plan.members) and "left out, as there was no time" in read_history(comparison).message
    assert best(plan, histories) is not None

    table = tried(plan, histories)
    assert len(table) == plan.rounds[0][0] == len({one.number for one in table})
    scored = [(one.member.round, one.score) for one in table if one.score is not None]
    assert scored == sorted(scored, reverse=True)
    text = search_markdown(plan, histories)
    assert flags(table[0].member.config) in text and "Test rows stayed untouched" in text
    assert "| mean of the main scores |" in text and f"| {table[0].score:.1%} |" in text
    lost = [history and replace(history, evaluations=[replace(seen, by="validation loss", score=-0.41) for seen in history.evaluations])
            for history in histories]
    assert "| validation loss |" in search_markdown(plan, lost) and "| 0.41 |" in search_markdown(plan, lost)


def test_minutes_in_which_nothing_can_be_told_are_said_to_be_too_few(search):
    comparison, status, _, _ = search(Machine(), 0.5)
    assert status == "failed" and "Give more minutes" in read_history(comparison).message
    for minutes in (0, -1, float("inf"), float("nan")):
        with pytest.raises(MtlError, match="Minutes: found"):
            search_plan(comparison.config, minutes)


def test_a_candidate_that_fails_does_not_fail_the_search(search):
    _, status, plan, histories = search(Machine(), learning_rate=5e-3)
    failed = [history for history in histories if history.status == "failed"]
    assert status == "finished" and failed and best(plan, histories).member.config.learning_rate < 7e-3


def test_a_search_that_was_stopped_goes_on_with_the_time_that_is_left(search, stopped):
    comparison, machine = stopped()
    again = Machine(now=5000.0)
    _, status, plan, histories = search(again, comparison=comparison)
    assert status == "finished" and again.runs[0] == machine.runs[-1]
    assert not {run.id for run in again.runs[1:]} & {run.id for run in machine.runs}
    assert machine.now + again.now - 5000 <= 30 * 60 and best(plan, histories)


def test_a_search_whose_runs_were_deleted_trains_them_again_when_it_is_resumed(search, stopped):
    comparison, machine = stopped()
    pace, candidate = machine.runs[0], machine.runs[2]
    for run in (pace, candidate):
        delete_run(run)
    again = Machine(now=5000.0)
    _, status, plan, histories = search(again, comparison=comparison)
    assert status == "finished", read_history(comparison).message
    assert again.runs[0].config.name.endswith("pace") and not {pace.id, candidate.id} & {member.run for member in plan.members}
    assert None not in histories and len(tried(plan, histories)) == plan.rounds[0][0]


def test_a_candidate_that_was_deleted_after_the_search_is_said_to_be_and_the_best_is_among_the_others(search):
    comparison, _, plan, histories = search(Machine(), 7)
    won = best(plan, histories)
    delete_run(comparison.member_run(won.member))
    histories = comparison.histories()
    left = best(plan, histories)
    assert left is not None and left.member.run != won.member.run
    none = [None] * len(plan.members)
    assert {one.shown for one in tried(plan, none)} <= {"deleted", "cut"}
    assert best(plan, none) is None and "| deleted |" in search_markdown(plan, none)


def test_a_search_that_is_stopped_again_and_again_takes_no_more_than_its_minutes(search):
    machine = Machine(patience=6, after=3.0)
    comparison, status, _, _ = search(machine, 3)
    spent, stops = machine.now, 1
    while status == "stopped":
        again = Machine(patience=0, after=3.0)
        _, status, _, _ = search(again, comparison=open_comparison(comparison.root, comparison.id))
        spent, stops = spent + again.now, stops + 1
        assert stops < 60
    assert stops > 3 and 90 < spent <= 180 + machine.overhead + machine.step


def test_what_a_run_took_in_which_the_process_died_counts_for_the_minutes(search):
    machine = Machine(step=2.0, patience=0, after=38.0, dies=True)
    with pytest.raises(KeyboardInterrupt):
        search(machine, 5)
    comparison, = list_comparisons(machine.runs[0].folder.parent)
    again = Machine(step=2.0)
    assert search(again, comparison=comparison)[1] == "finished"
    assert 200 < machine.now + again.now <= 300


def test_the_settings_themselves_are_always_among_the_candidates_and_all_draws_are_sensible_and_the_same_again(tiny_config):
    config = tiny_config()
    drawn = draw(config, TASKS, 27)
    assert drawn[0] == config and drawn == draw(config, TASKS, 27) and len({flags(one) for one in drawn}) == 27
    assert draw(config, TASKS, 9) == drawn[:9] and draw(tiny_config(seed=2), TASKS, 9)[1:] != drawn[1:9]
    for one in drawn:
        assert config.learning_rate / 4.1 <= one.learning_rate <= 4.1 * config.learning_rate
        assert set(one.weights) <= set(TASKS) and all(1 / 3.1 <= weight <= 3.1 for weight in one.weights.values())
    assert 5 < sum(bool(one.weights) for one in drawn) < 22
    assert not any(one.weights or one.alpha for one in draw(config, TASKS[:1], 9))
    assert any(one.alpha is not None for one in draw(config, TASKS[:2], 9))
    assert not any(one.weights for one in draw(tiny_config(best="loss"), TASKS, 9))  # losses with other weights cannot be compared
    random = tiny_config(balancing="random")
    assert {one.balancing for one in draw(random, TASKS, 9)} == {"random"}
    frozen = make_config({"fine_tuning": "heads", "learning_rate": 1e-2, "head_learning_rate": 1e-2})
    assert {one.learning_rate for one in draw(frozen, TASKS, 9)} == {frozen.learning_rate}
    assert flags(frozen.model_copy(update={"learning_rate": None})) == "--head-learning-rate 0.01"  # an automatic rate that is not used


def test_candidates_of_open_rates_are_drawn_around_those_that_the_first_run_used(search, monkeypatch):
    told = started
    monkeypatch.setitem(globals(), "started", lambda *facts: replace(told(*facts), learning_rate=3e-3, head_learning_rate=1e-2))
    _, status, plan, _ = search(Machine(), learning_rate=None)
    assert status == "finished" and plan.members[0].config.learning_rate is None and plan.members[1].config.learning_rate == 3e-3
    assert {member.config.head_learning_rate for member in plan.members if member.role == "candidate 1"} == {2e-3}, "this one was given"
    assert all(3e-3 / 4.1 <= member.config.learning_rate <= 4.1 * 3e-3 for member in plan.members[1:])


@pytest.mark.parametrize("full", [1, 5, 90, 5000])
@pytest.mark.parametrize("seconds", [30, 300, 3000, 300_000])
def test_rounds_fit_into_the_time_and_are_never_longer_than_the_settings_ask_for(full, seconds):
    pace = Pace(2.0, 0.1, full)
    try:
        rounds = plan_rounds(pace, seconds)
    except MtlError as error:
        assert "Give more minutes" in str(error) and 3 * pace.seconds(min(10, full)) > 0.5 * seconds
        return
    assert sum(count * pace.seconds(steps) for count, steps in rounds) <= seconds
    counts = [count for count, _ in rounds]
    assert all(1 <= steps <= full for _, steps in rounds) and counts == sorted(counts, reverse=True)


def test_no_run_of_a_search_or_a_sweep_reads_a_test_row(tmp_path, write_rows, easy_rows, tiny_config):
    (tmp_path / "test.jsonl").write_text("whoever reads this gets an error")
    config = tiny_config(source="files", train_files=(write_rows(tmp_path / "train.jsonl", easy_rows(30)),),
                         test_files=(str(tmp_path / "test.jsonl"),), epochs=1, diagnose_every=0)
    with pytest.raises(MtlError, match="test.jsonl"):
        load(config, tmp_path)
    comparison = create(tmp_path / "runs", config, sweep_plan(config, [0.2, 0.8]))
    machine = Machine()
    assert run_comparison(comparison, machine) == "finished", read_history(comparison).message
    histories = [read_history(run) for run in machine.runs]
    assert not any(seen.split == "test" for history in histories for seen in history.evaluations)
    for run in machine.runs:
        assert open_rows(run.folder).test == []

    # the sweep's points are the best validation scores of its runs
    names, points = sweep_points(comparison.plan, histories)
    assert names == ("answer accuracy", "place f1") and [point.alpha for point in points] == [0.2, 0.8]
    assert [(point.first, point.second) for point in points] == [
        (history.best.scores["answer"]["accuracy"], history.best.scores["place"]["f1"]) for history in histories]
    assert [run.config.alpha for run in machine.runs] == [0.2, 0.8] and "| 0.8 |" in sweep_markdown(names, points)
    assert sweep_points(comparison.plan, [histories[0], None])[1] == points[:1]
    drop_weights(machine.runs[0])
    assert not list(machine.runs[0].folder.glob("*/model.safetensors")) and (machine.runs[0].folder / "events.jsonl").is_file()


def test_alphas_are_numbers_from_0_to_1():
    assert [parse_numbers(text) for text in ("0.1, 0.5,1", "", "0,1")] == [[0.1, 0.5, 1.0], [], [0.0, 1.0]]
    for text in ("a", "0.1;0.5", "1.5", "-0.1", "nan"):
        with pytest.raises(MtlError, match="not a number from 0 to 1"):
            parse_numbers(text)


@pytest.mark.parametrize(("changes", "alphas", "told"), [
    ({"tasks": SPECS}, [0.1, 0.9], "but 3 tasks are chosen"), ({}, [0.5, 0.5], "found 1 different values"),
    ({"weights": {"class": 2.0}, "balancing": "fixed"}, [0.1, 0.9], "Loss weights: a weight sweep weighs the tasks by Alphas"),
    ({"balancing": "famo"}, [0.1, 0.9], "Balancing: found 'famo', but a weight sweep weighs the tasks by Alphas")])
def test_a_sweep_refuses_what_it_would_not_use(tiny_config, changes, alphas, told):
    with pytest.raises(MtlError, match=told):
        sweep_plan(tiny_config(**{"tasks": SPECS[:2]} | changes), alphas)
