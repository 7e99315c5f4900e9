"""The Train tab: choose data, see what was understood, set, start, watch. The layout, then the wiring, then the handlers; nothing here
computes, and no page is needed for a run to go on."""

import html
import itertools
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

import gradio as gr

from mtl.errors import MtlError
from mtl.runs.folder import open_run
from mtl.runs.history import History
from mtl.scoring.measure import measured_at
from mtl.ui import charts
from mtl.ui.form_panel import FormPanel
from mtl.ui.insight_panel import InsightPanel
from mtl.ui.page import Page, Values, hidden_text, text_of
from mtl.ui.status import Buttons, legend_html, run_choices, run_name, status_html, who_may

EARLY, REDRAWN = 5, 3  # so many steps are drawn one by one; then all of 3 seconds of training at once: to draw takes a browser long
START, STARTING = "Start training", "Starting \u2026"


@dataclass(frozen=True)
class Cursor:
    """What the plots show: of which run, whether it had begun, how many of its events beside steps, its steps up to where, and how much
    its training loss is smoothed. Kept on the page as JSON; when another one is due, the plots are drawn again."""

    run: str = ""
    begun: bool = False
    told: int = 0  # evaluations are among these events
    drawn: str = ""
    smoothing: float | None = None

    @classmethod
    def read(cls, text: str | None) -> "Cursor":
        """The cursor that is written in `text`."""
        return cls(**json.loads(text or "{}"))

    @classmethod
    def of(cls, run_id: str, history: History, smoothing: float | None = None) -> "Cursor":
        """What there is to show now."""
        drawn = str(history.steps[-1].step) if history.steps else ""
        if history.status == "running" and len(history.steps) > EARLY:
            drawn = f"{history.steps[-1].seconds // REDRAWN:.0f} x {REDRAWN} s"
        return cls(run_id, history.started is not None, len(history.told), drawn, smoothing)

    def has_scores_of(self, other: "Cursor") -> bool:
        """Whether no evaluation lies between the two."""
        return (self.run, self.begun, self.told) == (other.run, other.begun, other.told)

    def __str__(self) -> str:
        return json.dumps(asdict(self))


class TrainTab:
    """The widgets of the tab, made once, and the handlers that they call."""

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
            self.pause_button = gr.Button("Pause", interactive=False, elem_id="pause", min_width=90)
            self.resume_button = gr.Button("Resume", interactive=False, elem_id="resume", min_width=90)
            self.stop_button = gr.Button("Stop", variant="stop", interactive=False, elem_id="stop", min_width=90)
        self.starting = gr.HTML(elem_id="starting")
        self.status = gr.HTML(elem_id="status")
        # the plots' own legends do not wrap: on a phone they would be cut off
        plot = {"x": "step", "color": "series", "colors_in_legend": [], "show_label": False, "height": 260}
        self.loss_legend = gr.HTML(elem_id="loss-legend")
        self.loss_plot = gr.LinePlot(y="loss", title="Loss per task", elem_id="loss-plot", **plot)
        self.score_legend = gr.HTML(elem_id="score-legend")
        self.score_plot = gr.LinePlot(y="score", title="Validation scores", y_lim=[0, 1], elem_id="score-plot", **plot)
        self.smoothing = gr.Slider(0, 0.95, 0.6, step=0.05, label="Smoothing of the training loss",
                                   info="0 shows it as it is. Validation losses and scores are never smoothed.")
        self.table = gr.Dataframe(label="Last values", headers=charts.LAST_COLUMNS, interactive=False, wrap=True, elem_id="last-values",
                                  column_widths=["100px", "115px", "95px", "95px", "300px"])
        self.insight = InsightPanel(self.page)
        self.log = gr.Textbox(label="Log, newest first", lines=8, max_lines=8, interactive=False, elem_id="log", autoscroll=False)
        self.link = gr.Textbox(label="Link to this run", interactive=False, buttons=["copy"], elem_id="link",
                               info=who_may(None, is_owner=False))
        with gr.Row():
            self.menu = gr.Dropdown([], label="Other runs", info="Those started in this browser or in the terminal.", elem_id="run-menu",
                                    scale=3)
            self.delete_button = gr.Button("Delete the run shown", size="sm", scale=1, min_width=150, interactive=False, elem_id="delete")
        self.buttons = [self.pause_button, self.resume_button, self.stop_button, self.delete_button]
        # a look is taken often, and gradio takes milliseconds for each part that may change: these tell whether there is more to do
        self.pressable, self.news, self.cursor = hidden_text(), hidden_text(), hidden_text()  # the cursor: which news are shown
        self.emptied, self._times = hidden_text(), itertools.count(1)  # another number each time that plots were emptied
        self.timer = gr.Timer(1.0)

    def _wire(self) -> None:
        page, quiet = self.page, self.page.quiet
        self.insight.wire()
        self.start_button.click(None, None, self.start_button, js=f"() => '{STARTING}'", **quiet)  # at once, however far the server is
        started = self.start_button.click(self.start, self.form.inputs, [page.run_id, page.browser, self.menu],
                                          api_visibility="private", show_progress_on=self.starting)
        for is_over in (started.then, started.failure):  # gradio 6.31 does not go on to `then` after a failure
            is_over(lambda: START, None, self.start_button, **quiet)
        buttons = {self.pause_button: self.jobs.pause, self.resume_button: self.jobs.resume, self.stop_button: self.jobs.stop}
        look = {"fn": self.look, "inputs": [page.run_id, page.browser], "outputs": [self.status, self.pressable, page.told, self.news],
                **quiet}
        show = {"fn": self.show, "inputs": [page.run_id, self.cursor, self.smoothing],
                "outputs": [self.loss_legend, self.score_legend, self.loss_plot, self.score_plot, self.table, self.log, self.emptied,
                            self.cursor], **quiet}
        self.timer.tick(**look)
        self.pressable.change(self.show_pressable, self.pressable, self.buttons, **quiet)
        # answers may come in another order than they were asked for: whenever plots are emptied, the last thing is that they are filled
        gr.on([self.news.change, self.emptied.change, self.smoothing.release], trigger_mode="always_last", **show)
        page.run_id.change(**look)
        for button, act in buttons.items():
            button.click(command(act), [page.run_id, page.browser], None, **quiet).then(**look)
        gr.on([self.menu.focus, page.told.change], self.list_runs, page.browser, self.menu, **quiet)
        self.menu.input(lambda run_id, browser: (run_id, browser | {"run": run_id}), [self.menu, page.browser], [page.run_id, page.browser],
                        **quiet).then(self.form.fill, page.run_id, self.form.outputs, **quiet).then(**self.form.data.look)
        self.delete_button.click(self.delete, [page.run_id, page.browser], [page.run_id, page.browser, self.menu],
                                 js="(run, browser) => confirm('Delete this run and its checkpoints?') ? [run, browser] : ['', browser]",
                                 **quiet)
        page.run_id.change(None, page.run_id, self.link, js=text_of("link.js"), **quiet)
        page.run_id.change(self.say_who_may, [page.run_id, page.browser], self.link, **quiet)

    # Handlers: gather, call, return

    def start(self, values: Values, progress: gr.Progress = gr.Progress()) -> Values:  # noqa: B008 - this is how Gradio hands it in
        """Queue the run that the form describes."""
        browser = values[self.page.browser]
        config = self.form.config(values, lambda what, share: progress(share, desc=what))
        progress(1.0, desc="Copying the data into the run's folder")
        run = self.jobs.start(config, browser["key"])
        return self.turn_to(run.id, browser)

    def look(self, run_id: str, browser: dict) -> Values:
        """How the run stands; and texts that change with it: which buttons can be pressed, what it told, and what there is to show."""
        if not browser["key"] or browser["run"] and not run_id:  # the page does not know yet which run it is to show
            return dict.fromkeys((self.status, self.pressable, self.page.told, self.news), "")
        try:
            history = self.jobs.history(run_id) if run_id else None
        except MtlError as error:
            return {self.status: f'<div class="mtl-status">{html.escape(str(error))}</div>', self.pressable: "", self.page.told: "",
                    self.news: "gone"}
        if history is None:
            return {self.status: status_html(None, 0, ""), self.pressable: "", self.page.told: "", self.news: ""}
        run = open_run(self.jobs.root, run_id)
        buttons = Buttons.of(history, run.belongs_to(browser["key"]), self.jobs.has(run_id))
        status = status_html(history, self.jobs.ahead(run_id), run_name(run), self.jobs.yields_in())
        return {self.status: status, self.pressable: " ".join(name for name, on in vars(buttons).items() if on),
                self.page.told: f"{run_id}/{history.status}/{len(history.told)}/{measured_at(run)}",
                self.news: str(Cursor.of(run_id, history))}

    def show_pressable(self, pressable: str) -> Values:
        """The buttons, of which those named can be pressed."""
        return {button: gr.update(interactive=button.elem_id in pressable.split()) for button in self.buttons}

    def show(self, run_id: str, cursor: str, smoothing: float) -> Values:
        """All that the page shows of the run; what has not changed since `cursor` is left alone."""
        try:
            history = self.jobs.history(run_id) if run_id else None
        except MtlError:
            history = None
        if history is None:
            return self._no_plots() | {self.table: None, self.log: "", self.cursor: ""}
        before, now = Cursor.read(cursor), Cursor.of(run_id, history, smoothing)
        if now == before:
            return {}
        if before.run != run_id:
            # the plots of another run are emptied first: one that gets other colours and values at once draws the old ones (gradio 6.31)
            shown = self._no_plots() | {self.emptied: str(next(self._times)), self.cursor: str(Cursor(run_id))}
        else:
            shown = self._plots(history, before, now) | {self.cursor: str(now)}
        log = {} if now.has_scores_of(before) else {self.log: charts.log_lines(history)}
        return shown | log | {self.table: charts.last_values(history)}

    def _no_plots(self) -> Values:
        return {self.loss_legend: "", self.score_legend: "", self.loss_plot: None, self.score_plot: None}

    def _plots(self, history: History, before: Cursor, now: Cursor) -> Values:
        """Legends and plots: data for plots that are there already; whole ones, with colours, for a run shown for the first time."""
        if history.started is None:
            return self._no_plots()
        colours = {self.loss_plot: charts.loss_colours(history.started), self.score_plot: charts.score_colours(history.started)}
        lines = {self.loss_plot: charts.sealed(charts.loss_lines(history, now.smoothing))}
        if not now.has_scores_of(before):
            lines[self.score_plot] = charts.sealed(charts.score_lines(history))
        if not before.begun:  # the plots have no colours yet
            lines = {plot: gr.LinePlot(value=data, color_map=colours[plot]) for plot, data in lines.items()}
        # the legends each time: to leave a part alone takes gradio longer
        return lines | {self.loss_legend: legend_html(colours[self.loss_plot]), self.score_legend: legend_html(colours[self.score_plot])}

    def still_there(self, run_id: Any) -> str:
        """`run_id`, if there is such a run; else an empty text."""
        try:
            return open_run(self.jobs.root, str(run_id)).id
        except MtlError:
            return ""

    def choices(self, browser: dict) -> list[tuple[str, str]]:
        """The runs that this browser may list, and the one it looks at."""
        return run_choices(self.jobs.root, browser["key"], browser["run"])

    def say_who_may(self, run_id: str, browser: dict) -> dict:
        """Who may do what with the run that is shown."""
        with suppress(MtlError):
            run = open_run(self.jobs.root, run_id)
            return gr.update(info=who_may(run, run.belongs_to(browser["key"])))
        return gr.update(info=who_may(None, is_owner=False))

    def list_runs(self, browser: dict) -> dict:
        """The menu, brought up to date."""
        return gr.update(choices=self.choices(browser))

    def turn_to(self, run_id: str, browser: dict) -> Values:
        """Show the run (empty: none), and have the browser remember it."""
        browser = browser | {"run": run_id}
        return {self.page.run_id: run_id, self.page.browser: browser,
                self.menu: gr.update(choices=self.choices(browser), value=run_id or None)}

    def delete(self, run_id: str, browser: dict) -> Values:
        """Delete the shown run; an empty id is a change of mind."""
        if not run_id:
            return {}
        self.jobs.delete(run_id, browser["key"])
        return self.turn_to("", browser)


def command(act: Callable[[str, str], Any]) -> Callable[[str, dict], None]:
    """A handler that does `act(run id, owner's key)`."""
    def handle(run_id: str, browser: dict) -> None:
        act(run_id, browser["key"])
    return handle
