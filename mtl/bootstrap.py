"""How sure a score is: bootstrap intervals over the rows that it was measured on (Efron and Tibshirani, 1993), for one model and for the
paired difference of two. Knows only tallies: for every row its hits and items, of which Task.tally says what they are."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

DRAWS = 2_000
LEVEL = 0.95
TOGETHER = 2_000_000  # random numbers drawn at a time


@dataclass(frozen=True)
class Interval:
    """A score, or a difference of scores, and the bounds between which 95 % of its bootstrap replicates lie."""

    value: float
    low: float
    high: float


def main_score(tally: np.ndarray) -> np.ndarray:
    """2 hits / items, summed over the rows of `tally` (..., rows, 2) -> (...); NaN where nothing is labelled."""
    return _measure(tally.sum(-2))


def all_right(tallies: Iterable[np.ndarray]) -> np.ndarray:
    """From the tallies (..., rows, 2) of several tasks the one of rows with everything right, of which `main_score` is the share."""
    right = np.logical_and.reduce([2 * tally[..., 0] == tally[..., 1] for tally in tallies])
    return np.stack([right, np.full_like(right, 2, int)], -1)


def interval(tally: np.ndarray, seed: int = 0) -> Interval:
    """The main score of `tally` (rows, 2) and its percentile interval over resampled rows."""
    return _interval(float(main_score(tally)), np.concatenate([_measure(sums) for sums in _resampled(tally[None], seed)], axis=1)[0])


def difference(ours: np.ndarray, theirs: np.ndarray, seed: int = 0) -> Interval:
    """The mean over seeds of our main score minus theirs, both tallies (seeds, rows, 2) of the same rows in the same order.

    Paired: each replicate draws the same rows for both. With several seeds it draws seeds too, so that the interval covers both the
    choice of the dev rows and the luck of a training.
    """
    if ours.shape[:2] != theirs.shape[:2]:
        raise ValueError(f"{ours.shape} and {theirs.shape} are not the same seeds and rows")
    gaps = np.concatenate([_measure(sums[:len(ours)]) - _measure(sums[len(ours):])
                           for sums in _resampled(np.concatenate([ours, theirs]), seed)], axis=1)  # (seeds, draws)
    random = np.random.default_rng([seed, 1])
    chosen = random.integers(len(ours), size=gaps.shape)
    return _interval(float(np.mean(main_score(ours) - main_score(theirs))), np.take_along_axis(gaps, chosen, axis=0).mean(0))


def _measure(counts: np.ndarray) -> np.ndarray:
    """Summed hits and items (..., 2) -> scores (...)."""
    hits, items = counts[..., 0], counts[..., 1]
    return np.divide(2.0 * hits, items, out=np.full(np.shape(items), np.nan), where=np.asarray(items) > 0)


def _resampled(tallies: np.ndarray, seed: int) -> Iterator[np.ndarray]:
    """For DRAWS resamples of the rows of all `tallies` (M, rows, 2) at once, the summed counts: arrays (M, some draws, 2)."""
    models, rows, counts = tallies.shape
    # rows with the same counts are told apart by nothing: drawing their kinds is the same, and takes milliseconds where rows take seconds
    kinds, sizes = np.unique(tallies.transpose(1, 0, 2).reshape(rows, models * counts), axis=0, return_counts=True)
    random, left = np.random.default_rng([seed, 0]), DRAWS
    while left:
        draws = min(left, max(1, TOGETHER // len(kinds)))
        times = random.multinomial(rows, sizes / rows, size=draws)  # how often a row of each kind is drawn
        yield (times @ kinds.astype(np.float64)).reshape(draws, models, counts).transpose(1, 0, 2)
        left -= draws


def _interval(value: float, replicates: np.ndarray) -> Interval:
    tail = 50 * (1 - LEVEL)
    if np.isnan(replicates).all():
        return Interval(value, float("nan"), float("nan"))
    low, high = np.nanpercentile(replicates, [tail, 100 - tail])
    return Interval(value, float(low), float(high))
