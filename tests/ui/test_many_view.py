"""Answers to several sentences: what is counted over all, a line for each, what differs; and the route by which the page asks."""

import json
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from html import unescape

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from mtl.data.words import Span
from mtl.inference.predictor import Predicted
from mtl.jobs.models import Answered
from mtl.tasks.classification import Classified
from mtl.tasks.multilabel import Chosen
from mtl.tasks.tagging import Tagged
from mtl.ui import answering
from mtl.ui.answering import ADDRESS, Answers
from mtl.ui.many_view import SENTENCES, many_html, spoken_many
from mtl.ui.questions import MOST

LABELS = {"mood": ("calm", "loud"), "places": ("PER", "LOC"), "topics": ("law",)}
SENTENCE = "Ana <b>left</b> Oslo"


def answered(*shares: float, found: tuple[Span, ...] = (Span(16, 20, "LOC"),), **more) -> Answered:
    """A model's answers to SENTENCE, as often as there are shares of 'calm'."""
    made = [{"mood": Classified({"calm": share, "loud": 1 - share} if share > 0.5 else {"loud": 1 - share, "calm": share}),
             "places": Tagged(found, (0.9,) * len(found))} | more for share in shares]
    return Answered([Predicted(SENTENCE, one, None) for one in made], LABELS, "starter model", "cpu", 0.01)


def html(*answers: Answered, opened: int = -1, left_out: int = 0) -> str:
    return many_html(["a", "b"], answers, ["one", "other"] if len(answers) > 1 else [], "model([])", opened, left_out)


def test_every_sentence_has_its_entities_and_its_classes_and_over_them_stands_what_was_found_in_all():
    shown = html(answered(0.9, 0.8, 0.3, topics=Chosen({"law": 0.1}, ())))
    assert shown.count('<li') == 3 and shown.count(" <mark".strip()) == 3 and "<b>left" not in shown
    counts = re.sub(r"\s+", " ", re.sub("<[^>]*>", " ", shown.partition("</dl>")[0]))
    assert "mood calm 2 loud 1" in counts and "places LOC 3" in counts and "topics nothing found" in counts
    assert re.findall(r"<bdi>(\w+)</bdi></b> (\d+) %", shown) == [("calm", "90"), ("calm", "80"), ("loud", "70")]
    assert "<bdi>no label</bdi>" in shown and "left out" not in shown
    assert "7 more are left out" in html(answered(0.9, 0.9), left_out=7)


def test_what_is_to_be_said_of_a_sentence_stands_once_below_it_unfolded_or_not():
    one = answered(0.9)
    one.predicted[0] = Predicted(SENTENCE, one.predicted[0].predictions, None, ("calm & loud",))
    assert [html(one, opened=place).partition("data-json")[0].count("calm &amp; loud") for place in (-1, 0)] == [1, 1]


def test_only_the_sentence_that_is_opened_is_shown_in_full():
    shown = html(answered(0.9, 0.8, 0.3), opened=1)
    assert shown.count("mtl-answers") == 1 == shown.count('id="copy-json"')
    assert 'data-key="sentence 1"' in shown.partition("mtl-answers")[0] and 'data-key="sentence 2"' not in shown.partition("mtl-answers")[0]


def test_of_two_models_the_sentences_on_which_they_differ_are_marked():
    shown = html(answered(0.9, 0.8, 0.3), answered(0.8, 0.2, 0.1))
    lines = re.findall(r'<li( class="mtl-differs")?>', shown)
    assert "They differ in 1 of 3 sentences." in shown and list(map(bool, lines)) == [False, True, False]
    assert "Both give the same answers." in html(answered(0.9), answered(0.8))
    copied = json.loads(unescape(re.search('data-json="(.*?)"', shown)[1]))
    assert {choice: len(made) for choice, made in copied.items()} == {"a": 3, "b": 3}


def test_what_is_spoken_counts_and_stays_the_same_while_only_probabilities_change():
    assert spoken_many(answered(0.9, 0.3)) == spoken_many(answered(0.8, 0.2)) == "2 sentences; mood: calm 1, loud 1; places: LOC 2."


@pytest.fixture
def ask(jobs):
    """A function that asks the route."""
    client = TestClient(Starlette(routes=[Answers(jobs).route]))
    return lambda **question: client.post(ADDRESS, content=json.dumps({"number": 3, "model": "starter", "device": "cpu"} | question)).json()


def test_a_text_is_answered_by_sentence_or_as_a_whole_and_the_number_of_its_sentences_is_told(ask):
    text = "Ana left Oslo. It was superb!\nThe flight was a mess."
    for whole, lines in ((False, 3), (True, 0)):
        told = ask(text=text, whole=whole)
        assert (told["number"], told["sentences"]) == (3, 3)
        assert told["html"].count("data-at=") == lines and "(starter model; cpu)" in told["about"]
    one = ask(text="Ana left Oslo.")
    assert one["sentences"] == 1 and "data-at" not in one["html"] and "LOC" in one["said"]
    assert ask(text=text, open=1)["html"].count("mtl-answers") == 1


def test_to_unfold_a_sentence_costs_no_quota_of_a_gpu(ask, monkeypatch):
    monkeypatch.setattr(answering, "on_zero_gpu", lambda: True)
    text = "Ana left Oslo. It was superb!"
    assert "Press Predict" in ask(text=text, device="auto")["said"]
    assert ask(text=text, device="auto", open=1)["html"].count("mtl-answers") == 1
    assert "Press Predict" in ask(text=text, device="auto", model="x/live", other="starter")["said"], "the other model would take it"


def test_those_who_wait_for_live_weights_keep_nobody_else_waiting(jobs, monkeypatch):
    waited, answer = threading.Event(), answering.reply
    monkeypatch.setattr(answering, "reply", lambda jobs, question: (
        waited.wait(60) and answer(jobs, question) if any(question.live) else answer(jobs, question)))
    with TestClient(Starlette(routes=[Answers(jobs).route])) as client, ThreadPoolExecutor(answering.AT_ONCE) as pool:
        def ask(model: str) -> str:
            return client.post(ADDRESS, content=json.dumps({"text": "Ana left Oslo.", "model": model, "device": "cpu"})).json()["said"]

        waiting = [pool.submit(ask, "x/live") for _ in range(answering.AT_ONCE)]
        assert "LOC" in ask("starter") and not any(one.done() for one in waiting)
        waited.set()
        assert all("no such run" in one.result() for one in waiting)


def test_what_cannot_be_answered_is_said(ask):
    assert "Type a sentence" in ask(text=" ")["said"] and ask(text=" ")["about"] == ""
    assert "There is no such run" in ask(text="a", model="../x")["said"] and "no such run" in ask(text="a", other="x/best")["html"]
    assert "The text has 1,000,001 characters" in ask(text="a" * 1_000_001)["said"]
    assert "51 more are left out" in ask(text="Go. " * (SENTENCES + 51))["html"]


def test_what_is_no_question_is_refused(jobs):
    client = TestClient(Starlette(routes=[Answers(jobs).route]))
    bodies = "", "[]", '{"text": 5}', '{"text": "\\ud800"}', " " * MOST + '{"text": "a"}'
    assert [client.post(ADDRESS, content=body).status_code for body in bodies] == [400] * 5
