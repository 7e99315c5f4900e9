"""The Compare tab: questions that take several runs. The layout, then the wiring, then the handlers; nothing here computes, and no page is
needed for a comparison to go on."""

import html
from contextlib import suppress
from typing import Any

import gradio as gr

from mtl.comparing.plan import DEFAULT_ALPHAS, MAX_SEEDS, Plan, alone_plan, open_comparison, plan_for_run, sweep_plan
from mtl.comparing.search import MAX_MINUTES, search_plan
from mtl.comparing.sweep import parse_numbers
from mtl.errors import MtlError
from mtl.runs.folder import open_run
from mtl.runs.history import ACTIVE
from mtl.settings.config import RunConfig
from mtl.settings.refusals import found
from mtl.ui import compare_view as view
from mtl.ui import form
from mtl.ui.form_panel import FormPanel
from mtl.ui.messages import Said
from mtl.ui.page import Page, Values, hidden_text
from mtl.ui.status import legend_html, shown_run_html
from mtl.ui.train_tab import command

CONFIRM = "(id, browser) => confirm('Delete this comparison and its card? Its runs stay.') ? [id, browser] : ['', browser]"
USED = ("learning_rate", "head_learning_rate", "balancing", "weights")  # what a search looks for, beside alpha


class CompareTab:
    """The widgets of the tab, made once, and the handlers that they call."""

    def __init__(self, page: Page, form_panel: FormPanel, tab: gr.Tab) -> None:
        self.page, self.jobs, self.form = page, page.jobs, form_panel
        with gr.Row():
            with gr.Column(scale=2, min_width=320):
                self._question_widgets()
            with gr.Column(scale=3, min_width=320):
                self._answer_widgets()
        self._wire(tab)

    def _question_widgets(self) -> None:
        gr.Markdown("**Did it help?** Every task is also trained alone, with the same steps, seed and settings, and measured on the same "
                    "validation rows. Then a card says what training together gained and what it cost.")
        self.seeds = gr.Textbox("1", label="Seeds", max_lines=1, elem_id="compare-seeds",
                                info="How many times each run is repeated, each time with another seed. 1 shows the differences but gives "
                                     "no verdict: chance alone can make them. 3 or more give one, and train so many times as much.")
        self.shown_run = gr.HTML(elem_id="compare-shown-run")
        self.run_button = gr.Button("Train each task of the shown run alone", elem_id="compare-run")
        self.form_button = gr.Button("Train together and alone, with the settings of the Train tab", elem_id="compare-form")
        gr.Markdown("**What does one task cost the other?** Choose two tasks in the Train tab. Then there is one run for each alpha.")
        self.alphas = gr.Textbox(", ".join(map(str, DEFAULT_ALPHAS)), label="Alphas", elem_id="compare-alphas", max_length=200,
                                 info="The weight of the first task; the second has 1 - alpha.")
        self.sweep_button = gr.Button("Weight sweep", elem_id="compare-sweep")
        gr.Markdown("**Which settings are good?** Learning rates and task weights near those of the Train tab are tried. Many candidates "
                    "train for a short time, the best of them longer. It chooses by validation scores. Test rows stay untouched.")
        self.minutes = gr.Textbox("10", label="Minutes", max_lines=1, elem_id="compare-minutes",
                                  info="How long the search may take. Allow several times the length of one run.")
        self.search_button = gr.Button("Find good settings", elem_id="compare-search")

    def _answer_widgets(self) -> None:
        self.comparison_id = hidden_text("comparison-id")
        with gr.Row():
            self.menu = gr.Dropdown([], label="Comparisons", info="Those started in this browser or in the terminal.",
                                    elem_id="comparison-menu", scale=3)
            self.resume_button = gr.Button("Resume", interactive=False, elem_id="compare-resume", min_width=90)
            self.stop_button = gr.Button("Stop", variant="stop", interactive=False, elem_id="compare-stop", min_width=90)
            self.delete_button = gr.Button("Delete", interactive=False, elem_id="compare-delete", min_width=90)
        self.state = gr.HTML(view.state_html(None, 0), elem_id="compare-state")
        self.result = gr.HTML(elem_id="compare-result")
        self.use_button = gr.Button("Use these settings", visible=False, elem_id="compare-use")
        self.points = gr.ScatterPlot(x="first", y="second", color="alpha", title="The trade-off (validation scores)", height=300,
                                     visible=False,
                                     elem_id="compare-points")
        self.task = gr.Dropdown([], label="Task", elem_id="compare-task", visible=False, allow_custom_value=True)
        self.legend = gr.HTML(elem_id="compare-legend")
        self.plot = gr.LinePlot(x="step", y="score", color="series", y_lim=[0, 1], title="Validation score", colors_in_legend=[],
                                show_label=False, height=280, visible=False, elem_id="compare-plot")
        self.members = gr.HTML(elem_id="compare-members")
        self.cursor, self.status = hidden_text(), hidden_text()
        self.timer = gr.Timer(2.0, active=False)

    def _wire(self, tab: gr.Tab) -> None:
        page, quiet = self.page, self.page.quiet
        begun = [self.comparison_id, page.browser, self.menu]
        for button, act, inputs in ((self.run_button, self.compare_run, [page.run_id, page.browser, self.seeds]),
                                    (self.form_button, self.compare_form, {self.seeds, *self.form.inputs}),
                                    (self.sweep_button, self.sweep, {self.alphas, *self.form.inputs}),
                                    (self.search_button, self.search, {self.minutes, *self.form.inputs})):
            button.click(act, inputs, begun, api_visibility="private", show_progress_on=self.state)
        gr.on([tab.select, page.run_id.change, page.told.change], self.name_run, page.run_id, self.shown_run, **quiet)
        shown = [self.state, self.resume_button, self.stop_button, self.delete_button, self.status, self.result, self.use_button,
                 self.points, self.task, self.legend, self.plot, self.members, self.cursor]
        look = [self.comparison_id, page.browser, self.cursor, self.task]
        self.comparison_id.change(lambda shown: gr.Timer(active=bool(shown)), self.comparison_id, self.timer, **quiet)
        gr.on([self.timer.tick, tab.select], self.poll, look, shown, **quiet)
        gr.on([self.comparison_id.change, self.task.input], self.poll, look, shown, **quiet).then(self.poll, look, shown, **quiet)
        for button, act in {self.resume_button: self.jobs.resume, self.stop_button: self.jobs.stop}.items():
            button.click(command(act), [self.comparison_id, page.browser], None, **quiet).then(self.poll, look, shown, **quiet)
        self.delete_button.click(self.delete, [self.comparison_id, page.browser], begun, js=CONFIRM, **quiet)
        filled = [self.form.alpha, *(self.form.settings[name] for name in USED)]
        self.use_button.click(self.use, self.comparison_id, filled, api_visibility="private")
        gr.on([self.menu.focus, self.status.change], lambda browser: gr.update(choices=self.choices(browser)), page.browser, self.menu,
              **quiet)
        self.menu.input(lambda chosen, browser: (chosen, browser | {"comparison": chosen}), [self.menu, page.browser],
                        [self.comparison_id, page.browser], **quiet)

    # Handlers: gather, call, return

    def name_run(self, run_id: str) -> str:
        """Which run the first button is about."""
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
        return self._begin(*plan_for_run(run, _number("Seeds", seeds, int, 1, MAX_SEEDS)), browser)

    def compare_form(self, values: Values) -> Values:
        """Train what the form describes, and each of its tasks alone."""
        seeds = _number("Seeds", values[self.seeds], int, 1, MAX_SEEDS)
        config = self.form.config(values)
        return self._begin(config, alone_plan(config, seeds), values[self.page.browser])

    def sweep(self, values: Values) -> Values:
        """Train what the form describes once for each alpha."""
        alphas = parse_numbers(values[self.alphas])
        config = self.form.config(values)
        return self._begin(config, sweep_plan(config, alphas), values[self.page.browser])

    def search(self, values: Values) -> Values:
        """Try settings around those of the form."""
        minutes = _number("Minutes", values[self.minutes], float, 0, MAX_MINUTES)
        config = self.form.config(values)
        return self._begin(config, search_plan(config, minutes), values[self.page.browser])

    def use(self, comparison_id: str) -> Said:
        """The best settings of a search, in the form of the Train tab."""
        config = view.best_settings(view.look(self.jobs, comparison_id))
        if config is None:
            raise MtlError("Nothing was found yet. Wait for the first candidates.")
        return Said(self.form.shown(config, USED), "The learning rates and weights are in the form of the Train tab now.")

    def _begin(self, config: RunConfig, plan: Plan, browser: dict) -> Values:
        """Queue the comparison, and show it."""
        return self.turn_to(self.jobs.start(config, browser["key"], plan).id, browser)

    def turn_to(self, comparison_id: str, browser: dict) -> Values:
        """Show the comparison (empty: none), and have the browser remember it."""
        browser = browser | {"comparison": comparison_id}
        return {self.comparison_id: comparison_id, self.page.browser: browser,
                self.menu: gr.update(choices=self.choices(browser), value=comparison_id or None)}

    def delete(self, comparison_id: str, browser: dict) -> Values:
        """Delete the comparison that is shown; its runs stay. An empty id is a change of mind."""
        if not comparison_id:
            return {}
        self.jobs.delete(comparison_id, browser["key"])
        return self.turn_to("", browser)

    def choices(self, browser: dict) -> list[tuple[str, str]]:
        """The comparisons that this browser may list, and the one it looks at."""
        return view.comparison_choices(self.jobs.root, browser["key"], browser.get("comparison", ""))

    def remembered(self, memory: dict) -> str:
        """The comparison that the browser remembers, if it is still there."""
        try:
            return open_comparison(self.jobs.root, str(memory.get("comparison") or "")).id
        except MtlError:
            return ""

    def poll(self, comparison_id: str, browser: dict, cursor: str | None, task: str | None) -> Values:
        """All that the page shows of the comparison; what has not changed since `cursor` is left alone."""
        try:
            seen = view.look(self.jobs, comparison_id) if comparison_id else None
        except MtlError as error:
            return self._nothing(f'<div class="mtl-status">{html.escape(str(error))}</div>')
        if seen is None:
            return self._nothing(view.state_html(None, 0))
        is_owner, is_here = seen.comparison.belongs_to(browser["key"]), self.jobs.has(comparison_id)
        head = {self.state: view.state_html(seen, self.jobs.ahead(comparison_id), self.jobs.yields_in()),
                self.resume_button: gr.update(interactive=view.can_resume(seen, is_owner, is_here)),
                self.stop_button: gr.update(interactive=view.can_stop(seen, is_owner, is_here)),
                self.delete_button: gr.update(interactive=is_owner and seen.history.status not in ACTIVE),
                self.status: f"{comparison_id}/{seen.status}"}
        names = view.task_names(seen)
        task = task if task in names else names[0] if names else ""
        points = view.trade_off(seen)
        # what the plots have: if that changes they are taken away and, at the next poll, put there anew, for a plot that gets other colours
        # together with other values goes on drawing the old ones (gradio 6.31)
        about = f"{comparison_id}/{names.index(task) if task else ''}/{points is not None}/"
        now, cursor = about + seen.cursor, cursor or ""
        if now == cursor:
            return head
        shown = head | {self.result: view.result_html(seen), self.members: view.members_html(seen),
                        self.use_button: gr.update(visible=view.best_settings(seen) is not None)}
        if not cursor.startswith(about):
            return shown | self._no_plots() | self._menu(seen, names, task) | {self.cursor: about}
        is_new = cursor == about
        return shown | {self.points: _scatter(points, is_new), self.plot: self._curves(seen, task, is_new), self.cursor: now}

    def _nothing(self, state: str) -> Values:
        """`state`, and that there is no comparison."""
        off, emptied = gr.update(interactive=False), (self.status, self.result, self.members, self.cursor)
        return self._no_plots() | dict.fromkeys(emptied, "") | {
            self.state: state, self.resume_button: off, self.stop_button: off, self.delete_button: off,
            self.use_button: gr.update(visible=False)}

    def _no_plots(self) -> Values:
        return dict.fromkeys((self.points, self.task, self.plot), gr.update(visible=False)) | {self.legend: ""}

    def _menu(self, seen: view.Seen, names: list[str], task: str) -> Values:
        """The tasks to choose from, and what the lines of the plot are."""
        if not task or seen.plan.kind == "search":
            return {}
        return {self.task: gr.update(choices=names, value=task, visible=True), self.legend: legend_html(view.curve_colours(seen, task))}

    def _curves(self, seen: view.Seen, task: str, is_new: bool) -> Any:
        """A frame for a plot that is there already; a whole one, with its colours, for a new one."""
        if not task or seen.plan.kind == "search":
            return gr.update(visible=False)
        frame = view.curve_frame(seen, task)
        return gr.LinePlot(value=frame, color_map=view.curve_colours(seen, task), visible=True) if is_new else frame


def _scatter(found: Any, is_new: bool) -> Any:
    """The plot of a sweep, as `_curves`."""
    if found is None:
        return gr.update(visible=False)
    frame, (x, y), colours = found
    return gr.ScatterPlot(value=frame, x_title=x, y_title=y, color_map=colours, visible=True) if is_new else frame


def _number(label: str, text: str, kind: type, least: int, most: int) -> float:
    """The number that stands in a field of this tab; raises MtlError if it is none of that `kind`, or out of bounds."""
    value = form.read_number(text, kind)
    if not isinstance(value, int | kind) or not least <= value <= most:
        raise MtlError(f"{label}: found {found(value)}, wanted a {'whole ' * (kind is int)}number from {least} to {most:,}.")
    return value
