"""mtl/ui/insight.py: how the tasks get along, and what the settings will do, in words and colours."""

import html

import pytest

from mtl.comparing.advice import Advice
from mtl.runs.events import GradientConflict, RunStarted
from mtl.runs.history import History
from mtl.settings.methods import METHODS, SAMPLINGS
from mtl.training import sampling as samplings
from mtl.ui.insight import insight_html, method_html, outlook_html

STARTED = RunStarted(0, 5000, 100, {"topic": {}, "<tags>": {}}, 40, 10, 1000, "cpu", "fp32", 1, 1, 77)


def comparisons(cosines: list[float]) -> list[GradientConflict]:
    return [GradientConflict(10 * place, {"topic": 1.0, "<tags>": 1.0}, [["topic", "<tags>", cosine]])
            for place, cosine in enumerate(cosines, 1)]


def test_what_is_advised_is_said_above_the_heat_map_with_the_names_escaped():
    shown = insight_html(History(started=STARTED, diagnoses=comparisons([0.1])), Advice("<tags> starves."))
    assert "<p>&lt;tags&gt; starves.</p>" in shown and "mtl-heat" in shown
    assert insight_html(History(started=STARTED), Advice("Nothing & none.")) == "<p>Nothing &amp; none.</p>"


def heat_of(diagnoses: list[GradientConflict]) -> str:
    return insight_html(History(started=STARTED, diagnoses=diagnoses), Advice(""))


def test_the_heat_map_has_a_cell_a_comparison_up_to_what_fits_and_names_are_escaped():
    made = heat_of(comparisons([0.5, -0.5, 0.1]))
    assert made.count("<i style") == 3 and "#2563eb" in made and "#dc2626" in made and "&lt;tags&gt;" in made and "<tags>" not in made
    assert heat_of(comparisons([0.5] * 1000)).count("<i style") == 60
    names = [f"t{number}" for number in range(8)]
    pairs = [[one, other, 0.3] for one in names for other in names if one < other]  # many pairs have fewer columns
    assert heat_of([GradientConflict(place, dict.fromkeys(names, 1.0), pairs) for place in range(1000)]).count("<i style") == 28 * 6


def test_the_outlook_counts_rows_that_are_labelled_together_once():
    patterns = [[["topic", "tags"], 60], [["topic"], 40], [["mood"], 1000]]
    told = outlook_html(patterns, ["topic", "tags"], "joint", 2.0, 10, 3)
    assert "10 steps per epoch" in told and "<b><bdi>topic</bdi></b> 10.0 per step and 100 per epoch" in told
    assert "<b><bdi>tags</bdi></b> 6.0 per step and 60" in told
    assert "at first" in outlook_html(patterns, ["topic", "tags"], "annealed", 2.0, 10, 3)
    assert outlook_html([], [], "joint", 2.0, 10, 3) == ""


@pytest.mark.parametrize("balancing", METHODS)
def test_every_sampling_says_what_it_is_for_and_every_balancing_when_to_use_it_where_it_is_from_and_what_it_costs(balancing):
    for sampling, card in SAMPLINGS.items():
        shown = method_html(sampling, balancing)
        assert html.escape(card.when) in shown and METHODS[balancing].when in shown
        assert 'href="https://arxiv.org/abs/' in shown and "Cost:" in shown


def test_every_sampling_has_a_card_and_a_function():
    assert list(SAMPLINGS) == list(samplings.SAMPLINGS)
