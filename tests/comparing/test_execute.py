"""Did it help? Comparisons: which runs they are made of, that all are measured alike, that nothing is done twice, and the card."""

import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mtl.cli.main import main
from mtl.comparing.execute import run_comparison
from mtl.comparing.joint_vs_alone import Card, Compared, choose_step, compare_scores, make_card, markdown, read_card, write_card
from mtl.comparing.plan import Comparison, alone_plan, create, list_comparisons, open_comparison, plan_for_run, sweep_plan
from mtl.data.dataset import load
from mtl.data.hypothetical import TASKS as SPECS
from mtl.data.kept import open_rows
from mtl.errors import MtlError
from mtl.jobs import control
from mtl.jobs.queue import Jobs
from mtl.runs.checkpoint import LOOKS, kept_tallies, read_tallies
from mtl.runs.events import CheckpointSaved, RunStarted, StatusChanged
from mtl.runs.folder import Limits, Run, create_run, delete_run, list_runs, open_run
from mtl.runs.history import read_history
from mtl.scoring.intervals import main_score
from mtl.settings.steering import Steered
from mtl.training.execute import run_training
from tests.watcher import Watcher, started, wait, wait_for_step

KEY = "the owner's key"
TASKS = ("class", "sentiment", "entities")


def runs_of(comparison: Comparison) -> dict[str, Run]:
    """The runs that were made, by role and seed."""
    return {f"{member.role} {member.config.seed}": comparison.member_run(member) for member in comparison.plan.members if member.run}


def accuracy(right: list[int]) -> np.ndarray:
    return np.array([[hit, 2] for hit in right], np.int32)


@pytest.fixture
def small(tiny_config):
    """Settings of which a run takes a few steps."""
    return tiny_config(epochs=1, sampling="alternating", batch_size=8, diagnose_every=0)


@pytest.fixture(scope="module")
def finished(tmp_path_factory, tiny_config) -> Comparison:
    """A comparison that is over."""
    root = tmp_path_factory.mktemp("runs")
    config = tiny_config(epochs=1, sampling="alternating", weights={"class": 2.0}, diagnose_every=0, batch_size=30)
    comparison = create(root, config, alone_plan(config, 2))
    assert run_comparison(comparison) == "finished", read_history(comparison).message
    return comparison


# Which runs


def test_each_task_alone_has_the_steps_looks_and_seeds_of_all_together(finished):
    runs = runs_of(finished)
    assert list(runs) == [f"{role} {seed}" for seed in (1, 2) for role in ("joint", *(f"alone: {task}" for task in TASKS))]
    histories = {role: read_history(run) for role, run in runs.items()}
    assert {history.step for history in histories.values()} == {histories["joint 1"].started.total_steps}
    assert {tuple(seen.step for seen in history.evaluations if seen.split == "validation") for history in histories.values()} == {
        tuple(seen.step for seen in histories["joint 1"].evaluations if seen.split == "validation")}
    for role, run in runs.items():
        assert run.config.learning_rate == 2e-3 and run.config.seed == int(role[-1])
        if role.startswith("alone"):
            assert (run.config.weights, run.config.balancing, run.config.sampling) == ({}, "equal", "joint")
            assert list(histories[role].started.tasks) == [role.split()[1]]


def test_all_runs_are_measured_on_the_same_validation_rows_in_the_same_order_whatever_their_seed_and_tasks(finished):
    validation = [row.text for row in open_rows(finished.folder).validation]
    for run in runs_of(finished).values():
        assert [row.text for row in open_rows(run.folder).validation] == validation
    alone = runs_of(finished)["alone: class 1"].config
    assert [row.text for row in load(alone, Path()).validation] != validation  # by itself it would have split otherwise


def test_a_task_labelled_on_some_rows_only_is_measured_on_those_and_paired_row_by_row(tmp_path, tiny_config, write_rows, easy_rows):
    rows = easy_rows(40)
    for index, row in enumerate(rows):
        row["text"] += f" {index}"
        if index % 3 == 0:
            del row["place"]
    file = write_rows(tmp_path / "rows.jsonl", rows)
    config = tiny_config(source="files", train_files=(file,), validation_share=0.3, epochs=1, diagnose_every=0)
    comparison = create(tmp_path / "runs", config, alone_plan(config, 1))
    assert run_comparison(comparison) == "finished", read_history(comparison).message
    joint, answer, place = (open_rows(run.folder).validation for run in runs_of(comparison).values())
    assert [row.text for row in answer] == [row.text for row in joint]
    assert [row.text for row in place] == [row.text for row in joint if row.values["place"] is not None] and len(place) < len(joint)
    card = read_card(comparison.folder)
    assert card.validation_rows == len(joint) and [task.name for task in card.tasks] == ["answer", "place"]


def test_a_finished_run_is_the_joint_one_and_is_trained_again_only_if_it_was_deleted(tmp_path, small):
    run = create_run(tmp_path, small)
    with pytest.raises(MtlError, match="a finished one can be compared"):
        plan_for_run(run, 1)
    run_training(run, resume=False)
    written, steps = (run.folder / "events.jsonl").read_bytes(), read_history(run).step
    comparison, stopped = (create(tmp_path, *plan_for_run(run, 1)) for _ in range(2))
    watcher = Watcher()
    assert run_comparison(comparison, watcher) == "finished"
    assert run.id not in watcher.begun and len(watcher.begun) == 3 and (run.folder / "events.jsonl").read_bytes() == written
    assert read_card(comparison.folder).steps["together"] == (steps,)

    assert run_comparison(stopped, Watcher(run=1, step=0)) == "stopped"
    run.log.append(Steered(1, rate=0.5))
    assert not any(member.run for member in plan_for_run(run, 1)[1].members), "the others have no changes in the middle"
    delete_run(run)
    assert run_comparison(stopped) == "finished", read_history(stopped).message
    assert set(read_card(stopped.folder).steps.values()) == {(steps,)} and runs_of(stopped)["joint 1"].id != run.id


def test_what_cannot_be_compared_is_refused(small, tmp_path):
    for tasks, seeds, sentence in ((SPECS[2:], 1, "one task, 'entities'"), (SPECS, 0, "Seeds: found 0"), (SPECS, 99, "Seeds: found 99")):
        with pytest.raises(MtlError, match=sentence):
            alone_plan(small.model_copy(update={"tasks": tasks}), seeds)
    jobs = Jobs(tmp_path, Limits(minutes=15, members=3))  # a public host has no time for more
    with pytest.raises(MtlError, match="a comparison may have at most 3 runs"):
        jobs.start(small, KEY, alone_plan(small, 1))
    assert list_comparisons(tmp_path) == []


# Stop, crash, failure


def test_a_comparison_that_was_stopped_goes_on_where_it_was_from_the_terminal(tmp_path, small, monkeypatch, capsys):
    comparison = create(tmp_path, small, alone_plan(small, 1))
    watcher = Watcher(run=2, step=3)
    assert run_comparison(comparison, watcher) == "stopped"
    assert len(watcher.begun) == 2 and read_history(comparison).message.startswith("Stopped in run 2 of 4")
    joint, second = (comparison.member_run(member) for member in comparison.plan.members[:2])
    assert read_history(second).status == "stopped" and read_history(second).checkpoints["last"] == 3
    before = (joint.folder / "events.jsonl").read_bytes()

    monkeypatch.setenv("MTL_RUNS", str(tmp_path))
    with pytest.raises(SystemExit) as end:
        main(["compare", "--resume", "last"])
    told = capsys.readouterr().out
    assert end.value.code == 0 and "| entities | f1 |" in told and f"2 of 4, alone: class: run {second.id}" in told and "1 of 4" not in told
    assert (joint.folder / "events.jsonl").read_bytes() == before and read_history(second).started.step == 3
    looks = [seen.step for seen in read_history(second).evaluations if seen.step]
    assert sorted(kept_tallies(second.folder)) == looks and not kept_tallies(joint.folder)
    assert len(list_runs(tmp_path)) == 4


def test_a_comparison_whose_process_died_redoes_nothing_that_is_finished(tmp_path, small):
    comparison = create(tmp_path, small, alone_plan(small, 1))
    calls = []

    def train(run: Run, **how) -> str:
        """A run in no time; the process dies in the third one."""
        calls.append((run.id, how["resume"]))
        run.log.append(started(0, 12, 4, TASKS))
        if len(calls) == 3:
            raise KeyboardInterrupt
        run.log.append(CheckpointSaved(12, "best", 0.1))
        run.log.append(StatusChanged("finished"))
        return "finished"

    with pytest.raises(KeyboardInterrupt):
        run_comparison(comparison, train=train)
    assert read_history(comparison).status == "interrupted"
    run_comparison(comparison, train=train)
    died = calls[2][0]
    assert [run for run, _ in calls].count(died) == 2 and len(calls) == 5 and len({run for run, _ in calls}) == 4
    assert calls[3] == (died, True)


def test_a_run_that_fails_fails_the_comparison_with_its_message_and_the_others_stay(tmp_path, small):
    config = small.model_copy(update={"max_length": 8})
    comparison = create(tmp_path, config, alone_plan(config, 1))
    assert run_comparison(comparison, Watcher(run=2, step=0)) == "stopped"
    second = comparison.member_run(comparison.plan.members[1])
    (second.folder / "config.json").write_text("{")
    assert run_comparison(comparison) == "failed"
    message = read_history(comparison).message
    assert message.startswith("Run 2 of 4 (alone: class) failed: ") and "config.json" in message
    assert read_history(comparison.member_run(comparison.plan.members[0])).status == "finished"


def test_runs_that_were_deleted_are_trained_again_when_their_comparison_is_resumed(tmp_path, small):
    comparison = create(tmp_path, small, alone_plan(small, 1))
    assert run_comparison(comparison, Watcher(run=3, step=2)) == "stopped"
    joint, alone, third = (comparison.member_run(member) for member in comparison.plan.members[:3])
    for run in (joint, alone):
        delete_run(run)
    watcher = Watcher()
    assert run_comparison(comparison, watcher) == "finished", read_history(comparison).message
    assert third.id in watcher.begun and len(watcher.begun) == 4
    assert not {joint.id, alone.id} & {member.run for member in comparison.plan.members}
    assert {read_history(run).step for run in runs_of(comparison).values()} == {read_history(third).started.total_steps}
    card = read_card(comparison.folder)
    assert [task.name for task in card.tasks] == list(TASKS)

    # a card that is there stays; without its runs there is no other one
    delete_run(runs_of(comparison)["alone: class 1"])
    assert read_card(comparison.folder) == card
    with pytest.raises(MtlError, match="alone: class: deleted meanwhile, so there is no card. Resume"):
        make_card(comparison)


def test_a_plan_is_there_whole_or_the_comparison_is_not(tmp_path, small):
    comparison = create(tmp_path, small, alone_plan(small, 1), key="a key")
    assert [found.id for found in list_comparisons(tmp_path, "a key")] == [comparison.id] and not list_comparisons(tmp_path, "another")
    assert open_comparison(tmp_path, comparison.id).plan == comparison.plan
    (comparison.folder / "plan.json").write_text('{"kind": "alone"')
    with pytest.raises(MtlError, match="plan of this comparison cannot be read"):
        assert open_comparison(tmp_path, comparison.id).plan
    (comparison.folder / "plan.json").unlink()
    with pytest.raises(MtlError, match="no such comparison"):
        open_comparison(tmp_path, comparison.id)
    assert list_comparisons(tmp_path) == []


# In the queue of the app


def test_a_comparison_is_one_job_whose_runs_are_ordinary_runs_of_its_owner(jobs, small):
    long = small.model_copy(update={"epochs": 400})
    run = jobs.start(long, KEY, alone_plan(long, 1))
    assert jobs.start(long, KEY, alone_plan(long, 1)) == run, "the second click started another one"
    after = jobs.start(small, KEY)
    assert jobs.ahead(after.id) == 1
    first = wait_for_its_first_run(jobs, open_comparison(jobs.root, run.id))
    assert jobs.has(first) and jobs.is_live(first) and open_run(jobs.root, first).belongs_to(KEY)
    assert jobs.snapshot(first).predictor.predict(["Anna left Oslo."])
    with pytest.raises(MtlError, match="not started in this browser"):
        jobs.stop(run.id, "a guess")
    jobs.stop(first, KEY)  # to stop the run is to stop the comparison
    wait(jobs, run.id, "stopped")
    assert jobs.history(first).status == "stopped"
    wait(jobs, after.id, "finished")


def test_a_stopped_comparison_is_resumed_in_the_queue_and_writes_its_card(jobs, small):
    run = jobs.start(small, KEY, alone_plan(small, 1))
    jobs.stop(run.id, KEY)
    wait(jobs, run.id, "stopped", "finished")
    if jobs.history(run.id).status == "stopped":
        jobs.resume(run.id, KEY)
    wait(jobs, run.id, "finished")
    assert read_card(run.folder).validation_rows > 0
    with pytest.raises(MtlError, match="nothing to resume"):
        jobs.resume(run.id, KEY)
    jobs.delete(run.id, KEY)
    assert list_comparisons(jobs.root) == [] and len(list_runs(jobs.root)) == 4  # its runs stay


def wait_for_its_first_run(jobs: Jobs, comparison: Comparison) -> str:
    """The id of the run in training, once it has taken some steps."""
    wait(jobs, comparison.id, "running")
    while not (first := comparison.plan.members[0].run):
        time.sleep(0.01)
    wait_for_step(jobs, first, 3)
    return first


def test_a_comparison_with_a_paused_run_gives_its_place_up_and_goes_on_when_it_is_resumed(jobs, small, monkeypatch):
    monkeypatch.setattr(control, "PAUSE_YIELDS", 0.0)
    monkeypatch.setattr(control, "PAUSE_CHECK", 0.01)
    long = small.model_copy(update={"epochs": 4, "tasks": SPECS[:2]})
    run = jobs.start(long, KEY, sweep_plan(long, [0.2, 0.8]))
    first = wait_for_its_first_run(jobs, open_comparison(jobs.root, run.id))
    jobs.pause(run.id, KEY)
    other = jobs.start(small, "somebody else")
    wait(jobs, other.id, "finished")
    assert [jobs.history(one).state for one in (run.id, first)] == ["paused", "paused"] and not jobs.has(run.id)
    step = jobs.history(first).step
    jobs.resume(run.id, KEY)
    wait(jobs, run.id, "finished")
    assert [at.event.step for at in jobs.history(first).entries if isinstance(at.event, RunStarted)] == [0, step]


def test_a_run_is_not_deleted_under_a_comparison_that_is_in_work(jobs, small):
    done = jobs.start(small, KEY)
    wait(jobs, done.id, "finished")
    config, plan = plan_for_run(done, 1)
    run = jobs.start(config, KEY, plan)
    with pytest.raises(MtlError, match="belongs to a comparison that is in training or waits. Stop the comparison first."):
        jobs.delete(done.id, KEY)
    jobs.stop(run.id, KEY)
    wait(jobs, run.id, "stopped", "finished")
    jobs.delete(done.id, KEY)


# The card


def test_the_card_has_the_numbers_that_follow_from_the_tallies():
    joint = [{"topic": accuracy([1] * 8 + [0] * 2), "mood": accuracy([1] * 10)}]
    alone = [{"topic": accuracy([1] * 4 + [0] * 6), "mood": accuracy([1, 1, 1, 0])}]
    labelled = {"topic": np.ones(10, bool), "mood": np.arange(10) < 4}
    joint[0]["mood"][4:] = 0  # those rows have no label
    tasks, everything = compare_scores(joint, alone, labelled, {"topic": "accuracy", "mood": "accuracy"})
    assert [(found.together, found.alone) for found in tasks] == [(0.8, 0.4), (1.0, 0.75)]
    assert tasks[0].difference == pytest.approx(0.4) and tasks[1].difference == 0.25
    assert tasks[0].low < 0 and tasks[0].verdict == "no difference"  # four rows that differ, all one way
    assert (everything.together, everything.alone) == (0.8, 0.3)  # alone: right are the rows 0 to 2


def compare(seeds: int, *better: int) -> list[Compared]:
    """The lines of a card on 400 rows, for one task a number: on so many rows only the joint run is right (only the other, below 0)."""
    labelled = {f"task {index}": np.ones(400, bool) for index in range(len(better))}
    sides = [{name: accuracy([1] * 300 + [0] * max(0, side * more) + [1] * max(0, -side * more) + [0] * (100 - abs(more)))
              for name, more in zip(labelled, better, strict=True)} for side in (-1, 1)]
    tasks, everything = compare_scores([sides[0]] * seeds, [sides[1]] * seeds, labelled, dict.fromkeys(labelled, "accuracy"))
    return [*tasks, everything]


def test_a_verdict_needs_two_seeds_and_an_interval_that_leaves_out_0():
    assert [found.verdict for found in compare(2, 30, -30, 3)][:3] == ["helped", "hurt", "no difference"]
    assert [found.verdict for found in compare(1, 30, -30, 3)][:3] == ["higher", "lower", "no difference"]
    helped, small = compare(1, 30, 4)[:2]
    assert helped.sentence == "task 0: 82.5 together, 75.0 alone: +7.5 (+4.7 to +10.3): higher together with this one seed."
    assert small.sentence == "task 1: 76.0 together, 75.0 alone: +1.0 (-0.2 to +2.2): no difference shown."


def test_on_a_card_with_many_scores_an_interval_that_barely_leaves_out_0_is_no_verdict_and_the_card_says_why():
    alone, = compare(2, 7)[:1]
    assert alone.verdict == "helped" and 0.01 < alone.p_value < 0.025
    among = compare(2, 7, 0, 0, 0)[0]
    assert (among.low, among.high, among.p_value) == (alone.low, alone.high, alone.p_value) and among.low > 0
    assert among.verdict == "no difference"
    assert among.sentence.endswith("no difference shown. The interval leaves out 0, but among several scores one such interval comes too "
                                   "easily by chance.")


def test_the_separate_runs_of_a_seed_are_looked_at_where_their_mean_is_best_and_no_later_than_patience_allows():
    assert choose_step({4: 0.5, 16: 0.8, 8: 0.9, 12: 0.6}, 0) == 8 and choose_step({4: 0.5, 8: 0.55, 12: 0.6, 16: 0.8}, 0) == 16
    rising = {4: 0.3, 8: 0.4, 12: 0.25, 16: 0.9}
    assert choose_step(rising, 1) == 8 and choose_step({4: 0.5, 8: 0.4, 12: 0.3, 16: 0.9}, 1) == 4 and choose_step(rising, 2) == 16
    assert choose_step({4: 0.5, 8: 0.5}, 0) == 4  # the first of equals, as when best is saved
    assert choose_step({4: -3.5, 8: -1.5, 12: -2.0}, 0) == 8  # losses
    with pytest.raises(MtlError, match="no evaluation in common"):
        choose_step({}, 0)


def test_the_card_takes_the_separate_runs_at_one_look_and_not_each_at_its_own_best(finished):
    card, runs = read_card(finished.folder), runs_of(finished)
    for seed in (1, 2):
        scores = {task: {seen.step: seen.score for seen in read_history(runs[f"alone: {task} {seed}"]).evaluations if seen.step}
                  for task in TASKS}
        best = max(scores["class"], key=lambda step: sum(of_task[step] for of_task in scores.values()))
        assert choose_step({step: sum(of_task[step] for of_task in scores.values()) for step in scores["class"]}, 0) == best
        for task in TASKS:
            tally = read_tallies(kept_tallies(runs[f"alone: {task} {seed}"].folder)[best])[task]
            scores[task] = float(main_score(tally))
        if seed == 1:
            first = scores
    for found in card.tasks:
        assert found.alone == pytest.approx((first[found.name] + scores[found.name]) / 2)


def test_joint_and_separate_runs_are_chosen_alike_whatever_best_means(tmp_path, tiny_config):
    config = tiny_config(epochs=3, hypothetical_rows=160, validation_share=0.25, weights={"class": 3.0}, best="sentiment", diagnose_every=0,
                         eval_every=3)
    comparison = create(tmp_path, config, alone_plan(config, 1, tasks=SPECS))
    assert run_comparison(comparison) == "finished", read_history(comparison).message
    runs = {task: run for run, task in zip(list(runs_of(comparison).values())[1:], TASKS, strict=True)}
    assert [run.config.best for run in runs.values()] == ["mean"] * 3  # each its own main score
    looks = {task: {seen.step: seen for seen in read_history(run).evaluations if seen.step} for task, run in runs.items()}
    tallies = {step: [read_tallies(kept_tallies(run.folder)[step])[task] for task, run in runs.items()] for step in looks["class"]}
    weights = {"class": 3.0, "sentiment": 1.0, "entities": 1.0}
    wanted = {"sentiment": lambda step: looks["sentiment"][step].scores["sentiment"]["accuracy"],
              "everything_right": lambda step: np.all([2 * tally[:, 0] == tally[:, 1] for tally in tallies[step]], 0).mean(),
              "loss": lambda step: -sum(weights[task] * looks[task][step].losses[task] for task in TASKS)}
    said = {"sentiment": "sentiment accuracy", "everything_right": "everything right", "loss": "validation loss"}
    steps = set()
    for best, number in wanted.items():
        (comparison.folder / "config.json").write_text(config.model_copy(update={"best": best}).model_dump_json())
        card, step = make_card(comparison), max(sorted(tallies), key=number)
        assert [found.alone for found in card.tasks] == pytest.approx([float(main_score(tally)) for tally in tallies[step]])
        assert card.by == said[best] and f"the step that was best by {said[best]};" in card.notes[-1]
        steps.add(step)
    assert len(steps) > 1  # so the choice matters


def test_patience_ends_the_run_together_only_and_the_card_tells_the_steps_of_each(tmp_path, tiny_config):
    config = tiny_config(epochs=4, patience=1, learning_rate=1e-9, head_learning_rate=1e-9, diagnose_every=0)  # no score gets better
    comparison = create(tmp_path, config, alone_plan(config, 1))
    assert run_comparison(comparison) == "finished", read_history(comparison).message
    card = read_card(comparison.folder)
    assert card.steps == {"together": (8,)} | {f"{task} alone": (16,) for task in TASKS}
    assert card.steps == {name: (read_history(run).step,) for name, run in zip(card.steps, runs_of(comparison).values(), strict=True)}
    assert "together 8; class alone 16; sentiment alone 16; entities alone 16 (seed 1). Patience ended" in card.notes[3]


def test_a_comparison_of_an_earlier_version_says_to_compare_again(tmp_path, small, finished):
    (tmp_path / "card.json").write_text((finished.folder / "card.json").read_text().replace("p_value", "level"))
    with pytest.raises(MtlError, match="earlier version made it.*Start the comparison again"):
        read_card(tmp_path)
    comparison = create(tmp_path, small, alone_plan(small, 1))
    assert run_comparison(comparison, Watcher(run=2, step=1)) == "stopped"
    (comparison.member_run(comparison.plan.members[1]).folder / LOOKS).rmdir()
    watcher = Watcher()
    assert run_comparison(comparison, watcher) == "failed" and watcher.begun == []
    assert "begun by an earlier version" in read_history(comparison).message


def test_a_task_without_a_validation_label_has_no_verdict_and_runs_on_other_rows_are_not_compared():
    tally = np.zeros((3, 2), np.int32)
    tasks, _ = compare_scores([{"a": tally}], [{"a": tally[:0]}], {"a": np.zeros(3, bool)}, {"a": "f1"})
    assert tasks[0].verdict == "unknown" and tasks[0].together is None and "no validation row is labelled" in tasks[0].sentence
    for joint, alone in ((3, 4), (5, 4), (4, 3), (4, 5)):
        with pytest.raises(MtlError, match="same validation rows"):
            compare_scores([{"a": accuracy([1] * joint)}], [{"a": accuracy([1] * alone)}], {"a": np.ones(4, bool)}, {"a": "accuracy"})


def test_the_card_tells_size_and_time_and_comes_back_from_its_file(finished, tmp_path):
    card = read_card(finished.folder)
    assert isinstance(card, Card) and card.seeds == (1, 2) and len(card.tasks) == 3
    joint, *alone = (read_history(run).started.parameters for run in list(runs_of(finished).values())[:4])
    assert card.parameters == (joint, sum(alone)) and 0 < card.bytes[0] < card.bytes[1]
    assert 0 < card.milliseconds[0] < card.milliseconds[1]
    write_card(tmp_path, card)
    assert read_card(tmp_path) == card and json.loads((tmp_path / "card.json").read_text())["validation_rows"] == card.validation_rows
    text = markdown(card)
    assert all(found.sentence in text for found in (*card.tasks, card.everything)) and "seeds 1, 2" in text and "--seeds" not in text
    one = markdown(replace(card, seeds=(1,)))
    assert "With one seed there is no verdict" in one and "--seeds 3" in one and "the luck of training" not in one.split("Scores:")[1]
    (tmp_path / "card.json").write_text("[]")
    with pytest.raises(MtlError, match="card"):
        read_card(tmp_path)
