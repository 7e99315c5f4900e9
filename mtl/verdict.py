"""Did it help? The card of a comparison: every task trained together and alone, measured on the same dev rows, with the interval of the
difference; and what one model costs against several. Numbers from logs and tallies; only the clock needs the models."""

import json
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from mtl.bootstrap import LEVEL, all_right, difference, main_score
from mtl.checkpoint import BEST, read_tallies
from mtl.comparison import ALONE, JOINT, Comparison, Member
from mtl.data import load_shared
from mtl.data.rows import Row
from mtl.data.store import take
from mtl.errors import MtlError
from mtl.runs import Run, read_history

CARD = "card.json"
VERDICTS = {"helped": "training together helped", "hurt": "training together hurt", "no difference": "no difference shown",
            "unknown": "nothing to tell it by, as no dev row is labelled"}
EVERYTHING = "everything right"
ROUNDS, SENTENCES = 5, 16  # how often, and on how many dev texts, prediction is timed
Tallies = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Compared:
    """One score together and alone (means over the seeds), their difference and its 95 % interval; None where no dev row is labelled."""

    name: str
    measure: str
    together: float | None
    alone: float | None
    difference: float | None
    low: float | None
    high: float | None

    @property
    def verdict(self) -> str:
        """'helped' or 'hurt' if the interval leaves out 0, else 'no difference' (which is not: no effect)."""
        if self.low is None or self.high is None:
            return "unknown"
        return "helped" if self.low > 0 else "hurt" if self.high < 0 else "no difference"

    @property
    def sentence(self) -> str:
        """The verdict with its numbers, for people."""
        if self.difference is None or self.low is None or self.high is None:
            return f"{self.name}: {VERDICTS['unknown']}."
        return (f"{self.name}: {100 * self.together:.1f} together, {100 * self.alone:.1f} alone: {100 * self.difference:+.1f} "
                f"({100 * self.low:+.1f} to {100 * self.high:+.1f}): {VERDICTS[self.verdict]}.")


@dataclass(frozen=True)
class Card:
    """What a comparison found. Pairs are (one joint model, the separate ones together); milliseconds are for one sentence, all tasks."""

    tasks: tuple[Compared, ...]
    everything: Compared
    dev_rows: int
    seeds: tuple[int, ...]
    steps: int
    parameters: tuple[int, int]
    bytes: tuple[int, int]
    milliseconds: tuple[float, float]

    @property
    def lines(self) -> list[str]:
        """The card in sentences."""
        scores = [compared.sentence for compared in (*self.tasks, self.everything)]
        return [*scores, self.size_sentence, self.time_sentence, self.note]

    @property
    def size_sentence(self) -> str:
        """What is stored and loaded."""
        return (f"Size: one model of {self.parameters[0] / 1e6:.1f}M parameters ({self.bytes[0] / 1e6:,.1f} MB on disk) against "
                f"{len(self.tasks)} of {self.parameters[1] / 1e6:.1f}M together ({self.bytes[1] / 1e6:,.1f} MB).")

    @property
    def time_sentence(self) -> str:
        """What an answer costs."""
        return (f"Time: {self.milliseconds[0]:.1f} ms for one sentence and all tasks with the joint model, {self.milliseconds[1]:.1f} ms "
                "with the separate ones one after the other (medians).")

    @property
    def note(self) -> str:
        """How it was measured, and what the interval leaves out."""
        one = len(self.seeds) == 1
        seeds = f"seed {self.seeds[0]}" if one else f"seeds {', '.join(map(str, self.seeds))}"
        luck = "; with one seed they leave out the luck of a training, so a small difference may turn with another" if one else ""
        return (f"Each model trained {self.steps:,} steps ({seeds}) and was measured on the same {self.dev_rows:,} dev rows, with the "
                f"checkpoint that was best there: of all tasks together for the joint model, of its task for a separate one. In brackets: "
                f"{LEVEL:.0%} bootstrap intervals{luck}.")


def compare_scores(joint: Sequence[Tallies], alone: Sequence[Tallies], labelled: Tallies,
                   measures: Mapping[str, str]) -> tuple[tuple[Compared, ...], Compared]:
    """The tasks' scores and 'everything right', from the tallies of each seed's joint run and of its separate ones.

    `labelled` says for each task which dev rows have a label (N, bool): a separate run was measured on those only. Raises MtlError if the
    rows are not the same.
    """
    rows = len(next(iter(labelled.values())))
    if any(len(of_task) != rows for seed in joint for of_task in seed.values()):
        raise MtlError("The runs were not measured on the same dev rows, so they cannot be compared. Start a new comparison.")
    ours = {task: np.stack([seed[task] for seed in joint]) for task in labelled}
    theirs = {task: np.stack([_spread(seed[task], mask) for seed in alone]) for task, mask in labelled.items()}
    tasks = tuple(_compare(task, measures[task], ours[task], theirs[task]) for task in labelled)
    return tasks, _compare(EVERYTHING, "share of rows", all_right(ours.values()), all_right(theirs.values()))


def _spread(tally: np.ndarray, labelled: np.ndarray) -> np.ndarray:
    """`tally` of the rows that are labelled, with zeros for the others."""
    if len(tally) != labelled.sum():
        raise MtlError("The runs were not measured on the same dev rows, so they cannot be compared. Start a new comparison.")
    spread = np.zeros((len(labelled), 2), tally.dtype)
    spread[labelled] = tally
    return spread


def _compare(name: str, measure: str, ours: np.ndarray, theirs: np.ndarray) -> Compared:
    found = difference(ours, theirs)
    numbers = [float(np.mean(main_score(ours))), float(np.mean(main_score(theirs))), found.value, found.low, found.high]
    return Compared(name, measure, *(number if np.isfinite(number) else None for number in numbers))


def make_card(comparison: Comparison) -> Card:
    """The card of a comparison whose runs are all finished. Their models are timed, so it takes some seconds. Raises MtlError if a run was
    deleted."""
    members = comparison.plan.members
    if gone := [member.role for member in members if comparison.member_run(member) is None]:
        raise MtlError(f"{', '.join(gone)}: deleted meanwhile, so there is no card. Resume trains what was deleted again.")
    joint = [comparison.member_run(member) for member in members if member.role == JOINT]
    seeds = tuple(member.config.seed for member in members if member.role == JOINT)
    alone = [[_alone(comparison, member) for member in members if member.config.seed == seed and member.role.startswith(ALONE)]
             for seed in seeds]
    histories = [read_history(run) for run in (joint[0], *(run for _, run in alone[0]))]
    facts = histories[0].started.tasks
    with TemporaryDirectory() as folder:
        dev = load_shared(comparison.config, list(facts), comparison.folder, Path(folder)).dev
        labelled = {task: np.fromiter((row.values.get(task) is not None for row in dev), bool, len(dev)) for task in facts}
        texts = _some_texts(dev)
    tasks, everything = compare_scores([read_tallies(run.folder / BEST) for run in joint],
                                       [{task: read_tallies(run.folder / BEST)[task] for task, run in of_seed} for of_seed in alone],
                                       labelled, {task: of_task["main_score"] for task, of_task in facts.items()})
    best = [run.folder / BEST for run in (joint[0], *(run for _, run in alone[0]))]
    sizes, bytes_ = [history.started.parameters for history in histories], [_size(folder) for folder in best]
    return Card(tasks, everything, len(dev), seeds, histories[0].started.total_steps, (sizes[0], sum(sizes[1:])),
                (bytes_[0], sum(bytes_[1:])), time_models(best[0], best[1:], texts, comparison.config.device))


def _alone(comparison: Comparison, member: Member) -> tuple[str, Run]:
    return member.config.tasks[0].name, comparison.member_run(member)


def _some_texts(dev: Sequence[Row]) -> list[str]:
    """Dev texts to time prediction on, evenly spread."""
    places = sorted({round(place) for place in np.linspace(0, len(dev) - 1, SENTENCES)})
    return [row.text for row in take(dev, places)]


def _size(checkpoint: Path) -> int:
    return sum(file.stat().st_size for file in checkpoint.iterdir())


def time_models(joint: Path, alone: Sequence[Path], texts: Sequence[str], device: str) -> tuple[float, float]:
    """Median milliseconds for one sentence and all tasks: with the joint model, and with the separate ones one after the other. The two
    take turns, so that whatever else the machine does is borne by both."""
    from mtl.prediction import Predictor

    sides = [[Predictor.load(joint, device)], [Predictor.load(checkpoint, device) for checkpoint in alone]]
    taken: tuple[list[float], list[float]] = ([], [])
    for turn in range(ROUNDS * len(texts)):
        text = texts[turn % len(texts)]
        for side in ((0, 1) if turn % 2 else (1, 0)):
            start = time.perf_counter()
            for predictor in sides[side]:
                predictor.predict([text])
            taken[side].append(1000 * (time.perf_counter() - start))
    return statistics.median(taken[0]), statistics.median(taken[1])


# In and out


def write_card(folder: Path, card: Card) -> None:
    """Keep `card` in the comparison's folder."""
    (folder / CARD).write_text(json.dumps(asdict(card), indent=1), encoding="utf-8")


def read_card(folder: Path) -> Card | None:
    """The card of the comparison in `folder`, if it has one; raises MtlError if it cannot be read."""
    try:
        values = json.loads((folder / CARD).read_text(encoding="utf-8"))
        tasks, everything = tuple(Compared(**task) for task in values.pop("tasks")), Compared(**values.pop("everything"))
        return Card(tasks, everything, **{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()})
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise MtlError("The card of this comparison cannot be read. Resume makes it again.") from error


def markdown(card: Card) -> str:
    """The card as a table and sentences, for the terminal and for a README."""
    rows = [f"| {found.name} | {found.measure.replace('_', ' ')} | {_percent(found.together)} | {_percent(found.alone)} | "
            f"{_signed(found.difference)} ({_signed(found.low)} to {_signed(found.high)}) | {found.verdict} |"
            for found in (*card.tasks, card.everything)]
    return "\n".join(["| task | score | together | alone | difference (95 % interval) | verdict |", "|---|---|---|---|---|---|", *rows, "",
                      *(f"- {line}" for line in card.lines)])


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"


def _signed(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:+.1f}"
