"""What a model has learned from corrections, and what to label next, as HTML. Pure functions; what a user wrote is escaped."""

from mtl.comparing.before_after import BeforeAfter
from mtl.jobs.teach import ToLabel
from mtl.runs.history import ACTIVE, History
from mtl.text import many
from mtl.training.teach import Taught
from mtl.ui.charts import Markup
from mtl.ui.templates import render

UNMEASURED = "It has learned. Now the corrections and the validation rows are read by the model of before and by that of now \u2026"


def taught_html(taught: Taught, history: History, found: BeforeAfter | None, is_owner: bool) -> Markup:
    """The state of a run that learns from corrections: how far it is, or before and after, and whether to keep it."""
    if found:
        said = found.lines[0]
    elif history.status == "finished":
        said = UNMEASURED
    elif history.status in ACTIVE:
        said = (f"Learning from {many(taught.corrections, 'correction')}, mixed with rows that the model knows. The header shows how far "
                "it is.")
    else:
        said = f"It has not learned to the end: the run is {history.state}. {history.message}"
    lists = [] if not found else [(title, count, rows) for title, count, rows in (
        ("Still wrong", len(found.wrong), found.wrong), ("Forgotten", found.forgotten, found.lost),
        ("Learned along", found.learned, found.gained)) if rows]
    return render("taught.html", said=said, found=found, lists=lists, can_drop=is_owner and history.status not in ACTIVE)


def to_label_html(found: ToLabel) -> Markup:
    """The texts to label next, each as a button that puts it into the box, with why."""
    of = f"the first {found.read:,} of " if found.read < found.count else ""
    return render("to_label.html", found=found.found, of=f"{of}{many(found.count, 'text')}")
