"""The fields of RunConfig as widgets, and the values of the widgets as a RunConfig. A new field of RunConfig appears on the page by itself.
A number is typed into a line of text, and taken as typed or refused, because Gradio's number box changes it silently: "1e-3" becomes 3, and
a 7 where at most 1 is allowed becomes 1 (6.31)."""

from contextlib import suppress
from typing import Any, Literal, get_args, get_origin

import gradio as gr

from mtl.comparing.advice import Advice
from mtl.settings.best import BESTS
from mtl.settings.config import RunConfig, make_config
from mtl.settings.methods import TAKE_WEIGHTS
from mtl.settings.rates import WIDTHS, auto_rates
from mtl.settings.shorthand import parse_weights

# fields that have widgets of their own: the data, the tasks, and how two tasks are weighed
OWN_WAY = ("source", "train_files", "validation_files", "test_files", "hub", "columns", "hypothetical_labels", "hypothetical_rows", "tasks",
           "alpha", "steering")
# the first field of each group of settings
GROUPS = {"name": "Name and data", "tasks": "Tasks, trained together", "encoder": "Model", "epochs": "Steps", "device": "Machine"}
EVEN = "0.5"  # the alpha at first: both tasks count the same
RATES, FITTING = ("learning_rate", "head_learning_rate"), ("encoder", "fine_tuning", "batch_size", "accumulation")
ENCODERS = ["bundled", "tiny", "distilbert-base-uncased", "bert-base-uncased", "answerdotai/ModernBERT-base", "xlm-roberta-base"]


def fields() -> dict[str, list[str]]:
    """The settings, by the title of their group, in the order of RunConfig."""
    groups: dict[str, list[str]] = {}
    title = ""
    for name in RunConfig.model_fields:
        title = GROUPS.get(name, title)
        groups.setdefault(title, []).extend([name] * (name not in OWN_WAY))
    return groups


def names() -> list[str]:
    """All settings that have widgets of the form."""
    return [name for group in fields().values() for name in group]


def make_widget(name: str, **changes: Any) -> gr.components.FormComponent:
    """The widget for the field `name`, with its label, help and default; `changes` are arguments of the Gradio component."""
    field = RunConfig.model_fields[name]
    shared = {"label": field.title, "info": field.description, "value": shown(name, field.get_default(call_default_factory=True)),
              "elem_id": f"field-{name}", "min_width": 150} | changes
    if name in RATES:
        shared["placeholder"] = automatic(*(RunConfig.model_fields[other].default for other in FITTING))[RATES.index(name)]
    kind = field.annotation
    if name in ("encoder", "best"):
        return gr.Dropdown(ENCODERS if name == "encoder" else list(BESTS), allow_custom_value=True, **shared)
    if get_origin(kind) is Literal:
        return gr.Dropdown(list(get_args(kind)), **shared)
    if kind is bool:
        return gr.Checkbox(**shared)
    longest = next((rule.max_length for rule in field.metadata if hasattr(rule, "max_length")), None)
    return gr.Textbox(max_lines=1, max_length=longest, **shared)


def automatic(encoder: str, fine_tuning: str, batch_size: str | int, accumulation: str | int) -> list[str]:
    """What the learning rates of encoder and heads come to while they are empty, for the other settings FITTING."""
    if not str(batch_size).isdecimal() or not str(accumulation).isdecimal():
        return ["automatic"] * 2
    first, second = (f"automatic: {rate:g}" for rate in auto_rates(encoder, fine_tuning, int(batch_size) * int(accumulation)))
    if fine_tuning == "heads":
        return ["not used: the encoder is not trained", second]
    return [first + " for a base-size model" * (encoder not in WIDTHS), second]


def make_run_config(values: dict[str, Any]) -> RunConfig:
    """The checked config for the values of the form. An empty field is refused unless it may be empty. Raises MtlError."""
    return make_config({name: _parsed(name, value) for name, value in values.items()})


def _parsed(name: str, value: Any) -> Any:
    """A widget's value in the type of its field; what cannot be converted is left for `make_config` to refuse."""
    if not isinstance(value, str):
        return value
    if name == "weights":
        return parse_weights(value)
    return read_number(value, kind) if (kind := _number_kind(name)) else value.strip()


def shown(name: str, value: Any) -> Any:
    """A setting's value as its widget shows it."""
    if name == "weights":
        return ",".join(f"{task}={weight!r}" for task, weight in value.items())
    if isinstance(value, float):
        short = f"{value:g}"
        return short if float(short) == value else repr(value)
    return "" if value is None else str(value) if _number_kind(name) else value


def _number_kind(name: str) -> type | None:
    """int or float if the setting is such a number (or may be None), else None."""
    kind = RunConfig.model_fields[name].annotation
    return next((number for number in (int, float) if number in (kind, *get_args(kind))), None)


def read_number(text: str, kind: type) -> float | str | None:
    """`text` as a number: None if it is empty, the text itself if it is no number. 1e3 counts as a whole number."""
    text = text.strip()
    with suppress(ValueError):
        return kind(text)
    with suppress(ValueError):
        value = float(text)
        return int(value) if value.is_integer() else value
    return text or None


def offer(advice: Advice) -> dict[str, Any]:
    """A button for the advised settings; hidden if there are none."""
    return gr.update(visible=bool(advice.settings), value=f"Use this for the next run: {advice.label}")


def weighed_by(weights: str, balancing: str) -> str:
    """What weighs the tasks instead of alpha, in words; empty if alpha does."""
    if weights.strip():
        return "Loss weights are given"
    return "" if balancing in TAKE_WEIGHTS else f"Balancing '{balancing}' weighs the tasks by itself"


def weighing(alpha: str, values: dict[str, Any], tasks: int) -> dict[str, Any]:
    """The alpha of a run with so many tasks: None where it is not used, and where both count the same unless Balancing is 'fixed'."""
    is_used = tasks == 2 and not weighed_by(values["weights"], values["balancing"])
    number = read_number(alpha, float)
    return {"alpha": number if is_used and (values["balancing"] == "fixed" or number != float(EVEN)) else None}
