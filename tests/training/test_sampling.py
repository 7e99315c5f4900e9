"""mtl/training/sampling.py: which rows make up each step."""

from collections import Counter

import numpy as np
import pytest

from mtl.training.sampling import SAMPLINGS, Pool, Step, outlook, quotas
from mtl.training.sampling import plan_epoch as plan_epoch_of


def pool(labelled: dict[str, list[int] | range], count: int = 100, step_rows: int = 8, by_length: bool = True) -> Pool:
    """`count` rows of realistic lengths, of which those listed are labelled for each task."""
    lengths = np.clip(np.random.default_rng(5).lognormal(2.9, 0.5, count).round(), 4, 128).astype(int)
    return Pool({task: np.isin(np.arange(count), list(rows)) for task, rows in labelled.items()}, step_rows, lengths if by_length else None)


def plan_epoch(sampling: str, of: Pool, seed: int, epoch: int, epochs: int = 5, temperature: float = 2.0) -> list[Step]:
    return plan_epoch_of(sampling, of, seed, epoch, epochs, temperature)


def rows_of(plan: list[Step]) -> list[int]:
    return [int(row) for step in plan for row in step.rows]


DRAWN = ("proportional", "temperature", "annealed")
HOLES = {"intent": range(0, 60), "slots": range(40, 90)}  # rows 90 to 99 are not labelled at all


@pytest.mark.parametrize("step_rows", [1, 8, 200])
@pytest.mark.parametrize("epoch", [0, 3])
def test_joint_takes_every_labelled_row_once_an_epoch(step_rows, epoch):
    plan = plan_epoch("joint", pool(HOLES, step_rows=step_rows), 1, epoch)
    assert sorted(rows_of(plan)) == list(range(90))
    assert all(step.tasks == ("intent", "slots") and 0 < len(step.rows) <= step_rows for step in plan)
    assert len(plan) == -(-90 // step_rows)


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_the_order_follows_from_seed_and_epoch_alone(sampling):
    before = np.random.get_state()[1].tolist()
    first, again, next_epoch, other_seed = (
        rows_of(plan_epoch(sampling, pool(HOLES), seed, epoch)) for seed, epoch in ((1, 0), (1, 0), (1, 1), (2, 0)))
    assert first == again
    assert first != next_epoch and first != other_seed and next_epoch != other_seed
    assert np.random.get_state()[1].tolist() == before  # nothing is drawn from the global generator


@pytest.mark.parametrize("step_rows", [1, 8, 200])
def test_alternating_gives_the_tasks_strict_turns_one_a_step(step_rows):
    tasks = {"intent": range(0, 60), "slots": range(40, 90), "mood": range(95, 98)}
    plan = plan_epoch("alternating", pool(tasks, step_rows=step_rows), 1, 0)
    assert [step.tasks for step in plan] == [("intent",), ("slots",), ("mood",)] * (len(plan) // 3)
    assert len(plan) == 3 * -(-60 // step_rows)


@pytest.mark.parametrize("step_rows", [1, 8])
def test_alternating_takes_each_row_of_the_largest_task_once_and_the_others_as_evenly_as_can_be(step_rows):
    tasks = {"intent": range(0, 10), "slots": range(10, 74), "none": []}
    plan = plan_epoch("alternating", pool(tasks, step_rows=step_rows), 1, 0)
    counts = {task: Counter(rows_of([step for step in plan if step.tasks == (task,)])) for task in tasks}
    assert counts["slots"] == Counter(range(10, 74)) and not counts["none"] and {step.tasks for step in plan} == {("intent",), ("slots",)}
    assert set(counts["intent"]) == set(range(10)) and max(counts["intent"].values()) - min(counts["intent"].values()) <= 1


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


def drawn_for(plan: list[Step]) -> Counter:
    """How many rows were drawn for each task."""
    return Counter(step.tasks[owner] for step in plan for owner in step.owners)


SIZES = {"large": range(0, 6400), "middle": range(6400, 8000), "small": range(8000, 8100)}


@pytest.mark.parametrize(("sampling", "wanted"), [
    ("proportional", {"large": 6400, "middle": 1600, "small": 100}),
    ("temperature", {"large": 80 / 130, "middle": 40 / 130, "small": 10 / 130}),  # square roots of the sizes
])
def test_the_shares_of_the_tasks_are_those_that_the_sampling_promises(sampling, wanted):
    counts = drawn_for([step for epoch in range(3) for step in plan_epoch(sampling, pool(SIZES, 8100), 1, epoch)])
    for task, of_task in wanted.items():
        assert counts[task] / counts.total() == pytest.approx(of_task / sum(wanted.values()), abs=1e-3)


def test_annealed_goes_from_proportional_to_uniform_in_equal_steps_of_the_exponent():
    shares = [drawn_for(plan_epoch("annealed", pool(SIZES, 8100), 1, epoch, epochs=3)) for epoch in range(3)]
    assert shares[0] == {"large": 6400, "middle": 1600, "small": 100}
    assert shares[1]["large"] / shares[1]["small"] == pytest.approx(8, rel=0.01)  # exponent 1/2
    assert shares[2] == {"large": 2700, "middle": 2700, "small": 2700}
    assert drawn_for(plan_epoch("annealed", pool(SIZES, 8100), 1, 0, epochs=1)) == shares[0]  # a run of one epoch has nowhere to go


@pytest.mark.parametrize("sampling", DRAWN)
def test_each_row_is_drawn_for_a_task_that_it_is_labelled_for_and_as_often_as_the_others(sampling):
    labelled = {"intent": range(0, 60), "slots": range(40, 90), "rare": [95, 96]}  # rows for two tasks, for one, for none
    for epoch in range(3):
        plan = plan_epoch(sampling, pool(labelled), 1, epoch, epochs=3)
        times = {task: Counter(int(row) for step in plan for row in step.rows[step.serves(task)]) for task in labelled}
        for task, rows in labelled.items():
            assert set(times[task]) <= set(rows)
            counts = [times[task][row] for row in rows]
            assert max(counts) - min(counts) <= 1


@pytest.mark.parametrize("sampling", DRAWN)
def test_every_epoch_has_equally_many_steps_however_small_a_task(sampling):
    of = pool({"large": range(0, 97), "tiny": [98], "none": []}, step_rows=7)
    plans = [plan_epoch(sampling, of, 1, epoch, epochs=6, temperature=1.5) for epoch in range(6)]
    assert len({len(plan) for plan in plans}) == 1
    assert all(drawn_for(plan)["tiny"] >= 1 and "none" not in drawn_for(plan) for plan in plans)


def test_what_a_mean_loss_counts_is_its_share_of_the_drawn_rows_so_that_rows_count_the_same():
    step = Step(np.array([4, 5, 4, 6]), ("a", "b"), np.array([0, 0, 1, 0]))
    assert step.serves("a").tolist() == [True, True, False, True] and step.serves("b").tolist() == [False, False, True, False]
    assert (step.share_of("a"), step.share_of("b")) == (0.75, 0.25)
    assert Step(np.array([4, 5]), ("a", "b")).share_of("a") == 1


@pytest.mark.parametrize("exponent", [0.0, 0.3, 1.0])
def test_quotas_are_whole_add_up_and_leave_no_task_out(exponent):
    sizes = {"a": 100_000, "b": 7, "c": 1}
    got = quotas(sizes, exponent)
    assert sum(got.values()) == 100_008 and min(got.values()) >= 1 and got["a"] >= got["b"] >= got["c"]


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_the_outlook_is_what_the_plan_then_does(sampling):
    labelled = {"intent": range(0, 64), "slots": range(60, 96)}
    of, (steps, first, last) = pool(labelled), outlook(sampling, {"intent": 64, "slots": 36, "none": 0}, 96, 8, 4, 3.0)
    for epoch, foreseen in ((0, first), (3, last)):
        plan = plan_epoch(sampling, of, 1, epoch, epochs=4, temperature=3.0)
        assert len(plan) == steps
        counts = {task: sum((of.labelled[task][step.rows] & step.serves(task)).sum() for step in plan if task in step.tasks)
                  for task in labelled}
        assert counts == pytest.approx(foreseen, abs=8)  # one step of a small task may be short, here or there
    assert outlook(sampling, {"none": 0}, 0, 8, 1, 1.0) == (0, {}, {})
