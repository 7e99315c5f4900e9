"""plot.js and series.js in a browser without the app: what is smoothed, what the legend says of a step, what an answer adds."""

import pytest
from playwright.sync_api import Page

from mtl.ui.app import SCRIPTS
from mtl.ui.curves import CHARTS
from mtl.ui.page import text_of
from mtl.ui.templates import render

DATA = {"tasks": [["mood", "accuracy"]], "marks": [], "train": {"step": [1, 2, 3, 4], "loss": [[1, 3, None, 3]], "weight": [[1, 1, 1, 1]]},
        "full": {"step": [0, 2, 4], "loss": [[9, 1, 5]], "score": [[0.1, 0.6, 0.5]], "right": [[0, 0.2, 0.1]]},
        "sampled": {"step": [3], "loss": [[1]], "score": [[0.9]], "right": [[0.3]]}}
SAID = """([data, chart, smoothing, step]) => mtl.series.SERIES[chart](
    {data, label: '', dash: [], hues: (name, place) => place, span: 300, place: 0}, {smoothing}).map(
    ({name, lines, tell}) => [name, tell(step), lines.map(({ys}) => ys)])"""


@pytest.fixture(scope="module")
def page(chromium) -> Page:
    """An empty page with the scripts of the curves."""
    page = chromium.new_page()
    for name in SCRIPTS:
        page.add_script_tag(content=text_of(name))
    yield page
    page.close()


def smooth(page: Page, xs: list, ys: list, factor: float) -> list:
    return page.evaluate("([xs, ys, factor]) => mtl.plot.smooth(xs, ys, factor, 300)", [xs, ys, factor])


def test_smoothing_keeps_what_does_not_change_leaves_gaps_and_is_the_same_however_many_points_were_logged(page):
    steps = list(range(1, 301))
    noisy = [step / 100 + (-1) ** step for step in steps]
    assert smooth(page, steps, noisy, 0.0) == noisy
    assert smooth(page, [1, 2, 9], [3, None, 3], 0.9) == pytest.approx([3, None, 3])
    fine = smooth(page, steps, noisy, 0.9)
    assert max(abs(one - other) for one, other in zip(fine[20:], fine[21:], strict=False)) < 0.2
    means = [(one + other) / 2 for one, other in zip(noisy[::2], noisy[1::2], strict=True)]
    coarse = smooth(page, steps[1::2], means, 0.9)
    assert coarse[20:] == pytest.approx(fine[41::2], abs=0.1)


def test_the_legend_says_the_last_and_the_best_score_and_what_was_known_at_a_step(page):
    [[_, now, _], [right, _, _]] = page.evaluate(SAID, [DATA, "scores", 0, None])
    assert now == ["50.0", "60.0"] and right == "everything right"
    assert page.evaluate(SAID, [DATA, "scores", 0, 3])[0][1] == ["90.0", "60.0"]  # of a quick look; the best is that of a full one
    assert page.evaluate(SAID, [DATA, "loss", 0, 3])[0][1] == ["3.00", "1.00"]  # at step 3 no training loss was known


def test_only_the_training_loss_is_smoothed(page):
    [[_, _, [train, validation]]] = page.evaluate(SAID, [DATA, "loss", 0.9, None])
    assert validation == [9, 1, 5] and train[0] == 1 and 1 < train[1] < 2.2


def test_answers_are_added_at_the_end_and_a_reset_begins_anew(page):
    added = page.evaluate("""data => {
        const grown = mtl.live.add(data, {train: {step: [5], loss: [[7]], weight: [[1]]}, marks: [[5, 'paused', 'Paused.']]});
        return [grown.train.step.at(-1), grown.train.loss[0].length, grown.marks.length, mtl.live.add(grown, {reset: true, tasks: []})];
    }""", DATA)
    assert added == [5, 5, 1, {"tasks": [], "marks": []}]


def test_curves_are_asked_for_again_if_news_come_while_others_are_on_their_way_and_when_a_run_goes_on(page):
    asked = page.evaluate("""async (html) => {
        document.body.innerHTML = `<div id="place">${html}</div>`;
        const props = {value: '{}'}, asked = [];
        let change;
        mtl.live.ask = (run, cursor) => new Promise((answer) => asked.push({run, cursor, answer}));
        mtl.curves(document.getElementById('place'), (_, listener) => { change = listener; }, props);
        for (const progress of [1, 2]) {
            props.value = JSON.stringify({task: 'mood', runs: [['r', 'joint']], progress});
            change();
        }
        asked[0].answer({cursor: 'one', state: {over: false}});
        await new Promise((go) => setTimeout(go, 50));
        asked[1].answer({cursor: 'two', state: {over: true}});
        await new Promise((go) => setTimeout(go, 50));
        change();  // one that was stopped goes on
        return asked.map(({run, cursor}) => [run, cursor]);
    }""", render("curves.html", charts={"members": CHARTS["members"]}, with_tools=False))
    assert asked == [["r", ""], ["r", "one"], ["r", "two"]]
