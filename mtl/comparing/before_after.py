"""Before and after a model has learned from corrections: what it gets right now, what it got right before, and what it has forgotten.
The result is kept in the run's folder, so that a page opened tomorrow has it. torch is imported only to measure."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from mtl.data.kept import open_rows
from mtl.data.rows import Row
from mtl.errors import MtlError
from mtl.files import replacing, room_on_disk
from mtl.runs.checkpoint import BEST, START
from mtl.runs.folder import Run
from mtl.scoring.intervals import all_right, difference, main_score
from mtl.text import many, shorten
from mtl.training.teach import read_taught

FILE = "before-after.json"
SHOWN, TEXT = 50, 300  # sentences of a list, and characters of one
EVERYTHING = "everything right"


@dataclass(frozen=True)
class Change:
    """A score before and after, and the 95 % interval of the difference; None where no row is labelled."""

    name: str
    measure: str
    before: float | None
    after: float | None
    low: float | None = None
    high: float | None = None

    @property
    def sentence(self) -> str:
        """The two scores, and whether they differ by more than chance."""
        if self.before is None or self.after is None:
            return "no validation row is labelled for it"
        verdict = "no difference shown" if self.low <= 0 <= self.high else "better" if self.after > self.before else "worse"
        return f"{100 * self.before:.1f} \u2192 {100 * self.after:.1f} ({100 * self.low:+.1f} to {100 * self.high:+.1f}): {verdict}"


@dataclass(frozen=True)
class Turned:
    """A sentence whose answer for one task has changed, or is wrong: what is true, and what the model said before and says now."""

    text: str
    task: str
    gold: str
    before: str
    after: str


@dataclass(frozen=True)
class BeforeAfter:
    """Of the `corrections`, how many were right before and are now, and the answers that are still wrong. The scores on `rows` validation
    rows, and the answers there that were right and are wrong now (`forgotten`; the first are in `lost`), and the reverse. Whether somebody
    kept it."""

    corrections: int
    right_before: int
    right_after: int
    rows: int
    left_out: int
    changes: tuple[Change, ...]
    forgotten: int
    learned: int
    wrong: tuple[Turned, ...]
    lost: tuple[Turned, ...]
    gained: tuple[Turned, ...]
    kept: bool = False

    @property
    def lines(self) -> list[str]:
        """The result in words, the corrections first."""
        left = f", without {self.left_out:,} that you corrected" * bool(self.left_out)
        return [f"{self.right_after} of {many(self.corrections, 'correction')} right now, {self.right_before} before.",
                f"On {many(self.rows, 'validation row')}{left}: {many(self.forgotten, 'answer')} forgotten, {self.learned:,} learned.",
                *(f"{change.name} ({change.measure}): {change.sentence}." for change in self.changes)]


_JSON = TypeAdapter(BeforeAfter)


def read_before_after(run: Run) -> BeforeAfter | None:
    """What was measured; None if nothing was yet, or if it cannot be read."""
    with suppress(OSError, ValidationError):
        return _JSON.validate_json((run.folder / FILE).read_bytes())
    return None


def keep(run: Run) -> None:
    """Note that the run is kept."""
    if found := read_before_after(run):
        _write(run, replace(found, kept=True))


def before_after(run: Run) -> BeforeAfter:
    """The result, measured now unless it was before. Raises MtlError if `run` was not taught, or has no weights yet."""
    if found := read_before_after(run):
        return found
    taught = read_taught(run)
    if taught is None:
        raise MtlError("This run did not begin with another model, so there is no before and after.")
    dataset = open_rows(run.folder)
    corrections, validation = dataset.train[:taught.corrections], list(dataset.validation)
    before, after = (_answers(run.folder / name, [*corrections, *validation]) for name in (START, BEST))
    names = [task.name for task in dataset.tasks]
    turned = [_turned(rows, names, before[at:at + len(rows)], after[at:at + len(rows)])
              for at, rows in ((0, corrections), (taught.corrections, validation))]
    right = [sum(all(right[when] for *_, right in of_row) for of_row in turned[0]) for when in (0, 1)]
    wrong = [one for of_row in turned[0] for one, (_, is_right) in of_row if not is_right]
    lost = [one for of_row in turned[1] for one, is_right in of_row if is_right == (True, False)]
    gained = [one for of_row in turned[1] for one, is_right in of_row if is_right == (False, True)]
    found = BeforeAfter(taught.corrections, *right, len(validation), taught.left_out,
                        _changes(run.folder / BEST, validation, before[taught.corrections:], after[taught.corrections:]),
                        len(lost), len(gained), *(tuple(part[:SHOWN]) for part in (wrong, lost, gained)))
    _write(run, found)
    return found


def _answers(checkpoint: Path, rows: Sequence[Row]) -> list[dict]:
    """What the model in `checkpoint` says of each row, by task; both sides are computed in the same way."""
    from mtl.inference.fused_bert import is_known
    from mtl.inference.predictor import Predictor

    predictor = Predictor.load(checkpoint, engine="plain")
    fast = replace(predictor, engine="fused" if is_known(predictor.model) else "plain")  # not in 8 bits, which rounds
    return [one.predictions for one in fast.predict([row.text for row in rows])]


def _turned(rows: Sequence[Row], names: Sequence[str], before: Sequence[dict], after: Sequence[dict]) -> list[list]:
    """For each row and each task that it is labelled for: the answers, and whether they were right before, and are now."""
    def named(value, text: str) -> str:
        return "; ".join(value.named(text)) or "nothing"

    return [[(Turned(shorten(row.text, TEXT), name, *(named(value, row.text) for value in (gold, old, new))),
              (gold.agrees(old), gold.agrees(new)))
             for name in names if (gold := row.values.get(name)) is not None
             for old, new in [(was[name].value, now[name].value)]]
            for row, was, now in zip(rows, before, after, strict=True)]


def _changes(checkpoint: Path, rows: Sequence[Row], before: Sequence[dict], after: Sequence[dict]) -> tuple[Change, ...]:
    from mtl.scoring.scores import count_hits
    from mtl.tasks import make_task
    from mtl.training.teach import tasks_of

    tasks = [make_task(spec) for spec in tasks_of(checkpoint)]
    counts = [count_hits(tasks, rows, made) for made in (before, after)]
    measured = [(task.name, task.main_score.replace("_", " "), counts[0][task.name], counts[1][task.name]) for task in tasks]
    measured.append((EVERYTHING, "share of rows", *(all_right(of.values()) for of in counts)))
    return tuple(_change(*one) for one in measured)


def _change(name: str, measure: str, was, now) -> Change:
    if not len(was) or not was.any() and not now.any():
        return Change(name, measure, None, None)
    found = difference(now[None], was[None]).interval
    return Change(name, measure, float(main_score(was)), float(main_score(now)), found.low, found.high)


def _write(run: Run, found: BeforeAfter) -> None:
    with room_on_disk("The disk is full: what was measured could not be kept. Free some space."), replacing(run.folder / FILE) as building:
        building.write_bytes(_JSON.dump_json(found, indent=1))
