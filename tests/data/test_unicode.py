"""Texts as people write them, through files, tokenizers, a model and the page's highlighting: nothing is lost, moved or made up."""

import json
from pathlib import Path

import pytest

from mtl.data.readers import read_files
from mtl.data.words import find_words, snap_to_words
from mtl.errors import MtlError
from mtl.inference.predictor import Predictor
from mtl.model.encoder import load_encoder
from mtl.model.machine import Machine
from mtl.model.multitask import MultiTaskConfig, build_model
from mtl.settings.config import TaskSpec
from mtl.tasks.tagging import Tagged

TEXTS = json.loads(Path(__file__).with_name("texts.json").read_text(encoding="utf-8")) | {
    "many emoji": "\U0001f600" * 300, "no blank": "x" * 3000, "blanks only inside": "a" + " " * 2000 + "b",
    "URL": "https://example.org/" + "a/" * 500}


@pytest.fixture(scope="module", params=["bundled", "tiny"])
def predictor(request, tiny):
    """A model that was never trained, so that it marks anything anywhere."""
    encoder, tokenizer = load_encoder("bundled") if request.param == "bundled" else tiny
    specs = [TaskSpec(name="kind", kind="classification", labels=("a", "b")), TaskSpec(name="ner", kind="tagging", labels=("X", "Y"))]
    model = build_model(encoder, MultiTaskConfig(tasks=[spec.model_dump(mode="json") for spec in specs])).eval()
    return Predictor(model, tokenizer, Machine("cpu", "fp32", 1))


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_every_span_lies_on_word_edges_and_the_pieces_are_the_text(predictor, text):
    predicted = predictor.predict([text])[0]
    answer = predicted.predictions["ner"]
    assert isinstance(answer, Tagged) and predicted.text == text
    words = find_words(text)
    assert all(snap_to_words(words, span) == span for span in answer.spans)
    assert all(left.end <= right.start for left, right in zip(answer.spans, answer.spans[1:], strict=False))
    assert "".join(piece for piece, _ in answer.drawing(text).pieces) == text
    assert set(predicted.predictions["kind"].probabilities) == {"a", "b"}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_a_file_gives_back_the_text_as_it_stands_with_spans_inside_it(tmp_path, text):
    spans = [{"start": start, "end": start + 1, "label": "X"} for start in range(0, min(len(text), 40), 3)]
    file = tmp_path / "rows.jsonl"
    for escaped in (True, False):
        file.write_text(json.dumps({"text": text, "ner": spans}, ensure_ascii=escaped) + "\n", encoding="utf-8", newline="")
        [row] = read_files([file]).rows
        assert row.text == text
        assert all(0 <= span.start < span.end <= len(text) for span in row.values["ner"])
        words = find_words(text)
        assert all(snap_to_words(words, span) == span for span in row.values["ner"])


def test_half_a_character_is_replaced_when_asked_and_refused_in_a_file(predictor, tmp_path):
    assert predictor.predict(["a \ud800 b"])[0].text == "a ? b"
    (tmp_path / "rows.jsonl").write_text('{"text": "a \\ud800 b"}')
    with pytest.raises(MtlError, match="line 1: broken Unicode"):
        read_files([tmp_path / "rows.jsonl"])
