"""The strip of pinned sentences under the curves: its frame, which pins.js fills from the live feed, and what the feed tells of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradio as gr

from mtl.data.values import VALUES
from mtl.jobs.pins import pin, unpin
from mtl.runs.events import Pinned, Watched
from mtl.runs.history import History
from mtl.ui.page import Page, text_of


class PinsPanel:
    """The strip. The value of `box` says whether who looks at it may pin."""

    def __init__(self, page: Page) -> None:
        self.jobs = page.jobs
        self.box = gr.HTML(elem_id="pins", html_template=text_of("pins.html"), js_on_load=text_of("pins.js"), apply_default_css=False)
        self.box.input(self.change, [page.run_id, page.browser], None, trigger_mode="multiple", **page.quiet).then(
            None, None, None, js="() => mtl.live.poll(true)", **page.quiet)

    def change(self, run_id: str, browser: dict, event: gr.EventData) -> None:
        """Pin a text, or take away the sentence with an id."""
        if event.action == "pin":
            pin(self.jobs, run_id, browser["key"], str(event.value))
        else:
            unpin(self.jobs, run_id, browser["key"], int(event.value))


def tell_pins(history: History, pinned: Sequence[Pinned], watched: Sequence[Watched]) -> dict[str, Any]:
    """For the feed, of what is new: the looks, each [step, answers]; and, if other ones are pinned, the sentences, each [id, text, its true
    values in words, a list a task], hard ones, each [text, why], and the labels of each task that marks text; null for the others."""
    made: dict[str, Any] = {"looks": [[look.step, look.answers] for look in watched]} if watched else {}
    tasks = history.started.tasks if history.started else {}
    types = {name: VALUES[facts["kind"]] for name, facts in tasks.items()}
    for now in pinned[-1:]:
        made["sentences"] = [[one["id"], one["text"], [
            None if (plain := one["truth"].get(name)) is None else types[name].of_plain(plain).named(one["text"]) for name in tasks]]
            for one in now.sentences]
        made["hard"] = [[one["text"], one["why"]] for one in now.hard]
        made["labels"] = [facts["labels"] if types[name].marks_text else None for name, facts in tasks.items()]
    return made
