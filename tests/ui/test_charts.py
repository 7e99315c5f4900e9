"""mtl/ui/charts.py: from a history to frames that a page can show."""

import math
from itertools import product
from types import SimpleNamespace

import gradio as gr
import numpy as np
import orjson
import pandas as pd
import pytest

from mtl.runs.events import Evaluated, Logged, Notice, RunStarted, StatusChanged, StepDone
from mtl.runs.history import History
from mtl.settings.config import MAX_TASKS
from mtl.ui import charts
from mtl.ui.charts import curves, last_values, log_lines, loss_colours, loss_lines, plain, points_each, score_colours, score_lines, thin


def facts(task: str) -> dict:
    kind, score = ("tagging", "f1") if task == "slots" else ("classification", "accuracy")
    return {"kind": kind, "labels": ["a", "b"], "main_score": score}


def started(*tasks: str) -> RunStarted:
    return RunStarted(0, 5000, 100, {task: facts(task) for task in tasks}, 40, 10, 1000, "cpu", "fp32", 1, 1, 77)


def history_of(*events) -> History:
    made = History()
    for event in events:
        made.add(Logged(1.0, event))
    return made


def history(steps: int = 0, evaluations: int = 0, tasks: tuple[str, ...] = ("intent", "slots"), loss=lambda step: 1 / step) -> History:
    done = [StepDone(step, step / 100, {task: loss(step) for task in tasks}, 1e-4, 1.0, float(step), 1.0) for step in range(1, steps + 1)]
    seen = [Evaluated(step, step / 100, "validation", {task: loss(step) for task in tasks},
                      {task: {facts(task)["main_score"]: step / 10000} for task in tasks}, step / 20000, 0.5, False, 0.1)
            for step in range(1, evaluations + 1)]
    return history_of(started(*tasks), *done, *seen)


def rows(data) -> list:
    """The rows [step, value, series] of a plot."""
    return orjson.loads(orjson.dumps(data))["data"]


def points(data, series: str) -> list[tuple[int, float]]:
    return [(step, value) for step, value, name in rows(data) if name == series and value is not None]


def names(data) -> list[str]:
    """The series in the order in which they come."""
    return list(dict.fromkeys(name for _, _, name in rows(data)))


@pytest.mark.parametrize("tasks", [1, 3, MAX_TASKS])
@pytest.mark.parametrize("name", ["t", "\u96ea" * 60], ids=["short", "long"])
def test_a_plot_is_no_larger_for_a_long_run_of_many_tasks_with_long_names(tasks, name):
    made = history(5000, 3000, tuple(f"{name}{number}" for number in range(tasks)), loss=lambda step: 1 / step)
    for data, size in ((loss_lines(made, 0.6), charts.LOSS_BYTES), (score_lines(made), charts.SCORE_BYTES)):
        assert size / 3 < len(orjson.dumps(data)) < 1.1 * size


@pytest.mark.parametrize(("lengths", "room", "each"), [
    ([5, 5], 10, 5), ([5, 5], 100, 95), ([9, 9], 10, 5), ([1, 100, 100], 41, 20), ([3, 4, 100], 27, 20), ([0, 0], 9, 9), ([50] * 9, 9, 2)])
def test_short_series_leave_their_share_of_the_points_to_the_others(lengths, room, each):
    assert points_each(lengths, room) == each


@pytest.mark.parametrize("count", [0, 1, 70, 5000])
def test_a_series_has_at_most_300_points_and_always_the_last_one(count):
    made = history(count, count)
    for data, wanted in ((loss_lines(made, 0.0), {"intent train", "intent validation", "slots train", "slots validation"}),
                         (score_lines(made), {"intent accuracy", "slots f1", charts.EVERYTHING})):
        assert set(names(data)) == wanted
        for series in wanted:
            found = points(data, series)
            assert len(found) == count if count < 90 else 90 < len(found) <= charts.MAX_POINTS
            steps = [step for step, _ in found]
            assert steps == sorted(set(steps)) and steps[-1:] == ([count] if count else [])


def test_thinning_spreads_evenly_and_keeps_both_ends():
    kept = thin(list(range(1000)), 11)
    assert (kept[0], kept[-1], len(kept)) == (0, 999, 11)
    assert all(99 <= later - earlier <= 101 for earlier, later in zip(kept, kept[1:], strict=False))
    assert thin([1, 2, 3], 3) == [1, 2, 3]


def test_every_series_is_there_from_the_first_draw_in_the_order_of_its_colours():
    for data, colours in ((loss_lines(history(), 0.5), loss_colours(started("intent", "slots"))),
                          (score_lines(history()), score_colours(started("intent", "slots")))):
        assert rows(data) == [[0, None, name] for name in colours]
    assert names(loss_lines(history(5, 5), 0.5)) == list(loss_colours(started("intent", "slots")))


def test_a_plot_s_data_is_what_gradio_would_make_of_the_same_rows_in_a_frame():
    for made, (plot, y) in product((history(), history(5, 5)), ((lambda made: loss_lines(made, 0.5), "loss"), (score_lines, "score"))):
        data = plot(made)
        frame = pd.DataFrame(rows(data), columns=data["columns"]).astype({"step": "int64", y: "float64", "series": "object"})
        assert gr.LinePlot(x="step", y=y, color="series").postprocess(frame).model_dump() == data | {"data": rows(data)}


def smoothed(values: list[float], factor: float) -> list[float]:
    steps = [SimpleNamespace(step=step) for step in range(len(values))]
    return curves(["x"], steps, [[value] for value in values], factor)["x"][1].tolist()


def test_smoothing_0_changes_nothing_and_more_of_it_draws_a_constant_as_a_constant():
    noisy = [(-1.0) ** step + step / 10 for step in range(1, 50)]
    assert smoothed(noisy, 0.0) == pytest.approx(noisy)
    assert smoothed([3.0] * 30, 0.9) == pytest.approx([3.0] * 30)
    swings = np.abs(np.diff(smoothed(noisy, 0.9)))
    assert swings[10:].max() < 0.5
    assert smoothed([], 0.9) == []
    # what is not there is passed over
    assert smoothed([1.0, math.nan, 2.0, math.nan, 3.0], 0.5) == pytest.approx(smoothed([1.0, 2.0, 3.0], 0.5))


def test_only_the_training_loss_is_smoothed():
    made = history(40, 40, loss=lambda step: step % 2)
    data = loss_lines(made, 0.9)
    assert [loss for _, loss in points(data, "intent validation")] == [step % 2 for step in range(1, 41)]
    assert 0.3 < points(data, "intent train")[-1][1] < 0.7
    assert [loss for _, loss in points(loss_lines(made, 0.0), "intent train")] == [step % 2 for step in range(1, 41)]


def test_a_loss_that_was_no_number_or_a_task_left_out_of_a_step_leaves_a_gap():
    steps = [StepDone(step, 0.0, losses, 0.0, 0.0, 1.0, 1.0)
             for step, losses in enumerate([{"intent": 1.0}, {"slots": 2.0}, {"intent": None, "slots": 4.0}], 1)]
    made = history_of(started("intent", "slots"), *steps, Evaluated(3, 0.0, "validation", {"intent": None}, {
        "intent": {"accuracy": 0.5}, "slots": {}}, 0.5, 0.5, False, 0.1))
    data = loss_lines(made, 0.0)
    assert points(data, "intent train") == [(1, 1.0)] and points(data, "slots train") == [(2, 2.0), (3, 4.0)]
    assert points(data, "intent validation") == [] and points(score_lines(made), "slots f1") == []
    assert points(score_lines(made), "intent accuracy") == [(3, 0.5)]
    table = last_values(made)
    assert table["train loss"].tolist() == ["1.0000", "4.0000"] and table["validation loss"].tolist() == ["-", "-"]
    assert log_lines(made)


def test_the_measure_of_the_test_rows_is_not_drawn_among_validation():
    made = history(3, 2)
    made.add(Logged(0.0, Evaluated(3, 0.0, "test", {"intent": 9.0}, {"intent": {"accuracy": 1.0}}, 1.0, 1.0, False, 0.1)))
    assert [step for step, _ in points(loss_lines(made, 0.0), "intent validation")] == [1, 2]
    assert [step for step, _ in points(score_lines(made), charts.EVERYTHING)] == [1, 2]


def test_a_label_has_its_colour_whatever_the_sentence_and_colours_never_run_out():
    labels = tuple(f"L{number}" for number in range(25))
    assert list(charts.colours(labels)) == list(labels) and set(charts.colours(labels).values()) == set(charts.PALETTE)
    assert charts.colours(labels)["L3"] == charts.colours(labels[:4])["L3"]


def test_all_series_of_a_plot_have_colours_of_their_own():
    tasks = [f"task {number}" for number in range(MAX_TASKS)]
    for colours, count in ((loss_colours(started(*tasks)), 2 * MAX_TASKS), (score_colours(started(*tasks)), MAX_TASKS + 1)):
        assert len(colours) == len(set(colours.values())) == count
        assert all(len(colour) == 7 and int(colour[1:], 16) >= 0 for colour in colours.values())


def test_a_task_s_name_is_never_markup():
    assert plain("<b>x</b>") == "‹b›x‹/b›"
    data = loss_lines(history(2, 2, tasks=("<script>",)), 0.0)
    assert set(names(data)) == {"‹script› train", "‹script› validation"} and len(points(data, "‹script› train")) == 2


def test_the_table_shows_the_last_values_and_all_scores():
    made = history(3, 0)
    made.add(Logged(0.0, Evaluated(3, 0.0, "validation", {"intent": 0.25}, {"intent": {"accuracy": 0.5, "macro_f1": 0.25}}, 0.5, 0.5, False,
                                   0.1)))
    assert last_values(made).values.tolist() == [["intent", "classification", "0.3333", "0.2500", "accuracy 50.0%, macro f1 25.0%"],
                                                 ["slots", "tagging", "0.3333", "-", "-"]]
    assert last_values(History()).empty


def test_the_log_shows_the_last_lines_newest_first_as_many_as_a_poll_may_carry_and_at_least_one():
    made = history_of(*(Notice(f"number {number}") for number in range(300)), StatusChanged("finished", "Done."))
    lines = log_lines(made).splitlines()
    assert len(lines) == 200 and lines[0].endswith("  Done.") and lines[1].endswith("  number 299")
    made = history_of(*(Notice(f"number {number} " + 200 * "\u96ea") for number in range(300)))
    lines = log_lines(made)
    assert charts.LOG_BYTES / 2 < len(lines.encode()) <= charts.LOG_BYTES and "number 299" in lines.splitlines()[0]
    made.add(Logged(0.0, Notice("x" * 2 * charts.LOG_BYTES)))
    assert log_lines(made).endswith("x")
