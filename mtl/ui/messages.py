"""One way for the page to say a thing to who pressed: a box over every tab, which every event of the page can fill. What is said is
raised as an MtlError by whoever refuses; nothing here knows what the events do."""

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

PRESSES = ("click", "submit", "input")  # what a person does; the other events follow from it, or from the clock
_numbers = itertools.count(1)  # so that what is said again after it was dismissed is another text, and comes back


@dataclass(frozen=True)
class Said:
    """For a handler that has something to say beside the `values` of its outputs."""

    values: Any
    message: str


def message_box() -> gr.HTML:
    """The box, empty. It lies over the page, so that nothing moves when it is filled."""
    return gr.HTML(elem_id="message")


def message_html(message: str) -> str:
    """`message`, read out at once by a screen reader, with a button that takes it away."""
    return (f'<div class="mtl-message" role="alert" data-number="{next(_numbers)}"><span>{html.escape(message)}</span>'
            '<button type="button" aria-label="Dismiss" onclick="this.parentNode.remove()">\u00d7</button></div>')


def let_all_tell(demo: gr.Blocks, box: gr.HTML) -> None:
    """Have every event of `demo` fill `box` with what went wrong in it.

    Gradio 6.31 shows nothing of an error, a gr.Warning or a gr.Info in an event with queue=False, and says of an unforeseen error not even
    where to look. So the box is one more output of every event, and no handler needs to know of it. Only those of the clock are left as
    they are: nobody pressed, and a browser takes a while for each output.
    """
    for event in demo.fns.values():
        names = [name for _, name in event.targets]
        if event.fn is not None and "tick" not in names:
            is_press = any(name in PRESSES for name in names)
            event.fn = _telling(event.fn, len(event.outputs), is_press, box)
            event.show_progress_on = event.show_progress_on or list(event.outputs)  # not on the box
            event.outputs = [*event.outputs, box]


def _telling(handle: Callable[..., Any], outputs: int, is_press: bool, box: gr.HTML) -> Callable[..., Any]:
    """`handle`, which has so many outputs, with a message for the `box` as one more. What a person does next takes the old one away."""
    @wraps(handle)
    def tell(*values: Any) -> Any:
        try:
            made = handle(*values)
        except MtlError as error:
            return [*[gr.skip()] * outputs, message_html(str(error))]
        except Exception:  # whatever it is, who pressed is told
            return [*[gr.skip()] * outputs, message_html(_unforeseen())]
        made, message = (made.values, message_html(made.message)) if isinstance(made, Said) else (made, "" if is_press else gr.skip())
        if isinstance(made, dict) and not any(isinstance(key, str) for key in made):  # {component: value}; gr.update has names as keys
            return made | {box: message}
        return [*([made] if outputs == 1 else made or []), message]
    return tell


def _unforeseen() -> str:
    """A sentence about the error that is being handled; its traceback goes to the terminal."""
    reference = secrets.token_hex(4)
    print(f"[{reference}] {traceback.format_exc()}", flush=True)
    return f"Internal error {reference}: this could not be done. The details are in the terminal that MTL Studio was started from."
