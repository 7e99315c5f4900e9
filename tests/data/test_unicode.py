"""Texts as people write them, through files, tokenizers, a model and the page's highlighting: nothing is lost, moved or made up."""

import json

import pytest

from mtl.data.readers import read_files
from mtl.data.words import find_words, snap_to_words
from mtl.errors import MtlError
from mtl.inference.predictor import Predictor
from mtl.model.encoder import load_encoder
from mtl.model.machine import Machine
from mtl.tasks.tagging import Tagged

TEXTS = {
    "ASCII": "Anna flew to Rome.",
    "tabs and newlines": "Anna\tflew\n\nto\r\nRome",
    "NFC": "caf\u00e9 Ren\u00e9",
    "NFD": "cafe\u0301 Rene\u0301",
    "Vietnamese": "Tr\u1ea7n \u0110\u1ebfn \u1edf H\u00e0 N\u1ed9i",
    "Turkish": "\u0130stanbul I\u011fd\u0131r'a",
    "grows": "Stra\u00dfe \ufb01n \ufb00",
    "family": "\U0001f468\u200d\U0001f469\u200d\U0001f467 home",
    "flags": "\U0001f1eb\U0001f1f7\U0001f1e9\U0001f1ea win",
    "skin": "\U0001f44d\U0001f3fd ok",
    "keycap": "1\ufe0f\u20e3 first",
    "tag flag": "\U0001f3f4\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f",
    "selector": "\u2764\ufe0f love",
    "emoji only": "\U0001f600\U0001f601\U0001f602",
    "many emoji": "\U0001f600" * 300,
    "Arabic": "\u0632\u0627\u0631 \u0645\u062d\u0645\u062f \u0627\u0644\u0642\u0627\u0647\u0631\u0629",
    "Hebrew": "\u05e9\u05b8\u05c1\u05dc\u05d5\u05b9\u05dd \u05d3\u05d5\u05d3",
    "mixed": "\u200fIBM \u0641\u064a \u200eRome\u200f",
    "bidi": "a\u202eb\u202c c\u2066d\u2069",
    "Urdu": "\u0645\u06cc\u200c\u062e\u0648\u0627\u06c1\u0645",
    "Devanagari": "\u0915\u094d\u0937\u0924\u094d\u0930\u093f\u092f \u0928\u0947",
    "Thai": "\u0e01\u0e23\u0e38\u0e07\u0e40\u0e17\u0e1e\u0e2f\u0e19\u0e49\u0e33",
    "Khmer": "\u1797\u17d2\u1793\u17c6\u1796\u17c1\u1789",
    "Chinese": "\u738b\u660e\u5728\u5317\u4eac\u3002",
    "Japanese": "\uff76\uff9e\uff76\uff9e\u6771\u4eac\u30bf\u30ef\u30fc",
    "Jamo": "\u1112\u1161\u11ab\u1100\u116e\u11a8",
    "Mongolian": "\u182e\u1823\u1829\u182d\u1823\u182f",
    "mathematical": "\U0001d400\U0001d401 \U0001d41a",
    "full width": "\uff32\uff4f\uff4d\uff45",
    "long ligature": "\ufdfa \ufdfb",
    "private": "\ue000\ue001 x",
    "non-character": "a\ufffe b\uffff",
    "replacement": "a\ufffdb",
    "controls": "a\x01b\x7f\x9fc",
    "zero width": "a\u200bb\u200cc\u200dd\u2060e\ufefff\u00adg\u061ch\u034fi",
    "only zero width": "\u200b\u200b x \u2060",
    "separators": "a\u2028b\u2029c\x85d",
    "blanks": "a\u00a0b\u3000c\u2009d",
    "zalgo": "z" + "\u0301" * 100 + " a",
    "no blank": "x" * 3000,
    "blanks only inside": "a" + " " * 2000 + "b",
    "URL": "https://example.org/" + "a/" * 500,
    "code": "if (a<b) { x[0] = \"\\n\"; }",
    "HTML": "<b>Rome</b> &amp; <script>",
    "special": "[SEP] [MASK] [CLS] </s> <|endoftext|> [UNK]",
    "punctuation": "!!!???...---,,,",
}


@pytest.fixture(scope="module", params=["bundled", "tiny"])
def predictor(request, tiny):
    """A model that was never trained, so that it marks anything anywhere."""
    from mtl.model.multitask import build_model
    from mtl.settings.config import TaskSpec

    encoder, tokenizer = load_encoder("bundled") if request.param == "bundled" else tiny
    specs = [TaskSpec(name="kind", kind="classification", labels=("a", "b")), TaskSpec(name="ner", kind="tagging", labels=("X", "Y"))]
    model = build_model(encoder, specs, pooling="mean", normalize=False, dropout=0.0, encoder_dropout=None, max_length=128).eval()
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
