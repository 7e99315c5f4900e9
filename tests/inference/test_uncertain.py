"""What to label next: the texts of which a model is least sure come first, each once, with the reason."""

import pytest

from mtl.data.words import Span
from mtl.errors import MtlError
from mtl.inference.predictor import Predicted
from mtl.inference.uncertain import most_doubtful
from mtl.settings.config import Scale
from mtl.tasks.classification import Classified
from mtl.tasks.multilabel import Chosen
from mtl.tasks.number import Measured
from mtl.tasks.tagging import Tagged


def said(text: str, **made) -> Predicted:
    return Predicted(text, made, None)


def topic(first: float) -> Classified:
    return Classified({"business": first, "politics": 0.9 - first, "sport": 0.1})


def test_the_task_that_is_least_sure_counts_and_says_why():
    sure, torn = Tagged((Span(0, 4, "LOC"),), (0.99,)), Tagged((Span(0, 4, "LOC"), Span(5, 9, "PER")), (0.99, 0.55))
    found = most_doubtful([said("Oslo fine", topic=topic(0.88), place=sure), said("Oslo 1234", topic=topic(0.46), place=sure),
                           said("Rome Anna", topic=topic(0.88), place=torn)])
    assert [(one.text, one.task, one.why) for one in found] == [
        ("Oslo 1234", "topic", "business 46 %, politics 44 %"), ("Rome Anna", "place", "Anna = PER 55 %"),
        ("Oslo fine", "topic", "business 88 %, politics 2 %")]
    assert [round(one.doubt, 2) for one in found] == [0.98, 0.9, 0.14]


def test_of_several_labels_the_one_nearest_to_a_coins_toss_counts():
    found = most_doubtful([said("a", topics=Chosen({"law": 0.97, "art": 0.52, "war": 0.01}, ("law", "art")))])
    assert (found[0].why, round(found[0].doubt, 2)) == ("art 52 %", 0.96)


def test_texts_that_differ_only_in_numbers_marks_and_case_are_shown_once():
    texts = ["Flight 12 is late!", "flight 7 is LATE", "Flight is late"]
    assert [one.text for one in most_doubtful(said(text, topic=topic(0.5)) for text in texts)] == [texts[0], texts[2]]
    assert len(most_doubtful((said("ab" * (index + 1), topic=topic(0.5)) for index in range(50)), most=7)) == 7


def test_a_text_without_any_entity_comes_last_and_numbers_alone_say_nothing():
    found = most_doubtful([said("none", place=Tagged((), ())), said("Oslo", place=Tagged((Span(0, 4, "LOC"),), (0.7,)))])
    assert [one.text for one in found] == ["Oslo"]
    with pytest.raises(MtlError, match="gives no probabilities"):
        most_doubtful([said("a", stars=Measured(3.0, Scale(3.0, 1.0, 1.0, 5.0)))])
