"""Below the answer of the Predict tab: the visitor's corrections, what a model has learned from them, and what to label next. The
corrections are the browser's own (teach.js); the server sees them when a model is to learn."""

from contextlib import suppress
from pathlib import Path

import gradio as gr

from mtl.comparing.before_after import before_after, keep, read_before_after
from mtl.errors import MtlError
from mtl.jobs.teach import find_to_label, learn
from mtl.runs.checkpoint import BEST
from mtl.runs.folder import Run, open_run
from mtl.training.teach import read_taught
from mtl.ui.charts import Markup
from mtl.ui.messages import WithMessage, internal_error
from mtl.ui.page import Menu, Page, Values, hidden_text, text_of
from mtl.ui.predict_tab import PredictTab, model_choices
from mtl.ui.teach_view import taught_html, to_label_html

DONE = "() => document.getElementById('teach')?.dispatchEvent(new CustomEvent('done'))"
NEXT, LOOKING = "What should I label next?", "Reading the file \u2026"


class TeachPanel:
    """The widgets, and their handlers. `menu` shows a run on the page."""

    def __init__(self, page: Page, predict: PredictTab, menu: Menu) -> None:
        self.page, self.jobs, self.menu, self.model = page, page.jobs, menu, predict.model
        bare = {"apply_default_css": False}
        self.mine = gr.HTML(html_template=text_of("teach.html"), js_on_load=text_of("teach.js"), elem_id="teach", **bare)
        self.result = gr.HTML(js_on_load=text_of("taught.js"), elem_id="taught", **bare)
        with gr.Row(elem_classes="mtl-asked", elem_id="label-what"):
            self.upload = gr.UploadButton(NEXT, size="sm", elem_id="label-next")
            gr.HTML("a file of texts, to see those that the model is least sure of")
        self.found = gr.HTML(js_on_load=text_of("examples.js"), elem_id="to-label", **bare)
        self.due = hidden_text()  # the id of a run that has learned, and is not measured yet
        self._wire()

    def _wire(self) -> None:
        page, quiet = self.page, self.page.quiet
        who = [page.run_id, page.browser]
        begun = self.mine.input(self.learn, [self.model, page.browser], self.menu.outputs, concurrency_id="learn", **page.unseen)
        for is_over in (begun.then, begun.failure):
            is_over(None, None, None, js=DONE, **quiet)
        gr.on([page.run_id.change, page.news.change], self.show, who, [self.result, self.due], **quiet)
        self.due.change(self.measure, [self.due, page.browser], [self.result, self.model], concurrency_id="scores", **page.unseen)
        self.result.input(self.act, who, [self.result, self.model, *self.menu.outputs], **quiet)
        self.upload.upload(lambda: gr.update(label=LOOKING, interactive=False), None, self.upload, **quiet).then(
            self.find, [self.upload, self.model], [self.found, self.upload], concurrency_id="predict_file", concurrency_limit=1,
            **page.unseen)

    def learn(self, choice: str, browser: dict, event: gr.EventData) -> Values:
        """Queue a run that learns the corrections, and show it."""
        run = learn(self.jobs, choice, str(event.rows), browser["key"])
        return self.menu.turn_to(run.id, browser)

    def show(self, run_id: str, browser: dict) -> tuple[Markup | str, str]:
        """What the run that is shown has learned from corrections, if it is such a run; and whether that is to be measured."""
        with suppress(MtlError):  # none is shown, or it was deleted
            run = open_run(self.jobs.root, run_id)
            if read_taught(run):
                is_due = self.jobs.history(run_id).status == "finished" and not read_before_after(run)
                return self._html(run, browser), run_id if is_due else ""
        return "", ""

    def _html(self, run: Run, browser: dict) -> Markup:
        return taught_html(read_taught(run), self.jobs.history(run.id), read_before_after(run), run.belongs_to(browser["key"]))

    def measure(self, run_id: str, browser: dict) -> Values:
        """Before and after, once the run has learned; from then on its model answers."""
        if not run_id:
            return {}
        self.jobs.loaded()
        before_after(run := open_run(self.jobs.root, run_id))
        choices = model_choices(self.jobs, browser["key"], run_id)
        return {self.result: self._html(run, browser), self.model: gr.update(choices=choices, value=f"{run_id}/{BEST}")}

    def act(self, run_id: str, browser: dict, event: gr.EventData) -> Values:
        """Keep the run, or delete it and go back to the model that it began with."""
        run = open_run(self.jobs.root, run_id)
        if not run.belongs_to(browser["key"]) or not (taught := read_taught(run)):
            raise MtlError("This run was not started in this browser. It can be kept or dropped only where it was started.")
        if event.act == "keep":
            keep(run)
            return {self.result: self._html(run, browser)}
        self.jobs.delete(run_id, browser["key"])
        source = self.menu.existing(taught.choice.partition("/")[0])
        choices = model_choices(self.jobs, browser["key"], source)
        value = taught.choice if taught.choice in [choice for _, choice in choices] else None
        return self.menu.turn_to(source, browser) | {self.result: "", self.model: gr.update(choices=choices, value=value)}

    def find(self, file: str, choice: str) -> Values | WithMessage:
        """The texts of a file that the model is least sure of."""
        button = {self.upload: gr.update(label=NEXT, interactive=True)}
        try:
            return button | {self.found: to_label_html(find_to_label(self.jobs, choice, Path(file)))}
        except MtlError as error:
            return WithMessage(button, str(error))
        except Exception:  # the button is not left waiting
            return WithMessage(button, internal_error())
