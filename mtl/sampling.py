"""Which rows make up each step. A plan is a pure function of the seed and the epoch: a resumed run and every process of a distributed
one compute the same plan and just look up their place in it. Knows no tensors of the model."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

POOL = 50  # steps whose rows are sorted by length together: enough to leave little padding, few enough to stay random


@dataclass(frozen=True, slots=True)
class Step:
    """The rows of one optimizer step, and the tasks whose labels on them are used."""

    rows: np.ndarray
    tasks: tuple[str, ...]


@dataclass(frozen=True)
class Pool:
    """What a sampling draws from: each row's length in subwords (N), for each task which rows are labelled (N, bool), rows per step."""

    lengths: np.ndarray
    labelled: Mapping[str, np.ndarray]
    step_rows: int


def joint(pool: Pool, random: np.random.Generator) -> list[Step]:
    """Every row once an epoch, all mixed; a step uses every label on its rows."""
    tasks = tuple(pool.labelled)
    rows = np.flatnonzero(np.logical_or.reduce(list(pool.labelled.values())))
    return [Step(chunk, tasks) for chunk in _chunks(rows, pool, random)]


def alternating(pool: Pool, random: np.random.Generator) -> list[Step]:
    """The tasks take turns, one a step, until each of their labelled rows was used once; smaller tasks start over meanwhile."""
    rows = {task: np.flatnonzero(mask) for task, mask in pool.labelled.items() if mask.any()}
    rounds = max(-(-len(of_task) // pool.step_rows) for of_task in rows.values())
    turns = [[Step(chunk, (task,)) for chunk in islice(_endless(of_task, pool, random), rounds)] for task, of_task in rows.items()]
    return [step for turn in zip(*turns, strict=True) for step in turn]


SAMPLINGS: dict[str, Callable[[Pool, np.random.Generator], list[Step]]] = {"joint": joint, "alternating": alternating}


def plan_epoch(sampling: str, pool: Pool, seed: int, epoch: int) -> list[Step]:
    """The steps of one epoch, in order."""
    return SAMPLINGS[sampling](pool, np.random.default_rng([seed, epoch]))


def share(step: Step, rank: int, processes: int, batch_size: int) -> list[np.ndarray]:
    """The rows of `step` that process `rank` works on, in batches. Every process gets the same number of batches; some may be empty
    when a step is short."""
    mine = step.rows[rank::processes]
    count = -(-len(step.rows[::processes]) // batch_size)
    return [mine[index * batch_size:(index + 1) * batch_size] for index in range(count)]


def _chunks(rows: np.ndarray, pool: Pool, random: np.random.Generator) -> list[np.ndarray]:
    """`rows` shuffled and cut into steps. Rows of about one length go together: within a pool of POOL steps the rows are sorted by length,
    cut, and the cuts shuffled, so that what is padded is little and what is learned first is still random."""
    rows = random.permutation(rows)
    chunks: list[np.ndarray] = []
    for start in range(0, len(rows), POOL * pool.step_rows):
        part = rows[start:start + POOL * pool.step_rows]
        part = part[np.argsort(pool.lengths[part], kind="stable")]
        cuts: Sequence[np.ndarray] = [part[at:at + pool.step_rows] for at in range(0, len(part), pool.step_rows)]
        chunks += [cuts[index] for index in random.permutation(len(cuts))]
    return chunks


def _endless(rows: np.ndarray, pool: Pool, random: np.random.Generator) -> Iterator[np.ndarray]:
    while True:
        yield from _chunks(rows, pool, random)
