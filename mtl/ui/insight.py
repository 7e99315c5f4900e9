"""How the tasks get along, as the page shows it: what their gradients say, in a sentence, as a heat map and as curves; and what the loss
weights do. Pure functions of a run's history."""

import html
from statistics import fmean, median

import pandas as pd

from mtl.events import Diagnosed
from mtl.methods import METHODS, SAMPLINGS_FOR
from mtl.runs import History
from mtl.sampling import outlook
from mtl.ui.charts import HUES, line_frame, plain, smooth

COLUMNS, CELLS = 60, 180  # of the heat map: at most so many columns, and about so many cells in all
MOST, PLOT_BYTES = 150, 13_000  # points per series of these plots, and what each may carry
AGAINST = -0.1  # a cosine from which on two gradients are said to disagree: near 0, chance decides the sign
RARELY, OFTEN = 0.2, 0.5  # shares of the looks in which two tasks disagree
LONGER = 4  # times as long as another's: a gradient that drowns it
NORM_COLUMNS, WEIGHT_COLUMNS = ["step", "norm", "series"], ["step", "weight", "series"]


def reading(diagnoses: list[Diagnosed], balancing: str) -> str:
    """What the looks say, in a sentence or three, for somebody who has never seen a gradient."""
    if not diagnoses:
        return "Nothing was looked at yet."
    pairs = [(one, other, [look.cosines[place][2] for look in diagnoses if look.cosines[place][2] is not None])
             for place, (one, other, _) in enumerate(diagnoses[0].cosines)]
    pairs = [(one, other, cosines) for one, other, cosines in pairs if cosines]
    if not pairs:
        return "The gradients were too small to compare."
    against = {(one, other): fmean(cosine < AGAINST for cosine in cosines) for one, other, cosines in pairs}
    worst, share = max(against.items(), key=lambda entry: entry[1])
    looks = f"{len(diagnoses)} look{'s' * (len(diagnoses) != 1)}"
    is_gradient = METHODS[balancing].is_gradient
    if share < RARELY:
        words = "The tasks rarely disagree" + (": this gradient method changes little; 'equal' would do." if is_gradient
                                               else ": a gradient method would change little.")
    elif share < OFTEN:
        words = f"{worst[0]} and {worst[1]} sometimes disagree (in {share:.0%} of {looks}): small batches alone can do that."
    else:
        words = f"{worst[0]} and {worst[1]} often disagree (in {share:.0%} of {looks})" + (
            "." if is_gradient else ": PCGrad or UPGrad may be worth a try, and 'Did it help?' tells whether they belong together.")
    norms = {task: median(look.norms[task] for look in diagnoses) for task in diagnoses[0].norms}
    longest, shortest = max(norms, key=norms.get), min(norms, key=norms.get)
    if norms[shortest] > 0 and norms[longest] / norms[shortest] >= LONGER:
        words += (f" The gradient of {longest} is {norms[longest] / norms[shortest]:.0f} times as long as that of {shortest}: the encoder "
                  f"listens mostly to {longest}. A larger loss weight for {shortest} would change that.")
    return words


def insight_html(history: History, balancing: str) -> str:
    """The sentence, and for each pair of tasks a row of cells over the steps: blue where their gradients agree, red where they do not."""
    if not history.started:
        return ""
    if len(history.started.tasks) < 2:
        return "<p>One task has nobody to get along with.</p>"
    if not history.diagnoses:
        return "<p>The tasks' gradients are compared every few steps, if 'Diagnose every' is above 0 and the encoder is trained.</p>"
    rows = "".join(_heat_row(history.diagnoses, place, f"{one} and {other}")
                   for place, (one, other, _) in enumerate(history.diagnoses[0].cosines))
    first, last = history.diagnoses[0].step, history.diagnoses[-1].step
    return (f'<div class="mtl-report"><p>{html.escape(reading(history.diagnoses, balancing))}</p>'
            f"<p><b>Do their gradients point the same way?</b> Steps {first:,} to {last:,}; on the encoder's last layer. "
            '<span class="mtl-agree">same way</span> <span class="mtl-disagree">against each other</span></p>'
            f'<div class="mtl-heat">{rows}</div></div>')


def _heat_row(diagnoses: list[Diagnosed], place: int, name: str) -> str:
    """One pair; where there are more looks than columns, a cell is the mean of its neighbours."""
    columns = min(COLUMNS, max(1, CELLS // len(diagnoses[0].cosines)), len(diagnoses))
    cells = []
    for column in range(columns):
        part = diagnoses[column * len(diagnoses) // columns:(column + 1) * len(diagnoses) // columns]
        known = [look.cosines[place][2] for look in part if look.cosines[place][2] is not None]
        if not known:
            cells.append("<i></i>")
            continue
        cosine = fmean(known)
        colour = "#2563eb" if cosine >= 0 else "#dc2626"
        cells.append(f'<i style="background:{colour};opacity:{0.12 + 0.88 * min(1, 2 * abs(cosine)):.2f}" '
                     f'title="step {part[-1].step:,}: cosine {cosine:+.2f}"></i>')
    values = [look.cosines[place][2] for look in diagnoses if look.cosines[place][2] is not None]
    mean = f"{fmean(values):+.2f}" if values else "-"
    return f"<b>{html.escape(name)}</b><span>{''.join(cells)}</span><small>mean {mean}</small>"


def norm_frame(history: History) -> pd.DataFrame:
    """How long each task's gradient is, over steps."""
    series = {plain(task): [(look.step, look.norms[task]) for look in history.diagnoses if task in look.norms]
              for task in history.started.tasks}
    return line_frame(series, NORM_COLUMNS, PLOT_BYTES, MOST)


def weight_frame(history: History) -> pd.DataFrame:
    """The weight of each task's loss, over steps, a little smoothed: random ones would be a carpet."""
    series = {plain(task): smooth([(step.step, step.weights[task]) for step in history.steps if task in step.weights], 0.6)
              for task in history.started.tasks}
    return line_frame(series, WEIGHT_COLUMNS, PLOT_BYTES, MOST)


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
        told.append(f"<b>{html.escape(task)}</b> {first / seen.steps:.1f} a step and {first:,} an epoch{then}")
    return (f'<div class="mtl-report"><p>{step_rows:,} rows a step, {seen.steps:,} steps an epoch. Of them with a label that is used: '
            + "; ".join(told) + ".</p></div>")
