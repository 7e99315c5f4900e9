"""The Train tab: choose data and settings, start a run, watch it. Layout, then wiring, then handlers; a run goes on without any page."""

import html
from contextlib import suppress

import gradio as gr

from mtl.errors import MtlError
from mtl.runs.folder import on_zero_gpu, open_run
from mtl.ui.charts import log_lines
from mtl.ui.curves import draw
from mtl.ui.form_panel import START, FormPanel
from mtl.ui.header import Header
from mtl.ui.insight import InsightPanel
from mtl.ui.page import Page, Values, command, control_buttons, hidden_text, text_of
from mtl.ui.pins import PinsPanel
from mtl.ui.status import enabled_buttons, who_may
from mtl.ui.steer import SteerPanel

# the script of the feed calls when something happened that only Gradio can show: then its text becomes that of `page.news`
NEWS = "document.addEventListener('mtl-news', (event) => { props.value = event.detail; trigger('input'); })"
BURSTS = 4  # runs that may train on GPUs of ZeroGPU at once
STARTING = "Starting \u2026"


class TrainTab:
    """The widgets of the tab, and their handlers."""

    def __init__(self, page: Page, header: Header) -> None:
        self.page, self.jobs, self.menu, self.link = page, page.jobs, header.menu, header.link
        with gr.Row(elem_id="train"):
            with gr.Column(elem_id="rail"):
                self.form = FormPanel(page)
            with gr.Column(elem_classes="run-column"):
                self._run_widgets()
        self._wire()

    def _run_widgets(self) -> None:
        with gr.Row(elem_id="now"):
            with gr.Column():  # filled by scripts from the live feed, as are the curves: see live.js and curves.js
                self.story = gr.HTML(elem_id="story", html_template='<p role="status"></p>', js_on_load="mtl.story(element)")
                self.status = gr.HTML(elem_id="status", html_template=text_of("status.html"), js_on_load="mtl.status(element)")
                SteerPanel(self.page)
            with gr.Row(elem_id="commands"):
                go_on = {"gpu": "Continue on the GPU", "resume": "Continue on the CPU"} if on_zero_gpu() else {}
                self.buttons = control_buttons("", "pause", *go_on or ["resume"], "stop", **go_on)
        self.starting = gr.HTML(elem_id="starting")
        self.curves = draw("curves", "scores", "loss", with_tools=True)
        self.pins = PinsPanel(self.page)
        self.insight = InsightPanel(self.page)
        self.log = gr.Textbox(label="Log, newest first", lines=8, max_lines=8, interactive=False, elem_id="log", autoscroll=False)
        self.who = gr.HTML(elem_id="who", elem_classes="mtl-hint")
        self.buttons["delete"] = gr.Button("Delete the run shown", size="sm", interactive=False, elem_id="delete")
        self.sent = hidden_text()  # the id of a run that is sent to a GPU as soon as it is made
        self.feed = gr.HTML(visible="hidden", html_template="", js_on_load=NEWS)

    def _wire(self) -> None:
        page, quiet = self.page, self.page.quiet
        button = self.form.start_button
        button.click(None, None, button, js=f"() => '{STARTING}'", **quiet)  # at once, even if the server is slow
        started = button.click(self.start, self.form.inputs, [*self.menu.outputs, self.sent], api_visibility="private",
                               show_progress_on=self.starting)
        for is_over in (started.then, started.failure):  # gradio 6.31 does not go on to `then` after a failure
            is_over(lambda: START, None, button, **quiet)
        who = [page.run_id, page.browser]
        self.feed.input(None, self.feed, page.news, js="(news) => news", **quiet)
        # not when another run is shown: the feed tells its news at once, and of two answers the older one might come last
        page.news.change(self.show, who, [*self.buttons.values(), self.log, self.pins.box], **quiet)
        if on_zero_gpu():  # in the visitor's own request, since it is their quota
            burst = {"fn": command(self.jobs.train_on_gpu), "concurrency_limit": BURSTS, **page.unseen}
            self.sent.change(inputs=[self.sent, page.browser], **burst)
            self.buttons["gpu"].click(inputs=who, **burst)
        for name in ("pause", "resume", "stop"):
            self.buttons[name].click(command(getattr(self.jobs, name)), who, None, **quiet).then(
                None, None, None, js="() => mtl.live.poll(true)", **quiet)
        chosen = self.menu.wire(self.buttons["delete"], "Delete this run and its checkpoints?", page.news)
        chosen.then(self.form.fill, page.run_id, self.form.outputs, **quiet).then(**self.form.data.read)
        self.insight.use.click(self.form.take_from, page.run_id, self.form.outputs, **quiet)
        page.run_id.change(self.show_who_may, who, self.who, **quiet)

    def start(self, values: Values, progress: gr.Progress = gr.Progress()) -> Values:  # noqa: B008 - Gradio finds it as a default
        """Queue the run that the form describes."""
        browser = values[self.page.browser]
        config = self.form.config(values, lambda what, share: progress(share, desc=what))
        progress(1.0, desc="Copying the data into the run's folder")
        run = self.jobs.start(config, browser["key"], on_gpu=on_zero_gpu())
        return self.menu.turn_to(run.id, browser) | {self.sent: run.id}

    def show(self, run_id: str, browser: dict) -> Values:
        """Which buttons can be pressed, and the log, after something happened in the run that is shown."""
        enabled, log = [], ""
        with suppress(MtlError):  # none is shown, or it was deleted
            run, history = open_run(self.jobs.root, run_id), self.jobs.history(run_id)
            enabled, log = enabled_buttons(history.status, run.belongs_to(browser["key"]), self.jobs.has(run_id)), log_lines(history)
            enabled += ["gpu"] * (on_zero_gpu() and "resume" in enabled and history.status != "paused")
        return {button: gr.update(interactive=name in enabled) for name, button in self.buttons.items()} | {
            self.log: log, self.pins.box: "pin" if "stop" in enabled else ""}

    def show_who_may(self, run_id: str, browser: dict) -> str:
        """Who may do what with the run that is shown."""
        with suppress(MtlError):
            run = open_run(self.jobs.root, run_id)
            return html.escape(who_may(run, run.belongs_to(browser["key"])))
        return ""
