"""How the tasks get along, as the page shows it: gradients and loss weights; and what the settings will do. Functions, then two panels."""

import html
import json
import math
from collections.abc import Iterable
from contextlib import suppress

import gradio as gr
import numpy as np
import pandas as pd

from mtl.comparing.advice import Advice, advise, cosines_of
from mtl.errors import MtlError
from mtl.runs.folder import open_run
from mtl.runs.history import History
from mtl.settings.methods import METHODS, SAMPLINGS
from mtl.settings.rates import EPOCHS, auto_epochs
from mtl.text import many
from mtl.training.sampling import outlook
from mtl.ui import form
from mtl.ui.charts import apart
from mtl.ui.curves import draw
from mtl.ui.page import Page, Values, hidden_text

COLUMNS, CELLS = 60, 180  # of the heat map: at most so many columns, and about so many cells in all
CLOSED = "closed"
IF_OPEN = f"(run) => document.getElementById('reading')?.offsetParent ? run : '{CLOSED}'"  # nobody sees what is in a closed panel
OUTLOOK = ("sampling", "temperature", "batch_size", "accumulation", "epochs")


def insight_html(history: History, advice: Advice) -> str:
    """The advice, and for each pair of tasks a row of cells over the steps: blue where their gradients agree, red where they do not."""
    if not history.diagnoses:
        return f"<p>{html.escape(advice.sentence)}</p>"
    cosines, count, pairs = pd.DataFrame(cosines_of(history)), len(history.diagnoses), history.diagnoses[0].cosines
    columns = min(COLUMNS, max(1, CELLS // len(pairs)), count)
    means = cosines.groupby(np.arange(count) * columns // count).mean().to_numpy().T.tolist()  # [pair][column]
    steps = [history.diagnoses[math.ceil((column + 1) * count / columns) - 1].step for column in range(columns)]
    rows = "".join(_heat_row(f"{apart(one)} and {apart(other)}", steps, of_pair, mean)
                   for (one, other, _), of_pair, mean in zip(pairs, means, cosines.mean(), strict=True))
    return (f'<div class="mtl-report"><p>{html.escape(advice.sentence)}</p>'
            "<p>Each task pulls the encoder its own way: this pull, its gradient, is the change that would help it most. <b>Do those "
            f"of two tasks agree?</b> Steps {history.diagnoses[0].step:,} to {steps[-1]:,}, measured on the encoder's last layer. "
            '<span class="mtl-agree">they agree</span> <span class="mtl-disagree">they disagree</span></p>'
            f'<div class="mtl-heat">{rows}</div></div>')


def _heat_row(name: str, steps: list[int], cosines: Iterable[float], mean: float) -> str:
    """The row of one pair, whose `name` is HTML. A cell shows the mean of several comparisons; its step is that of the last one."""
    cells = ["<i></i>" if math.isnan(cosine) else
             f'<i style="background:{"#2563eb" if cosine >= 0 else "#dc2626"};opacity:{0.12 + 0.88 * min(1, 2 * abs(cosine)):.2f}" '
             f'title="step {step:,}: cosine {cosine:+.2f}"></i>' for step, cosine in zip(steps, cosines, strict=True)]
    return f"<b>{name}</b><span>{''.join(cells)}</span><small>mean {'-' if math.isnan(mean) else f'{mean:+.2f}'}</small>"


def method_html(sampling: str, balancing: str) -> str:
    """When to use a sampling and a balancing; the source and the cost of the latter."""
    method = METHODS[balancing]
    cite, _, link = method.paper.rpartition(", ")
    cost = "no extra time" if method.cost < 1.05 else (
        f"a step takes {method.cost:.1f} times as long as with 'equal', or {method.cost_apart:.1f} times if each row has one task only")
    return (f'<div class="mtl-report"><p><b>Sampling {sampling}</b>: {html.escape(SAMPLINGS[sampling].when)}</p>'
            f"<p><b>{method.title}</b>: {method.when} Cost: {cost} (measured with three tasks). "
            f'<a href="{link}" target="_blank" rel="noopener">{cite}</a></p></div>')


def outlook_html(patterns: list[tuple[list[str], int]], tasks: list[str], sampling: str, temperature: float, step_rows: int,
                 epochs: int | None) -> str:
    """How many rows of each task a step and an epoch will have. `patterns`: tasks that are labelled together, and on how many rows."""
    sizes = {task: sum(count for labelled, count in patterns if task in labelled) for task in tasks}
    rows = sum(count for labelled, count in patterns if set(labelled) & set(tasks))
    steps, at_first, at_end = outlook(sampling, sizes, rows, step_rows, epochs or EPOCHS, temperature)
    if not steps:
        return ""
    shares = []
    for task, first in at_first.items():
        last = at_end[task]
        later = f" at first, {last / steps:.1f} and {last:,} at the end" if first != last else ""
        shares.append(f"<b>{apart(task)}</b> {first / steps:.1f} per step and {first:,} per epoch{later}")
    return (f'<div class="mtl-report"><p>{many(step_rows, "row")} per step, {many(steps, "step")} per epoch, '
            f'{many(epochs or auto_epochs(steps), "epoch")}. Rows with a label for each task: {"; ".join(shares)}.</p></div>')


def explain_settings(page: Page, settings: dict[str, gr.components.Component], tasks: gr.CheckboxGroup, patterns: gr.Textbox) -> None:
    """What the chosen methods are for, and how many rows of each task a step will have; `patterns`: tasks that are labelled together."""
    method, plan = gr.HTML(method_html("joint", "even"), elem_id="method"), gr.HTML(elem_id="plan")
    # the chosen tasks as JSON: Gradio refuses the checkboxes as an input while they still have values of other data
    chosen = hidden_text()
    methods, inputs = [settings["sampling"], settings["balancing"]], [patterns, chosen, *(settings[name] for name in OUTLOOK)]
    gr.on([widget.change for widget in methods], method_html, methods, method, **page.quiet)
    tasks.change(json.dumps, tasks, chosen, **page.quiet)
    gr.on([widget.change for widget in inputs], show_outlook, inputs, plan, trigger_mode="always_last", **page.quiet)


def show_outlook(patterns: str, chosen: str, sampling: str, temperature: str, *numbers: str) -> str:
    """How many rows of each task a step and an epoch will have; nothing while a field is empty or wrong."""
    with suppress(TypeError, ValueError):
        batch, accumulation, epochs = (int(number) if number else None for number in numbers)
        degree, step_rows = float(temperature), batch * accumulation
        if patterns and chosen and min(step_rows, epochs or EPOCHS, degree) >= 1:
            return outlook_html(json.loads(patterns), json.loads(chosen), sampling, degree, step_rows, epochs)
    return ""


class InsightPanel:
    """How the tasks of the shown run get along, and a button for what would help the next one."""

    def __init__(self, page: Page) -> None:
        self.page = page
        with gr.Accordion("How the tasks get along", open=False, elem_id="insight") as box:
            self.text = gr.HTML(elem_id="reading")
            self.use = gr.Button(size="sm", visible=False, elem_id="insight-use")
            self.charts = draw("insight-curves", "norms", "weights")
        show = {"fn": self.show, "inputs": page.run_id, "outputs": [self.text, self.use], **page.quiet}
        box.expand(**show)
        gr.on([page.news.change, page.run_id.change], js=IF_OPEN, **show)

    def show(self, run_id: str) -> Values:
        """The comparison of the gradients, and a button for what is advised."""
        if run_id == CLOSED:
            return {}
        with suppress(MtlError):  # none is shown, or it was deleted
            history = self.page.jobs.history(run_id)
            if history.started:
                advice = advise(history, open_run(self.page.jobs.root, run_id).config)
                return {self.text: insight_html(history, advice), self.use: form.offer(advice)}
        return {self.text: "", self.use: form.offer(Advice(""))}
