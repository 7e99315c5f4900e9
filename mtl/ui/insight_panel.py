"""Two panels: below the settings, what they will do; below the curves, whether the tasks of the run disagree. Layout, wiring, handlers."""

import json
from contextlib import suppress

import gradio as gr

from mtl.errors import MtlError
from mtl.runs.folder import open_run
from mtl.runs.history import History
from mtl.ui import insight
from mtl.ui.page import Cursor, Page, Values, hidden_text
from mtl.ui.status import legend_html

OUTLOOK = ("sampling", "temperature", "batch_size", "accumulation", "epochs")


def explain_settings(page: Page, settings: dict[str, gr.components.Component], tasks: gr.CheckboxGroup, patterns: gr.Textbox) -> None:
    """What the chosen methods are for, and how many rows of each task a step will have; `patterns`: tasks that are labelled together."""
    method, plan = gr.HTML(insight.method_html("joint", "equal"), elem_id="method"), gr.HTML(elem_id="plan")
    # the chosen tasks as JSON: Gradio refuses the checkboxes as an input while they still have values of other data
    chosen = hidden_text()
    methods, inputs = [settings["sampling"], settings["balancing"]], [patterns, chosen, *(settings[name] for name in OUTLOOK)]
    gr.on([widget.change for widget in methods], insight.method_html, methods, method, **page.quiet)
    tasks.change(json.dumps, tasks, chosen, **page.quiet)
    gr.on([widget.change for widget in inputs], show_outlook, inputs, plan, trigger_mode="always_last", **page.quiet)


def show_outlook(patterns: str, chosen: str, sampling: str, temperature: str, *numbers: str) -> str:
    """How many rows of each task a step and an epoch will have; nothing while a field is empty or wrong."""
    with suppress(TypeError, ValueError):
        batch, accumulation, epochs = (int(number) for number in numbers)
        degree, step_rows = float(temperature), batch * accumulation
        if patterns and chosen and min(step_rows, epochs, degree) >= 1:
            return insight.outlook_html(json.loads(patterns), json.loads(chosen), sampling, degree, step_rows, epochs)
    return ""


class InsightPanel:
    """Whether the tasks of the shown run disagree."""

    def __init__(self, page: Page) -> None:
        self.page = page
        with gr.Accordion("Do the tasks disagree?", open=False, elem_id="insight") as box:
            self.text, self.legend = gr.HTML(elem_id="reading"), gr.HTML()
            plot = {"x": "step", "color": "series", "colors_in_legend": [], "show_label": False, "height": 200}
            self.norms = gr.LinePlot(y="norm", title="Length of each task's gradient", elem_id="norm-plot", **plot)
            self.weights = gr.LinePlot(y="weight", title="Weight of each task's loss", elem_id="weight-plot", **plot)
        self.due, self.cursor = hidden_text(), hidden_text()  # the cursors that is due, and that is shown
        timer = gr.Timer(4.0, active=False)  # nothing changes fast here; while the panel is closed it is not polled

        who, quiet = [page.run_id, self.cursor], page.quiet
        gr.on([timer.tick, box.expand, page.run_id.change], self.poll, who, self.due, **quiet)
        for event, is_open in ((box.expand, True), (box.collapse, False)):
            event(lambda is_open=is_open: gr.Timer(active=is_open), None, timer, **quiet)
        self.due.change(self.show, who, [self.text, self.legend, self.norms, self.weights, self.cursor], **quiet)

    def _now(self, run_id: str, cursor: str) -> tuple[History | None, Cursor]:
        """The history of the run and the cursor that is due; none and an empty one before it begins, and if plots must be emptied first."""
        with suppress(MtlError):
            history = self.page.jobs.history(run_id) if run_id else None
            if history and history.started:
                due = Cursor(run_id, "both", len(history.diagnoses), f"{len(history.steps) // 10}/{history.status == 'running'}")
                if not cursor or not Cursor.read(cursor).must_empty(due):
                    return history, due
        return None, Cursor()

    def poll(self, run_id: str, cursor: str) -> str:
        """The cursor that is due: changes with every comparison of gradients, but not with every step."""
        return str(self._now(run_id, cursor)[1])

    def show(self, run_id: str, cursor: str) -> Values:
        """Text and plots; the plots keep their colours while the run of `cursor` is shown."""
        history, due = self._now(run_id, cursor)
        if history is None:
            return {self.text: "", self.legend: "", self.norms: None, self.weights: None, self.cursor: ""}
        colours = insight.task_colours(history)
        lines = {self.norms: insight.norm_lines(history), self.weights: insight.weight_lines(history)}
        if not cursor:
            lines = {plot: gr.LinePlot(value=data, color_map=colours) for plot, data in lines.items()}
        balancing = open_run(self.page.jobs.root, run_id).config.balancing
        return lines | {self.text: insight.insight_html(history, balancing), self.legend: legend_html(colours), self.cursor: str(due)}
