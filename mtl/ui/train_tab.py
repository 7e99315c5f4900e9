"""The Train tab: choose data, see what was understood, set, start, watch. The layout, then the wiring, then the handlers; nothing here
computes, and no page is needed for a run to go on."""

import html
import itertools
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import gradio as gr

from mtl.data.dataset import read_table
from mtl.data.readers import Progress, no_progress
from mtl.data.resolve import find_tasks, with_tasks
from mtl.errors import MtlError
from mtl.runs.folder import open_run
from mtl.runs.history import History
from mtl.scoring.measure import measured_at
from mtl.settings.config import RunConfig
from mtl.text import isolate
from mtl.ui import charts, form
from mtl.ui.data_panel import DataPanel
from mtl.ui.data_view import Choice
from mtl.ui.insight_panel import InsightPanel, SettingsPanel
from mtl.ui.page import Page, hidden_text
from mtl.ui.status import Buttons, legend_html, run_choices, run_name, status_html, who_may

TOLD = "/told/"  # between what happened and the steps, in the news of a run
EARLY, REDRAWN = 5, 3  # steps that are each drawn at once; seconds of training that are drawn together from then on
START, STARTING = "Start training", "Starting \u2026"
BASIC, MORE = form.fields(basic=True), form.fields(basic=False)


def news(run_id: str, history: History) -> str:
    """A text that changes whenever the plots are to be drawn again: at every step at first, then every `REDRAWN` seconds of training, since
    drawing takes a browser long."""
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
                self.alpha = form.make_widget("alpha", value=form.EVEN, visible=False, elem_id="alpha")
                self._setting_widgets()
            with gr.Column(scale=3, min_width=320, elem_classes="run-column"):
                self._run_widgets()
        self._wire()

    def _setting_widgets(self) -> None:
        gr.Markdown("**3. Settings**")
        with gr.Row(elem_classes="mtl-settings"):
            basic = {name: form.make_widget(name) for name in BASIC}
        with gr.Accordion("More settings", open=False), gr.Row(elem_classes="mtl-settings"):
            more = {name: form.make_widget(name) for name in MORE}
        self.settings = basic | more
        self.told = SettingsPanel(self.page)

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
        self.score_plot = gr.LinePlot(y="score", title="Scores on dev", y_lim=[0, 1], elem_id="score-plot", **plot)
        self.smoothing = gr.Slider(0, 0.95, 0.6, step=0.05, label="Smoothing of the training loss",
                                   info="0 shows it as it is. Dev losses and scores are never smoothed.")
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
        # a look is taken often, and gradio takes milliseconds for each part that may change: these tell whether there is more to do
        self.pressable, self.news, self.cursor = hidden_text(), hidden_text(), hidden_text()  # the cursor: which news are shown
        self.emptied, self._times = hidden_text(), itertools.count(1)  # another number each time that plots were emptied
        self.timer = gr.Timer(1.0)

    def _wire(self) -> None:
        page, quiet = self.page, self.page.quiet
        self.data.wire(self.settings["max_length"], self.tasks)
        weighing = [self.settings["weights"], self.settings["balancing"]]
        gr.on([self.data.choice.change, *(widget.change for widget in weighing)], self.show_alpha, [self.data.choice, *weighing],
              self.alpha, trigger_mode="always_last", **quiet)
        # who gives weights need not say that they are fixed, but has to see it
        gr.on([self.alpha.input, self.settings["weights"].input], self.show_fixed, [self.alpha, *weighing], weighing[1], **quiet)
        self.told.wire(self.settings, self.tasks, self.data.patterns)
        self.insight.wire()
        self.start_button.click(None, None, self.start_button, js=f"() => '{STARTING}'", **quiet)  # at once, however far the server is
        started = self.start_button.click(self.start, self.form_inputs(), [page.run_id, page.browser, self.menu],
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
        self.pressable.change(self.show_pressable, self.pressable, [*buttons, self.delete_button], **quiet)
        # answers may come in another order than they were asked for: whenever plots are emptied, the last thing is that they are filled
        gr.on([self.news.change, self.emptied.change, self.smoothing.release], trigger_mode="always_last", **show)
        page.run_id.change(**look)
        for button, act in buttons.items():
            button.click(command(act), [page.run_id, page.browser], None, **quiet).then(**look)
        gr.on([self.menu.focus, page.told.change], self.list_runs, page.browser, self.menu, **quiet)
        self.menu.input(lambda run_id, browser: (run_id, browser | {"run": run_id}), [self.menu, page.browser], [page.run_id, page.browser],
                        **quiet).then(self.fill_form, page.run_id, self.form_outputs(), **quiet).then(**self.data.look)
        self.delete_button.click(self.delete, [page.run_id, page.browser], [page.run_id, page.browser, self.menu],
                                 js="(run, browser) => confirm('Delete this run and its checkpoints?') ? [run, browser] : ['', browser]",
                                 **quiet)
        page.run_id.change(None, page.run_id, self.link, js=SHOW_LINK, **quiet)
        page.run_id.change(self.say_who_may, [page.run_id, page.browser], self.link, **quiet)

    # Handlers: gather, call, return

    def show_alpha(self, choice: str, weights: str, balancing: str) -> dict:
        """Two tasks are weighed against each other by one number; where something else weighs them, that is said."""
        chosen = Choice.read(choice)
        tasks = [name for name in chosen.found or () if name in chosen.ticked]
        if len(tasks) != 2:
            return gr.update(visible=False)
        one, other = map(isolate, tasks)
        info = f"From 0 to 1. The loss is alpha x {one} + (1 - alpha) x {other}. At 0.5 both count the same."
        if weigher := form.weighed_by(weights, balancing):
            info = f"Not used: {weigher}."
        return gr.update(visible=True, interactive=not weigher, label=f"Alpha: {one} against {other}", info=info)

    def show_fixed(self, alpha: str, weights: str, balancing: str) -> str:
        """The balancing that goes with the weights that are given, or with none."""
        is_given = weights.strip() or form.read_number(alpha, float) not in (None, float(form.EVEN))
        return balancing if balancing not in ("equal", "fixed") else "fixed" if is_given else "equal"

    def start(self, browser: dict, choice: str, alpha: str, progress: gr.Progress = gr.Progress(), *inputs: Any) -> list:  # noqa: B008
        """Queue the run that the form describes."""
        config = self.config(browser, choice, alpha, *inputs, progress=lambda what, share: progress(share, desc=what))
        progress(1.0, desc="Copying the data into the run's folder")
        run = self.jobs.start(config, browser["key"])
        return [run.id, browser | {"run": run.id}, gr.update(choices=self.choices(browser), value=run.id)]

    def config(self, browser: dict, choice: str, alpha: str, *inputs: Any, progress: Progress = no_progress) -> RunConfig:
        """The run that the form describes, its data fetched and understood; raises MtlError if it is none. Where the data on the page were
        changed and not read yet, it has all tasks that are found in them, as the page will show."""
        data, settings = inputs[:len(self.data.inputs)], inputs[len(self.data.inputs):]
        if not browser["key"]:  # a run without an owner would be nobody's
            raise MtlError("The page is still getting ready. Press Start again.")
        key, chosen = self.data.key(*data), Choice.read(choice)
        values = dict(zip(self.settings, settings, strict=True)) | self.data.values(*data)
        known = chosen.ticked if chosen.data == key and chosen.found is not None else None  # None: they are still to be found
        # what is wrong in the form is said before the data are read
        config = form.make_run_config(values | form.weighing(alpha, values, 2 if known is None else len(known)))
        if known == ():
            with TemporaryDirectory() as folder:
                read_table(config, Path(), Path(folder), progress)  # perhaps there are none because of what is wrong with the data
            raise MtlError("No task is chosen. Choose at least one.")
        config, found = find_tasks(config, self.jobs.root, known or (), progress)
        names = chosen.among(key, [spec.name for spec in found]).ticked
        config = with_tasks(config, found, names, **form.weighing(alpha, values, len(names)))
        config.loss_weights([spec.name for spec in config.tasks])
        return config

    def look(self, run_id: str, browser: dict) -> list[str]:
        """How the run stands; and texts that change with it: which buttons can be pressed, what it told, and what there is to show."""
        if not browser["key"] or browser["run"] and not run_id:  # the page does not know yet which run it is to show
            return ["", "", "", ""]
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

    def say_who_may(self, run_id: str, browser: dict) -> dict:
        """Who may do what with the run that is shown."""
        with suppress(MtlError):
            run = open_run(self.jobs.root, run_id)
            return gr.update(info=who_may(run, run.belongs_to(browser["key"])))
        return gr.update(info=who_may(None, is_owner=False))

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
        return [self.page.browser, self.data.choice, self.alpha, *self.data.inputs, *self.settings.values()]

    def form_outputs(self) -> list:
        """The widgets that `fill_form` sets."""
        return [*self.data.outputs, self.alpha, *self.settings.values()]

    def fill_form(self, run_id: str) -> list:
        """The settings of a run back in the form, so that it can be changed a little and run again."""
        try:
            config = open_run(self.jobs.root, run_id).config
        except MtlError:
            return [gr.skip()] * len(self.form_outputs())
        return [*self.data.fill(run_id, config), form.shown("alpha", config.alpha) or form.EVEN,
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
