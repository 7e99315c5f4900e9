"""A table in which the user sets what each column of the data is for: a row per column, with a menu and the name of its task. Shows and
returns ColumnSpecs; mtl.data reads the files."""

import html
import json
from collections.abc import Sequence

from mtl.data.rows import Table
from mtl.data.values import KIND_OF_ROLE
from mtl.settings.config import ROLES, ColumnSpec, make_spec
from mtl.ui.charts import apart

SHOWN_COLUMNS = 64


def table_of(table: Table) -> str:
    """The columns of `table` with their roles, task names and some values, as HTML."""
    shown = zip(table.columns[:SHOWN_COLUMNS], table.values, strict=False)
    rows = "".join(_row(index, spec, values) for index, (spec, values) in enumerate(shown))
    return f'<div class="mtl-columns" data-tasks="{" ".join(KIND_OF_ROLE)}">{rows}</div>'


def _row(index: int, spec: ColumnSpec, values: Sequence[str]) -> str:
    name, which = f"{spec.group}/{spec.column}".removeprefix("/"), html.escape(spec.model_dump_json(include={"group", "column"}))
    options = "".join(f'<option value="{role}"{" selected" * (role == spec.role)}>{html.escape(f"{role}: {what}")}</option>'
                      for role, what in ROLES.items())
    hidden = " hidden" * (spec.role not in KIND_OF_ROLE)
    return (f'<div data-column="{which}"><label for="role-{index}"><b>{apart(name)}</b> <small>{apart(" | ".join(values))}</small></label>'
            f'<select id="role-{index}">{options}</select><label{hidden}>Task <input id="task-{index}" maxlength="64" '
            f'aria-label="Task of {html.escape(name)}" value="{html.escape(spec.task)}"></label></div>')


def merge(known: str, rows: str) -> str:
    """`known`, ColumnSpecs as JSON, with those of the columns that are in the `rows` of the table replaced."""
    specs = [make_spec("columns", ColumnSpec, row | {"task": row["task"].strip() if row["role"] in KIND_OF_ROLE else ""})
             for row in json.loads(rows)]
    shown = {(spec.group, spec.column) for spec in specs}
    others = [spec for spec in json.loads(known or "[]") if (spec["group"], spec["column"]) not in shown]
    return json.dumps(others + [spec.model_dump() for spec in specs])
