"""What is promised on average, tried on made-up models of which the truth is known: intervals cover it, verdicts are seldom false, choosing
a checkpoint favours nobody, and 8 bits are not allowed by luck."""

import math
import statistics

import numpy as np
import pytest

from mtl.comparing.joint_vs_alone import choose_step, compare_scores
from mtl.inference.fused_bert import MAX_INT8_COST
from mtl.scoring.intervals import cost_bound, interval

POINT = 0.048  # on the scale of `answer_rows`, what is a point of accuracy


def counts_of(right: np.ndarray) -> np.ndarray:
    """Which rows are right (...,) -> their hit counts (..., 2)."""
    return np.stack([right, np.full_like(right, 2, np.int32)], -1)


def entities(random: np.random.Generator, skill: np.ndarray, gold: np.ndarray) -> np.ndarray:
    """Hit counts of a tagger with this `skill` for rows of so many `gold` entities; of those it misses it finds six in ten elsewhere."""
    hits = random.binomial(gold, 1 / (1 + np.exp(-1.7 * skill)))
    return np.stack([hits, gold + hits + random.binomial(gold - hits, 0.6)], -1)


# One score


def coverage(share: float, rows: int) -> float:
    """How often the interval of an accuracy covers the true `share`, over all numbers of right rows."""
    found = [interval(counts_of(np.arange(rows) < right)) for right in range(rows + 1)]
    return sum(math.comb(rows, right) * share**right * (1 - share) ** (rows - right) for right, at in enumerate(found)
               if at.low <= share <= at.high)


@pytest.mark.parametrize("rows", [30, 100])
def test_the_interval_of_an_accuracy_covers_the_truth_in_95_of_100_cases(rows):
    shares = [0.1, 0.5, 0.8, 0.9, 0.95, 0.98]
    covered = [coverage(share, rows) for share in shares]
    assert min(covered) >= 0.92 and statistics.fmean(covered) > 0.945


@pytest.mark.parametrize("rows", [30, 200])
@pytest.mark.parametrize("skill", [0.0, 1.0, 2.0])
def test_the_interval_of_an_f1_covers_the_truth_though_the_entities_of_a_row_are_alike(rows, skill):
    random = np.random.default_rng(rows)
    skills, gold = skill + random.normal(size=(2000, rows)), random.integers(1, 5, (2000, rows))
    counts = entities(random, skills, gold)
    true = 2 * counts[..., 0].sum() / counts[..., 1].sum()
    covered = statistics.fmean(at.low <= true <= at.high for at in map(interval, counts[:500]))
    assert 0.92 <= covered <= 0.98


# Verdicts


def answer_rows(random: np.random.Generator, seeds: int, rows: int, luck: float) -> tuple[list[dict], list[dict]]:
    """What a joint run and separate runs of no difference answer on the same rows, for each seed: rows are easy or hard, each way of
    training has rows that it is better at, a training has luck (in points), and luck on single rows."""
    gold, sides = random.integers(1, 5, rows), ([{} for _ in range(seeds)], [{} for _ in range(seeds)])
    for task in ("topic", "mood", "tags"):
        row = random.standard_normal(rows, np.float32)
        for side in sides:
            better = 1.16 + row + 0.3 * random.standard_normal(rows, np.float32)
            for of_seed in side:
                skill = better + POINT * luck * random.standard_normal() + 0.4 * random.standard_normal(rows, np.float32)
                of_seed[task] = entities(random, skill, gold) if task == "tags" else counts_of(skill > 0)
    return sides


@pytest.mark.parametrize(("rows", "luck"), [(100, 1), (1000, 0), (1000, 2)])
@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_of_200_cards_without_a_difference_at_most_6_in_100_show_one(seeds, rows, luck):
    random, labelled = np.random.default_rng([seeds, rows, luck]), dict.fromkeys(("topic", "mood", "tags"), np.ones(rows, bool))
    measures, false = {"topic": "accuracy", "mood": "accuracy", "tags": "f1"}, 0
    for _ in range(200):
        tasks, everything = compare_scores(*answer_rows(random, seeds, rows, luck), labelled, measures)
        false += any(found.verdict != "no difference" for found in (*tasks, everything))
    assert false <= 12


def test_a_difference_of_5_points_is_shown_with_5_seeds():
    random, labelled, told = np.random.default_rng(1), {"topic": np.ones(1000, bool)}, 0
    for _ in range(50):
        joint, alone = answer_rows(random, 5, 1000, 1)
        for counts in joint:
            wrong = np.flatnonzero(counts["topic"][:, 0] == 0)
            counts["topic"][random.choice(wrong, 50, replace=False), 0] = 1
        (found,), _ = compare_scores([{"topic": seed["topic"]} for seed in joint], [{"topic": seed["topic"]} for seed in alone], labelled,
                                     {"topic": "accuracy"})
        told += found.verdict == "helped"
    assert told > 40


# Choosing


def looks_at(random: np.random.Generator, tasks: int, looks: int) -> np.ndarray:
    """Scores (tasks, looks) of a training: they rise, and every look has an error of a point."""
    return 0.8 - 0.3 * np.exp(-6 * np.arange(1, looks + 1) / looks) + random.normal(0, 0.01, (tasks, looks))


def own_best(scores: np.ndarray, patience: int) -> int:
    """The look that a run by itself keeps."""
    return choose_step(dict(enumerate(scores)), patience)


@pytest.mark.parametrize(("tasks", "looks", "patience"), [(3, 8, 0), (2, 8, 0), (3, 20, 0), (3, 20, 4), (3, 40, 3)], ids=str)
def test_choosing_by_the_best_look_favours_neither_together_nor_alone(tasks, looks, patience):
    random, gaps, each_its_own = np.random.default_rng(looks), [], []
    for _ in range(1000):
        joint, alone = looks_at(random, tasks, looks), looks_at(random, tasks, looks)
        together = joint[:, own_best(joint.mean(0), patience)].mean()
        chosen = choose_step(dict(enumerate(alone.mean(0))), patience)
        gaps.append(100 * (together - alone[:, chosen].mean()))
        each_its_own.append(100 * (together - np.mean([scores[own_best(scores, patience)] for scores in alone])))
    error = statistics.stdev(gaps) / math.sqrt(len(gaps))
    assert abs(statistics.fmean(gaps)) < 3 * error and error < 0.04  # points
    if not patience:
        assert statistics.fmean(each_its_own) < -0.25  # if each separate run keeps its own best look, together seems worse than it is


# 8 bits


def chance_to_be_allowed(rows: int, cost: float, flipped: float) -> float:
    """How likely a model is allowed 8 bits that `flipped` a share of its answers and cost so much accuracy, over all that may happen on so
    many rows; the bound knows only how many answers were lost and won."""
    lose, win = (flipped + cost) / 2, (flipped - cost) / 2

    def probability(lost: int, won: int) -> float:
        same = rows - lost - won
        return math.comb(rows, lost) * math.comb(rows - lost, won) * lose**lost * win**won * (1 - flipped) ** same

    def is_allowed(lost: int, won: int) -> bool:
        state = np.arange(rows)
        before, after = (counts_of(state >= lost + won) for _ in range(2))
        before[:lost, 0], after[lost:lost + won, 0] = 1, 1
        return cost_bound(before, after) < MAX_INT8_COST

    total, lost = 0.0, 0
    for won in range(min(rows, 1 + int(rows * win + 8 * math.sqrt(rows * win)))):
        while lost + won <= rows and is_allowed(lost, won):  # the more were won, the more may be lost
            lost += 1
        total += sum(probability(few, won) for few in range(lost))
    return total


@pytest.mark.parametrize("flipped", [0.01, 0.02, 0.04])
@pytest.mark.parametrize("rows", [20, 100, 306, 1000])
def test_a_model_that_loses_a_point_by_8_bits_is_allowed_them_in_at_most_5_of_100_cases(rows, flipped):
    assert chance_to_be_allowed(rows, 0.01, flipped) <= 0.05


@pytest.mark.parametrize(("rows", "flipped", "least"), [(700, 0.0, 0.99), (700, 0.003, 0.9), (1000, 0.003, 0.95), (1000, 0.01, 0.8),
                                                        (2000, 0.02, 0.85)])
def test_a_model_that_loses_nothing_is_mostly_allowed_8_bits_with_700_rows_or_more(rows, flipped, least):
    assert chance_to_be_allowed(rows, 0.0, flipped) >= least


def test_a_tagger_that_loses_a_point_of_f1_by_8_bits_is_seldom_allowed_them():
    random, allowed, rows = np.random.default_rng(2), 0, 306
    for _ in range(60):
        gold = random.integers(1, 6, rows)
        hits = random.binomial(gold, 0.9)
        after = np.where(random.random(rows) < 0.015 / 0.9, 0, hits)  # whole rows are lost
        after = np.where((random.random(rows) < 0.005 / 0.1) & (after == hits), gold, after)
        allowed += cost_bound(np.stack([hits, 2 * gold], -1), np.stack([after, 2 * gold], -1)) < MAX_INT8_COST
    assert allowed <= 3
