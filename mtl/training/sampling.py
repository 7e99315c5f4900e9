"""Sampling: which rows make up each step. A plan is a pure function of the seed and the epoch, so a resumed run and every process of a
distributed run make the same plan and only look up their place in it. Knows no model and no tensors."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import chain, count, islice

import numpy as np

POOL = 50  # steps whose rows are sorted by length together: enough to leave little padding, few enough to stay random


@dataclass(frozen=True, slots=True)
class Step:
    """The rows (R) of one optimizer step, as indices into the training rows, and the tasks that learn from them. `owners` (R) gives for
    each row the index in `tasks` of the one task it was drawn for; None: each row serves all tasks."""

    rows: np.ndarray
    tasks: tuple[str, ...]
    owners: np.ndarray | None = None

    def serves(self, task: str) -> np.ndarray:
        """Whether the labels for `task` are used, for each row (R, bool)."""
        return np.ones(len(self.rows), bool) if self.owners is None else self.owners == self.tasks.index(task)

    def share_of(self, task: str) -> float:
        """The factor on the mean loss of `task`: its share of the rows if rows were drawn for tasks (so that rows count alike), else 1."""
        return np.count_nonzero(self.serves(task)) / len(self.rows)


@dataclass(frozen=True)
class Pool:
    """What a sampling draws from: the labelled rows of each task (N, bool) and the number of rows in a step. With `lengths`, the subwords
    of each row (N), rows of similar length go together: less padding for an encoder that cannot pack, but steps are less random."""

    labelled: Mapping[str, np.ndarray]
    step_rows: int
    lengths: np.ndarray | None = None


def joint(pool: Pool, random: np.random.Generator) -> list[Step]:
    """Every row once an epoch, all mixed. A step uses every label of its rows."""
    rows = np.flatnonzero(np.logical_or.reduce(list(pool.labelled.values())))
    return [Step(rows[chunk], tuple(pool.labelled)) for chunk in _chunks(rows, pool, random)]


def alternating(pool: Pool, random: np.random.Generator) -> list[Step]:
    """The tasks take turns, one per step, until each row of the largest task was used once. Smaller tasks start over meanwhile."""
    rows = {task: np.flatnonzero(mask) for task, mask in pool.labelled.items() if mask.any()}
    rounds = max(-(-len(of_task) // pool.step_rows) for of_task in rows.values())
    # every task has equally many steps; a small task's rows are shuffled anew each time they run out
    turns = []
    for task, of_task in rows.items():
        endless = chain.from_iterable(_chunks(of_task, pool, random) for _ in count())
        turns.append([Step(of_task[chunk], (task,)) for chunk in islice(endless, rounds)])
    return [step for turn in zip(*turns, strict=True) for step in turn]


def drawn(pool: Pool, random: np.random.Generator, exponent: float) -> list[Step]:
    """Each row is drawn for one task, tasks in proportion to size^exponent, all mixed; again only after all other rows of its task."""
    rows = {task: np.flatnonzero(mask) for task, mask in pool.labelled.items() if mask.any()}
    parts = []
    for task, quota in quotas({task: len(of_task) for task, of_task in rows.items()}, exponent).items():
        shuffles = [random.permutation(rows[task]) for _ in range(-(-quota // len(rows[task])))]
        parts.append(np.concatenate(shuffles)[:quota])
    everything, owners = np.concatenate(parts), np.repeat(np.arange(len(rows)), [len(part) for part in parts])
    return [Step(everything[chunk], tuple(rows), owners[chunk]) for chunk in _chunks(everything, pool, random)]


# From the pool, a generator, the part of the epochs that is over (0 in the first, 1 in the last) and the temperature, an epoch's steps.
# 'annealed' is from Stickland and Murray (2019, https://arxiv.org/abs/1902.02671); their exponent ends at 0.2, ours at 0.
SAMPLINGS: dict[str, Callable[[Pool, np.random.Generator, float, float], list[Step]]] = {
    "joint": lambda pool, random, over, temperature: joint(pool, random),
    "alternating": lambda pool, random, over, temperature: alternating(pool, random),
    "proportional": lambda pool, random, over, temperature: drawn(pool, random, 1.0),
    "temperature": lambda pool, random, over, temperature: drawn(pool, random, 1 / temperature),
    "annealed": lambda pool, random, over, temperature: drawn(pool, random, 1 - over),
}


def plan_epoch(sampling: str, pool: Pool, seed: int, epoch: int = 0, epochs: int = 1, temperature: float = 1.0) -> list[Step]:
    """The steps of `epoch` (from 0) of `epochs`, in order; `temperature` is for the sampling of that name."""
    return SAMPLINGS[sampling](pool, np.random.default_rng([seed, epoch]), epoch / (epochs - 1) if epochs > 1 else 0.0, temperature)


def quotas(sizes: Mapping[str, int], exponent: float) -> dict[str, int]:
    """How many rows an epoch draws for each task: in proportion to size^exponent, at least 1, and as many in all as there are labels."""
    total = sum(sizes.values())
    weights = np.array([float(size) ** exponent for size in sizes.values()])
    exact = total * weights / weights.sum()
    whole = np.maximum(np.floor(exact), 1).astype(int)
    # rounding down leaves rows over, which go to the tasks that lost most; the minimum of 1 may take some back from the largest task
    while (left := total - whole.sum()) != 0:
        whole[np.argmax(exact - whole) if left > 0 else np.argmax(whole)] += np.sign(left)
    return dict(zip(sizes, whole.tolist(), strict=True))


def outlook(sampling: str, sizes: Mapping[str, int], rows: int, step_rows: int, epochs: int,
            temperature: float) -> tuple[int, dict[str, int], dict[str, int]]:
    """The steps of an epoch, and the rows of each task in the first and the last, for `rows` made-up rows, `sizes` of them labelled."""
    labelled, start = {}, 0
    for task, size in sizes.items():
        if size:  # the tasks' rows lie one after the other and begin again at the first row, so that every row has a label
            labelled[task] = np.zeros(rows, bool)
            labelled[task][np.arange(start, start + size) % rows] = True
            start += size
    if not labelled:
        return 0, {}, {}
    plans = [plan_epoch(sampling, Pool(labelled, step_rows), 0, epoch, epochs, temperature) for epoch in (0, max(epochs, 1) - 1)]
    first, last = ({task: sum(np.count_nonzero(mask[step.rows] & step.serves(task)) for step in plan if task in step.tasks)
                    for task, mask in labelled.items()} for plan in plans)
    return len(plans[0]), first, last


def _chunks(rows: np.ndarray, pool: Pool, random: np.random.Generator) -> list[np.ndarray]:
    """Indices into `rows`, shuffled and cut into steps; with lengths, sorted within every POOL steps, whose order is then shuffled."""
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
