"""The Predict tab: a sentence in, its labels and entities out, by the weights of a run in training or by a checkpoint. torch is imported
only when it is needed, so that the page opens without waiting for it."""

from __future__ import annotations

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
from mtl.ui.data_view import warnings_html
from mtl.ui.messages import WithMessage
from mtl.ui.page import Page, Values
from mtl.ui.status import computed_on, run_name, state_of

if TYPE_CHECKING:
    from mtl.inference.predictor import Predicted, Predictor

LIVE = "live"
EXAMPLES = ["Honestly, the concert in Lisbon with Priya Okafor was superb!", "Last week the flight by Acme Airlines was a mess.",
            "Shares of Norlund Shipping fell 4 percent in Oslo on Monday after a weak forecast.",
            "The striker Ines Caldeira scored twice as Brazil beat Norway in the final in Sydney."]


def model_choices(jobs: Jobs, key: str, shown: str) -> list[tuple[str, str]]:
    """(label, 'run id/checkpoint') of the models to predict with: the shown run's, the owner's other runs', and last the starter model."""
    runs = {run.id: run for run in list_runs(jobs.root, key, 20)}
    with suppress(MtlError):  # no run is shown, or it was deleted
        runs = {shown: open_run(jobs.root, shown)} | runs
    choices = []
    for run_id, run in runs.items():
        name = f"{run_name(run)}, {state_of(run)}"
        choices += [(f"{name}: live weights", f"{run_id}/{LIVE}")] * jobs.is_live(run_id)
        choices += [(f"{name}: {checkpoint} (step {step:,})", f"{run_id}/{checkpoint}") for checkpoint in (BEST, LAST)
                    if (step := saved_step(run.folder / checkpoint)) is not None]
    return choices + [("Starter model (newsroom)", STARTER_NAME)] * starter_folder().is_dir()


@lru_cache(maxsize=3)
def _load(checkpoint: Path, saved_at: float, device: str) -> Predictor:
    """The predictor of a checkpoint, kept for the next text; `saved_at` makes a checkpoint that was saved anew another one."""
    from mtl.inference.predictor import Predictor

    return Predictor.load(checkpoint, device)


def find_predictor(jobs: Jobs, choice: str, device: str) -> tuple[Predictor, str]:
    """The predictor that `choice` names, and a description of it; raises MtlError if there is none."""
    run_id, _, name = (choice or STARTER_NAME).partition("/")
    if run_id == STARTER_NAME:
        folder, about = open_starter(), "starter model"
    elif name == LIVE:
        snapshot = jobs.snapshot(open_run(jobs.root, run_id).id)
        return snapshot.predictor.on(device), f"live weights of step {snapshot.step:,}, {time.time() - snapshot.time:.0f} s old"
    else:
        folder, about = open_run(jobs.root, run_id).folder / name, f"checkpoint '{name}'"
        if name not in (BEST, LAST) or not (folder / MANIFEST).is_file():
            raise MtlError("This run no longer has this checkpoint. Choose another model.")
    manifest = folder / MANIFEST  # if it is missing, loading the checkpoint reports it
    return _load(folder, manifest.stat().st_mtime if manifest.is_file() else 0.0, device), about


class PredictTab:
    """The widgets of the tab, and their handlers."""

    def __init__(self, page: Page, tab: gr.Tab) -> None:
        self.page, self.jobs = page, page.jobs
        with gr.Row():
            self.model = gr.Dropdown([], label="Model", allow_custom_value=True, elem_id="model", scale=3, min_width=300,
                                     info="Live weights are those of a run in training. Predicting with them does not disturb it.")
            self.device = gr.Radio(["auto", "cpu"], value="auto", label="Device", scale=1, info="Where predictions are computed.")
        self.text = gr.Textbox(label="Text", lines=1, max_lines=8, elem_id="text", placeholder="Type a sentence, then press Enter")
        with gr.Row():
            self.button = gr.Button("Predict", variant="primary", elem_id="predict")
            self.follow = gr.Checkbox(label="Predict again every 2 seconds", elem_id="follow",
                                      info="Watch the predictions change while the model learns.")
        gr.Examples(EXAMPLES, self.text, label="Examples")
        self.about = gr.Textbox(label="Predicted by", interactive=False, elem_id="about")
        self.tagged = [gr.HighlightedText(visible=False, show_legend=False, elem_id=f"tagged-{index}") for index in range(MAX_TASKS)]
        with gr.Row():
            self.classified = [gr.Label(visible=False, num_top_classes=5, min_width=260, elem_id=f"classified-{index}")
                               for index in range(MAX_TASKS)]
        self.contradictions = gr.HTML(visible=False, elem_id="contradictions")
        self.timer = gr.Timer(2.0, active=False)

        self.answers, menu = [*self.tagged, *self.classified, self.contradictions], [page.browser, page.run_id, self.model]
        gr.on([tab.select, self.model.focus, page.run_id.change], self.list_models, menu, self.model, **page.quiet)
        page.news.change(self.keep_model, menu, self.model, **page.quiet)
        tab.select(self.list_devices, None, self.device, **page.quiet)
        ask = {"inputs": [self.model, self.device, self.text], "outputs": [self.about, *self.answers], "concurrency_id": "predict",
               "concurrency_limit": 2, **page.unseen}
        gr.on([self.button.click, self.text.submit], self.predict, trigger_mode="always_last", **ask)
        self.follow.change(lambda on: gr.Timer(active=on), self.follow, self.timer, **page.quiet)
        self.timer.tick(self.predict_again, **ask)

    def list_models(self, browser: dict, run_id: str, chosen: str) -> dict:
        """The current choices. The chosen model stays if it is among them, unless another run is shown now."""
        choices = model_choices(self.jobs, browser["key"], run_id)
        values = [value for _, value in choices]
        keep = chosen in values and (not run_id or chosen.startswith(run_id))
        return gr.update(choices=choices, value=chosen if keep else values[0] if values else None)

    def keep_model(self, browser: dict, run_id: str, chosen: str) -> dict:
        """The current choices, if the chosen model is among them."""
        choices = model_choices(self.jobs, browser["key"], run_id)
        return gr.update(choices=choices) if chosen in [value for _, value in choices] else gr.skip()

    def list_devices(self) -> dict:
        """The devices of this machine."""
        self.jobs.loaded()
        from mtl.model.machine import has_gpu

        return gr.update(choices=["auto", "cpu"] + ["cuda"] * has_gpu())

    def predict(self, choice: str, device: str, text: str) -> Values | WithMessage:
        """The predictions for the text. An error is shown in their place and as a message."""
        self.jobs.loaded()
        nothing = dict.fromkeys(self.answers, gr.update(visible=False, value=None))
        try:
            predictor, source = find_predictor(self.jobs, choice, device)
            start = time.perf_counter()
            predicted, took = predictor(text), 1000 * (time.perf_counter() - start)
        except MtlError as error:
            return WithMessage(nothing | {self.about: str(error)}, str(error))
        about = f"{source}; {computed_on(predictor.how)}; {took:.1f} ms for all tasks."
        if predicted.cut_at is not None:
            about += f" The text is longer than the model can read: everything from character {predicted.cut_at:,} on was ignored."
        return nothing | {self.about: about} | self.drawn(predictor, predicted)

    def predict_again(self, *asked: str) -> Values:
        """As `predict`, but without a message every 2 seconds."""
        made = self.predict(*asked)
        return made.values if isinstance(made, WithMessage) else made

    def drawn(self, predictor: Predictor, predicted: Predicted) -> Values:
        """The predictions of all tasks: entities in the text, or labels with their probabilities; and labels that do not go together."""
        odd = f'<div class="mtl-report">{warnings_html(predicted.contradictions)}</div>'
        shown: Values = {self.contradictions: gr.update(visible=bool(predicted.contradictions), value=odd)}
        tagged, classified = iter(self.tagged), iter(self.classified)
        for name, answer in predicted.predictions.items():
            drawing, labels = answer.drawing(predicted.text), predictor.model.tasks[name].spec.labels
            if drawing.pieces is None:
                title = f"{name}: {drawing.answer}" if drawing.answer else name
                shown[next(classified)] = gr.Label(value=drawing.probabilities, label=title, show_heading=not drawing.answer, visible=True)
            else:
                shown[next(tagged)] = gr.HighlightedText(value=drawing.pieces, color_map=colours(labels), label=name, visible=True,
                                                         rtl=is_right_to_left(predicted.text))
        return shown
