"""The Compare tab: questions that take several runs. Layout, then wiring, then handlers; a comparison goes on without any page."""

import html
from contextlib import suppress
from typing import Any

import gradio as gr

from mtl.comparing.plan import DEFAULT_ALPHAS, MAX_SEEDS, Plan, alone_plan, list_comparisons, open_comparison, plan_for_run, sweep_plan
from mtl.comparing.search import MAX_MINUTES, search_plan
from mtl.comparing.sweep import parse_numbers
from mtl.errors import MtlError
from mtl.runs.folder import open_run
from mtl.settings.config import RunConfig
from mtl.settings.refusals import found
from mtl.ui import compare_view as view
from mtl.ui import form
from mtl.ui.form_panel import FormPanel
from mtl.ui.messages import WithMessage
from mtl.ui.page import Cursor, Menu, Page, Values, command, control_buttons, hidden_text
from mtl.ui.status import enabled_buttons, legend_html, plain_state, shown_run_html

HIDDEN = gr.update(visible=False)


class CompareTab:
    """The widgets of the tab, and their handlers."""

    def __init__(self, page: Page, form_panel: FormPanel, tab: gr.Tab) -> None:
        self.page, self.jobs, self.form = page, page.jobs, form_panel
        with gr.Row():
            with gr.Column(scale=2, min_width=320):
                self._question_widgets()
            with gr.Column(scale=3, min_width=320):
                self._answer_widgets()
        self._wire(tab)

    def _question_widgets(self) -> None:
        gr.Markdown("**Did it help?** Is a model that learns all tasks together better than one model per task? Each task is trained alone "
                    "too, with the same steps, seed and settings, and scored on the same validation rows.")
        self.seeds = gr.Textbox("1", label="Seeds", max_lines=1, elem_id="compare-seeds",
                                info="How many times to repeat every run, each time with other random numbers. With 1 you see differences, "
                                     "but they may be luck. With 3 or more you also get a verdict, and it takes 3 or more times as long.")
        self.shown_run = gr.HTML(elem_id="compare-shown-run")
        self.run_button = gr.Button("Take the run shown, and train each of its tasks alone", elem_id="compare-run")
        self.form_button = gr.Button("Train together and alone, with the settings of the Train tab", elem_id="compare-form")
        gr.Markdown("**What does one task cost the other?** Tick two tasks in the Train tab. Then one run is trained for each alpha.")
        self.alphas = gr.Textbox(", ".join(map(str, DEFAULT_ALPHAS)), label="Alphas", elem_id="compare-alphas", max_length=200,
                                 info="Weights of the first task, from 0 to 1. The second task has 1 - alpha.")
        self.sweep_button = gr.Button("Train one run for each alpha", elem_id="compare-sweep")
        gr.Markdown("**Which settings are good?** Learning rates and task weights near those of the Train tab are tried. Many candidates "
                    "are trained for a short time, the best of them longer. Validation scores decide; test rows stay untouched.")
        self.minutes = gr.Textbox("10", label="Minutes", max_lines=1, elem_id="compare-minutes",
                                  info="How long the search may take. Allow several times the length of one run.")
        self.search_button = gr.Button("Find good settings", elem_id="compare-search")

    def _answer_widgets(self) -> None:
        self.comparison_id = hidden_text("comparison-id")
        with gr.Row():
            self.menu = Menu(self.page, self.comparison_id, "comparison", open_comparison, list_comparisons,
                             view.comparison_name, label="Show a comparison", elem_id="comparison-menu", scale=3,
                             info="Comparisons that were started in this browser or in the terminal.")
            self.buttons = control_buttons("compare-", "resume", "stop", "delete")
        self.state = gr.HTML(view.state_html(None, 0), elem_id="compare-state")
        self.result = gr.HTML(elem_id="compare-result")
        self.use_button = gr.Button(size="sm", visible=False, elem_id="compare-use")
        self.points = gr.ScatterPlot(x="first", y="second", color="alpha", title="The trade-off (validation scores)", height=300,
                                     visible=False, elem_id="compare-points")
        self.task = gr.Dropdown([], label="Task", elem_id="compare-task", visible=False, allow_custom_value=True)
        self.legend = gr.HTML(elem_id="compare-legend")
        self.plot = gr.LinePlot(x="step", y="score", color="series", y_lim=[0, 1], title="Score on the validation rows",
                                colors_in_legend=[], show_label=False, height=280, visible=False, elem_id="compare-plot")
        self.members = gr.HTML(elem_id="compare-members")
        self.cursor, self.status = hidden_text(), hidden_text()
        self.timer = gr.Timer(2.0, active=False)
        self.no_plots: Values = dict.fromkeys((self.points, self.task, self.plot), HIDDEN) | {self.legend: ""}
        self.nothing: Values = self.no_plots | dict.fromkeys((self.status, self.result, self.members, self.cursor), "") | {
            self.use_button: HIDDEN, **dict.fromkeys(self.buttons.values(), gr.update(interactive=False))}

    def _wire(self, tab: gr.Tab) -> None:
        page, quiet, shown_id = self.page, self.page.quiet, self.comparison_id
        for button, act, inputs in ((self.run_button, self.compare_run, [page.run_id, page.browser, self.seeds]),
                                    (self.form_button, self.compare_form, {self.seeds, *self.form.inputs}),
                                    (self.sweep_button, self.sweep, {self.alphas, *self.form.inputs}),
                                    (self.search_button, self.search, {self.minutes, *self.form.inputs})):
            button.click(act, inputs, self.menu.outputs, api_visibility="private", show_progress_on=self.state)
        gr.on([tab.select, page.run_id.change, page.news.change], self.name_run, page.run_id, self.shown_run, **quiet)
        poll = {"fn": self.poll, "inputs": [shown_id, page.browser, self.cursor, self.task],
                "outputs": [self.state, *self.buttons.values(), self.status, self.result, self.use_button, self.points, self.task,
                            self.legend, self.plot, self.members, self.cursor], **quiet}
        shown_id.change(lambda shown: gr.Timer(active=bool(shown)), shown_id, self.timer, **quiet)
        gr.on([self.timer.tick, tab.select], **poll)
        gr.on([shown_id.change, self.task.input], **poll).then(**poll)  # the first one empties the plots, the second one fills them
        for name in ("resume", "stop"):
            self.buttons[name].click(command(getattr(self.jobs, name)), [shown_id, page.browser], None, **quiet).then(**poll)
        self.menu.wire(self.buttons["delete"], "Delete this comparison and its result? Its runs stay.", self.status)
        self.use_button.click(self.use, shown_id, self.form.outputs, api_visibility="private")

    def name_run(self, run_id: str) -> str:
        """The name of the run that the first button would compare."""
        with suppress(MtlError):
            return shown_run_html(open_run(self.jobs.root, run_id))
        return ""

    def compare_run(self, run_id: str, browser: dict, seeds: str) -> Values:
        """Train each task of the run that is shown alone too."""
        if not run_id:
            raise MtlError("No run is shown. Train one, or choose one in the Train tab.")
        run = open_run(self.jobs.root, run_id)
        if not run.belongs_to(browser["key"]):
            raise MtlError("This run was not started in this browser. It can be compared only where it was started.")
        return self._start(*plan_for_run(run, _number("Seeds", seeds, int, 1, MAX_SEEDS)), browser)

    def compare_form(self, values: Values) -> Values:
        """Train what the form describes, and each of its tasks alone."""
        seeds, config = _number("Seeds", values[self.seeds], int, 1, MAX_SEEDS), self.form.config(values)
        return self._start(config, alone_plan(config, seeds), values[self.page.browser])

    def sweep(self, values: Values) -> Values:
        """Train what the form describes once for each alpha."""
        alphas, config = parse_numbers(values[self.alphas]), self.form.config(values)
        return self._start(config, sweep_plan(config, alphas), values[self.page.browser])

    def search(self, values: Values) -> Values:
        """Search for settings near those of the form."""
        minutes, config = _number("Minutes", values[self.minutes], float, 0, MAX_MINUTES), self.form.config(values)
        return self._start(config, search_plan(config, minutes), values[self.page.browser])

    def _start(self, config: RunConfig, plan: Plan, browser: dict) -> Values:
        return self.menu.turn_to(self.jobs.start(config, browser["key"], plan).id, browser)

    def use(self, comparison_id: str) -> WithMessage:
        """Put the settings that the result advises into the form of the Train tab."""
        return self.form.take(view.advice(view.read(self.jobs, comparison_id)))

    def poll(self, comparison_id: str, browser: dict, cursor: str | None, task: str | None) -> Values:
        """All that the page shows of the comparison; what is the same since `cursor` is left as it is."""
        try:
            seen = view.read(self.jobs, comparison_id) if comparison_id else None
        except MtlError as error:
            return self.nothing | {self.state: plain_state(html.escape(str(error)))}
        if seen is None:
            return self.nothing | {self.state: view.state_html(None, 0)}
        enabled = enabled_buttons(seen.status, seen.comparison.belongs_to(browser["key"]), self.jobs.has(comparison_id))
        shown = {button: gr.update(interactive=name in enabled) for name, button in self.buttons.items()} | {
            self.state: view.state_html(seen, self.jobs.ahead(comparison_id), self.jobs.yields_in()),
            self.status: f"{comparison_id}/{seen.status}"}
        names, points, before = view.task_names(seen), view.trade_off(seen), Cursor.read(cursor)
        task = task if task in names else names[0] if names else ""
        due = Cursor(comparison_id, f"{task}/{points is not None}", steps=seen.progress)
        if due == before:
            return shown
        shown |= {self.result: view.result_html(seen), self.members: view.members_html(seen),
                  self.use_button: form.offer(view.advice(seen))}
        has_curves = bool(task) and seen.plan.kind != "search"
        if before.must_empty(due):
            menu = {self.task: gr.update(choices=names, value=task, visible=True),
                    self.legend: legend_html(view.curve_colours(seen, task))} if has_curves else {}
            return shown | self.no_plots | menu | {self.cursor: str(Cursor(comparison_id))}
        return shown | self._plots(seen, points, task if has_curves else "", is_new=not before.plots) | {self.cursor: str(due)}

    def _plots(self, seen: view.Seen, points: Any, task: str, is_new: bool) -> Values:
        """Only data for plots that are there already, whole ones with their colours for new ones."""
        shown = dict.fromkeys((self.points, self.plot), HIDDEN)
        if points:
            frame, (x, y), colours = points
            shown[self.points] = gr.ScatterPlot(value=frame, x_title=x, y_title=y, color_map=colours, visible=True) if is_new else frame
        if task:
            lines = view.curve_lines(seen, task)
            shown[self.plot] = gr.LinePlot(value=lines, color_map=view.curve_colours(seen, task), visible=True) if is_new else lines
        return shown


def _number(label: str, text: str, kind: type, least: int, most: int) -> float:
    """The number in the field with that label; raises MtlError if it is no number of that `kind`, or out of bounds."""
    value = form.read_number(text, kind)
    if not isinstance(value, int | kind) or not least <= value <= most:
        raise MtlError(f"{label}: found {found(value)}, wanted a {'whole ' * (kind is int)}number from {least} to {most:,}.")
    return value
