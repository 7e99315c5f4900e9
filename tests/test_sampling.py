"""mtl/sampling.py: which rows make up each step."""

from collections import Counter

import numpy as np
import pytest

from mtl.sampling import SAMPLINGS, Pool, Step, plan_epoch, share


def pool(labelled: dict[str, list[int] | range], count: int = 100, step_rows: int = 8) -> Pool:
    """`count` rows of realistic lengths, of which those listed are labelled for each task."""
    lengths = np.clip(np.random.default_rng(5).lognormal(2.9, 0.5, count).round(), 4, 128).astype(int)
    return Pool(lengths, {task: np.isin(np.arange(count), list(rows)) for task, rows in labelled.items()}, step_rows)


def rows_of(plan: list[Step]) -> list[int]:
    return [int(row) for step in plan for row in step.rows]


HOLES = {"intent": range(0, 60), "slots": range(40, 90)}  # rows 90 to 99 are not labelled at all


@pytest.mark.parametrize("step_rows", [1, 8, 200])
@pytest.mark.parametrize("epoch", [0, 3])
def test_joint_takes_every_labelled_row_once_an_epoch(step_rows, epoch):
    plan = plan_epoch("joint", pool(HOLES, step_rows=step_rows), 1, epoch)
    assert sorted(rows_of(plan)) == list(range(90))
    assert all(step.tasks == ("intent", "slots") and 0 < len(step.rows) <= step_rows for step in plan)
    assert len(plan) == -(-90 // step_rows)


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_the_order_follows_from_seed_and_epoch(sampling):
    first, again, next_epoch, other_seed = (
        rows_of(plan_epoch(sampling, pool(HOLES), seed, epoch)) for seed, epoch in ((1, 0), (1, 0), (1, 1), (2, 0)))
    assert first == again
    assert first != next_epoch and first != other_seed and next_epoch != other_seed


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_making_a_plan_draws_nothing_from_numpy_s_global_generator(sampling):
    before = np.random.get_state()[1].tolist()
    plan_epoch(sampling, pool(HOLES), 1, 0)
    assert np.random.get_state()[1].tolist() == before


@pytest.mark.parametrize("step_rows", [1, 8, 200])
def test_alternating_gives_the_tasks_strict_turns_one_a_step(step_rows):
    tasks = {"intent": range(0, 60), "slots": range(40, 90), "mood": range(95, 98)}
    plan = plan_epoch("alternating", pool(tasks, step_rows=step_rows), 1, 0)
    assert [step.tasks for step in plan] == [("intent",), ("slots",), ("mood",)] * (len(plan) // 3)
    assert len(plan) == 3 * -(-60 // step_rows)
    assert all(set(step.rows.tolist()) <= set(tasks[step.tasks[0]]) for step in plan)


@pytest.mark.parametrize("step_rows", [1, 8])
def test_alternating_takes_each_row_of_the_largest_task_once_and_the_others_as_evenly_as_can_be(step_rows):
    tasks = {"intent": range(0, 10), "slots": range(10, 74)}
    plan = plan_epoch("alternating", pool(tasks, step_rows=step_rows), 1, 0)
    counts = {task: Counter(rows_of([step for step in plan if step.tasks == (task,)])) for task in tasks}
    assert counts["slots"] == Counter(range(10, 74))
    assert set(counts["intent"]) == set(range(10)) and max(counts["intent"].values()) - min(counts["intent"].values()) <= 1


def test_alternating_passes_over_a_task_that_no_row_is_labelled_for():
    plan = plan_epoch("alternating", pool({"intent": range(20), "slots": []}), 1, 0)
    assert {step.tasks for step in plan} == {("intent",)} and sorted(rows_of(plan)) == list(range(20))


@pytest.mark.parametrize("processes", [1, 2, 3, 4])
@pytest.mark.parametrize("count", [1, 2, 7, 24, 25])
def test_the_shares_of_the_processes_are_the_step_and_equally_many_batches(count, processes):
    step = Step(np.arange(100, 100 + count), ("intent",))
    shares = [share(step, rank, processes, batch_size=4) for rank in range(processes)]
    assert sorted(int(row) for batches in shares for batch in batches for row in batch) == step.rows.tolist()
    assert len({len(batches) for batches in shares}) == 1 and len(shares[0]) >= 1
    assert all(len(batch) <= 4 for batches in shares for batch in batches)


def test_one_process_takes_the_rows_in_order_in_full_batches():
    assert [batch.tolist() for batch in share(Step(np.arange(10), ()), 0, 1, 4)] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_rows_of_a_step_are_of_about_one_length_but_neighbouring_steps_are_not(sampling):
    drawn = pool({"intent": range(8000)}, count=8000, step_rows=32)
    lengths = [drawn.lengths[step.rows] for step in plan_epoch(sampling, drawn, 1, 0)]
    padded = sum(len(of_step) * of_step.max() for of_step in lengths)
    assert 1 - sum(of_step.sum() for of_step in lengths) / padded <= 0.10
    means = np.array([of_step.mean() for of_step in lengths])
    assert abs(np.corrcoef(means[1:], means[:-1])[0, 1]) < 0.2
    assert 0.35 < (np.diff(means) > 0).mean() < 0.65
    first, last = means[:len(means) // 4].mean(), means[-len(means) // 4:].mean()
    assert abs(first - last) < 0.15 * means.mean()
