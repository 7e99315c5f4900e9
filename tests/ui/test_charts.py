"""mtl/ui/charts.py: small parts that many tabs show."""

from mtl.runs.events import Logged, Notice, StatusChanged
from mtl.runs.history import History
from mtl.ui import charts
from mtl.ui.charts import log_lines, plain


def history_of(*events) -> History:
    made = History()
    for event in events:
        made.add(Logged(1.0, event))
    return made


def test_a_label_has_its_colour_whatever_the_sentence_and_colours_never_run_out():
    labels = tuple(f"L{number}" for number in range(25))
    assert list(charts.colours(labels)) == list(labels) and set(charts.colours(labels).values()) == set(charts.PALETTE)
    assert charts.colours(labels)["L3"] == charts.colours(labels[:4])["L3"]


def test_a_task_s_name_is_never_markup():
    assert plain("<b>x</b>") == "‹b›x‹/b›"


def test_the_log_shows_the_last_lines_newest_first_as_many_as_a_poll_may_carry_and_at_least_one():
    made = history_of(*(Notice(f"number {number}") for number in range(300)), StatusChanged("finished", "Done."))
    lines = log_lines(made).splitlines()
    assert len(lines) == 200 and lines[0].endswith("  Done.") and lines[1].endswith("  number 299")
    made = history_of(*(Notice(f"number {number} " + 200 * "\u96ea") for number in range(300)))
    lines = log_lines(made)
    assert charts.LOG_BYTES / 2 < len(lines.encode()) <= charts.LOG_BYTES and "number 299" in lines.splitlines()[0]
    made.add(Logged(0.0, Notice("x" * 2 * charts.LOG_BYTES)))
    assert log_lines(made).endswith("x")
