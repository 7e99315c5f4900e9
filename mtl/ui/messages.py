"""Messages to the user: one box over every tab, which every event of the page can fill. A handler that refuses raises an MtlError."""

import html
import itertools
import secrets
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any

import gradio as gr

from mtl.errors import MtlError

PRESSES = ("click", "submit", "input")  # events that a person causes; all others follow from these, or from a timer
_numbers = itertools.count(1)  # make the same message, after it was dismissed, another text, so that it is shown again


@dataclass(frozen=True)
class WithMessage:
    """What a handler returns if it has a message beside the `values` of its outputs."""

    values: Any
    message: str


def message_html(message: str) -> str:
    """`message`, which a screen reader reads out at once, with a button that dismisses it."""
    return (f'<div class="mtl-message" role="alert" data-number="{next(_numbers)}"><span>{html.escape(message)}</span>'
            '<button type="button" aria-label="Dismiss" onclick="this.parentNode.remove()">\u00d7</button></div>')


def internal_error() -> str:
    """What to say about the exception that is being handled: a reference, under which its traceback is printed."""
    reference = secrets.token_hex(4)
    print(f"[{reference}] {traceback.format_exc()}", flush=True)
    return f"Internal error {reference}: this could not be done. The details are in the terminal that MTL Studio was started from."


def show_messages(demo: gr.Blocks, box: gr.HTML) -> None:
    """Make `box` one more output of every event of `demo` but the timers', where nobody pressed anything, so that what a handler refuses is
    shown there. Gradio 6.31 shows no error, gr.Warning or gr.Info of an event with queue=False, and no details of an unforeseen error."""
    for event in demo.fns.values():
        names = [name for _, name in event.targets]
        if event.fn is not None and names and "tick" not in names:  # an endpoint of api.py has no names: nothing on the page causes it
            event.fn = _with_message(event.fn, len(event.outputs), all(name in PRESSES for name in names), box)
            event.show_progress_on = event.show_progress_on or list(event.outputs)  # not on the box
            event.outputs = [*event.outputs, box]


def _with_message(handle: Callable[..., Any], outputs: int, is_press: bool, box: gr.HTML) -> Callable[..., Any]:
    """`handle`, which has so many outputs, with a message for the `box` as one more. A press without a message clears the box."""
    @wraps(handle)
    def run(*values: Any) -> Any:
        message = "" if is_press else gr.skip()
        try:
            made = handle(*values)
        except MtlError as error:
            made, message = [gr.skip()] * outputs, message_html(str(error))
        except Exception:
            made, message = [gr.skip()] * outputs, message_html(internal_error())
        else:
            if isinstance(made, WithMessage):
                made, message = made.values, message_html(made.message)
            if isinstance(made, dict) and not any(isinstance(key, str) for key in made):  # {component: value}; gr.update() has text keys
                return made | {box: message}
            made = [made] if outputs == 1 else made or []
        return [*made, message] if outputs else message  # of a lone output, Gradio takes a list for its value
    return run
