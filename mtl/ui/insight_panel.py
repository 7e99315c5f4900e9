"""Beside the curves of the Train tab: how the tasks get along and what the loss weights do; and beside its settings, what the chosen way
of balancing is for and how many rows of each task a step will see. The layout, the wiring, the handlers."""

import json
from contextlib import suppress

import gradio as gr

from mtl.errors import MtlError
from mtl.runs.folder import open_run
from mtl.runs.history import History
from mtl.ui import insight
from mtl.ui.charts import sealed
from mtl.ui.page import Page, Values, hidden_text
from mtl.ui.status import legend_html

PLAN = ("sampling", "temperature", "batch_size", "accumulation", "epochs")


class SettingsPanel:
    """What the settings will do, in words."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.method, self.plan = gr.HTML(insight.method_html("joint", "equal"), elem_id="method"), gr.HTML(elem_id="plan")
        # the chosen tasks as JSON: the boxes themselves are refused as an input while they still show what other data had
        self.chosen = hidden_text()

    def wire(self, settings: dict[str, gr.components.Component], tasks: gr.CheckboxGroup, patterns: gr.Textbox) -> None:
        """Connect with the widgets of the form, the chosen tasks, and what is labelled together in the data."""
        quiet = self.page.quiet
        methods = [settings["sampling"], settings["balancing"]]
        gr.on([widget.change for widget in methods], insight.method_html, methods, self.method, **quiet)
        plan = [settings[name] for name in PLAN]
        tasks.change(json.dumps, tasks, self.chosen, **quiet)
        gr.on([patterns.change, self.chosen.change, *(widget.change for widget in plan)], self.show_plan, [patterns, self.chosen, *plan],
              self.plan, trigger_mode="always_last", **quiet)

    def show_plan(self, patterns: str, chosen: str, sampling: str, temperature: str, *numbers: str) -> str:
        """How many rows of each task a step and an epoch will see; nothing while a field is empty or wrong."""
        with suppress(TypeError, ValueError):
            batch, accumulation, epochs = (int(number) for number in numbers)
            if patterns and chosen and min(batch, accumulation, epochs, float(temperature)) >= 1:
                return insight.outlook_html(json.loads(patterns), json.loads(chosen), sampling, float(temperature), batch * accumulation,
                                            epochs)
        return ""


class InsightPanel:
    """How the tasks of the shown run get along."""

    def __init__(self, page: Page) -> None:
        self.page = page
        with gr.Accordion("How the tasks get along", open=False, elem_id="insight") as self.box:
            self.reading = gr.HTML(elem_id="reading")
            self.legend = gr.HTML()
            plot = {"x": "step", "color": "series", "colors_in_legend": [], "show_label": False, "height": 200}
            self.norms = gr.LinePlot(y="norm", title="Length of each task's gradient", elem_id="norm-plot", **plot)
            self.weights = gr.LinePlot(y="weight", title="Weight of each task's loss", elem_id="weight-plot", **plot)
        self.news, self.cursor = hidden_text(), hidden_text()  # what there is to show, and what is shown
        self.timer = gr.Timer(4.0, active=False)  # nothing here changes fast, and closed it is not looked at

    def wire(self) -> None:
        """Follow the run that is shown."""
        quiet = self.page.quiet
        who = [self.page.run_id, self.cursor]
        gr.on([self.timer.tick, self.box.expand, self.page.run_id.change], self.look, who, self.news, **quiet)
        for event, is_open in ((self.box.expand, True), (self.box.collapse, False)):
            event(lambda is_open=is_open: gr.Timer(active=is_open), None, self.timer, **quiet)
        self.news.change(self.show, who, [self.reading, self.legend, self.norms, self.weights, self.cursor], **quiet)

    def look(self, run_id: str, cursor: str) -> str:
        """A text that is another whenever there is something to do: with every look at the gradients, not with every step."""
        history = self._history(run_id)
        if cursor and not cursor.startswith(run_id):
            return f"not {cursor}"  # another run is shown: this makes the panel draw it
        return self._news(run_id, history) if history else ""

    def _news(self, run_id: str, history: History) -> str:
        return f"{run_id}/{len(history.diagnoses)}/{len(history.steps) // 10}/{history.status == 'running'}"

    def _history(self, run_id: str) -> History | None:
        with suppress(MtlError):
            history = self.page.jobs.history(run_id) if run_id else None
            return history if history and history.started else None

    def show(self, run_id: str, cursor: str) -> Values:
        """All that is shown; plots keep their colours while the run of `cursor` is shown."""
        history = self._history(run_id)
        if history is None or (cursor and not cursor.startswith(run_id)):
            # also before another run: a plot that gets other colours and values at once draws the old ones
            return {self.reading: "", self.legend: "", self.norms: None, self.weights: None, self.cursor: ""}
        lines = {self.norms: sealed(insight.norm_lines(history)), self.weights: sealed(insight.weight_lines(history))}
        colours = insight.task_colours(history)
        if not cursor.startswith(run_id):
            lines = {plot: gr.LinePlot(value=data, color_map=colours) for plot, data in lines.items()}
        balancing = open_run(self.page.jobs.root, run_id).config.balancing
        return lines | {self.reading: insight.insight_html(history, balancing), self.legend: legend_html(colours),
                        self.cursor: self._news(run_id, history)}
