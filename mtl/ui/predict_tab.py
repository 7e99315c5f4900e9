"""The Predict tab: a sentence in, its labels and entities out, by the weights of a run in training or by a checkpoint. predict.js asks as
one types. Pure functions, then layout and wiring, then handlers."""

import json
from typing import Any

import gradio as gr

from mtl.jobs.models import LIVE, STARTER_EXAMPLES, Model, example_texts, list_models, mistaken_text
from mtl.jobs.queue import Jobs
from mtl.runs.checkpoint import BEST
from mtl.runs.folder import on_zero_gpu
from mtl.ui.answer_view import examples_html
from mtl.ui.answering import EMPTY, Question, reply, tell
from mtl.ui.charts import Markup
from mtl.ui.file_panel import FilePanel
from mtl.ui.messages import WithMessage
from mtl.ui.page import Page, Values, hidden_text, text_of
from mtl.ui.status import run_name

CHOICE = '<label class="mtl-follow" data-for="{}" hidden><input type="checkbox"{}> {}</label>'
TEMPLATE = (f'<div class="mtl-choices">{CHOICE.format("sentences", " checked", "Sentence by sentence")}'
            f'{CHOICE.format("differing", "", "Only where they differ")}</div><div class="mtl-answer" aria-busy="false"></div>'
            f'{CHOICE.format("live", " checked", "Follow the training: ask again every 2 seconds")}'
            '<p class="mtl-unseen" role="status"></p>')
COMPARE, STOP = "Compare with\u2026", "Stop comparing"
# tells predict.js that there is another question, and how it came about; what is not asked by its route comes by its event `select`
TELL = ("(model, device, text, other) => {{ document.getElementById('answer')?.dispatchEvent(new CustomEvent('ask', {{detail: {{"
        "how: '{}', question: {{model, device, text, other}}}}}})); return []; }}")
ASKED = "() => document.getElementById('answer').dataset.asked"


def model_choices(jobs: Jobs, key: str, shown: str) -> list[tuple[str, str]]:
    """(name, choice) of the models that the owner of `key` may ask."""
    return [(name_of(model), model.choice) for model in list_models(jobs, key, shown)]


def name_of(model: Model) -> str:
    """The name of a model in the menu."""
    if model.run is None:
        return "Starter model"
    weights = "live weights" if model.checkpoint == LIVE else f"{model.checkpoint} checkpoint, step {model.step:,}"
    return f"{run_name(model.run)}: {weights}"


class PredictTab:
    """The widgets of the tab, and their handlers."""

    def __init__(self, page: Page, tab: gr.Tab) -> None:
        self.page, self.jobs = page, page.jobs
        bare = {"show_label": False, "container": False}
        with gr.Row(elem_classes="mtl-asked"):
            gr.HTML("Answered by")
            self.model = gr.Dropdown([], label="Model", elem_id="model", allow_custom_value=True, **bare)
            gr.HTML("on")
            self.device = gr.Dropdown(_devices(), value="auto", label="Device", elem_id="device", filterable=False, **bare)
            gr.HTML(html_template="<span></span>", elem_id="about")
            self.compare = gr.Button(COMPARE, size="sm", elem_id="compare-with")
            self.upload = gr.UploadButton("A file\u2026", size="sm", elem_id="ask-file")
        with gr.Row(elem_id="beside", elem_classes="mtl-asked", visible=False) as self.beside:
            gr.HTML("compared with")
            self.other = gr.Dropdown([], label="Compare with", elem_id="other", allow_custom_value=True, **bare)
        FilePanel(page, tab, self.upload, self.model)
        self.text = gr.Textbox("", label="Text", show_label=False, container=False, lines=1, max_lines=8, elem_id="text",
                               placeholder="Type a sentence")
        self.button = gr.Button("Predict", variant="primary", elem_id="predict", visible=on_zero_gpu())
        first = examples_html(STARTER_EXAMPLES, "", not on_zero_gpu())
        self.examples = gr.HTML(first, js_on_load=text_of("examples.js"), elem_id="examples", apply_default_css=False)
        self.answer = gr.HTML(tell(Question(), EMPTY), html_template=TEMPLATE, js_on_load=text_of("predict.js"), elem_id="answer",
                              apply_default_css=False)
        self.wire(tab)

    def wire(self, tab: gr.Tab) -> None:
        """What happens when."""
        page, quiet, asked = self.page, self.page.quiet, hidden_text()
        menu = [page.browser, page.run_id, self.model]
        gr.on([tab.select, page.run_id.change], self.list_models, menu, self.model, **quiet)
        self.model.focus(self.open_menu, menu, self.model, **quiet)
        page.news.change(self.keep_model, menu, self.model, **quiet)
        self.other.focus(lambda browser, run_id: gr.update(choices=model_choices(self.jobs, browser["key"], run_id)), menu[:2], self.other,
                         **quiet)
        tab.select(self.list_devices, None, self.device, **quiet)
        self.compare.click(self.toggle, [self.compare, *menu], [self.compare, self.beside, self.other], **quiet)
        self.model.change(self.show_examples, menu, self.examples, **quiet)
        changes = [self.model.change, self.device.change, self.other.change]
        for how, causes in {"typed": [self.text.change], "chosen": changes, "pressed": [self.button.click, self.text.submit]}.items():
            gr.on(causes, None, [self.model, self.device, self.text, self.other], None, js=TELL.format(how), **quiet)
        self.answer.select(self.predict, asked, self.answer, js=ASKED, trigger_mode="always_last", concurrency_id="predict",
                           concurrency_limit=2, **page.unseen)

    def list_models(self, browser: dict, run_id: str, chosen: str) -> dict:
        """The current choices. The chosen model stays if it is among them, unless another run is shown now."""
        choices = model_choices(self.jobs, browser["key"], run_id)
        values = [value for _, value in choices]
        keep = chosen in values and (not run_id or chosen.startswith(run_id))
        return gr.update(choices=choices, value=chosen if keep else values[0] if values else None)

    def keep_model(self, browser: dict, run_id: str, chosen: str) -> dict:
        """The current choices, if the chosen model is among them; of a run that has ended, the best checkpoint instead of live weights."""
        choices = model_choices(self.jobs, browser["key"], run_id)
        best = f"{(chosen or '').partition('/')[0]}/{BEST}"
        kept = next((value for value in (chosen, best) if value in [value for _, value in choices]), None)
        return gr.update(choices=choices, value=kept) if kept else gr.skip()

    def open_menu(self, *menu: Any) -> dict:
        """The current choices; another model is chosen only if the chosen one is there no longer."""
        kept = self.keep_model(*menu)
        return self.list_models(*menu) if kept == gr.skip() else kept

    def list_devices(self) -> dict:
        """The devices of this machine."""
        self.jobs.loaded()
        from mtl.model.machine import has_gpu

        return gr.update(choices=_devices(has_gpu()))

    def show_examples(self, browser: dict, run_id: str, chosen: str) -> Markup:
        """Texts for the chosen model, and one that it gets wrong."""
        found = [find(self.jobs, chosen, browser["key"], run_id) for find in (example_texts, mistaken_text)]
        return examples_html(*found, not on_zero_gpu())

    def toggle(self, button: str, browser: dict, run_id: str, chosen: str) -> Values:
        """Ask a second model too, at first the next one of the menu; or no longer."""
        choices, starts = model_choices(self.jobs, browser["key"], run_id), button == COMPARE
        second = next((value for _, value in choices if value != chosen), None) if starts else None
        return {self.compare: STOP if starts else COMPARE, self.beside: gr.update(visible=starts),
                self.other: gr.update(choices=choices, value=second)}

    def predict(self, asked: str) -> str | WithMessage:
        """The answer to a Question in JSON, for predict.js. An error is shown in its place, and as a message if it was asked for."""
        question = Question(**json.loads(asked))
        told, error = reply(self.jobs, question)
        return WithMessage(told, error) if error and question.how else told


def _devices(has_gpu: bool = False) -> list[tuple[str, str]]:
    """(name, value) of what can be chosen; without a GPU there is nothing to choose."""
    if on_zero_gpu():
        return [("a GPU, if one is lent", "auto"), ("CPU", "cpu")]
    return [("automatic", "auto"), ("GPU", "cuda"), ("CPU", "cpu")] if has_gpu else [("CPU", "auto")]
