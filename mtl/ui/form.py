"""RunConfig's fields as widgets, and the widgets' values as a RunConfig. A new field of RunConfig appears on the page by itself.

A number is a line of text: a browser's own number box loses what it cannot read ("1e-3", typed key by key, is 3 to gradio 6.31), rounds 2.5
to 2, and brings a 7 between 0 and 1 down to 1, all without a word. What stands in the line is what is read, or it is refused."""

from contextlib import suppress
from types import NoneType
from typing import Any, Literal, get_args, get_origin

import gradio as gr
from pydantic.fields import FieldInfo

from mtl.settings.config import RunConfig, make_config
from mtl.settings.shorthand import parse_weights

# what the page asks for in its own way: the data, the tasks, and how two tasks are weighed
OWN_WAY = ("source", "train_files", "validation_files", "test_files", "hub", "columns", "hypothetical_labels", "hypothetical_rows", "tasks",
           "alpha")
EVEN = "0.5"  # the alpha that stands there at first: both tasks count the same
ENCODERS = ["bundled", "tiny", "distilbert-base-uncased", "bert-base-uncased", "answerdotai/ModernBERT-base", "xlm-roberta-base"]


def fields(basic: bool) -> list[str]:
    """The settings in sight (`basic`), or those that are folded away."""
    return [name for name, field in RunConfig.model_fields.items() if name not in OWN_WAY and field.json_schema_extra["basic"] == basic]


def make_widget(name: str, **changes: Any) -> gr.components.FormComponent:
    """The widget for the field `name`, with its label, help and default; `changes` are gradio's own words for the widget."""
    field = RunConfig.model_fields[name]
    shared = {"label": field.title, "info": field.description, "value": shown(name, field.get_default(call_default_factory=True)),
              "elem_id": f"field-{name}", "min_width": 150} | changes
    kind = field.annotation
    if name == "encoder":
        return gr.Dropdown(ENCODERS, allow_custom_value=True, **shared)
    if get_origin(kind) is Literal:
        return gr.Dropdown(list(get_args(kind)), **shared)
    if kind is bool:
        return gr.Checkbox(**shared)
    return gr.Textbox(max_lines=1, max_length=_bound(field, "max_length"), **shared)


def make_run_config(values: dict[str, Any]) -> RunConfig:
    """The checked config of what stands in the form. A field that is empty is refused, but where nothing is a value. Raises MtlError in the
    user's words."""
    return make_config({name: _typed(name, value) for name, value in values.items()})


def shown(name: str, value: Any) -> Any:
    """A setting's value as its widget shows it."""
    if name == "weights":
        return ",".join(f"{task}={weight!r}" for task, weight in value.items())
    if isinstance(value, float):
        short = f"{value:g}"
        return short if float(short) == value else repr(value)
    return "" if value is None else str(value) if _number_kind(name) else value


def _number_kind(name: str) -> type | None:
    """int or float if the setting is such a number, else None."""
    kind = RunConfig.model_fields[name].annotation
    plain = next((part for part in get_args(kind) if part is not NoneType), kind) if get_origin(kind) is not Literal else kind
    return plain if plain in (int, float) else None


def read_number(text: str, kind: type) -> float | str | None:
    """The number that somebody wrote: None if it is nothing, the text itself if it is no number. 1e3 is a whole number too."""
    text = text.strip()
    with suppress(ValueError):
        return kind(text)
    with suppress(ValueError):
        value = float(text)
        return int(value) if value.is_integer() else value
    return text or None


def weighed_by(weights: str, balancing: str) -> str:
    """What weighs the tasks instead of alpha, as a sentence without its end; '' if alpha does."""
    if weights.strip():
        return "Loss weights are given"
    return "" if balancing in ("equal", "fixed") else f"Balancing '{balancing}' weighs the tasks by itself"


def weighing(alpha: str, values: dict[str, Any], tasks: int) -> dict[str, Any]:
    """The alpha of a run of so many tasks: none where it is not shown, where something else weighs them, or where both count the same and
    nothing was said to be fixed."""
    is_used = tasks == 2 and not weighed_by(values["weights"], values["balancing"])
    number = read_number(alpha, float)
    return {"alpha": number if is_used and (values["balancing"] == "fixed" or number != float(EVEN)) else None}


def _typed(name: str, value: Any) -> Any:
    """A widget's value as the field wants it; what cannot be is left for `make_config` to refuse."""
    if not isinstance(value, str):
        return value
    if name == "weights":
        return parse_weights(value)
    return read_number(value, kind) if (kind := _number_kind(name)) else value.strip()


def _bound(field: FieldInfo, name: str) -> Any:
    return next((getattr(rule, name) for rule in field.metadata if hasattr(rule, name)), None)
