"""mtl/bootstrap.py: scores from tallies, and how sure they are."""

import numpy as np
import pytest

from mtl.checkpoint import read_tallies, write_tallies
from mtl.errors import MtlError
from mtl.intervals import all_right, difference, interval, main_score


def accuracy_tally(share: float, rows: int, seed: int) -> np.ndarray:
    """A tally of a classifier that is right on `share` of the rows."""
    right = np.random.default_rng(seed).random(rows) < share
    return np.stack([right, np.full(rows, 2)], axis=1).astype(np.int32)


def test_the_main_score_is_accuracy_for_one_item_a_row_and_f1_for_several():
    assert main_score(np.array([[1, 2], [0, 2], [1, 2], [1, 2]])) == 0.75
    # 3 gold entities and 2 found, 2 of them right; then a row with one gold entity and none found: P = 1, R = 1/2
    assert main_score(np.array([[2, 5], [0, 1]])) == pytest.approx(2 * 2 / 6)
    assert np.isnan(main_score(np.zeros((3, 2), int)))


def test_everything_is_right_where_every_task_that_is_labelled_is():
    classes, tags = np.array([[1, 2], [1, 2], [0, 2], [0, 0]]), np.array([[2, 4], [1, 3], [1, 2], [0, 0]])
    assert all_right([classes, tags])[:, 0].tolist() == [1, 0, 0, 1]
    assert main_score(all_right([classes, tags])) == 0.5


def test_an_interval_has_the_width_that_the_binomial_says():
    got = interval(accuracy_tally(0.9, 700, 0))
    half = 1.96 * np.sqrt(got.value * (1 - got.value) / 700)
    assert got.value - got.low == pytest.approx(half, rel=0.15) and got.high - got.value == pytest.approx(half, rel=0.15)


def test_intervals_cover_the_true_score_about_95_times_in_100():
    covered = [found.low <= 0.8 <= found.high for seed in range(100) for found in [interval(accuracy_tally(0.8, 200, seed))]]
    assert 88 <= sum(covered) <= 100


def test_a_paired_difference_is_surer_than_two_scores_apart():
    ours = accuracy_tally(0.9, 500, 1)
    theirs = ours.copy()
    theirs[:10, 0] = 0  # the same model but for ten rows
    paired = difference(ours[None], theirs[None])
    assert 0 < paired.value <= 10 / 500 and paired.low >= 0
    apart = interval(ours).high - interval(ours).low
    assert paired.high - paired.low < apart / 2


def test_the_difference_of_a_model_and_itself_is_nothing():
    tally = accuracy_tally(0.7, 100, 2)[None]
    same = difference(tally, tally)
    assert (same.value, same.low, same.high) == (0, 0, 0)


def test_with_several_seeds_the_luck_of_a_training_counts_too():
    rows = np.stack([accuracy_tally(0.8, 2000, 3)] * 3)
    lucky = rows.copy()
    lucky[0, :, 0] = 1  # one of three trainings was perfect
    got = difference(lucky, rows)
    assert got.value == pytest.approx((1 - main_score(rows[0])) / 3) and got.low == 0 and got.high > got.value


def test_the_same_tallies_give_the_same_interval():
    assert interval(accuracy_tally(0.6, 90, 4)) == interval(accuracy_tally(0.6, 90, 4))


def test_models_on_other_rows_cannot_be_compared():
    with pytest.raises(ValueError, match="not the same seeds and rows"):
        difference(accuracy_tally(0.6, 90, 4)[None], accuracy_tally(0.6, 91, 4)[None])


def test_tallies_come_back_from_a_checkpoint_under_any_task_name(tmp_path):
    tallies = {"file": np.array([[1, 2]], np.int32), "a/b ü": np.array([[3, 7]], np.int32)}
    write_tallies(tmp_path, tallies)
    back = read_tallies(tmp_path)
    assert list(back) == list(tallies) and all((back[task] == tally).all() for task, tally in tallies.items())


def test_a_checkpoint_without_tallies_says_so(tmp_path):
    with pytest.raises(MtlError, match="how its model did"):
        read_tallies(tmp_path)
