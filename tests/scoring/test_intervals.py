"""mtl/scoring/intervals.py: scores from hit counts, and their intervals. What holds on average is in test_simulations.py."""

import math
from itertools import product

import numpy as np
import pytest

from mtl.errors import MtlError
from mtl.runs.checkpoint import read_tallies, write_tallies
from mtl.scoring.intervals import Difference, all_right, cost_bound, difference, holm, interval, main_score


def accuracy(right: list[int]) -> np.ndarray:
    """The hit counts (rows, 2) of a classifier that is right where there is a 1."""
    return np.array([[hit, 2] for hit in right], np.int32).reshape(-1, 2)


def random_counts(share: float, rows: int, seed: int) -> np.ndarray:
    """Hit counts of a classifier that is right on `share` of the rows."""
    return accuracy(np.random.default_rng(seed).random(rows) < share)


def pair(better: int, worse: int, rows: int = 200) -> Difference:
    """Two classifiers, of which ours alone is right on `better` rows and theirs alone on `worse`, with one seed."""
    ours = accuracy([1] * better + [0] * worse + [1] * (rows - better - worse))
    theirs = accuracy([0] * better + [1] * worse + [1] * (rows - better - worse))
    return difference(ours[None], theirs[None])


def test_the_main_score_is_accuracy_for_one_item_a_row_and_f1_for_several():
    assert main_score(np.array([[1, 2], [0, 2], [1, 2], [1, 2]])) == 0.75
    # 3 gold entities and 2 found, 2 of them right; then a row with one gold entity and none found: P = 1, R = 1/2
    assert main_score(np.array([[2, 5], [0, 1]])) == pytest.approx(2 * 2 / 6)
    assert np.isnan(main_score(np.zeros((3, 2), int)))


def test_everything_is_right_where_every_task_that_is_labelled_is():
    classes, tags = np.array([[1, 2], [1, 2], [0, 2], [0, 0]]), np.array([[2, 4], [1, 3], [1, 2], [0, 0]])
    assert all_right([classes, tags])[:, 0].tolist() == [1, 0, 0, 1]
    assert main_score(all_right([classes, tags])) == 0.5


# One score


@pytest.mark.parametrize(("right", "rows", "low", "high"), [(90, 100, 0.8256, 0.9448), (30, 30, 0.8865, 1), (0, 30, 0, 1 - 0.8865)])
def test_the_interval_of_an_accuracy_is_wilsons(right, rows, low, high):
    got = interval(accuracy([1] * right + [0] * (rows - right)))
    assert (got.value, got.low, got.high) == (right / rows, pytest.approx(low, abs=1e-4), pytest.approx(high, abs=1e-4))


def test_rows_whose_entities_are_right_or_wrong_together_count_as_few():
    together = np.array([[5, 10]] * 40 + [[0, 10]] * 10)  # all five entities of a row, or none
    apart = np.array([[3, 10], [5, 10]] * 25)
    assert main_score(together) == main_score(apart) == 0.8
    of_rows, wide, narrow = (interval(tally) for tally in (accuracy([1] * 40 + [0] * 10), together, apart))
    assert (wide.low, wide.high) == (pytest.approx(of_rows.low), pytest.approx(of_rows.high))
    assert narrow.high - narrow.low < 0.6 * (wide.high - wide.low)


def test_an_interval_never_counts_more_items_than_there_are_nor_leaves_its_range():
    for tally in ([[1, 3]], [[2, 4]], [[0, 1]], [[1, 2], [0, 0]], [[3, 7], [3, 7]]):
        got = interval(np.array(tally))
        assert 0 <= got.low <= got.value <= got.high <= 1 and got.high - got.low > 0.3
    assert all(math.isnan(number) for number in vars(interval(np.zeros((3, 2), int))).values())


# Two scores


def test_a_paired_difference_is_surer_than_two_scores_apart():
    ours = random_counts(0.9, 500, 1)
    theirs = ours.copy()
    theirs[:10, 0] = 0  # the same model but for ten rows
    paired = difference(ours[None], theirs[None]).interval
    assert 0 < paired.value <= 10 / 500 and paired.low > 0
    apart = interval(ours).high - interval(ours).low
    assert paired.high - paired.low < apart / 2


def test_four_rows_that_differ_all_one_way_are_not_enough_and_six_are():
    assert pair(4, 0).interval.low < 0 and pair(4, 0).p_value > 0.05
    assert pair(6, 0).interval.low > 0 and pair(6, 0).p_value < 0.05


@pytest.mark.parametrize("rows", [5, 6, 200])
def test_the_rows_decide_nearly_as_mcnemars_exact_test_does(rows):
    for better, worse in product(range(31), repeat=2):
        if better + worse <= rows:
            count = better + worse
            exact = min(1.0, 2 * sum(math.comb(count, few) for few in range(min(better, worse) + 1)) / 2**count)
            if not 0.03 < exact < 0.065:
                assert (pair(better, worse, rows).p_value < 0.05) == (exact < 0.05), f"{better} against {worse} rows: p = {exact:.3f}"


def test_models_that_answer_alike_may_still_differ_on_other_rows():
    tally = random_counts(0.7, 100, 2)
    same = difference(tally[None], tally[None])
    assert same.value == 0 and same.p_value == 1
    assert same.interval.high == -same.interval.low == pytest.approx(0.028, abs=0.001)  # about 3 / rows
    one = difference(accuracy([1])[None], accuracy([0])[None])
    assert one.value == 1 and one.interval.low < 0


def test_rows_without_a_label_change_nothing():
    ours, theirs = random_counts(0.8, 60, 3)[None], random_counts(0.6, 60, 4)[None]
    longer = [np.concatenate([tally, np.zeros((1, 40, 2), tally.dtype)], axis=1) for tally in (ours, theirs)]
    assert vars(difference(*longer)) == pytest.approx(vars(difference(ours, theirs)))
    nothing = difference(np.zeros((1, 3, 2), int), np.zeros((1, 3, 2), int))
    assert math.isnan(nothing.value) and math.isnan(nothing.interval.low)


def test_with_several_seeds_the_luck_of_a_training_counts_too():
    rows = np.stack([random_counts(0.8, 2000, 3)] * 3)
    lucky = rows.copy()
    lucky[0, :, 0] = 1  # one of three trainings was perfect
    got = difference(lucky, rows)
    assert got.value == pytest.approx((1 - main_score(rows[0])) / 3) and got.interval.low < 0 < got.value
    assert got.freedom == pytest.approx(2)  # only one side has any luck
    assert got.margin(0.95) == pytest.approx(math.hypot(1.96 * math.sqrt(got.rows), 4.303 * math.sqrt(got.luck)), rel=1e-3)
    alike = difference(lucky, lucky[::-1])
    assert alike.freedom == pytest.approx(4)  # both sides tell how much luck there is


def test_the_p_value_is_where_the_interval_touches_0():
    for seeds in (1, 3):
        ours, theirs = (np.stack([random_counts(share, 300, seed + base) for seed in range(seeds)])
                        for share, base in ((0.85, 10), (0.8, 20)))
        got = difference(ours, theirs)
        assert got.margin(1 - got.p_value) == pytest.approx(abs(got.value))
        assert (got.p_value < 0.05) == (got.interval.low > 0 or got.interval.high < 0)


def test_models_on_other_rows_cannot_be_compared():
    with pytest.raises(ValueError, match="not the same seeds and rows"):
        difference(random_counts(0.6, 90, 4)[None], random_counts(0.6, 91, 4)[None])


@pytest.mark.parametrize(("p_values", "shown"), [
    ([], []), ([0.04], [True]), ([0.04, 0.04], [False, False]), ([0.04, 0.024], [True, True]), ([0.02, 0.3, 0.001], [True, False, True]),
    ([0.013, 0.5, 0.5, 0.5], [False] * 4), ([0.012, 0.5, 0.5, 0.5], [True, False, False, False])], ids=str)
def test_of_several_differences_the_smallest_p_value_must_be_the_smaller_the_more_there_are(p_values, shown):
    assert holm(p_values) == shown


# What 8 bits cost


def test_if_nothing_was_lost_in_n_rows_the_cost_is_at_most_about_3_in_n():
    for rows in (20, 100, 1000):
        tally = random_counts(0.9, rows, 1)
        assert cost_bound(tally, tally) == pytest.approx(1 - 0.05 ** (1 / rows), rel=0.05)  # Clopper and Pearson


def test_the_bound_grows_with_what_was_lost_and_is_the_same_again():
    before = accuracy([1] * 300)
    bounds = [cost_bound(before, accuracy([0] * lost + [1] * (300 - lost))) for lost in (0, 1, 5, 20)]
    assert bounds == sorted(bounds) and all(bound > lost / 300 for bound, lost in zip(bounds, (0, 1, 5, 20), strict=True))
    assert cost_bound(before, before) == bounds[0]


def test_where_nothing_is_labelled_the_cost_may_be_anything():
    assert cost_bound(np.zeros((50, 2), int), np.zeros((50, 2), int)) == math.inf
    assert cost_bound(np.zeros((0, 2), int), np.zeros((0, 2), int)) == math.inf


# In and out


def test_hit_counts_come_back_from_a_file_under_any_task_name(tmp_path):
    tallies = {"file": np.array([[1, 2]], np.int32), "a/b ü": np.array([[3, 7]], np.int32)}
    write_tallies(tmp_path / "12.npz", tallies)
    back = read_tallies(tmp_path / "12.npz")
    assert list(back) == list(tallies) and all((back[task] == tally).all() for task, tally in tallies.items())
    assert [file.name for file in tmp_path.iterdir()] == ["12.npz"]


def test_a_checkpoint_without_hit_counts_says_so(tmp_path):
    with pytest.raises(MtlError, match="the scores of every validation row, cannot be read"):
        read_tallies(tmp_path / "tallies.npz")
