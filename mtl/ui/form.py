"""RunConfig's fields as widgets, and the widgets' values as a RunConfig. A new field of RunConfig appears on the page by itself."""

from types import UnionType
from typing import Any, Literal, get_args, get_origin

import gradio as gr
from pydantic.fields import FieldInfo

from mtl.config import RunConfig, make_config
from mtl.errors import MtlError
from mtl.shorthand import parse_weights

# what the page asks for in its own way: the data, the tasks, and how two tasks are weighed
OWN_WAY = ("source", "train_files", "dev_files", "test_files", "hub", "columns", "hypothetical_labels", "hypothetical_rows", "tasks",
           "alpha")
ENCODERS = ["bundled", "tiny", "distilbert-base-uncased", "bert-base-uncased", "answerdotai/ModernBERT-base", "xlm-roberta-base"]


def fields(basic: bool) -> list[str]:
    """The settings in sight (`basic`), or those that are folded away."""
    return [name for name, field in RunConfig.model_fields.items() if name not in OWN_WAY and field.json_schema_extra["basic"] == basic]


def make_widget(name: str) -> gr.components.FormComponent:
    """The widget for the field `name`, with its label, help and default."""
    field = RunConfig.model_fields[name]
    shared = {"label": field.title, "info": field.description, "value": shown(name, field.get_default(call_default_factory=True)),
              "elem_id": f"field-{name}", "min_width": 150}
    kind = field.annotation
    if name == "encoder":
        return gr.Dropdown(ENCODERS, allow_custom_value=True, **shared)
    if get_origin(kind) is Literal:
        return gr.Dropdown(list(get_args(kind)), **shared)
    if kind is bool:
        return gr.Checkbox(**shared)
    if kind is int:
        return gr.Number(precision=0, **shared)
    if kind is float:
        return gr.Number(**shared)
    return gr.Textbox(max_length=_bound(field, "max_length"), **shared)


def make_run_config(values: dict[str, Any]) -> RunConfig:
    """The checked config of what stands in the form; an emptied number is its default. Raises MtlError in the user's words."""
    return make_config({name: _typed(name, value) for name, value in values.items()})


def shown(name: str, value: Any) -> Any:
    """A setting's value as its widget shows it."""
    if name == "weights":
        return ",".join(f"{task}={weight!r}" for task, weight in value.items())
    return "" if value is None else str(value) if _is_optional(name) else value


def _typed(name: str, value: Any) -> Any:
    """A widget's value as the field wants it."""
    field = RunConfig.model_fields[name]
    if value is None or (_is_optional(name) and value == ""):
        return field.get_default(call_default_factory=True)
    if name == "weights" and isinstance(value, str):
        return parse_weights(value)
    if _is_optional(name) and isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            raise MtlError(f"{field.title}: '{value}' is not a number. Write one, or leave it empty.") from None
    if field.annotation is int and isinstance(value, float) and value.is_integer():
        return int(value)
    return value.strip() if isinstance(value, str) else value


def _is_optional(name: str) -> bool:
    """Whether the setting may be left empty; a gr.Number shows 0 for that, so such a one is a line of text."""
    return get_origin(RunConfig.model_fields[name].annotation) is UnionType


def _bound(field: FieldInfo, name: str) -> Any:
    return next((getattr(rule, name) for rule in field.metadata if hasattr(rule, name)), None)
