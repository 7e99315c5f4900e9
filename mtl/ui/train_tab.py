"""The Train tab: choose data and settings, start a run, watch it. Layout, then wiring, then handlers; a run goes on without any page."""

import html
import itertools
from contextlib import suppress
from functools import partial

import gradio as gr

from mtl.errors import MtlError
from mtl.runs.folder import list_runs, open_run
from mtl.runs.history import History
from mtl.scoring.measure import measured_at
from mtl.ui import charts
from mtl.ui.form_panel import FormPanel
from mtl.ui.insight import InsightPanel
from mtl.ui.page import MENU_LENGTH, Cursor, Menu, Page, Values, command, control_buttons, hidden_text, text_of
from mtl.ui.status import enabled_buttons, legend_html, plain_state, run_name, status_html, who_may

EARLY, REDRAWN = 5, 3  # redraw every step up to this one, then every 3 s of training: drawing is slow in a browser
START, STARTING = "Start training", "Starting \u2026"


def cursor_of(run_id: str, history: History, smoothing: float | None = None) -> Cursor:
    """What there is to show of a run now."""
    steps = str(history.steps[-1].step) if history.steps else ""
    if history.status == "running" and len(history.steps) > EARLY:
        steps = f"{history.steps[-1].seconds // REDRAWN:.0f} x {REDRAWN} s"
    return Cursor(run_id, "both" if history.started else "", len(history.entries), steps, smoothing)


class TrainTab:
    """The widgets of the tab, and their handlers."""

    def __init__(self, page: Page) -> None:
        self.page, self.jobs = page, page.jobs
        with gr.Row():
            with gr.Column(scale=2, min_width=320):
                self.form = FormPanel(page)
            with gr.Column(scale=3, min_width=320, elem_classes="run-column"):
                self._run_widgets()
        self._wire()

    def _run_widgets(self) -> None:
        with gr.Row():
            self.start_button = gr.Button(START, variant="primary", elem_id="start", min_width=140, scale=2)
            self.buttons = control_buttons("", "pause", "resume", "stop")
        self.starting, self.status = gr.HTML(elem_id="starting"), gr.HTML(elem_id="status")
        # the legends are HTML: those of the plots do not wrap, and a phone would cut them off
        plot = {"x": "step", "color": "series", "colors_in_legend": [], "show_label": False, "height": 260}
        self.loss_legend = gr.HTML(elem_id="loss-legend")
        self.loss_plot = gr.LinePlot(y="loss", title="Loss of each task (lower is better)", elem_id="loss-plot", **plot)
        self.score_legend = gr.HTML(elem_id="score-legend")
        self.score_plot = gr.LinePlot(y="score", title="Scores on the validation rows (higher is better)", y_lim=[0, 1],
                                      elem_id="score-plot", **plot)
        self.no_plots: Values = {self.loss_legend: "", self.score_legend: "", self.loss_plot: None, self.score_plot: None}
        self.smoothing = gr.Slider(0, 0.95, 0.6, step=0.05, label="Smoothing of the training loss",
                                   info="At 0 the curve is as measured. Validation losses and scores are never smoothed.")
        self.table = gr.Dataframe(label="Last values", headers=charts.LAST_COLUMNS, interactive=False, wrap=True, elem_id="last-values",
                                  column_widths=["100px", "115px", "95px", "95px", "300px"])
        self.insight = InsightPanel(self.page)
        self.log = gr.Textbox(label="Log, newest first", lines=8, max_lines=8, interactive=False, elem_id="log", autoscroll=False)
        self.link = gr.Textbox(label="Link to this run", interactive=False, buttons=["copy"], elem_id="link",
                               info=who_may(None, is_owner=False))
        with gr.Row():
            self.menu = Menu(self.page, self.page.run_id, "run", open_run, partial(list_runs, most=MENU_LENGTH), run_name,
                             label="Show another run", elem_id="run-menu", scale=3,
                             info="Runs that were started in this browser or in the terminal.")
            self.buttons["delete"] = gr.Button("Delete the run shown", size="sm", min_width=150, interactive=False, elem_id="delete")
        # The page polls often, and each output costs Gradio milliseconds: only if one of these texts changes are more outputs sent.
        self.enabled, self.due, self.cursor = hidden_text(), hidden_text(), hidden_text()  # cursors: the due and the shown one
        self.emptied, self._times = hidden_text(), itertools.count(1)  # another number each time that plots were emptied
        self.timer = gr.Timer(1.0)

    def _wire(self) -> None:
        page, quiet = self.page, self.page.quiet
        self.start_button.click(None, None, self.start_button, js=f"() => '{STARTING}'", **quiet)  # at once, even if the server is slow
        started = self.start_button.click(self.start, self.form.inputs, self.menu.outputs, api_visibility="private",
                                          show_progress_on=self.starting)
        for is_over in (started.then, started.failure):  # gradio 6.31 does not go on to `then` after a failure
            is_over(lambda: START, None, self.start_button, **quiet)
        who = [page.run_id, page.browser]
        poll = {"fn": self.poll, "inputs": who, "outputs": [self.status, self.enabled, page.news, self.due], **quiet}
        self.timer.tick(**poll)
        page.run_id.change(**poll)
        for name in ("pause", "resume", "stop"):
            self.buttons[name].click(command(getattr(self.jobs, name)), who, None, **quiet).then(**poll)
        self.enabled.change(lambda names: {button: gr.update(interactive=name in names.split()) for name, button in self.buttons.items()},
                            self.enabled, list(self.buttons.values()), **quiet)
        # answers may arrive in another order than the requests: so the event that empties plots always triggers one that fills them
        gr.on([self.due.change, self.emptied.change, self.smoothing.release], self.show, [page.run_id, self.cursor, self.smoothing],
              [self.loss_legend, self.score_legend, self.loss_plot, self.score_plot, self.table, self.log, self.emptied, self.cursor],
              trigger_mode="always_last", **quiet)
        chosen = self.menu.wire(self.buttons["delete"], "Delete this run and its checkpoints?", page.news)
        chosen.then(self.form.fill, page.run_id, self.form.outputs, **quiet).then(**self.form.data.read)
        self.insight.use.click(self.form.take_from, page.run_id, self.form.outputs, **quiet)
        page.run_id.change(None, page.run_id, self.link, js=text_of("link.js"), **quiet)
        page.run_id.change(self.show_who_may, who, self.link, **quiet)

    def start(self, values: Values, progress: gr.Progress = gr.Progress()) -> Values:  # noqa: B008 - Gradio finds it as a default
        """Queue the run that the form describes."""
        browser = values[self.page.browser]
        config = self.form.config(values, lambda what, share: progress(share, desc=what))
        progress(1.0, desc="Copying the data into the run's folder")
        return self.menu.turn_to(self.jobs.start(config, browser["key"]).id, browser)

    def poll(self, run_id: str, browser: dict) -> Values:
        """The status line; and texts that change when buttons, other tabs or plots have to change."""
        texts = dict.fromkeys((self.status, self.enabled, self.page.news, self.due), "")
        if not browser["key"] or browser["run"] and not run_id:  # the page is loading and has not set its run yet
            return texts
        if not run_id:
            return texts | {self.status: status_html(None, 0, "")}
        try:
            run, history = open_run(self.jobs.root, run_id), self.jobs.history(run_id)
        except MtlError as error:
            return texts | {self.status: plain_state(html.escape(str(error))), self.due: "deleted"}
        buttons = enabled_buttons(history.status, run.belongs_to(browser["key"]), self.jobs.has(run_id))
        return {self.status: status_html(history, ahead := self.jobs.ahead(run_id), run_name(run), self.jobs.yields_in(),
                                         self.jobs.seconds_left() if ahead else None),
                self.enabled: " ".join(buttons),
                self.page.news: f"{run_id}/{history.status}/{len(history.entries)}/{measured_at(run)}",
                self.due: str(cursor_of(run_id, history))}

    def show(self, run_id: str, cursor: str, smoothing: float) -> Values:
        """Plots, table and log of the run; what is the same since `cursor` is left as it is."""
        try:
            history = self.jobs.history(run_id)
        except MtlError:  # none is shown, or it was deleted
            return self.no_plots | {self.table: None, self.log: "", self.cursor: ""}
        before, now = Cursor.read(cursor), cursor_of(run_id, history, smoothing)
        if now == before:
            return {}
        has_new_events = (before.shown, before.plots, before.events) != (now.shown, now.plots, now.events)
        if before.must_empty(now):
            shown = self.no_plots | {self.emptied: str(next(self._times)), self.cursor: str(Cursor(run_id))}
        else:
            shown = self._plots(history, before, now, has_new_events) | {self.cursor: str(now)}
        return shown | {self.table: charts.last_values(history)} | ({self.log: charts.log_lines(history)} if has_new_events else {})

    def _plots(self, history: History, before: Cursor, now: Cursor, has_new_events: bool) -> Values:
        """Legends, and plots: only data for those that are there already, whole ones with their colours for others."""
        if history.started is None:
            return self.no_plots
        colours = {self.loss_plot: charts.loss_colours(history.started), self.score_plot: charts.score_colours(history.started)}
        lines: Values = {self.loss_plot: charts.loss_lines(history, now.smoothing)}
        if has_new_events:
            lines[self.score_plot] = charts.score_lines(history)
        if not before.plots:
            lines = {plot: gr.LinePlot(value=data, color_map=colours[plot]) for plot, data in lines.items()}
        # the legends each time: leaving an output as it is takes Gradio longer
        return lines | {self.loss_legend: legend_html(colours[self.loss_plot]), self.score_legend: legend_html(colours[self.score_plot])}

    def show_who_may(self, run_id: str, browser: dict) -> dict:
        """Beside the link: who may do what with the run that is shown."""
        with suppress(MtlError):
            run = open_run(self.jobs.root, run_id)
            return gr.update(info=who_may(run, run.belongs_to(browser["key"])))
        return gr.update(info=who_may(None, is_owner=False))
