"""What a model has learned, as HTML: the corrections first, who may keep or drop it, and what a user wrote is escaped."""

from mtl.comparing.before_after import BeforeAfter, Change, Turned
from mtl.inference.uncertain import Doubtful
from mtl.jobs.teach import ToLabel
from mtl.runs.history import History
from mtl.training.teach import Taught
from mtl.ui.teach_view import UNMEASURED, taught_html, to_label_html

NASTY = "<img src=x onerror=alert(1)>"
TAUGHT = Taught("starter", 0, 2, 0)
TURNED = Turned(NASTY, NASTY, NASTY, NASTY, NASTY)
FOUND = BeforeAfter(2, 0, 1, 306, 2, (Change(NASTY, "accuracy", 0.863, 0.86, -0.02, 0.014),), 60, 3, (TURNED,), (TURNED,) * 50, (TURNED,))


def test_it_says_how_far_the_run_is_and_what_has_come_of_it():
    assert "Learning from 2 corrections" in taught_html(TAUGHT, History(status="running"), None, True)
    assert UNMEASURED in taught_html(TAUGHT, History(status="finished"), None, True)
    assert "the run is failed. No room." in taught_html(TAUGHT, History(status="failed", message="No room."), None, True)
    shown = taught_html(TAUGHT, History(status="finished"), FOUND, True)
    assert "1 of 2 corrections right now, 0 before." in shown and "86.3 \u2192 86.0 (-2.0 to +1.4): no difference shown" in shown
    assert "On 306 validation rows, without 2 that you corrected: 60 answers forgotten, 3 learned." in shown
    assert "Forgotten (60)" in shown and "10 more are not shown" in shown and "Still wrong (1)" in shown


def test_only_the_owner_keeps_or_drops_it_and_not_while_it_learns():
    for status, found, is_owner, buttons in (("running", None, True, ""), ("finished", FOUND, False, ""), ("failed", None, True, "drop"),
                                             ("finished", FOUND, True, "keep drop")):
        shown = taught_html(TAUGHT, History(status=status), found, is_owner)
        assert [name for name in ("keep", "drop") if f'data-do="{name}"' in shown] == buttons.split()


def test_everything_that_a_user_wrote_is_escaped():
    shown = [taught_html(TAUGHT, History(status="finished"), FOUND, True),
             to_label_html(ToLabel([Doubtful(NASTY, 0.9, NASTY, NASTY)], 2_000, 12_345))]
    assert all("<img" not in one and one.count("&lt;img") > 3 for one in shown)
    assert "of the first 2,000 of 12,345 texts" in shown[1]
