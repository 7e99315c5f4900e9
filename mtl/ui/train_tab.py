"""The Train tab: choose data, see what was understood, set, start, watch. The layout, then the wiring, then the handlers; nothing here
computes, and no page is needed for a run to go on."""

import html
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr

from mtl.config import RunConfig
from mtl.data import read_table
from mtl.data.settle import settle
from mtl.errors import MtlError
from mtl.measuring import measured_at
from mtl.runs import History, open_run
from mtl.ui import charts, form
from mtl.ui.data_panel import DataPanel
from mtl.ui.insight_panel import InsightPanel, SettingsPanel
from mtl.ui.page import Page, hidden_text
from mtl.ui.status import Buttons, legend_html, run_choices, run_name, status_html

TOLD = "/told/"  # between what happened and the steps, in the news of a run
EARLY, REDRAWN = 5, 3  # steps that are each drawn at once; seconds of training that are drawn together from then on
BASIC, MORE = form.fields(basic=True), form.fields(basic=False)


def news(run_id: str, history: History) -> str:
    """A text that is another whenever there is more to show: every step at first, and then, for to draw takes a browser long, what every
    `REDRAWN` seconds of training have brought."""
    drawn = str(history.steps[-1].step) if history.steps else ""
    if history.status == "running" and len(history.steps) > EARLY:
        drawn = f"{history.steps[-1].seconds // REDRAWN:.0f} x {REDRAWN} s"
    return f"{run_id}/{history.started is not None}/{len(history.told)}{TOLD}{drawn}"  # evaluations are among what is told


class TrainTab:
    """The widgets of the tab, made once, and the handlers that they call."""

    def __init__(self, page: Page) -> None:
        self.page, self.jobs = page, page.jobs
        with gr.Row():
            with gr.Column(scale=2, min_width=320):
                self.data = DataPanel(page)
                self.tasks = gr.CheckboxGroup([], label="2. Tasks to train together", elem_id="tasks")
                self.alpha = gr.Slider(0, 1, 0.5, step=0.05, label="Alpha", visible=False, elem_id="alpha")
                self._setting_widgets()
            with gr.Column(scale=3, min_width=320, elem_classes="run-column"):
                self._run_widgets()
        self._wire()

    def _setting_widgets(self) -> None:
        gr.Markdown("**3. Settings**")
        with gr.Row():
            basic = {name: form.make_widget(name) for name in BASIC}
        with gr.Accordion("More settings", open=False), gr.Row():
            more = {name: form.make_widget(name) for name in MORE}
        self.settings = basic | more
        self.told = SettingsPanel(self.page)

    def _run_widgets(self) -> None:
        with gr.Row():
            self.start_button = gr.Button("Start training", variant="primary", elem_id="start", min_width=140, scale=2)
            self.pause_button = gr.Button("Pause", interactive=False, elem_id="pause", min_width=90)
            self.resume_button = gr.Button("Resume", interactive=False, elem_id="resume", min_width=90)
            self.stop_button = gr.Button("Stop", variant="stop", interactive=False, elem_id="stop", min_width=90)
        self.status = gr.HTML(status_html(None, 0, ""), elem_id="status")
        # the plots' own legends do not wrap: on a phone they would be cut off
        plot = {"x": "step", "color": "series", "colors_in_legend": [], "show_label": False, "height": 260}
        self.loss_legend = gr.HTML(elem_id="loss-legend")
        self.loss_plot = gr.LinePlot(y="loss", title="Loss per task", elem_id="loss-plot", **plot)
        self.score_legend = gr.HTML(elem_id="score-legend")
        self.score_plot = gr.LinePlot(y="score", title="Scores on dev", y_lim=[0, 1], elem_id="score-plot", **plot)
        self.smoothing = gr.Slider(0, 0.95, 0.6, step=0.05, label="Smoothing of the training loss",
                                   info="0 shows it as it is; dev losses and scores are never smoothed.")
        self.table = gr.Dataframe(label="Last values", headers=charts.LAST_COLUMNS, interactive=False, wrap=True, elem_id="last-values",
                                  column_widths=["100px", "115px", "95px", "95px", "300px"])
        self.insight = InsightPanel(self.page)
        self.log = gr.Textbox(label="Log, newest first", lines=8, max_lines=8, interactive=False, elem_id="log", autoscroll=False)
        self.link = gr.Textbox(label="Link to this run", interactive=False, buttons=["copy"], elem_id="link",
                               info="Whoever has it can watch; only this browser can pause, stop or delete.")
        with gr.Row():
            self.menu = gr.Dropdown([], label="Other runs", info="Those of this browser, and those from the terminal.", elem_id="run-menu",
                                    scale=3)
            self.delete_button = gr.Button("Delete the run shown", size="sm", scale=1, min_width=150, interactive=False, elem_id="delete")
        # a look is taken often, and gradio takes milliseconds for each part that may change: these tell whether there is more to do
        self.pressable, self.news, self.cursor = hidden_text(), hidden_text(), hidden_text()  # the cursor: which news are shown
        self.emptied, self._times = hidden_text(), itertools.count(1)  # another number each time that plots were emptied
        self.timer = gr.Timer(1.0)

    def _wire(self) -> None:
        page, quiet = self.page, self.page.quiet
        self.data.wire(self.settings["max_length"], self.tasks)
        self.tasks.change(self.show_alpha, self.tasks, self.alpha, **quiet)
        self.told.wire(self.settings, self.tasks, self.data.patterns)
        self.insight.wire()
        self.start_button.click(self.start, self.form_inputs(), [page.run_id, page.browser, self.menu], api_visibility="private")
        buttons = {self.pause_button: self.jobs.pause, self.resume_button: self.jobs.resume, self.stop_button: self.jobs.stop}
        look = {"fn": self.look, "inputs": [page.run_id, page.browser], "outputs": [self.status, self.pressable, page.told, self.news],
                **quiet}
        show = {"fn": self.show, "inputs": [page.run_id, self.cursor, self.smoothing],
                "outputs": [self.loss_legend, self.score_legend, self.loss_plot, self.score_plot, self.table, self.log, self.emptied,
                            self.cursor], **quiet}
        self.timer.tick(**look)
        self.pressable.change(self.show_pressable, self.pressable, [*buttons, self.delete_button], **quiet)
        # answers may come in another order than they were asked for: whenever plots are emptied, the last thing is that they are filled
        gr.on([self.news.change, self.emptied.change, self.smoothing.release], trigger_mode="always_last", **show)
        page.run_id.change(**look)
        for button, act in buttons.items():
            button.click(command(act), [page.run_id, page.browser], None, **quiet).then(**look)
        self.menu.focus(self.list_runs, page.browser, self.menu, **quiet)
        self.menu.input(lambda run_id, browser: (run_id, browser | {"run": run_id}), [self.menu, page.browser], [page.run_id, page.browser],
                        **quiet).then(self.fill_form, page.run_id, self.form_outputs(), **quiet).then(**self.data.look)
        self.delete_button.click(self.delete, [page.run_id, page.browser], [page.run_id, page.browser, self.menu],
                                 js="(run, browser) => confirm('Delete this run with its checkpoints?') ? [run, browser] : ['', browser]",
                                 **quiet)
        page.run_id.change(None, page.run_id, self.link, js=SHOW_LINK, **quiet)

    # Handlers: gather, call, return

    def show_alpha(self, tasks: list[str]) -> dict:
        """Two tasks are weighed against each other by one slider."""
        if len(tasks) != 2:
            return gr.update(visible=False)
        return gr.update(visible=True, label=f"Alpha: {tasks[0]} against {tasks[1]}",
                         info=f"The loss is alpha x {tasks[0]} + (1 - alpha) x {tasks[1]}. At 0.5 both count the same.")

    def start(self, browser: dict, names: list[str], alpha: float, *inputs: Any) -> list:
        """Queue the run that the form describes."""
        run = self.jobs.start(self.config(browser, names, alpha, *inputs), browser["key"])
        return [run.id, browser | {"run": run.id}, gr.update(choices=self.choices(browser), value=run.id)]

    def config(self, browser: dict, names: list[str], alpha: float, *inputs: Any) -> RunConfig:
        """The run that the form describes, its data fetched and understood; raises MtlError if it is none."""
        data, settings = inputs[:len(self.data.inputs)], inputs[len(self.data.inputs):]
        if not browser["key"]:  # a run without an owner would be nobody's
            raise MtlError("The page is still getting ready. Press Start again.")
        values = dict(zip(self.settings, settings, strict=True)) | self.data.values(*data)
        if len(names) == 2 and alpha != 0.5 and not values["weights"]:
            values["alpha"] = alpha
        config = form.make_run_config(values)
        if not names:
            read_table(config, Path())  # perhaps there are none because of what is wrong with the data
            raise MtlError("No task is chosen. Choose at least one.")
        config = settle(config, self.jobs.root / "hub", names)
        config.loss_weights([spec.name for spec in config.tasks])
        return config

    def look(self, run_id: str, browser: dict) -> list[str]:
        """How the run stands; and texts that change with it: which buttons can be pressed, what it told, and what there is to show."""
        try:
            history = self.jobs.history(run_id) if run_id else None
        except MtlError as error:
            return [f'<div class="mtl-status">{html.escape(str(error))}</div>', "", "", "gone"]
        if history is None:
            return [status_html(None, 0, ""), "", "", ""]
        run = open_run(self.jobs.root, run_id)
        buttons = Buttons.of(history, run.belongs_to(browser["key"]), self.jobs.has(run_id))
        status = status_html(history, self.jobs.ahead(run_id), run_name(run), self.jobs.yields_in())
        return [status, " ".join(name for name, on in vars(buttons).items() if on),
                f"{run_id}/{history.status}/{len(history.told)}/{measured_at(run)}", news(run_id, history)]

    def show_pressable(self, pressable: str) -> list[dict]:
        """The buttons, of which those named can be pressed."""
        return [gr.update(interactive=name in pressable.split()) for name in ("pause", "resume", "stop", "delete")]

    def show(self, run_id: str, cursor: str, smoothing: float) -> list:
        """All that the page shows of the run; what has not changed since `cursor` is left alone."""
        try:
            history = self.jobs.history(run_id) if run_id else None
        except MtlError:
            history = None
        if history is None:
            return ["", "", None, None, None, "", gr.skip(), ""]
        now, cursor = f"{news(run_id, history)}/{smoothing}", cursor or ""
        if not cursor.startswith(run_id):
            # the plots of another run are emptied first: one that gets other colours and values at once draws the old ones (gradio 6.31)
            now = f"{run_id}/"
        if now == cursor:
            return [gr.skip()] * 8
        scores_known = now.split(TOLD)[0] == cursor.split(TOLD)[0]
        log = gr.skip() if scores_known else charts.log_lines(history)
        emptied = gr.skip() if cursor.startswith(run_id) else str(next(self._times))
        return [*self._plots(history, cursor, run_id, smoothing, scores_known), charts.last_values(history), log, emptied, now]

    def _plots(self, history: History, cursor: str, run_id: str, smoothing: float, scores_known: bool) -> list:
        """Legends and plots: data for plots that are there already; whole ones, with colours, for a run shown for the first time."""
        if history.started is None or not cursor.startswith(run_id):
            return ["", "", None, None]
        colours = [charts.loss_colours(history.started), charts.score_colours(history.started)]
        legends = list(map(legend_html, colours))  # each time: to leave a part alone takes gradio longer
        loss = charts.sealed(charts.loss_lines(history, smoothing))
        if cursor.startswith(f"{run_id}/True/"):  # the plots have their colours
            return [*legends, loss, gr.skip() if scores_known else charts.sealed(charts.score_lines(history))]
        lines = [loss, charts.sealed(charts.score_lines(history))]
        return [*legends, *(gr.LinePlot(value=data, color_map=colour) for data, colour in zip(lines, colours, strict=True))]

    def still_there(self, run_id: Any) -> str:
        """`run_id`, if there is such a run; else an empty text."""
        try:
            return open_run(self.jobs.root, str(run_id)).id
        except MtlError:
            return ""

    def choices(self, browser: dict) -> list[tuple[str, str]]:
        """The runs that this browser may list, and the one it looks at."""
        return run_choices(self.jobs.root, browser["key"], browser["run"])

    def list_runs(self, browser: dict) -> dict:
        """The menu, brought up to date."""
        return gr.update(choices=self.choices(browser))

    def delete(self, run_id: str, browser: dict) -> list:
        """Delete the shown run; an empty id is a change of mind."""
        if not run_id:
            return [gr.skip()] * 3
        self.jobs.delete(run_id, browser["key"])
        browser = browser | {"run": ""}
        return ["", browser, gr.update(choices=self.choices(browser), value=None)]

    def form_inputs(self) -> list:
        """What `config` is made from: who asks, and all widgets of the form."""
        return [self.page.browser, self.tasks, self.alpha, *self.data.inputs, *self.settings.values()]

    def form_outputs(self) -> list:
        """The widgets that `fill_form` sets."""
        return [*self.data.outputs, self.alpha, *self.settings.values()]

    def fill_form(self, run_id: str) -> list:
        """The settings of a run back in the form, so that it can be changed a little and run again."""
        try:
            config = open_run(self.jobs.root, run_id).config
        except MtlError:
            return [gr.skip()] * len(self.form_outputs())
        return [*self.data.fill(run_id, config), 0.5 if config.alpha is None else config.alpha,
                *(form.shown(name, getattr(config, name)) for name in self.settings)]


def command(act: Callable[[str, str], Any]) -> Callable[[str, dict], None]:
    """A handler that does `act(run id, owner's key)`."""
    def handle(run_id: str, browser: dict) -> None:
        act(run_id, browser["key"])
    return handle


# The address names the run, so that a reload, a bookmark or a link finds it.
SHOW_LINK = """(run) => {
  const url = new URL(window.location);
  run ? url.searchParams.set('run', run) : url.searchParams.delete('run');
  window.history.replaceState(null, '', url);
  url.searchParams.delete('__theme');
  return run ? url.href : '';
}"""
