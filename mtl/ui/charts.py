"""From a run's history to the frames, tables and lines that the page shows. Knows pandas, not Gradio."""

import time
from collections.abc import Sequence

import pandas as pd

from mtl.events import RunStarted, StepDone, describe
from mtl.runs import History

MAX_POINTS = 300  # per series: what a page of plots can show, and a poll should carry
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
    """Training loss (smoothed) and dev loss (as measured) per task over steps; every series has a first row, so that its colour and its
    place in the legend are there before its first point."""
    rows: list[tuple[int, float | None, str]] = [(0, None, series) for series in loss_colours(history.started)]
    for task in history.started.tasks:
        points = [(step.step, step.losses[task]) for step in history.steps if step.losses.get(task) is not None]
        rows += [(step, loss, f"{plain(task)} train") for step, loss in thin(smooth(points, smoothing))]
        rows += [(seen.step, seen.losses[task], f"{plain(task)} dev") for seen in thin(history.evaluations)
                 if seen.split == "dev" and task in seen.losses]
    return frame(rows, LOSS_COLUMNS)


def score_frame(history: History) -> pd.DataFrame:
    """The main dev score of every task, and the share of rows with everything right, over steps."""
    rows: list[tuple[int, float | None, str]] = [(0, None, series) for series in score_colours(history.started)]
    for seen in thin([seen for seen in history.evaluations if seen.split == "dev"]):
        rows += [(seen.step, seen.scores[task][facts["main_score"]], _main_series(task, facts))
                 for task, facts in history.started.tasks.items() if seen.scores.get(task)]
        rows.append((seen.step, seen.everything_right, EVERYTHING))
    return frame(rows, SCORE_COLUMNS)


def smooth(points: Sequence[tuple[int, float]], factor: float) -> list[tuple[int, float]]:
    """Exponential moving average, debiased (as in Adam) so that its beginning is not drawn to 0."""
    average, weight, out = 0.0, 0.0, []
    for step, value in points:
        average, weight = factor * average + (1 - factor) * value, factor * weight + (1 - factor)
        out.append((step, average / weight))
    return out


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
    """What happened, a line each, the newest first."""
    told = reversed(history.told[-most:])
    return "\n".join(f"{time.strftime('%H:%M:%S', time.localtime(at.time))}  {describe(at.event)}" for at in told)


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


def frame(rows: list[tuple], columns: list[str]) -> pd.DataFrame:
    """A frame for a line plot: step, value, series, of which an empty one has the same types."""
    return pd.DataFrame(rows, columns=columns).astype({columns[0]: "int64", columns[1]: "float64", columns[2]: "str"})
