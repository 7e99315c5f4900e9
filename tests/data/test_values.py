"""mtl/data/values.py: values are what they are made of, come back from plain data, and digests of rows stay what they were."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as some

from mtl.data.dataset import fingerprint, load
from mtl.data.values import KIND_OF_ROLE, VALUES, Label, Labels, Spans
from mtl.data.words import Span

ANNA, ROME = Span(0, 4, "PER"), Span(12, 16, "LOC")
EXAMPLES = [Label("food"), Spans(), Spans([ANNA, ROME]), Labels(), Labels(["sport", "law", "sport"])]


def test_the_digest_of_rows_is_that_of_the_versions_before_so_that_their_runs_go_on(tiny_config, tmp_path):
    assert fingerprint(load(tiny_config(seed=1), tmp_path)) == "b8aa0bb4110ab6b20f5d73bcb8638c973078369639e138a0401a039c586dbc2f"


@pytest.mark.parametrize("value", EXAMPLES, ids=repr)
def test_a_value_comes_back_from_json_and_arrow(value):
    import pyarrow

    assert type(value).of_plain(json.loads(json.dumps(value.plain()))) == value
    stored = pyarrow.array([value.plain(), None], type(value).arrow(pyarrow)).to_pylist()
    assert type(value).of_plain(stored[0]) == value and stored[1] is None


@pytest.mark.parametrize("value", EXAMPLES, ids=repr)
def test_every_item_has_a_label_and_a_value_has_only_the_labels_that_are_asked_for(value):
    labels = value.labels()
    assert len(labels) == len(value.items()) == len(value.named("Anna is  in Rome"))
    assert value.among(frozenset(labels)) == value
    assert not value.among(frozenset())
    for label in labels:
        assert list(value.among(frozenset({label})).labels()) == [same for same in labels if same == label]


def test_every_kind_has_its_value_and_every_role_its_kind():
    assert set(KIND_OF_ROLE.values()) == set(VALUES)


@pytest.mark.parametrize(("spans", "expected"), [
    ((), [("Anna is  in Rome", None)]),
    ((Span(0, 4, "PER"),), [("Anna", "PER"), (" is  in Rome", None)]),
    ((Span(12, 16, "LOC"),), [("Anna is  in ", None), ("Rome", "LOC")]),
    ((Span(0, 16, "ALL"),), [("Anna is  in Rome", "ALL")]),
    ((Span(0, 4, "PER"), Span(4, 7, "X"), Span(9, 11, "X")),
     [("Anna", "PER"), (" is", "X"), ("  ", None), ("in", "X"), (" Rome", None)])])
def test_a_highlighted_sentence_is_cut_at_its_entities_and_nowhere_else(spans, expected):
    assert Spans(spans).pieces("Anna is  in Rome") == expected


@given(some.text(max_size=30), some.data())
def test_the_pieces_of_any_sentence_are_the_sentence_and_its_entities(text, data):
    cuts = sorted(data.draw(some.sets(some.integers(0, len(text)), max_size=8)))
    spans = [Span(start, end, "X") for start, end in zip(cuts[::2], cuts[1::2], strict=False)]
    found = Spans(spans).pieces(text)
    assert "".join(piece for piece, _ in found) == text
    assert [piece for piece, label in found if label] == [text[span.start:span.end] for span in spans]
    assert all(piece for piece, _ in found)
