"""The panel that steers the run in training: sliders, a switch and buttons, drawn by steer.js from the live feed, which says what holds."""

import json
from contextlib import suppress
from typing import Any

import gradio as gr

from mtl.errors import MtlError
from mtl.jobs.steering import steer, why_not
from mtl.runs.history import History
from mtl.settings.steering import Steered, in_force
from mtl.text import isolate
from mtl.ui.messages import WithMessage
from mtl.ui.page import Page, hidden_text, text_of

ANSWERED = """(refused) => {
  if (refused) document.dispatchEvent(new CustomEvent('mtl-steer-refused'));
  mtl.live.poll(true);
}"""


def in_force_now(history: History) -> dict[str, Any] | None:
    """What the changes of a run have come to: for each trained task its name, that name isolated, and the factor on its weight; the factor
    on the rates; whether the encoder is frozen, and can be; whether the run stops after this epoch; and all that in words."""
    if not (started := history.started):
        return None
    holds = in_force(history.steered, history.step)
    tasks = [[task, isolate(task), holds.weights.get(task, 1.0)] for task, facts in started.tasks.items() if facts.get("weight")]
    changed = Steered(holds.step, {task: factor for task, _, factor in tasks if factor != 1}, holds.rate if holds.rate != 1 else None,
                      holds.frozen or None)
    said = ", ".join(changed.parts + ["stops after this epoch"] * history.ends_epoch)
    return {"tasks": tasks, "rate": holds.rate, "frozen": holds.frozen, "can_freeze": started.learning_rate is not None,
            "stop": history.ends_epoch, "said": said}


class SteerPanel:
    """The panel; its value is the reason why the run that is shown cannot be steered from this page, or empty."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.panel = gr.HTML(elem_id="steer", html_template=text_of("steer.html"), js_on_load=text_of("steer.js"))
        who, quiet, refused = [page.run_id, page.browser], page.quiet, hidden_text()
        self.panel.input(self.steer, who, refused, trigger_mode="multiple", **quiet).then(None, refused, None, js=ANSWERED, **quiet)
        gr.on([page.news.change, page.run_id.change], self.why, who, self.panel, **quiet)

    def steer(self, run_id: str, browser: dict, event: gr.EventData) -> str | WithMessage:
        """Ask for what the person has set; a refusal puts it back."""
        try:
            steer(self.page.jobs, run_id, browser["key"], json.loads(event.wanted))
        except MtlError as error:
            return WithMessage("refused", str(error))
        return ""

    def why(self, run_id: str, browser: dict) -> str:
        """Why the run that is shown cannot be steered; empty if it can."""
        with suppress(MtlError):  # it was deleted
            return why_not(self.page.jobs, run_id, browser["key"]) if run_id else "There is no run yet."
        return "There is no such run."
