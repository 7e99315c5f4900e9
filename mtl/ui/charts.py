"""From a run's history to what the page shows of it: the data of plots, tables, the log. Knows pandas and NumPy, but not Gradio."""

import html
import time
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
import orjson
import pandas as pd

from mtl.runs.events import Evaluated, Event, RunStarted, describe
from mtl.runs.history import History
from mtl.text import isolate

MAX_POINTS = 300  # per series: a plot cannot show more
# upper limits of what one poll sends, for a run of any length with any number of tasks
LOSS_BYTES, SCORE_BYTES, LOG_BYTES = 20_000, 11_000, 12_000
DIGITS = 5  # significant digits of a value in a plot
# per task: the colours of its training loss and, lighter, of its validation loss; both are legible on white and on near black
HUES = [("#2563eb", "#6fa8ff"), ("#c2410c", "#fb9a5a"), ("#15803d", "#4fce7e"), ("#7e22ce", "#bd83f5"),
        ("#be123c", "#fb7f96"), ("#0f766e", "#3ac7b5"), ("#a16207", "#dfae2b"), ("#475569", "#94a3b8")]
# colours of entity types: names, because Gradio draws these as pastels that are legible in both themes, and hex colours it does not
PALETTE = ("red", "green", "blue", "yellow", "purple", "teal", "orange", "cyan", "lime", "pink")
EVERYTHING, EVERYTHING_COLOUR = "everything right", "#8b8b8b"
LAST_COLUMNS = ["task", "kind", "train loss", "validation loss", "validation scores"]
LOSS_COLUMNS, SCORE_COLUMNS = ["step", "loss", "series"], ["step", "score", "series"]
Curve = tuple[np.ndarray, np.ndarray]  # steps, and the values at them
PlotData = dict[str, Any]  # the form in which Gradio sends plots to the browser; making it from a DataFrame takes four times as long


def colours(names: Iterable[str], palette: Sequence[str] = PALETTE) -> dict[str, str]:
    """A colour of the palette for each name. That of a label does not depend on the sentence."""
    return {name: palette[index % len(palette)] for index, name in enumerate(names)}


def loss_colours(started: RunStarted) -> dict[str, str]:
    """The colour of every series of the loss plot."""
    return {f"{plain(task)} {split}": hue for task, hues in zip(started.tasks, HUES, strict=False)
            for split, hue in zip(("train", "validation"), hues, strict=True)}


def score_colours(started: RunStarted) -> dict[str, str]:
    """The colour of every series of the score plot: each task's main score, and the share of rows with everything right."""
    names = [f"{plain(task)} {facts['main_score']}" for task, facts in started.tasks.items()]
    return dict(zip(names, (hue for hue, _ in HUES), strict=False)) | {EVERYTHING: EVERYTHING_COLOUR}


def loss_lines(history: History, smoothing: float) -> PlotData:
    """Training loss (smoothed) and validation loss (as measured) per task over steps."""
    tasks = list(history.started.tasks)
    train, validation = task_curves(tasks, history.steps, "losses", smoothing), task_curves(tasks, validations(history), "losses")
    lines = chain(*zip(train.values(), validation.values(), strict=True))
    return line_data(dict(zip(loss_colours(history.started), lines, strict=True)), LOSS_COLUMNS, LOSS_BYTES)


def score_lines(history: History) -> PlotData:
    """The main validation score of every task, and the share of rows with everything right, over steps."""
    evaluations, tasks = validations(history), history.started.tasks
    values = [[*(main_score(event, task, facts) for task, facts in tasks.items()), event.everything_right] for event in evaluations]
    return line_data(curves(list(score_colours(history.started)), evaluations, values), SCORE_COLUMNS, SCORE_BYTES)


def validations(history: History) -> list[Evaluated]:
    """The evaluations on the validation rows, thinned to what a plot can show."""
    return thin([event for event in history.evaluations if event.split == "validation"])


def main_score(evaluated: Evaluated, task: str, facts: dict) -> float | None:
    """The score that counts for `task`, whose `facts` are those of RunStarted; None where it was not measured."""
    return evaluated.scores.get(task, {}).get(facts["main_score"])


def task_curves(tasks: Sequence[str], events: Sequence[Event], field: str, smoothing: float = 0.0) -> dict[str, Curve]:
    """The curve of each task, whose values are in the dict called `field` of each event."""
    return curves(tasks, events, [[*map(getattr(event, field).get, tasks)] for event in events], smoothing)


def curves(names: Sequence[str], events: Sequence[Event], values: list[list[float | None]], smoothing: float = 0.0) -> dict[str, Curve]:
    """The curve of each of `names`. `values` (events, names) are its values at the steps of `events`; None leaves a gap. Smoothing is an
    exponential moving average with Adam's bias correction, so that a curve does not start near 0."""
    steps = np.array([event.step for event in events], np.int64)
    table = pd.DataFrame(np.array(values, np.float64).reshape(len(events), len(names)))
    smoothed = table.ewm(alpha=1 - smoothing, ignore_na=True).mean() if smoothing else table
    return {name: (steps[known], column[known]) for name, column, known in zip(
        names, smoothed.to_numpy().T, table.notna().to_numpy().T, strict=True)}


def thin(points: Sequence, most: int = MAX_POINTS) -> list:
    """At most `most` of `points`, evenly spread; the first and the last are kept."""
    return [points[place] for place in np.linspace(0, len(points) - 1, min(len(points), most)).round().astype(int)]


def last_values(history: History) -> pd.DataFrame:
    """One row per task: its last losses, and all its scores at the last evaluation."""
    last = next((event for event in reversed(history.evaluations) if event.split == "validation"), None)
    losses, scores = (last.losses, last.scores) if last else ({}, {})
    rows = []
    for task, facts in (history.started.tasks if history.started else {}).items():
        train = next((step.losses[task] for step in reversed(history.steps) if step.losses.get(task) is not None), None)
        shown = [f"{name.replace('_', ' ')} {value:.1%}" for name, value in scores.get(task, {}).items()]
        rows.append([task, facts["kind"], *("-" if loss is None else f"{loss:.4f}" for loss in (train, losses.get(task))),
                     ", ".join(shown) or "-"])
    return pd.DataFrame(rows, columns=LAST_COLUMNS)


def log_lines(history: History, most: int = 200) -> str:
    """The last events, one per line, newest first; not more than a poll may send."""
    lines, size = [], 0
    for at in reversed(history.entries[-most:]):
        lines.append(f"{time.strftime('%H:%M:%S', time.localtime(at.time))}  {describe(at.event)}")
        size += len(lines[-1].encode()) + 1
        if size > LOG_BYTES:
            return "\n".join(lines[:-1] or lines)
    return "\n".join(lines)


def plain(text: str) -> str:
    """A user's text as a label in a plot, whose renderer takes '<' for markup."""
    return isolate(text.replace("<", "\u2039").replace(">", "\u203a"))


def apart(text: str) -> str:
    """A user's text as HTML: escaped, and isolated, because right-to-left text would reorder its neighbours."""
    return f"<bdi>{html.escape(text)}</bdi>"


class Markup(str):
    """A text that is HTML already, with what the user wrote escaped."""


def table_html(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table that scrolls sideways if it is too wide. Cells are plain text, or Markup."""
    def line(cells: Sequence[str], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{cell if isinstance(cell, Markup) else apart(cell)}</{tag}>" for cell in cells) + "</tr>"

    body = "".join(line(row, "td") for row in rows)
    return f'<div class="mtl-scroll"><table><thead>{line(head, "th")}</thead><tbody>{body}</tbody></table></div>'


def line_data(series: Mapping[str, Curve], columns: list[str], size: int, most: int = MAX_POINTS) -> PlotData:
    """The data of a line plot, in `columns` step, value, series: about `size` bytes of JSON, at most `most` points per series. Each series
    begins with an empty row, so that its colour and its place in the legend are fixed before its first point."""
    room = size // (20 + max(len(name.encode()) for name in series)) - len(series)
    most = min(most, points_each((len(steps) for steps, _ in series.values()), room))
    rows = [[0, None, name] for name in series]
    for name, (steps, values) in series.items():
        places = thin(range(len(steps)), most)
        rows += [[step, float(f"{value:.{DIGITS}g}"), name] for step, value in zip(steps[places].tolist(), values[places], strict=True)]
    # the rows go as finished JSON: Gradio would search every cell for files, three times, which is slower than all the rest
    return {"columns": columns, "data": orjson.Fragment(orjson.dumps(rows)), "mark": "line",
            "datatypes": dict(zip(columns, ("quantitative", "quantitative", "nominal"), strict=True))}


def points_each(lengths: Iterable[int], room: int) -> int:
    """How many points each series may have if all share `room` points, and short series leave theirs to the others; at least 2."""
    waiting, each = sorted(lengths), room
    while waiting and waiting[0] <= (each := room // len(waiting)):
        room -= waiting.pop(0)
    return max(2, each)
