"""Uncertainty of scores, of differences, and of what a cheaper computation costs, from the hit counts of every row (Task.hit_counts).
Those of numbers, which are no whole numbers, are a true and a predicted number, in standard deviations; both 0 where there is none."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from mtl.data.values import NEAR, SAME

LEVEL = 0.95
DRAWS, AT_ONCE = 20_000, 1_000  # bootstrap samples of `cost_bound`, and how many of them are in memory
HALVINGS = 50  # bisection steps for a p-value


@dataclass(frozen=True)
class Interval:
    """A score, or a difference of scores, and the bounds of its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Difference:
    """Our mean score minus theirs, and its variances: `rows` from the choice of rows, `luck` from the randomness of training, estimated
    with `freedom` degrees of freedom. With one seed `luck` is unknown, and both are 0."""

    value: float
    rows: float
    luck: float = 0.0
    freedom: float = 0.0

    def margin(self, level: float = LEVEL) -> float:
        """Half the width of the interval at `level`: the root of the sum of the two sources' squared margins."""
        square = _z(level) ** 2 * self.rows
        if self.freedom:
            from scipy.special import stdtrit  # the quantile of Student's t; imported here, because showing a page does not need it

            square += float(stdtrit(self.freedom, (1 + level) / 2)) ** 2 * self.luck
        return math.sqrt(square)

    @property
    def interval(self) -> Interval:
        """The 95 % interval."""
        low, high = np.clip([self.value - self.margin(), self.value + self.margin()], -1, 1).tolist()
        return Interval(self.value, low, high)

    @property
    def p_value(self) -> float:
        """1 minus the level at which the interval just reaches 0."""
        low, high = 0.0, 1.0
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            low, high = (low, middle) if self.margin(1 - middle) < abs(self.value) else (middle, high)
        return high


def main_score(counts: np.ndarray) -> np.ndarray:
    """2 hits / items, summed over rows, or the correlation of numbers: `counts` (..., rows, 2) -> (...); NaN where nothing is labelled."""
    return _quotient(_as_hits(counts))


def _quotient(counts: np.ndarray) -> np.ndarray:
    hits, items = counts[..., 0].sum(-1), counts[..., 1].sum(-1)
    return np.divide(2.0 * hits, items, out=np.full(np.shape(items), np.nan), where=np.asarray(items) > 0)


def _as_hits(counts: np.ndarray) -> np.ndarray:
    """`counts` (..., rows, 2), those of numbers as hits and items whose main score is the correlation of Pearson (0 if either side is
    constant): of numbers a and b with mean 0 and deviation 1, it is 2 ab / (aa + bb), summed over rows. The influence of a row on that
    quotient is then that on the correlation (Devlin, Gnanadesikan and Kettenring, 1975)."""
    if not np.issubdtype(counts.dtype, np.floating):
        return counts
    known = counts.any(-1, keepdims=True)
    size = np.maximum(known.sum(-2, keepdims=True), 1)
    centred = (counts - counts.sum(-2, keepdims=True) / size) * known
    deviations = np.sqrt((centred**2).sum(-2, keepdims=True) / size)
    varies = deviations >= SAME
    a, b = np.moveaxis(np.divide(centred, deviations, out=np.zeros_like(centred), where=varies), -1, 0)
    return np.stack([a * b, np.where(varies.all(-1), a * a + b * b, 2.0) * known[..., 0]], -1)


def all_right(of_tasks: Iterable[np.ndarray]) -> np.ndarray:
    """From the hit counts (..., rows, 2) of several tasks, hit counts whose `main_score` is the share of rows that are right for all. A
    number is right if it is NEAR the true one."""
    right = np.logical_and.reduce([
        np.abs(counts[..., 0] - counts[..., 1]) <= NEAR if np.issubdtype(counts.dtype, np.floating) else
        2 * counts[..., 0] == counts[..., 1] for counts in of_tasks])
    return np.stack([right, np.full_like(right, 2, int)], -1)


def interval(counts: np.ndarray) -> Interval:
    """The main score of `counts` (rows, 2) and its Wilson interval (Wilson, 1927), with an effective sample size: the number of independent
    items that would give the variance of the score over whole rows (Korn and Graubard, 1998; Kott and Carr, 1997). For accuracy that is the
    number of rows. Unlike a bootstrap, it holds near 0 and 1 and with few rows. For a correlation it is that of Fisher (1921)."""
    is_correlation, counts = np.issubdtype(counts.dtype, np.floating), _as_hits(counts)
    score, most = float(_quotient(counts)), float(counts[:, 1].sum() / 2)
    if math.isnan(score):
        return Interval(score, score, score)
    variance = float((_influences(counts, _quotient(counts)) ** 2).sum())
    if is_correlation:
        return _fisher(score, variance, np.count_nonzero(counts[:, 1]))
    size = min(most, score * (1 - score) / variance if variance else np.count_nonzero(counts[:, 1]))
    square = _z(LEVEL) ** 2
    centre, shrink = score + square / (2 * size), 1 + square / size
    half = math.sqrt(square * (score * (1 - score) / size + square / (4 * size**2)))
    low, high = np.clip([(centre - half) / shrink, (centre + half) / shrink], [0, score], [score, 1]).tolist()  # rounding may miss it
    return Interval(score, low, high)


def _fisher(score: float, variance: float, rows: int) -> Interval:
    """The interval of a correlation on the scale of its inverse hyperbolic tangent, by the larger of two standard errors: that of normal
    numbers, and that of these rows."""
    if rows <= 3:
        return Interval(score, -1.0, 1.0)
    inside = float(np.clip(score, SAME - 1, 1 - SAME))
    half = _z(LEVEL) * max(1 / math.sqrt(rows - 3), math.sqrt(variance) / (1 - inside**2))
    low, high = (math.tanh(math.atanh(inside) + side * half) for side in (-1, 1))
    return Interval(score, min(low, score), max(high, score))


def difference(ours: np.ndarray, theirs: np.ndarray) -> Difference:
    """The mean over seeds of our main score minus theirs, both hit counts (seeds, rows, 2) of the same rows in the same order.
    Rows: paired, linearised (Woodruff, 1971), and with two added rows that differ, one each way (Bonett and Price, 2012), because a few
    rows that all differ one way prove little. For accuracy the verdict is nearly that of McNemar's exact test. Luck of training: the
    variance of either side over its seeds, with the degrees of freedom of Welch (1947)."""
    if ours.shape[:2] != theirs.shape[:2]:
        raise ValueError(f"{ours.shape} and {theirs.shape} are not the same seeds and rows")
    ours, theirs = _as_hits(ours), _as_hits(theirs)
    scores, seeds = np.stack([_quotient(ours), _quotient(theirs)]), len(ours)
    value, between = float(np.mean(scores[0] - scores[1])), scores.mean(0)
    if math.isnan(value):
        return Difference(value, value)
    influences = (_influences(ours, between) - _influences(theirs, between)).mean(0)  # (rows,); their sum is `value`
    differ, labelled = (ours != theirs).any((0, 2)), (ours + theirs)[..., 1].any(0)
    typical = (influences[differ] ** 2).mean() if differ.any() else 1 / np.count_nonzero(labelled) ** 2  # of a row that differs
    rows = float((influences**2).sum() + 2 * typical)
    if seeds == 1:
        return Difference(value, rows)
    spreads = scores.var(axis=1, ddof=1)
    freedom = (seeds - 1) * (spreads.sum() ** 2 / (spreads**2).sum() if spreads.any() else 1.0)
    return Difference(value, rows, float(spreads.sum() / seeds), float(freedom))


def holm(p_values: Sequence[float]) -> list[bool]:
    """Which of several differences are significant, with at most a 5 % chance of any false one among them (Holm, 1979)."""
    shown, left = [False] * len(p_values), len(p_values)
    for index in sorted(range(len(p_values)), key=p_values.__getitem__):
        if p_values[index] > (1 - LEVEL) / left:
            break
        shown[index], left = True, left - 1
    return shown


def cost_bound(before: np.ndarray, after: np.ndarray) -> float:
    """An upper bound (95 % confidence) on the fall of the main score from hit counts `before` to `after` (rows, 2) of the same rows;
    infinite if nothing is labelled. It is the Bayesian bootstrap (Rubin, 1981) over the rows and one added row in which everything is lost:
    Gaffke's bound for a mean (2005; Learned-Miller and Thomas, 2019), and for accuracy without a gain exactly that of Clopper and Pearson.
    So it holds with few rows too: if nothing was lost in n rows, it is about 3 / n."""
    before, after = _as_hits(before), _as_hits(after)
    both = np.concatenate([before, after], axis=1)
    both = both[both.any(axis=1)]
    if not before[:, 1].any() or not after[:, 1].any():
        return math.inf
    size = (before[:, 1] ** 2.0).sum() / before[:, 1].sum()  # items in the row of the average item
    kinds, counts = np.unique(both, axis=0, return_counts=True)
    kinds, counts = np.vstack([kinds, [size / 2, size, 0, size]]), np.append(counts, 1)
    draws = np.random.default_rng(0)
    sums = np.concatenate([draws.standard_gamma(counts, (AT_ONCE, len(counts))) @ kinds for _ in range(DRAWS // AT_ONCE)])
    return float(np.quantile(2 * sums[:, 0] / sums[:, 1] - 2 * sums[:, 2] / sums[:, 3], LEVEL))


def _influences(counts: np.ndarray, score: np.ndarray) -> np.ndarray:
    """The first-order influence of each row of `counts` (..., rows, 2) on the main score around `score` (...) -> (..., rows)."""
    return (2 * counts[..., 0] - score[..., None] * counts[..., 1]) / counts[..., 1].sum(-1)[..., None]


def _z(level: float) -> float:
    """The normal quantile of a two-sided interval."""
    return NormalDist().inv_cdf((1 + level) / 2) if level < 1 else math.inf
