"""What all tabs of one page share."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gradio as gr

from mtl.jobs.queue import Jobs
from mtl.ui.messages import message_box

Values = dict[gr.components.Component, Any]  # what stands in each widget; or what a handler puts there, and nothing in the others


def text_of(name: str) -> str:
    """A file of this folder: style.css, or a script."""
    return (Path(__file__).parent / name).read_text(encoding="utf-8")


def hidden_text(name: str | None = None) -> gr.Textbox:
    """A text that is part of the page's state, not of what is seen."""
    return gr.Textbox(visible="hidden", elem_id=name)


@dataclass(frozen=True)
class Page:
    """The browser's memory {key, run, comparison}, the id of the run that is shown, and a text that changes with what is `told` of it: its
    state, its evaluations, its warnings, its scores; not its steps; and the box in which any event can say a thing."""

    jobs: Jobs
    browser: gr.BrowserState
    run_id: gr.Textbox = field(default_factory=lambda: hidden_text("run-id"))
    told: gr.Textbox = field(default_factory=hidden_text)
    message: gr.HTML = field(default_factory=message_box)
    _nowhere: gr.Timer = field(default_factory=lambda: gr.Timer(active=False))

    @property
    def unseen(self) -> dict[str, Any]:
        """For an event whose progress nobody should see. A browser copies all that the parts hold on which progress has ever been shown, be
        it hidden, at every event (gradio 6.31): so it is shown on a part that holds nothing and is never drawn."""
        return {"show_progress": "hidden", "show_progress_on": self._nowhere, "api_visibility": "private"}

    @property
    def quiet(self) -> dict[str, Any]:
        """The same for what is quick, so that it waits in no queue."""
        return self.unseen | {"queue": False}
