"""Whether the tasks disagree, as the page shows it: their gradients as a sentence, a heat map and curves; the loss weights as curves; and
what the settings will do. Pure functions of a run's history and settings."""

import html
import math
from collections.abc import Iterable, Sequence
from operator import itemgetter
from statistics import median

import numpy as np
import pandas as pd

from mtl.runs.events import Event, GradientConflict
from mtl.runs.history import History
from mtl.settings.methods import METHODS, SAMPLINGS
from mtl.text import isolate, many
from mtl.training.sampling import outlook
from mtl.ui.charts import HUES, PlotData, apart, line_data, plain, task_curves, thin

COLUMNS, CELLS = 60, 180  # of the heat map: at most so many columns, and about so many cells in all
MAX_POINTS, PLOT_BYTES = 150, 13_000  # points per series of these plots, and bytes of a plot
AGAINST = -0.1  # below this cosine two gradients disagree; nearer to 0 the sign is chance
RARELY, OFTEN = 0.2, 0.5  # shares of the comparisons in which two tasks disagree
LONGER = 4  # a gradient so many times as long as another one dominates it


def summary(diagnoses: list[GradientConflict], balancing: str) -> str:
    """What the comparisons of the tasks' gradients mean, in one to three sentences."""
    cosines = _cosines(diagnoses)
    if cosines.isna().all(axis=None):
        return "The gradients were too small to compare."
    against = (cosines < AGAINST).sum() / cosines.count()  # of each pair; NaN < AGAINST is False
    (one, other, _), share = diagnoses[0].cosines[against.idxmax()], against.max()
    worst = f"{isolate(one)} and {isolate(other)}"
    measured = f"in {share:.0%} of {many(len(diagnoses), 'comparison')}"
    is_gradient = METHODS[balancing].is_gradient
    if share < RARELY:
        text = "The tasks rarely disagree, so " + ("Balancing 'equal' would do as well." if is_gradient
                                                   else "Balancing 'pcgrad' or 'upgrad' would change little.")
    elif share < OFTEN:
        text = f"{worst} sometimes disagree ({measured}). Small batches alone can cause that."
    else:
        text = f"{worst} often disagree ({measured})." + ("" if is_gradient else (
            " Try Balancing 'pcgrad' or 'upgrad'. To see whether training these tasks together helps, open the Compare tab."))
    norms = {task: median([event.norms[task] for event in diagnoses]) for task in diagnoses[0].norms}
    longest, shortest = max(norms, key=norms.get), min(norms, key=norms.get)
    if norms[shortest] > 0 and (ratio := norms[longest] / norms[shortest]) >= LONGER:
        long, short = isolate(longest), isolate(shortest)
        text += (f" The gradient of {long} is {ratio:.0f} times as long as that of {short}, so the encoder learns mostly from {long}. A "
                 f"larger loss weight for {short} would change that.")
    return text


def insight_html(history: History, balancing: str) -> str:
    """The summary, and for each pair of tasks a row of cells over the steps: blue where their gradients agree, red where they do not."""
    if not history.started:
        return ""
    if len(history.started.tasks) < 2:
        return "<p>This run has only one task, so there is nothing to compare.</p>"
    if not history.diagnoses:
        return "<p>No gradients were compared yet. They are if 'Diagnose every' is above 0 and the encoder is trained.</p>"
    cosines, count, pairs = _cosines(history.diagnoses), len(history.diagnoses), history.diagnoses[0].cosines
    columns = min(COLUMNS, max(1, CELLS // len(pairs)), count)
    means = cosines.groupby(np.arange(count) * columns // count).mean().to_numpy().T.tolist()  # [pair][column]
    steps = [history.diagnoses[math.ceil((column + 1) * count / columns) - 1].step for column in range(columns)]
    rows = "".join(_heat_row(f"{apart(one)} and {apart(other)}", steps, of_pair, mean)
                   for (one, other, _), of_pair, mean in zip(pairs, means, cosines.mean(), strict=True))
    first, last = history.diagnoses[0].step, history.diagnoses[-1].step
    return (f'<div class="mtl-report"><p>{html.escape(summary(history.diagnoses, balancing))}</p>'
            "<p>A gradient is the change of the encoder that would help one task most. <b>Do the gradients of two tasks agree?</b> "
            f"Steps {first:,} to {last:,}, measured on the encoder's last layer. "
            '<span class="mtl-agree">they agree</span> <span class="mtl-disagree">they disagree</span></p>'
            f'<div class="mtl-heat">{rows}</div></div>')


def _cosines(diagnoses: list[GradientConflict]) -> pd.DataFrame:
    """(comparisons, pairs); NaN where a gradient was too small."""
    return pd.DataFrame(np.array([[*map(itemgetter(2), event.cosines)] for event in diagnoses], np.float64))


def _heat_row(name: str, steps: list[int], cosines: Iterable[float], mean: float) -> str:
    """The row of one pair, whose `name` is HTML. A cell shows the mean of several comparisons; its step is that of the last one."""
    cells = ["<i></i>" if math.isnan(cosine) else
             f'<i style="background:{"#2563eb" if cosine >= 0 else "#dc2626"};opacity:{0.12 + 0.88 * min(1, 2 * abs(cosine)):.2f}" '
             f'title="step {step:,}: cosine {cosine:+.2f}"></i>' for step, cosine in zip(steps, cosines, strict=True)]
    return f"<b>{name}</b><span>{''.join(cells)}</span><small>mean {'-' if math.isnan(mean) else f'{mean:+.2f}'}</small>"


def norm_lines(history: History) -> PlotData:
    """The length of each task's gradient over steps."""
    return _task_lines(history, thin(history.diagnoses, MAX_POINTS), "norm", 0.0)


def weight_lines(history: History) -> PlotData:
    """The weight of each task's loss over steps, smoothed a little, because weights may be random."""
    return _task_lines(history, history.steps, "weight", 0.6)


def _task_lines(history: History, events: Sequence[Event], column: str, smoothing: float) -> PlotData:
    lines = task_curves(list(history.started.tasks), events, f"{column}s", smoothing)
    return line_data({plain(task): line for task, line in lines.items()}, ["step", column, "series"], PLOT_BYTES, MAX_POINTS)


def task_colours(history: History) -> dict[str, str]:
    """A colour for every task."""
    return {plain(task): hues[0] for task, hues in zip(history.started.tasks, HUES, strict=False)}


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
                 epochs: int) -> str:
    """How many rows of each task a step and an epoch will have. `patterns`: tasks that are labelled together, and on how many rows."""
    sizes = {task: sum(count for labelled, count in patterns if task in labelled) for task in tasks}
    rows = sum(count for labelled, count in patterns if set(labelled) & set(tasks))
    seen = outlook(sampling, sizes, rows, step_rows, epochs, temperature)
    if not seen.steps:
        return ""
    shares = []
    for task, first in seen.first.items():
        last = seen.last[task]
        later = f" at first, {last / seen.steps:.1f} and {last:,} at the end" if first != last else ""
        shares.append(f"<b>{apart(task)}</b> {first / seen.steps:.1f} per step and {first:,} per epoch{later}")
    return (f'<div class="mtl-report"><p>{many(step_rows, "row")} per step, {many(seen.steps, "step")} per epoch. Rows with a label for '
            f"each task: {'; '.join(shares)}.</p></div>")
