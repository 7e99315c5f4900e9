"""A file of one's own with several labels per sentence, from the upload to the highlighted prediction, in a real browser."""

import json
import random
from pathlib import Path

import pytest

from mtl.inference.predictor import Predictor
from mtl.runs.folder import open_run
from tests import browser as web
from tests.browser import status, wait_for

WORDS = {"law": ("judge", "court"), "money": ("bank", "market"), "sport": ("goal", "match")}
PLACES = ("Rome", "Oslo", "Lima")
SENTENCE = "The judge and the goal in Rome"


@pytest.fixture
def own_file(tmp_path) -> Path:
    """300 sentences, each with 1 to 3 topics, which a word of it tells, and a place."""
    draws, lines = random.Random(3), []
    for count in [1, 2, 1, 3, 2] * 60:
        topics = sorted(draws.sample(list(WORDS), count))
        text = f"The {' and the '.join(draws.choice(WORDS[topic]) for topic in topics)} in {draws.choice(PLACES)}"
        place = {"start": len(text) - 4, "end": len(text), "label": "PLACE"}
        lines.append(json.dumps({"text": text, "topics": topics, "places": [place]}) + "\n")
    file = tmp_path / "several.jsonl"
    file.write_text("".join(lines))
    return file


def test_a_person_trains_on_sentences_with_several_labels_each_and_sees_the_labels_and_entities_of_a_new_one(app, new_person, open_page,
                                                                                                             own_file):
    page = open_page(new_person())
    web.bring(page, "several.jsonl: 300 rows.", own_file)
    wait_for("its tasks", lambda: all(word in page.locator("#task-table").inner_text() for word in
                                      ("topics", "multilabel", "places", "tagging", "300 of 300")))
    assert web.ticked(page) == ["topics", "places"]

    run = open_run(app.runs, web.start_tiny(page, epochs=12))
    wait_for("the end", lambda: status(page) == "finished", 120)
    assert [(task.name, task.kind) for task in run.config.tasks] == [("topics", "multilabel"), ("places", "tagging")]
    table = wait_for("the scores of both", lambda: (text := page.locator("#last-values").inner_text()) and "exact match" in text and text)
    assert "micro f1" in table and table.count("tagging") == 1
    assert web.legend(page, "score-plot") == ["topics micro_f1", "places f1", "everything right"]
    web.open_tab(page, "Scores")
    page.locator("#score-validation").click()
    wait_for("the scores with their intervals", lambda: "Validation rows" in page.locator("#scores").inner_text())
    scores = page.locator("#scores").inner_text()
    assert "micro f1" in scores and "PLACE" in scores and all(topic in scores for topic in WORDS)

    web.open_tab(page, "Predict")
    web.choose(page, "model", "best")
    assert web.ask(page, SENTENCE).startswith("checkpoint 'best'; cpu; ")
    predicted = Predictor.load(run.best, "cpu").predict([SENTENCE])[0].predictions
    assert web.pieces(page) == predicted["places"].drawing(SENTENCE).pieces and ("Rome", "PLACE") in web.pieces(page)
    topics = page.locator("#classified-0 [data-testid=block-label]").inner_text()
    assert topics == f"topics: {predicted['topics'].drawing(SENTENCE).answer}" and {"law", "sport"} == set(topics[8:].split(", "))
    assert web.probabilities(page) == pytest.approx(predicted["topics"].probabilities, abs=1e-4)
