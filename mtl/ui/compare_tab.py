"""The Compare tab: questions that take several runs. Layout, then wiring, then handlers; a comparison goes on without any page."""

import html
from contextlib import suppress
from typing import Any

import gradio as gr

from mtl.comparing.cost import cost
from mtl.comparing.plan import (
    DEFAULT_ALPHAS,
    MAX_SEEDS,
    Plan,
    alone_plan,
    list_comparisons,
    open_comparison,
    plan_for_run,
    sweep_plan,
    with_files_of,
)
from mtl.comparing.search import MAX_MINUTES, search_plan
from mtl.comparing.sweep import parse_numbers
from mtl.errors import MtlError
from mtl.runs.folder import Run, open_run
from mtl.settings.config import RunConfig
from mtl.settings.refusals import found
from mtl.ui import compare_view as view
from mtl.ui import form
from mtl.ui.curves import draw
from mtl.ui.data_view import Choice
from mtl.ui.form_panel import FormPanel
from mtl.ui.messages import WithMessage
from mtl.ui.page import Cursor, Menu, Page, Values, command, control_buttons, hidden_text
from mtl.ui.status import enabled_buttons, plain_state, run_name

HIDDEN = gr.update(visible=False)
QUESTIONS = {  # kind of comparison -> question, what is done, button
    "alone": ("Did it help to train together?", "Each task is also trained alone, and scored on the same sentences.", "Find out"),
    "sweep": ("What does one task cost the other?", "Two tasks are trained once for each weight between them.", "Try the weights"),
    "search": ("Which settings are good?", "Learning rates and task weights are tried: many for a little, the best for longer.", "Search")}
PLANS = {"alone": alone_plan, "sweep": sweep_plan, "search": search_plan}


class CompareTab:
    """The widgets of the tab, and their handlers."""

    def __init__(self, page: Page, form_panel: FormPanel, tab: gr.Tab) -> None:
        self.page, self.jobs, self.form = page, page.jobs, form_panel
        with gr.Row(elem_id="compare"):
            with gr.Column(elem_classes="compare-questions"):
                self._question_widgets()
            with gr.Column(elem_classes="compare-answer"):
                self._answer_widgets()
        self._wire(tab)

    def _question_widgets(self) -> None:
        self.start_from = gr.Radio(["run", "form"], value="run", label="Start from", elem_id="compare-from", elem_classes="mtl-segments")
        self.times = {
            "alone": gr.Textbox("1", label="Seeds", max_lines=1, elem_id="compare-seeds", render=False,
                                info="How many times to repeat every run, each time with other random numbers. With 1 you see differences, "
                                     "but they may be luck. With 3 or more you also get a verdict."),
            "sweep": gr.Textbox(", ".join(map(str, DEFAULT_ALPHAS)), label="Alphas", elem_id="compare-alphas", max_length=200, render=False,
                                info="Weights of the first task, from 0 to 1. The second task has 1 - alpha."),
            "search": gr.Textbox("10", label="Minutes", max_lines=1, elem_id="compare-minutes", render=False,
                                 info="How long the search may take. Allow several times the length of one run.")}
        self.costs: dict[str, gr.HTML] = {}
        self.ask: dict[str, gr.Button] = {}
        for kind, (question, sentence, label) in QUESTIONS.items():
            with gr.Column(elem_classes=["mtl-panel", "mtl-question"]):
                gr.HTML(f"<h2>{question}</h2><p>{sentence}</p>")
                with gr.Accordion("More", open=False, elem_classes="mtl-more"):
                    self.times[kind].render()
                with gr.Row():
                    self.ask[kind] = gr.Button(label, size="sm", min_width=90, elem_id=f"compare-{kind}")
                    self.costs[kind] = gr.HTML(elem_id=f"compare-{kind}-cost", elem_classes="mtl-hint")

    def _answer_widgets(self) -> None:
        self.comparison_id = hidden_text("comparison-id")
        with gr.Row(elem_classes="compare-bar"):
            self.menu = Menu(self.page, self.comparison_id, "comparison", open_comparison, list_comparisons, view.comparison_name,
                             label="Show a comparison", elem_id="comparison-menu", scale=3)
            self.buttons = control_buttons("compare-", "resume", "stop", "delete")
        self.state = gr.HTML(view.state_html(None, 0), elem_id="compare-state")
        self.result = gr.HTML(elem_id="compare-result")
        self.use_button = gr.Button(size="sm", visible=False, elem_id="compare-use")
        self.points = gr.ScatterPlot(x="first", y="second", color="alpha", title="The trade-off (validation scores)", height=300,
                                     visible=False, elem_id="compare-points")
        self.task = gr.Dropdown([], label="Task", elem_id="compare-task", visible=False, allow_custom_value=True)
        self.curves = draw("compare-curves", "members")  # its value says which runs it fetches
        self.members = gr.HTML(elem_id="compare-members")
        self.cursor, self.status = hidden_text(), hidden_text()
        self.timer = gr.Timer(2.0, active=False)
        self.no_plots: Values = {self.points: HIDDEN, self.task: HIDDEN, self.curves: ""}
        self.nothing: Values = self.no_plots | dict.fromkeys((self.status, self.result, self.members, self.cursor), "") | {
            self.use_button: HIDDEN, **dict.fromkeys(self.buttons.values(), gr.update(interactive=False))}

    def _wire(self, tab: gr.Tab) -> None:
        page, quiet, shown_id = self.page, self.page.quiet, self.comparison_id
        for kind, button in self.ask.items():
            button.click(lambda values, kind=kind: self.start(kind, values),
                         {page.run_id, self.start_from, self.times[kind], *self.form.inputs}, self.menu.outputs,
                         api_visibility="private", show_progress_on=self.state)
        priced = [page.run_id, page.browser, self.start_from, self.form.data.choice, *self.times.values()]
        price = {"inputs": priced, "outputs": [self.start_from, *self.costs.values(), *self.ask.values()],
                 "trigger_mode": "always_last", **quiet}
        page.run_id.change(lambda run_id, browser, _, *rest: self.price(run_id, browser, "", *rest), **price)  # another run is shown
        gr.on([tab.select, page.news.change, self.start_from.input, self.form.data.choice.change,
               *(widget.change for widget in self.times.values())], self.price, **price)
        poll = {"fn": self.poll, "inputs": [shown_id, page.browser, self.cursor, self.task],
                "outputs": [self.state, *self.buttons.values(), self.status, self.result, self.use_button, self.points, self.task,
                            self.curves, self.members, self.cursor], **quiet}
        shown_id.change(lambda shown: gr.Timer(active=bool(shown)), shown_id, self.timer, **quiet)
        gr.on([self.timer.tick, tab.select], **poll)
        gr.on([shown_id.change, self.task.input], **poll).then(**poll)  # the first one empties the plots, the second one fills them
        for name in ("resume", "stop"):
            self.buttons[name].click(command(getattr(self.jobs, name)), [shown_id, page.browser], None, **quiet).then(**poll)
        self.menu.wire(self.buttons["delete"], "Delete this comparison and its result? Its runs stay.", self.status)
        self.use_button.click(self.use, shown_id, self.form.outputs, api_visibility="private")

    def price(self, run_id: str, browser: dict, start_from: str, choice: str, *times: str) -> Values:
        """What can be started from (`start_from`, or if it is empty the run shown), and what each question would cost, or why it cannot be
        asked: said before anything is pressed."""
        history, tasks, name = None, len(Choice.read(choice).tasks), ""
        with suppress(MtlError):
            run, seen = open_run(self.jobs.root, run_id), self.jobs.history(run_id)
            name = run_name(run) if run.belongs_to(browser["key"]) else ""
        choices = [(f"The run shown\n{name}", "run")] * bool(name) + [("The Train tab\nits data and settings", "form")]
        is_run = bool(name) and start_from != "form"
        if is_run:
            history, tasks = seen, len(seen.started.tasks) if seen.started else len(run.config.tasks)
        value = {} if name and start_from else {"value": "run" if is_run else "form"}  # a choice stays
        shown: Values = {self.start_from: gr.update(choices=choices, **value)}
        for kind, text in zip(QUESTIONS, times, strict=True):
            said, may = "", True
            try:
                number = self._number(kind, text)
                if tasks:  # else the data of the form were not read yet
                    said = cost(history, kind, tasks, len(number) if kind == "sweep" else number, is_run).words
            except MtlError as error:
                said, may = str(error), False
            shown |= {self.costs[kind]: html.escape(said), self.ask[kind]: gr.update(interactive=may)}
        return shown

    @staticmethod
    def _number(kind: str, text: str) -> Any:
        """The seeds, the alphas or the minutes that are asked for; raises MtlError."""
        if kind == "sweep":
            return parse_numbers(text)
        return _number("Seeds", text, int, 1, MAX_SEEDS) if kind == "alone" else _number("Minutes", text, float, 0, MAX_MINUTES)

    def start(self, kind: str, values: Values) -> Values:
        """Ask a question, of the run that is shown or of what the form describes."""
        browser, number = values[self.page.browser], self._number(kind, values[self.times[kind]])
        if values[self.start_from] != "run":
            config = self.form.config(values)
        else:
            run = self._own(values[self.page.run_id], browser)
            if kind == "alone":
                return self._start(*plan_for_run(run, number), browser)
            config = with_files_of(run)
        return self._start(config, PLANS[kind](config, number), browser)

    def ask_of(self, browser: dict, event: gr.EventData) -> Values:
        """Did it help?, of a run in the Runs tab."""
        return self._start(*plan_for_run(self._own(event.id, browser), 1), browser)

    def _own(self, run_id: str, browser: dict) -> Run:
        run = open_run(self.jobs.root, run_id)
        if not run.belongs_to(browser["key"]):
            raise MtlError("This run was not started in this browser. It can be compared only where it was started.")
        return run

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
            menu = {self.task: gr.update(choices=names, value=task, visible=True)} if has_curves else {}
            return shown | self.no_plots | menu | {self.cursor: str(Cursor(comparison_id))}
        return shown | self._plots(seen, points, task if has_curves else "", is_new=not before.plots) | {self.cursor: str(due)}

    def _plots(self, seen: view.Seen, points: Any, task: str, is_new: bool) -> Values:
        """Only data for plots that are there already, whole ones with their colours for new ones."""
        shown: Values = {self.points: HIDDEN, self.curves: view.curves_of(seen, task) if task else ""}
        if points:
            frame, (x, y), colours = points
            shown[self.points] = gr.ScatterPlot(value=frame, x_title=x, y_title=y, color_map=colours, visible=True) if is_new else frame
        return shown


def _number(label: str, text: str, kind: type, least: int, most: int) -> float:
    """The number in the field with that label; raises MtlError if it is no number of that `kind`, or out of bounds."""
    value = form.read_number(text, kind)
    if not isinstance(value, int | kind) or not least <= value <= most:
        raise MtlError(f"{label}: found {found(value)}, wanted a {'whole ' * (kind is int)}number from {least} to {most:,}.")
    return value
