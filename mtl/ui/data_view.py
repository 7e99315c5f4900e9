"""Data as the page shows it: which uploaded file is for what, the tasks found, the first rows. Pure functions."""

import re
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from mtl.config import TaskSpec
from mtl.data.rows import Table, Value, count_labels
from mtl.errors import MtlError

ROLES = {"train_file": {"train", "training"}, "dev_file": {"dev", "valid", "validation", "val", "eval"}, "test_file": {"test", "testing"}}
PREVIEW_ROWS = 6


def assign_files(paths: Sequence[str]) -> dict[str, str]:
    """Which uploaded file is for what, by its name; a single file is for training. Raises MtlError if that is not clear."""
    if not paths:
        raise MtlError("No file yet. Upload one with sentences and labels (JSONL or CSV).")
    if len(paths) == 1:
        return {"train_file": paths[0]}
    roles: dict[str, str] = {}
    for path in paths:
        words = set(re.findall("[a-z]+", Path(path).stem.lower()))
        role = next((role for role, names in ROLES.items() if words & names), "train_file")
        if role in roles:
            raise MtlError(f"{Path(roles[role]).name} and {Path(path).name} would both be the {role.removesuffix('_file')} file. "
                           "Name them with train, dev and test.")
        roles[role] = path
    if "train_file" not in roles:
        raise MtlError("None of the files is for training. Name it with 'train'.")
    return roles


def task_table(table: Table, specs: Sequence[TaskSpec]) -> pd.DataFrame:
    """One row a task: kind, labels with their counts, labelled rows."""
    rows = []
    for spec in specs:
        counts = count_labels(table.rows, spec.name)
        labelled = sum(row.values.get(spec.name) is not None for row in table.rows)
        most = ", ".join(f"{label} ({count})" for label, count in counts.most_common(8)) + (", ..." if len(counts) > 8 else "")
        rows.append([spec.name, spec.kind, f"{labelled:,} of {len(table.rows):,}", f"{len(counts)}: {most}"])
    return pd.DataFrame(rows, columns=["task", "kind", "labelled rows", "labels"])


def row_table(table: Table, specs: Sequence[TaskSpec]) -> pd.DataFrame:
    """The first rows as they were understood."""
    rows = [[row.text, " \u00b7 ".join(f"{spec.name}: {show_value(row.text, row.values.get(spec.name))}" for spec in specs)]
            for row in table.rows[:PREVIEW_ROWS]]
    return pd.DataFrame(rows, columns=["text", "labels"])


def show_value(text: str, value: Value) -> str:
    """A label, the entities with their labels, or that there is none."""
    if value is None:
        return "(not labelled)"
    return value if isinstance(value, str) else "; ".join(f"{text[span.start:span.end]} = {span.label}" for span in value) or "(no entity)"
