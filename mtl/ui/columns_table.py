"""What each column of the user's files is for, as one table: a row per column with a menu and, for tasks, a name. What is shown and what
comes back are plain ColumnSpecs; reading the files is done in mtl.data."""

import html
import json
from collections.abc import Sequence

import gradio as gr

from mtl.data.rows import Table
from mtl.data.values import KIND_OF_ROLE
from mtl.settings.config import ROLES, ColumnSpec, make_spec
from mtl.ui.charts import apart
from mtl.ui.page import text_of

SHOWN_COLUMNS = 64


def make_table() -> gr.HTML:
    """The part, empty. Its event `input` brings what now stands in it, see `said_in`."""
    return gr.HTML(elem_id="column-table", js_on_load=text_of("columns.js"))


def table_of(table: Table) -> str:
    """The columns of `table` with their roles, the names of their tasks and some of their values."""
    shown = zip(table.columns[:SHOWN_COLUMNS], table.values, strict=False)
    rows = "".join(_row(index, spec, values) for index, (spec, values) in enumerate(shown))
    return f'<div class="mtl-columns" data-tasks="{" ".join(KIND_OF_ROLE)}">{rows}</div>'


def _row(index: int, spec: ColumnSpec, values: Sequence[str]) -> str:
    name, which = f"{spec.group}/{spec.column}".removeprefix("/"), html.escape(json.dumps({"group": spec.group, "column": spec.column}))
    options = "".join(f'<option value="{role}"{" selected" * (role == spec.role)}>{html.escape(f"{role}: {what}")}</option>'
                      for role, what in ROLES.items())
    hidden = " hidden" * (spec.role not in KIND_OF_ROLE)
    return (f'<div data-column="{which}"><label for="role-{index}"><b>{apart(name)}</b> <small>{apart(" | ".join(values))}</small></label>'
            f'<select id="role-{index}">{options}</select><label{hidden}>Task <input id="task-{index}" maxlength="64" '
            f'aria-label="Task of {html.escape(name)}" value="{html.escape(spec.task)}"></label></div>')


def say(told: str, rows: str) -> str:
    """`told`, ColumnSpecs as JSON, with what stands in the `rows` of the table in place of what was told of their columns."""
    specs = [make_spec("columns", ColumnSpec, row | {"task": row["task"].strip() if row["role"] in KIND_OF_ROLE else ""})
             for row in json.loads(rows)]
    said = {(spec.group, spec.column) for spec in specs}
    others = [spec for spec in json.loads(told or "[]") if (spec["group"], spec["column"]) not in said]
    return json.dumps(others + [spec.model_dump() for spec in specs])
