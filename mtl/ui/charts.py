"""From a run's history to the curves, tables and lines that the page shows. Knows pandas, not Gradio."""

import html
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import orjson
import pandas as pd

from mtl.runs.events import Evaluated, Event, RunStarted, StepDone, describe
from mtl.runs.history import History
from mtl.text import isolate

MAX_POINTS = 300  # per series: more cannot be told apart
# what a poll may carry, however long the run is and however many tasks it has
LOSS_BYTES, SCORE_BYTES, LOG_BYTES = 20_000, 11_000, 12_000
DIGITS = 5  # of a value in a plot
# for each task: its training loss, and lighter its validation loss; both can be told from white and from near black
HUES = [("#2563eb", "#6fa8ff"), ("#c2410c", "#fb9a5a"), ("#15803d", "#4fce7e"), ("#7e22ce", "#bd83f5"),
        ("#be123c", "#fb7f96"), ("#0f766e", "#3ac7b5"), ("#a16207", "#dfae2b"), ("#475569", "#94a3b8")]
# of entity types: the names that Gradio draws in pastels, readable on light and dark; hex colours are not
PALETTE = ("red", "green", "blue", "yellow", "purple", "teal", "orange", "cyan", "lime", "pink")
RIGHT_COLOUR = "#8b8b8b"
EVERYTHING = "everything right"
LAST_COLUMNS = ["task", "kind", "train loss", "validation loss", "validation scores"]
LOSS_COLUMNS, SCORE_COLUMNS = ["step", "loss", "series"], ["step", "score", "series"]
Curve = tuple[np.ndarray, np.ndarray]  # steps, and the values at them
PlotData = dict[str, Any]  # as gradio's plots send it to the page, which they would make from a frame in four times the time


def colours(labels: Sequence[str]) -> dict[str, str]:
    """A colour for each label, the same whatever the sentence."""
    return {label: PALETTE[index % len(PALETTE)] for index, label in enumerate(labels)}


def loss_colours(started: RunStarted) -> dict[str, str]:
    """A colour for every series of the loss plot."""
    return {f"{plain(task)} {split}": hue for task, hues in zip(started.tasks, HUES, strict=False)
            for split, hue in zip(("train", "validation"), hues, strict=True)}


def score_colours(started: RunStarted) -> dict[str, str]:
    """A colour for every series of the score plot: each task's main score, and everything right."""
    colours = {_main_series(task, facts): hues[0] for (task, facts), hues in zip(started.tasks.items(), HUES, strict=False)}
    return colours | {EVERYTHING: RIGHT_COLOUR}


def loss_lines(history: History, smoothing: float) -> PlotData:
    """Training loss (smoothed) and validation loss (as measured) per task over steps."""
    looks, tasks = _validation(history), list(history.started.tasks)
    trained = curves(tasks, history.steps, [[*map(step.losses.get, tasks)] for step in history.steps], smoothing)
    seen = curves(tasks, looks, [[*map(look.losses.get, tasks)] for look in looks])
    series = {f"{plain(task)} {split}": of_split[task] for task in tasks for split, of_split in (("train", trained), ("validation", seen))}
    return line_data(series, LOSS_COLUMNS, LOSS_BYTES)


def score_lines(history: History) -> PlotData:
    """The main validation score of every task, and the share of rows with everything right, over steps."""
    looks, tasks = _validation(history), history.started.tasks
    names = [*(_main_series(task, facts) for task, facts in tasks.items()), EVERYTHING]
    values = [[*(look.scores.get(task, {}).get(facts["main_score"]) for task, facts in tasks.items()), look.everything_right]
              for look in looks]
    return line_data(curves(names, looks, values), SCORE_COLUMNS, SCORE_BYTES)


def _validation(history: History) -> list[Evaluated]:
    """The evaluations, no more of them than can be drawn."""
    return thin([seen for seen in history.evaluations if seen.split == "validation"])


def curves(names: Sequence[str], events: Sequence[Event], values: Sequence[Sequence[float | None]], smoothing: float = 0.0,
           ) -> dict[str, Curve]:
    """The curve of each of `names`, from the values (event, name) that it has at the steps of `events`; None leaves a gap."""
    steps = np.array([event.step for event in events], np.int64)
    table = np.array(values, np.float64).reshape(len(events), len(names))
    smoothed = smooth(table, smoothing) if smoothing else table
    return {name: (steps[known], column[known]) for name, column, known in zip(names, smoothed.T, ~np.isnan(table).T, strict=True)}


def smooth(table: np.ndarray, factor: float) -> np.ndarray:
    """Exponential moving average down each column, debiased (as in Adam) so that its beginning is not drawn to 0. NaN is passed over."""
    return pd.DataFrame(table).ewm(alpha=1 - factor, ignore_na=True).mean().to_numpy()


def thin(points: Sequence, most: int = MAX_POINTS) -> list:
    """At most `most` of `points`, evenly spread, the last one always among them."""
    return [points[place] for place in _places(len(points), most)]


def _places(count: int, most: int) -> list[int]:
    return list(range(count)) if count <= most else [round(index * (count - 1) / (most - 1)) for index in range(most)]


def last_values(history: History) -> pd.DataFrame:
    """One row a task: the last losses and all last validation scores."""
    seen = next((seen for seen in reversed(history.evaluations) if seen.split == "validation"), None)
    rows = []
    for task, facts in (history.started.tasks if history.started else {}).items():
        train = next((step.losses[task] for step in reversed(history.steps) if step.losses.get(task) is not None), None)
        scores = seen.scores.get(task, {}) if seen else {}
        rows.append([task, facts["kind"], _number(train), _number(seen.losses.get(task) if seen else None),
                     ", ".join(f"{name.replace('_', ' ')} {value:.1%}" for name, value in scores.items()) or "-"])
    return pd.DataFrame(rows, columns=LAST_COLUMNS)


def log_lines(history: History, most: int = 200) -> str:
    """What happened, a line each, the newest first; as many lines as a poll may carry."""
    lines, size = [], 0
    for at in reversed(history.told[-most:]):
        lines.append(f"{time.strftime('%H:%M:%S', time.localtime(at.time))}  {describe(at.event)}")
        size += len(lines[-1].encode()) + 1
        if size > LOG_BYTES:
            return "\n".join(lines[:-1] or lines)
    return "\n".join(lines)


def plain(text: str) -> str:
    """User text as a label in a plot, whose renderer would read '<' as markup."""
    return isolate(text.replace("<", "\u2039").replace(">", "\u203a"))


def apart(text: str) -> str:
    """User text as HTML: escaped, and kept from moving what stands beside it, as right-to-left names do."""
    return f"<bdi>{html.escape(text)}</bdi>"


class Markup(str):
    """A text that is HTML already, its user's part escaped."""


def table_html(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table that scrolls sideways where it is too wide. Cells are plain text, or Markup."""
    top = "".join(f"<th>{apart(cell)}</th>" for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{_cell(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="mtl-scroll"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'


def _cell(cell: str) -> str:
    return cell if isinstance(cell, Markup) else apart(cell)


def speed(steps: Sequence[StepDone]) -> float:
    """Sentences per second over the last ten events."""
    recent = steps[-10:]
    return sum(step.sentences_per_second for step in recent) / len(recent) if recent else 0.0


def _main_series(task: str, facts: dict) -> str:
    return f"{plain(task)} {facts['main_score']}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def line_data(series: Mapping[str, Curve], columns: list[str], size: int, most: int = MAX_POINTS) -> PlotData:
    """A line plot's data: step, value, series; thinned so that it is about `size` bytes of JSON and no series has more than `most` points.
    Every series has a first row, so that its colour and its place in the legend are there before its first point."""
    room = size // (20 + max(len(name.encode()) for name in series)) - len(series)
    most = min(most, points_each((len(steps) for steps, _ in series.values()), room))
    rows = [[0, None, name] for name in series]
    for name, (steps, values) in series.items():
        places = _places(len(steps), most)
        rows += [[step, float(f"{value:.{DIGITS}g}"), name] for step, value in zip(steps[places].tolist(), values[places], strict=True)]
    return {"columns": columns, "data": rows, "datatypes": dict(zip(columns, ("quantitative", "quantitative", "nominal"), strict=True)),
            "mark": "line"}


def sealed(data: PlotData) -> PlotData:
    """`data` with its rows as JSON already. Gradio looks for a file in every cell, three times, which takes longer than all else."""
    return data | {"data": orjson.Fragment(orjson.dumps(data["data"]))}


def points_each(lengths: Iterable[int], room: int) -> int:
    """How many points each of several series may have, if short ones leave their share of the `room` to the others; at least 2."""
    waiting, each = sorted(lengths), room
    while waiting and waiting[0] <= (each := room // len(waiting)):
        room -= waiting.pop(0)
    return max(2, each)
