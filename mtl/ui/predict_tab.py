"""The Predict tab: a sentence in, its entities and classes out, from a live run's weights of this moment or from a checkpoint. What needs
torch is imported when it is asked for, so that the page is there first."""

from __future__ import annotations

import html
import time
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import gradio as gr

from mtl.errors import MtlError
from mtl.jobs.queue import Jobs
from mtl.runs.checkpoint import BEST, LAST, MANIFEST, saved_step
from mtl.runs.folder import STARTER_NAME, list_runs, open_run, open_starter, starter_folder
from mtl.settings.config import MAX_TASKS
from mtl.text import is_right_to_left
from mtl.ui.charts import colours
from mtl.ui.messages import Said
from mtl.ui.page import Page
from mtl.ui.status import run_name, state_of

if TYPE_CHECKING:
    from mtl.inference.predictor import Predicted, Predictor

LIVE = "live"
EXAMPLES = ["Honestly, the concert in Lisbon with Priya Okafor was superb!", "Last week the flight by Acme Airlines was a mess.",
            "Shares of Norlund Shipping fell 4 percent in Oslo on Monday after a weak forecast.",
            "The striker Ines Caldeira scored twice as Brazil beat Norway in the final in Sydney."]


# Pure functions


def model_choices(jobs: Jobs, key: str, shown: str) -> list[tuple[str, str]]:
    """The models to predict with, as (label, 'run id/checkpoint'): those of the shown run first, then of the owner's other runs, and last
    the starter model, which is for everyone."""
    runs = {run.id: run for run in list_runs(jobs.root, key, 20)}
    with suppress(MtlError):  # no run is shown, or it was deleted
        runs = {shown: open_run(jobs.root, shown)} | runs
    choices = []
    for run_id, run in runs.items():
        name, saved = f"{run_name(run)}, {state_of(run)}", {checkpoint: saved_step(run.folder / checkpoint) for checkpoint in (BEST, LAST)}
        if jobs.is_live(run_id):
            choices.append((f"{name}: live weights", f"{run_id}/{LIVE}"))
        choices += [(f"{name}: {checkpoint} (step {step:,})", f"{run_id}/{checkpoint}") for checkpoint, step in saved.items()
                    if step is not None]
    return choices + [("Starter model (newsroom)", STARTER_NAME)] * starter_folder().is_dir()


@lru_cache(maxsize=3)
def _load(checkpoint: Path, stamp: float, device: str) -> Predictor:
    """A checkpoint's predictor, kept for the next question; `stamp` tells one saved later from it."""
    from mtl.inference.predictor import Predictor

    return Predictor.load(checkpoint, device)


def find_predictor(jobs: Jobs, choice: str, device: str) -> tuple[Predictor, str]:
    """The predictor that `choice` names and where it is from; raises MtlError if it is not there."""
    run_id, _, name = (choice or STARTER_NAME).partition("/")
    if run_id == STARTER_NAME:
        return _load(open_starter(), _stamp(open_starter()), device), "starter model"
    run = open_run(jobs.root, run_id)
    if name == LIVE:
        snapshot = jobs.snapshot(run_id)
        return snapshot.predictor.on(device), f"live weights of step {snapshot.step:,}, {time.time() - snapshot.time:.0f} s old"
    if name not in (BEST, LAST) or not (run.folder / name / MANIFEST).is_file():
        raise MtlError("This run has no such checkpoint now. Choose another model.")
    return _load(run.folder / name, _stamp(run.folder / name), device), f"checkpoint '{name}'"


def _stamp(checkpoint: Path) -> float:
    """When the checkpoint was saved; 0 if its manifest is missing, which loading it will tell."""
    manifest = checkpoint / MANIFEST
    return manifest.stat().st_mtime if manifest.is_file() else 0.0


def describe(predicted: Predicted, source: str, how: str, milliseconds: float) -> str:
    """One line under the answer."""
    cut = "" if predicted.cut_at is None else (f" The text is longer than the model can read: from character {predicted.cut_at:,} on it "
                                               "was not read.")
    return f"{source}; {how}; {milliseconds:.1f} ms for all tasks.{cut}"


def contradictions_html(predicted: Predicted) -> str:
    """What stands under the answer if parts of it never stood together in training, else nothing."""
    told = "".join(f'<p class="mtl-finding mtl-warning">{html.escape(sentence)}</p>' for sentence in predicted.contradictions)
    return told and f'<div class="mtl-report">{told}</div>'


# Layout and wiring


class PredictTab:
    """The widgets of the tab, made once, and the handlers that they call."""

    def __init__(self, page: Page, tab: gr.Tab) -> None:
        self.page, self.jobs = page, page.jobs
        with gr.Row():
            self.model = gr.Dropdown([], label="Model", allow_custom_value=True, elem_id="model", scale=3, min_width=300,
                                     info="Live weights are those of a run that still trains. Asking does not disturb it.")
            self.device = gr.Radio(["auto", "cpu"], value="auto", label="Device", scale=1, info="Where the answer is computed.")
        self.text = gr.Textbox(label="Text", lines=1, max_lines=8, elem_id="text", placeholder="Type a sentence, then press Enter")
        with gr.Row():
            self.button = gr.Button("Predict", variant="primary", elem_id="predict")
            self.follow = gr.Checkbox(label="Ask again every 2 seconds", elem_id="follow",
                                      info="Watch the answer change while the model learns.")
        gr.Examples(EXAMPLES, self.text, label="Examples")
        self.about = gr.Textbox(label="Answered by", interactive=False, elem_id="about")
        self.tagged = [gr.HighlightedText(visible=False, show_legend=False, elem_id=f"tagged-{index}") for index in range(MAX_TASKS)]
        with gr.Row():
            self.classified = [gr.Label(visible=False, num_top_classes=5, min_width=260, elem_id=f"classified-{index}")
                               for index in range(MAX_TASKS)]
        self.doubts = gr.HTML(visible=False, elem_id="contradictions")
        self.timer = gr.Timer(2.0, active=False)
        self._wire(tab)

    def _wire(self, tab: gr.Tab) -> None:
        page, outputs = self.page, [self.about, *self.tagged, *self.classified, self.doubts]
        ask = [self.model, self.device, self.text]
        gr.on([tab.select, self.model.focus, page.run_id.change], self.list_models, [page.browser, page.run_id, self.model], self.model,
              **page.quiet)
        page.told.change(self.keep_model, [page.browser, page.run_id, self.model], self.model, **page.quiet)
        tab.select(self.list_devices, None, self.device, **page.quiet)
        gr.on([self.button.click, self.text.submit], self.predict, ask, outputs, concurrency_id="predict", concurrency_limit=2,
              trigger_mode="always_last", **page.unseen)
        self.follow.change(lambda on: gr.Timer(active=on), self.follow, self.timer, **page.quiet)
        self.timer.tick(self.predict_again, ask, outputs, concurrency_id="predict", concurrency_limit=2, **page.unseen)

    def list_models(self, browser: dict, run_id: str, chosen: str) -> dict:
        """The menu, brought up to date; a choice that is still there stays, unless another run is shown now."""
        choices = model_choices(self.jobs, browser["key"], run_id)
        values = [value for _, value in choices]
        keep = chosen in values and (not run_id or chosen.startswith(run_id))
        return gr.update(choices=choices, value=chosen if keep else values[0] if values else None)

    def keep_model(self, browser: dict, run_id: str, chosen: str) -> dict:
        """The menu with the states of now; the choice stays."""
        choices = model_choices(self.jobs, browser["key"], run_id)
        return gr.update(choices=choices) if chosen in [value for _, value in choices] else gr.skip()

    def list_devices(self) -> dict:
        """With the GPU, if there is one."""
        self.jobs.loaded()
        from mtl.model.machine import has_gpu

        return gr.update(choices=["auto", "cpu"] + ["cuda"] * has_gpu())

    def predict(self, choice: str, device: str, text: str) -> list | Said:
        """Ask the chosen model about the text; what is wrong stands where the answer would, and pops up."""
        try:
            return self._ask(choice, device, text)
        except MtlError as error:
            return Said(self._say(str(error)), str(error))

    def predict_again(self, choice: str, device: str, text: str) -> list:
        """As `predict`, but nothing pops up every 2 seconds."""
        try:
            return self._ask(choice, device, text)
        except MtlError as error:
            return self._say(str(error))

    def _ask(self, choice: str, device: str, text: str) -> list:
        self.jobs.loaded()
        from mtl.inference.predictor import timed

        predictor, source = find_predictor(self.jobs, choice, device)
        predicted, milliseconds = timed(predictor, text)
        return [describe(predicted, source, predictor.how, milliseconds), *self._answers(predictor, predicted)]

    def _say(self, message: str) -> list:
        return [message] + [gr.update(visible=False, value=None)] * (2 * MAX_TASKS + 1)

    def _answers(self, predictor: Predictor, predicted: Predicted) -> list:
        tagged, classified = [], []
        for name, answer in predicted.predictions.items():
            drawing, labels = answer.drawing(predicted.text), predictor.model.tasks[name].spec.labels
            if drawing.pieces is None:
                classified.append(gr.Label(value=drawing.probabilities, label=f"{name}: {drawing.answer}" if drawing.answer else name,
                                           show_heading=not drawing.answer, visible=True))
            else:
                tagged.append(gr.HighlightedText(value=drawing.pieces, color_map=colours(labels), label=name, visible=True,
                                                 rtl=is_right_to_left(predicted.text)))
        return [*tagged, *[gr.update(visible=False, value=None)] * (MAX_TASKS - len(tagged)),
                *classified, *[gr.update(visible=False, value=None)] * (MAX_TASKS - len(classified)),
                gr.update(visible=bool(predicted.contradictions), value=contradictions_html(predicted))]
