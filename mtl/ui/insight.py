"""How the tasks get along, as the page shows it: what their gradients say, in a sentence, as a heat map and as curves; and what the loss
weights do. Pure functions of a run's history."""

import html
import math
from collections.abc import Sequence
from operator import itemgetter
from statistics import median

import numpy as np

from mtl.runs.events import GradientConflict
from mtl.runs.history import History
from mtl.settings.methods import METHODS, SAMPLINGS_FOR
from mtl.text import isolate, many
from mtl.training.sampling import outlook
from mtl.ui.charts import HUES, PlotData, apart, curves, line_data, plain, thin

COLUMNS, CELLS = 60, 180  # of the heat map: at most so many columns, and about so many cells in all
MOST, PLOT_BYTES = 150, 13_000  # points per series of these plots, and what each may carry
AGAINST = -0.1  # a cosine from which on two gradients are said to disagree: near 0, chance decides the sign
RARELY, OFTEN = 0.2, 0.5  # shares of the looks in which two tasks disagree
LONGER = 4  # times as long as another's: a gradient that drowns it
NORM_COLUMNS, WEIGHT_COLUMNS = ["step", "norm", "series"], ["step", "weight", "series"]


def reading(diagnoses: list[GradientConflict], balancing: str) -> str:
    """What the looks say, in a sentence or three, for somebody who has never seen a gradient."""
    if not diagnoses:
        return "No gradients were compared yet."
    cosines = _cosines(diagnoses)
    counts = (~np.isnan(cosines)).sum(0)
    if not counts.any():
        return "The gradients were too small to compare."
    against = (cosines < AGAINST).sum(0) / np.maximum(counts, 1)  # NaN is below nothing
    (one, other, _), share = diagnoses[0].cosines[against.argmax()], against.max()
    worst = f"{isolate(one)} and {isolate(other)}"
    looks = many(len(diagnoses), "look")
    is_gradient = METHODS[balancing].is_gradient
    if share < RARELY:
        words = "The tasks rarely disagree" + (": this gradient method changes little; 'equal' would do." if is_gradient
                                               else ": a gradient method would change little.")
    elif share < OFTEN:
        words = f"{worst} sometimes disagree (in {share:.0%} of {looks}): small batches alone can do that."
    else:
        words = f"{worst} often disagree (in {share:.0%} of {looks})" + (
            "." if is_gradient else ": PCGrad or UPGrad may be worth a try. 'Did it help?' in the Compare tab tells whether training these "
            "tasks together helps.")
    norms = {task: median([look.norms[task] for look in diagnoses]) for task in diagnoses[0].norms}
    longest, shortest = max(norms, key=norms.get), min(norms, key=norms.get)
    if norms[shortest] > 0 and norms[longest] / norms[shortest] >= LONGER:
        long, short = isolate(longest), isolate(shortest)
        words += (f" The gradient of {long} is {norms[longest] / norms[shortest]:.0f} times as long as that of {short}: the encoder "
                  f"learns mostly from {long}. A larger loss weight for {short} would change that.")
    return words


def insight_html(history: History, balancing: str) -> str:
    """The sentence, and for each pair of tasks a row of cells over the steps: blue where their gradients agree, red where they do not."""
    if not history.started:
        return ""
    if len(history.started.tasks) < 2:
        return "<p>This run has one task. Gradients are compared where there are several.</p>"
    if not history.diagnoses:
        return "<p>No gradients were compared yet. They are if 'Diagnose every' is above 0 and the encoder is trained.</p>"
    cosines, looks, pairs = _cosines(history.diagnoses), len(history.diagnoses), history.diagnoses[0].cosines
    edges = np.linspace(0, looks, 1 + min(COLUMNS, max(1, CELLS // len(pairs)), looks)).astype(int)
    steps = [history.diagnoses[edge - 1].step for edge in edges[1:]]
    means, whole = _means(cosines, edges[:-1]), _means(cosines, [0])[0]
    rows = "".join(_heat_row(f"{apart(one)} and {apart(other)}", steps, means[:, place], whole[place])
                   for place, (one, other, _) in enumerate(pairs))
    first, last = history.diagnoses[0].step, history.diagnoses[-1].step
    return (f'<div class="mtl-report"><p>{html.escape(reading(history.diagnoses, balancing))}</p>'
            f"<p><b>Do their gradients point the same way?</b> Steps {first:,} to {last:,}; on the encoder's last layer. "
            '<span class="mtl-agree">same way</span> <span class="mtl-disagree">against each other</span></p>'
            f'<div class="mtl-heat">{rows}</div></div>')


def _cosines(diagnoses: list[GradientConflict]) -> np.ndarray:
    """(looks, pairs); NaN where a gradient was too small."""
    return np.array([[*map(itemgetter(2), look.cosines)] for look in diagnoses], np.float64)


def _means(cosines: np.ndarray, starts: Sequence[int]) -> np.ndarray:
    """For each pair the means of the looks from each of `starts` to the next (starts, pairs); NaN where none is known."""
    known = ~np.isnan(cosines)
    sums, counts = (np.add.reduceat(values, starts, axis=0) for values in (np.where(known, cosines, 0.0), known.astype(int)))
    return np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)


def _heat_row(name: str, steps: list[int], cosines: np.ndarray, mean: float) -> str:
    """One pair, whose `name` is HTML: a cell for each of `steps`, the last one of those whose mean it shows."""
    cells = []
    for step, cosine in zip(steps, cosines.tolist(), strict=True):
        if math.isnan(cosine):
            cells.append("<i></i>")
            continue
        colour = "#2563eb" if cosine >= 0 else "#dc2626"
        cells.append(f'<i style="background:{colour};opacity:{0.12 + 0.88 * min(1, 2 * abs(cosine)):.2f}" '
                     f'title="step {step:,}: cosine {cosine:+.2f}"></i>')
    told = "-" if math.isnan(mean) else f"{mean:+.2f}"
    return f"<b>{name}</b><span>{''.join(cells)}</span><small>mean {told}</small>"


def norm_lines(history: History) -> PlotData:
    """How long each task's gradient is, over steps."""
    looks, tasks = thin(history.diagnoses, MOST), list(history.started.tasks)
    norms = [[*map(look.norms.get, tasks)] for look in looks]
    return line_data(curves(list(map(plain, tasks)), looks, norms), NORM_COLUMNS, PLOT_BYTES, MOST)


def weight_lines(history: History) -> PlotData:
    """The weight of each task's loss, over steps, a little smoothed: random ones would be a carpet."""
    tasks = list(history.started.tasks)
    weights = [[*map(step.weights.get, tasks)] for step in history.steps]
    return line_data(curves(list(map(plain, tasks)), history.steps, weights, smoothing=0.6), WEIGHT_COLUMNS, PLOT_BYTES, MOST)


def task_colours(history: History) -> dict[str, str]:
    """A colour for every task."""
    return {plain(task): hues[0] for task, hues in zip(history.started.tasks, HUES, strict=False)}


def method_html(sampling: str, balancing: str) -> str:
    """When to use a sampling and a balancing, where the latter is from, and what it costs."""
    method = METHODS[balancing]
    cite, _, link = method.paper.rpartition(", ")
    cost = "no slower than the plain sum" if method.cost < 1.05 else (
        f"a step takes {method.cost:.1f} times as long as the plain sum's, {method.cost_apart:.1f} times where tasks have their own rows")
    return (f'<div class="mtl-report"><p><b>Sampling {sampling}</b>: {html.escape(SAMPLINGS_FOR[sampling])}</p>'
            f"<p><b>{method.title}</b>: {method.when} Cost: {cost} (measured on three tasks). "
            f'<a href="{link}" target="_blank" rel="noopener">{cite}</a></p></div>')


def outlook_html(patterns: list[tuple[list[str], int]], tasks: list[str], sampling: str, temperature: float, step_rows: int,
                 epochs: int) -> str:
    """How many rows of each task a step and an epoch will see. `patterns`: which tasks are labelled together on how many rows."""
    sizes = {task: sum(count for labelled, count in patterns if task in labelled) for task in tasks}
    rows = sum(count for labelled, count in patterns if set(labelled) & set(tasks))
    seen = outlook(sampling, sizes, rows, step_rows, epochs, temperature)
    if not seen.steps:
        return ""
    told = []
    for task, first in seen.first.items():
        last = seen.last[task]
        then = f" at first, {last / seen.steps:.1f} and {last:,} at the end" if first != last else ""
        told.append(f"<b>{apart(task)}</b> {first / seen.steps:.1f} a step and {first:,} an epoch{then}")
    return (f'<div class="mtl-report"><p>{many(step_rows, "row")} a step, {many(seen.steps, "step")} an epoch. Rows that teach each task: '
            + "; ".join(told) + ".</p></div>")
