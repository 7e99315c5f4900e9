"""What a checkpoint predicted for every row of a split, kept beside its scores, so that the sentences behind each number can be read. The
sentences and true values are not stored again: they are the run's rows, in the same order. Imports no torch."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as checked

from mtl.data.kept import open_rows
from mtl.data.rows import narrow
from mtl.data.store import Shape, open_saved, save
from mtl.data.values import VALUES, Value
from mtl.errors import MtlError
from mtl.files import replacing
from mtl.runs.folder import Run
from mtl.settings.config import TaskSpec

if TYPE_CHECKING:  # it imports torch
    from mtl.tasks.base import Prediction

PAGE = 20  # sentences that are read at a time
CHECKPOINT = "checkpoint"  # the file, beside the predictions, with the digest of the checkpoint that made them
GONE = ("The answers behind these scores were not kept: an earlier version of the program scored these rows. Open the tab again to have "
        "validation rows scored anew.")


@checked(frozen=True)
class Wanted:
    """Which sentences to read: those with such an item (see Value.compared), of any `label` or with anything `found` if these are None; if
    both are None, those that are wrong. Of these, only those that contain `words`, and so many are to be `shown`."""

    split: Literal["validation", "test"]
    task: str
    label: str | None = None
    found: str | None = None
    words: str = ""
    shown: Annotated[int, Field(ge=1)] = PAGE

    @classmethod
    def read(cls, text: Any) -> Wanted:
        """What a page asked for, as JSON; raises MtlError if it cannot be understood."""
        try:
            return TypeAdapter(cls).validate_json(text)
        except ValidationError as error:
            raise MtlError("It is not clear which sentences are wanted. Load the page again.") from error

    def fits(self, text: str, gold: Value, made: Value) -> bool:
        """Whether a row is wanted. A label alone also finds rows in which it is only predicted."""
        if self.words.casefold() not in text.casefold():
            return False
        if self.found is None:
            return not gold.agrees(made) if self.label is None else self.label in gold.labels() or self.label in made.labels()
        return any(found == self.found and self.label in (None, label) for label, found in gold.compared(made))


@dataclass(frozen=True)
class Sentence:
    """One row, its true and its predicted value for a task, and the probability of its worst mistake, or if all is right, of what is least
    sure; 0 if nothing was predicted."""

    row: int
    text: str
    gold: Value
    made: Value
    sure: float


def keep_predictions(run: Run, split: str, manifest: str, tasks: Sequence[TaskSpec], made: Sequence[dict[str, Prediction]]) -> None:
    """Keep what the checkpoint with the digest `manifest` predicted for the rows of `split`. Raises MtlError if the disk is full."""
    with replacing(_folder(run, split)) as building:
        save(made, _shape(tasks), building)
        (building / CHECKPOINT).write_text(manifest)


def are_kept(run: Run, split: str, manifest: str) -> bool:
    """Whether the predictions of that checkpoint are kept."""
    with suppress(OSError):
        return (_folder(run, split) / CHECKPOINT).read_text() == manifest
    return False


def find_sentences(run: Run, wanted: Wanted) -> tuple[TaskSpec, list[Sentence]]:
    """The task, and the rows that are `wanted`: the surest mistakes first (of numbers the largest), then those that only miss something,
    then what is right. Raises MtlError if the predictions are not kept."""
    if not (_folder(run, wanted.split) / CHECKPOINT).is_file():
        raise MtlError(GONE)
    dataset = open_rows(run.folder)
    spec = next((task for task in dataset.tasks if task.name == wanted.task), None)
    if spec is None:
        raise MtlError("This run has no such task. Load the page again.")
    rows, kept = narrow(getattr(dataset, wanted.split), [spec]), open_saved(_folder(run, wanted.split), _shape([spec]))
    found = []
    for index, (row, (made, confidences)) in enumerate(zip(rows, kept, strict=True)):
        gold = row.values[spec.name]
        if gold is not None and wanted.fits(row.text, gold, made):
            wrong = [sure for sure, item in zip(confidences, made.items(), strict=True) if item not in gold.items()]
            sure = min(confidences, default=0.0) if gold.agrees(made) else max(wrong, default=0.0)
            found.append(Sentence(index, row.text, gold, made, sure))
    return spec, sorted(found, key=lambda one: (one.gold.agrees(one.made), -one.sure, -one.gold.distance(one.made), one.row))


def _shape(tasks: Sequence[TaskSpec]) -> Shape[Any]:
    """Packs the predictions of a row by task; unpacks, for a single task, its value and the probability of each of its items."""
    def fields() -> Any:
        import pyarrow as pa

        return pa.schema([field for task in tasks for field in (
            (f"value {task.name}", VALUES[task.kind].arrow(pa)), (f"sure {task.name}", pa.list_(pa.float32())))])

    def pack(made: dict[str, Prediction]) -> dict[str, Any]:
        return {key: plain for task in tasks for key, plain in ((f"value {task.name}", made[task.name].value.plain()),
                                                                (f"sure {task.name}", list(made[task.name].confidences)))}

    def unpack(stored: dict[str, Any]) -> tuple[Value, list[float]]:
        make = VALUES[tasks[0].kind].maker(tasks[0].scale)
        return make(stored[f"value {tasks[0].name}"]), stored[f"sure {tasks[0].name}"]

    return Shape(fields, pack, unpack)


def _folder(run: Run, split: str) -> Path:
    return run.folder / f"predictions-{split}"
