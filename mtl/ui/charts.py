"""From a run's history to the frames, tables and lines that the page shows. Knows pandas, not Gradio."""

import time
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from mtl.events import Evaluated, RunStarted, StepDone, describe
from mtl.runs import History

MAX_POINTS = 300  # per series: more cannot be told apart
# what a poll may carry, however long the run is and however many tasks it has
LOSS_BYTES, SCORE_BYTES, LOG_BYTES = 20_000, 11_000, 12_000
DIGITS = 5  # of a value in a plot
# for each task: its training loss, and lighter its dev loss; both can be told from white and from near black
HUES = [("#2563eb", "#6fa8ff"), ("#c2410c", "#fb9a5a"), ("#15803d", "#4fce7e"), ("#7e22ce", "#bd83f5"),
        ("#be123c", "#fb7f96"), ("#0f766e", "#3ac7b5"), ("#a16207", "#dfae2b"), ("#475569", "#94a3b8")]
# of entity types: the names that Gradio draws in pastels, readable on light and dark; hex colours are not
PALETTE = ("red", "green", "blue", "yellow", "purple", "teal", "orange", "cyan", "lime", "pink")
RIGHT_COLOUR = "#8b8b8b"
EVERYTHING = "everything right"
LAST_COLUMNS = ["task", "kind", "train loss", "dev loss", "dev scores"]
LOSS_COLUMNS, SCORE_COLUMNS = ["step", "loss", "series"], ["step", "score", "series"]


def colours(labels: Sequence[str]) -> dict[str, str]:
    """A colour for each label, the same whatever the sentence."""
    return {label: PALETTE[index % len(PALETTE)] for index, label in enumerate(labels)}


def loss_colours(started: RunStarted) -> dict[str, str]:
    """A colour for every series of the loss plot."""
    return {f"{plain(task)} {split}": hue for task, hues in zip(started.tasks, HUES, strict=False)
            for split, hue in zip(("train", "dev"), hues, strict=True)}


def score_colours(started: RunStarted) -> dict[str, str]:
    """A colour for every series of the score plot: each task's main score, and everything right."""
    colours = {_main_series(task, facts): hues[0] for (task, facts), hues in zip(started.tasks.items(), HUES, strict=False)}
    return colours | {EVERYTHING: RIGHT_COLOUR}


def loss_frame(history: History, smoothing: float) -> pd.DataFrame:
    """Training loss (smoothed) and dev loss (as measured) per task over steps."""
    looks, series = _dev(history), {}
    for task in history.started.tasks:
        points = [(step.step, step.losses[task]) for step in history.steps if step.losses.get(task) is not None]
        series[f"{plain(task)} train"] = smooth(points, smoothing)
        series[f"{plain(task)} dev"] = [(seen.step, seen.losses[task]) for seen in looks if task in seen.losses]
    return line_frame(series, LOSS_COLUMNS, LOSS_BYTES)


def score_frame(history: History) -> pd.DataFrame:
    """The main dev score of every task, and the share of rows with everything right, over steps."""
    looks = _dev(history)
    series = {_main_series(task, facts): [(seen.step, seen.scores[task][facts["main_score"]]) for seen in looks if seen.scores.get(task)]
              for task, facts in history.started.tasks.items()}
    return line_frame(series | {EVERYTHING: [(seen.step, seen.everything_right) for seen in looks]}, SCORE_COLUMNS, SCORE_BYTES)


def _dev(history: History) -> list[Evaluated]:
    return [seen for seen in history.evaluations if seen.split == "dev"]


def smooth(points: Sequence[tuple[int, float]], factor: float) -> list[tuple[int, float]]:
    """Exponential moving average, debiased (as in Adam) so that its beginning is not drawn to 0."""
    means = pd.Series([value for _, value in points], dtype="float64").ewm(alpha=1 - factor).mean()
    return [(step, mean) for (step, _), mean in zip(points, means.tolist(), strict=True)]


def thin(points: Sequence, most: int = MAX_POINTS) -> list:
    """At most `most` of `points`, evenly spread, the last one always among them."""
    if len(points) <= most:
        return list(points)
    return [points[round(index * (len(points) - 1) / (most - 1))] for index in range(most)]


def last_values(history: History) -> pd.DataFrame:
    """One row a task: the last losses and all last dev scores."""
    seen = next((seen for seen in reversed(history.evaluations) if seen.split == "dev"), None)
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
    return text.replace("<", "\u2039").replace(">", "\u203a")


def speed(steps: Sequence[StepDone]) -> float:
    """Sentences per second over the last ten events."""
    recent = steps[-10:]
    return sum(step.sentences_per_second for step in recent) / len(recent) if recent else 0.0


def _main_series(task: str, facts: dict) -> str:
    return f"{plain(task)} {facts['main_score']}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def line_frame(series: Mapping[str, Sequence[tuple[int, float | None]]], columns: list[str], size: int,
               most: int = MAX_POINTS) -> pd.DataFrame:
    """A frame for a line plot: step, value, series; thinned so that it is about `size` bytes of JSON and no series has more than `most`
    points. Every series has a first row, so that its colour and its place in the legend are there before its first point."""
    room = size // (20 + max(len(name.encode()) for name in series)) - len(series)
    most = min(most, points_each(map(len, series.values()), room))
    rows = [(0, None, name) for name in series]
    for name, points in series.items():
        rows += [(step, value, name) for step, value in thin(points, most)]
    steps, values, names = zip(*rows, strict=True)
    rounded = [np.nan if value is None else float(f"{value:.{DIGITS}g}") for value in values]
    return pd.DataFrame({columns[0]: np.array(steps, np.int64), columns[1]: np.array(rounded, np.float64),
                         columns[2]: pd.Series(names, dtype=object)})  # pandas' own strings take longer than all else


def points_each(lengths: Iterable[int], room: int) -> int:
    """How many points each of several series may have, if short ones leave their share of the `room` to the others; at least 2."""
    waiting, each = sorted(lengths), room
    while waiting and waiting[0] <= (each := room // len(waiting)):
        room -= waiting.pop(0)
    return max(2, each)
