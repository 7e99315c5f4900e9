"""Sampling: which rows make up each step. A plan is a pure function of the seed and the epoch, so that a resumed run and every process of
a distributed one make the same plan and only look up their place in it. Knows no model and no tensors."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

import numpy as np

POOL = 50  # steps whose rows are sorted by length together: enough of them to leave little padding, few enough to stay random


@dataclass(frozen=True, slots=True)
class Step:
    """The rows (R) of one optimizer step, as places in the training rows, and the tasks that learn from them. With `owners` (R), each row
    is there for one task, given by its place in `tasks`; without, for all of them."""

    rows: np.ndarray
    tasks: tuple[str, ...]
    owners: np.ndarray | None = None

    def rows_of(self, task: str) -> np.ndarray:
        """The rows whose labels for `task` are used."""
        return self.rows if self.owners is None else self.rows[self.owners == self.tasks.index(task)]

    def share_of(self, task: str) -> float:
        """The factor on the mean loss of `task` in this step: its share of the rows where rows were drawn for tasks, so that a task drawn
        twice as often weighs twice as much; else 1."""
        return 1.0 if self.owners is None else len(self.rows_of(task)) / len(self.rows)


@dataclass(frozen=True)
class Pool:
    """What a sampling draws from: for each task which rows are labelled (N, bool), and how many rows a step has. With `lengths`, the number
    of subwords of each row (N), rows of similar length go together. That saves padding for an encoder that cannot pack, and costs a
    little accuracy, since such steps are less random."""

    labelled: Mapping[str, np.ndarray]
    step_rows: int
    lengths: np.ndarray | None = None


@dataclass(frozen=True)
class Draw:
    """Which epoch is planned, `epoch` (from 0) of `epochs`, and the `temperature` that was asked for."""

    epoch: int
    epochs: int
    temperature: float


def joint(pool: Pool, draw: Draw, random: np.random.Generator) -> list[Step]:
    """Every row once an epoch, all mixed; a step uses every label on its rows."""
    tasks = tuple(pool.labelled)
    rows = np.flatnonzero(np.logical_or.reduce(list(pool.labelled.values())))
    return [Step(rows[chunk], tasks) for chunk in _chunks(rows, pool, random)]


def alternating(pool: Pool, draw: Draw, random: np.random.Generator) -> list[Step]:
    """The tasks take turns, one a step, until each of their labelled rows was used once; smaller tasks start over meanwhile."""
    rows = {task: np.flatnonzero(mask) for task, mask in pool.labelled.items() if mask.any()}
    rounds = max(-(-len(of_task) // pool.step_rows) for of_task in rows.values())
    # of every task the same number of steps; a small task's rows are shuffled anew each time they run out
    turns = [[Step(chunk, (task,)) for chunk in islice(_endless(of_task, pool, random), rounds)] for task, of_task in rows.items()]
    return [step for turn in zip(*turns, strict=True) for step in turn]


def proportional(pool: Pool, draw: Draw, random: np.random.Generator) -> list[Step]:
    """Each row is drawn for one task, tasks in proportion to their labelled rows: every label once an epoch."""
    return _drawn(pool, 1.0, random)


def temperature(pool: Pool, draw: Draw, random: np.random.Generator) -> list[Step]:
    """Tasks in proportion to size^(1/T): between proportional (T = 1) and uniform (a large T)."""
    return _drawn(pool, 1 / draw.temperature, random)


def annealed(pool: Pool, draw: Draw, random: np.random.Generator) -> list[Step]:
    """From proportional in the first epoch to uniform in the last (Stickland and Murray, 2019, https://arxiv.org/abs/1902.02671: the
    exponent 1/T falls linearly; there it ends at 0.2, here at 0)."""
    return _drawn(pool, annealed_exponent(draw.epoch, draw.epochs), random)


SAMPLINGS: dict[str, Callable[[Pool, Draw, np.random.Generator], list[Step]]] = {
    "joint": joint, "alternating": alternating, "proportional": proportional, "temperature": temperature, "annealed": annealed}


def annealed_exponent(epoch: int, epochs: int) -> float:
    """1/T in `epoch`: 1 in the first of several, 0 in the last."""
    return 1 - epoch / (epochs - 1) if epochs > 1 else 1.0


def plan_epoch(sampling: str, pool: Pool, seed: int, draw: Draw) -> list[Step]:
    """The steps of one epoch, in order."""
    return SAMPLINGS[sampling](pool, draw, np.random.default_rng([seed, draw.epoch]))


def quotas(sizes: Mapping[str, int], exponent: float) -> dict[str, int]:
    """The rows of each task that an epoch draws: in proportion to size^exponent, at least 1 a task, as many in all as there are labels."""
    total = sum(sizes.values())
    weights = np.array([float(size) ** exponent for size in sizes.values()])
    exact = total * weights / weights.sum()
    whole = np.maximum(np.floor(exact), 1).astype(int)
    # rounding down leaves some rows over, which go to the tasks that lost most; the minimum of one may need some back from the largest
    while (left := total - whole.sum()) != 0:
        whole[np.argmax(exact - whole) if left > 0 else np.argmax(whole)] += np.sign(left)
    return dict(zip(sizes, whole.tolist(), strict=True))


@dataclass(frozen=True)
class Outlook:
    """The size of an epoch: how many steps, and how many rows of each task in the first epoch and in the last."""

    steps: int
    first: dict[str, int]
    last: dict[str, int]


def outlook(sampling: str, sizes: Mapping[str, int], rows: int, step_rows: int, epochs: int, temperature: float) -> Outlook:
    """The size of an epoch under `sampling`, before there is a plan: `sizes` are the labelled rows of each task, `rows` those that have a
    label of any task."""
    sizes = {task: size for task, size in sizes.items() if size}
    if not sizes:
        return Outlook(0, {}, {})
    if sampling == "joint":
        return Outlook(-(-rows // step_rows), dict(sizes), dict(sizes))
    if sampling == "alternating":
        largest = max(sizes.values())
        rounds = -(-largest // step_rows)
        seen = dict.fromkeys(sizes, largest)
        return Outlook(rounds * len(sizes), seen, seen)
    first, last = {"proportional": (1.0, 1.0), "temperature": (1 / temperature, 1 / temperature),
                   "annealed": (annealed_exponent(0, epochs), annealed_exponent(max(epochs, 1) - 1, epochs))}[sampling]
    return Outlook(-(-sum(sizes.values()) // step_rows), quotas(sizes, first), quotas(sizes, last))


def share(step: Step, rank: int, processes: int, batch_size: int) -> list[np.ndarray]:
    """The places in `step.rows` that process `rank` works on, in batches. Every process gets the same number of batches, because they
    exchange gradients after each step; in a short step some are empty."""
    places = np.arange(len(step.rows))
    mine = places[rank::processes]
    count = -(-len(places[::processes]) // batch_size)  # those of the first process, which has most rows
    return [mine[index * batch_size:(index + 1) * batch_size] for index in range(count)]


def _drawn(pool: Pool, exponent: float, random: np.random.Generator) -> list[Step]:
    """Steps of rows that are drawn for one task each, all tasks mixed. A row is drawn again only after all others of its task."""
    tasks = tuple(task for task, mask in pool.labelled.items() if mask.any())
    drawn = quotas({task: int(pool.labelled[task].sum()) for task in tasks}, exponent)
    parts = [_some(np.flatnonzero(pool.labelled[task]), drawn[task], random) for task in tasks]
    rows, owners = np.concatenate(parts), np.repeat(np.arange(len(tasks)), [len(part) for part in parts])
    return [Step(rows[chunk], tasks, owners[chunk]) for chunk in _chunks(rows, pool, random)]


def _some(rows: np.ndarray, count: int, random: np.random.Generator) -> np.ndarray:
    """`count` of `rows` at random: each as often as any other, or once more."""
    return np.concatenate([random.permutation(rows) for _ in range(-(-count // len(rows)))])[:count]


def _chunks(rows: np.ndarray, pool: Pool, random: np.random.Generator) -> list[np.ndarray]:
    """Places in `rows`, shuffled and cut into steps. If the pool has lengths, places are sorted by length within every POOL steps, cut, and
    the steps shuffled: little padding, yet short texts do not always come first."""
    def cut(part: np.ndarray) -> list[np.ndarray]:
        return [part[at:at + pool.step_rows] for at in range(0, len(part), pool.step_rows)]

    places = random.permutation(len(rows))
    if pool.lengths is None:
        return cut(places)
    chunks: list[np.ndarray] = []
    for part in np.split(places, range(POOL * pool.step_rows, len(places), POOL * pool.step_rows)):
        cuts = cut(part[np.argsort(pool.lengths[rows[part]], kind="stable")])
        chunks += [cuts[index] for index in random.permutation(len(cuts))]
    return chunks


def _endless(rows: np.ndarray, pool: Pool, random: np.random.Generator) -> Iterator[np.ndarray]:
    while True:
        yield from (rows[chunk] for chunk in _chunks(rows, pool, random))
