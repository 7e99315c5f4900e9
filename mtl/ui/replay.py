"""A line in the form that says which changes in the middle of a run the next one repeats, and a button to drop them."""

import json
from collections.abc import Sequence
from dataclasses import asdict

import gradio as gr

from mtl.settings.steering import Steered
from mtl.ui.page import Page, Values, hidden_text
from mtl.ui.templates import render

DROP = "element.addEventListener('click', ({target}) => { if (target.closest('[data-drop]')) trigger('input', {}); })"


class Replay:
    """The line, and the changes, which are kept in the page as JSON."""

    def __init__(self, page: Page) -> None:
        self.plan = hidden_text()
        self.line = gr.HTML(elem_id="replay", elem_classes="mtl-hint", js_on_load=DROP)
        self.outputs = [self.plan, self.line]
        self.line.input(lambda: self.show(()), None, self.outputs, **page.quiet)

    def show(self, changes: Sequence[Steered]) -> Values:
        """Keep the `changes`, and say so."""
        return {self.plan: json.dumps(list(map(asdict, changes))) if changes else "", self.line: render("replay.html", changes=changes)}

    def read(self, values: Values) -> tuple[dict, ...]:
        """The changes that the next run is to repeat, to be checked by RunConfig."""
        return tuple(json.loads(values[self.plan] or "[]"))
