"""mtl/tasks/tagging.py: from character spans to label ids and back, legal tags only, and scores; that these are
seqeval's is tried in scoring/test_error_analysis.py."""

import itertools
import math
import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from mtl.data.words import Span, find_words, first_subwords, spans_to_tags, tags_to_spans
from mtl.model.batching import collate, encode
from mtl.settings.config import TaskSpec
from mtl.tasks.base import IGNORED, Encoding
from mtl.tasks.tagging import Tagged, Tagging
from tests.plain import Row

LABELS = ("LOC", "PER", "ORG")
TASK = Tagging(TaskSpec(name="tags", kind="tagging", labels=LABELS))
PIECES = ["Rome", "U.S.", "don't", "São", "Zu\u0308rich", "東京", "서울", "القاهرة", "תל", "अ", "e\u0301",
          "👩‍🚀", "🇫🇷", "...", "-", "_", "€5", "\u200b", "\u00ad", "\ufffd", "x\u200by", "\u200fa", "supercalifragilistic",
          "[SEP]", "</s>", "\x00", "ﬁ", "İ", "ß", "1,000.5"]


def marked(text: str) -> Row:
    """A row from 'to <New York|LOC>'."""
    spans, plain = [], ""
    for piece in re.split(r"(<[^|]+\|\w+>)", text):
        if piece.startswith("<"):
            name, label = piece[1:-1].split("|")
            spans.append(Span(len(plain), len(plain) + len(name), label))
            piece = name
        plain += piece
    return Row(plain, {"tags": tuple(spans)})


def logits_for(label_ids: list[int]) -> torch.Tensor:
    """(T, tags) that are sure of `label_ids`, and noise that would spoil everything where there is no label."""
    noise = 100 * torch.randn(len(label_ids), TASK.outputs, generator=torch.Generator().manual_seed(0))
    for position, label in enumerate(label_ids):
        if label != IGNORED:
            noise[position] = 20.0 * (torch.arange(TASK.outputs) == label)
    return noise


def round_trip(tokenizer, row: Row, max_length: int = 512) -> tuple[Encoding, Tagged]:
    [encoding] = encode(tokenizer, [row.text], max_length)
    logits = logits_for(TASK.label_ids(row.values["tags"], encoding))
    return encoding, TASK.decode(logits[None], [encoding])[0]


def by_words(count: int) -> Encoding:
    """A text of `count` one-letter words, each of one subword."""
    return Encoding(list(range(count)), [(2 * place, 2 * place + 1) for place in range(count)], list(range(count)))


# There and back


@pytest.mark.parametrize("text", [
    "Fly to <New York|LOC>!", "<Anna|PER>'s trip (to <San Remo|LOC>), \"<Acme Inc.|ORG>\" paid.", "<A|PER> <B|PER><,|ORG>", "no entity",
    "<Merkel|PER>'<s|ORG>", "to <New-York|LOC>/<Rome|LOC>", "<São Paulo|LOC> und <Zu\u0308rich|LOC> e\u0301 <E\u0301vian|LOC>",
    "😀 <Rome|LOC> 👩‍🚀 <Oslo|LOC> 🇫🇷", "<😀|ORG> is fun", "去 <東京|LOC> 和 <北京市|LOC>", "去<東京|LOC>和", "سافر إلى <القاهرة|LOC> غدا",
    "<\u200fשרה|PER> נסעה ל <תל אביב\u200f|LOC>",
    "to <New\u200bYork|LOC> and <\u200bParis|LOC>", "<soft\u00adware|ORG> by <I\u0307zmir|LOC>",
    "a\tb\n<New  York|LOC>\u00a0<Rome|LOC>", "[SEP] <[MASK]|ORG> </s>", "<x_y|ORG> foo_bar",
    "<Supercalifragilisticexpialidocious|PER> sang",
    "<Rome \ufffd Oslo|LOC> \x07 <Anna \x00 Lind|PER>",
])
def test_spans_survive_the_round_trip_through_subwords(tokenizer, text):
    row = marked(text)
    encoding, made = round_trip(tokenizer, row)
    assert made.spans == row.values["tags"]
    edges = [word for span in made.spans for word, first in zip(encoding.words, encoding.firsts, strict=True)
             if first < 0 and (word[0] == span.start or word[1] == span.end)]
    assert not edges
    assert all(probability > 0.99 for probability in made.confidences) and len(made.confidences) == len(made.spans)


def test_a_word_that_the_tokenizer_drops_does_not_break_an_entity_and_at_its_beginning_the_next_word_begins_it(tokenizer):
    row = marked("from <Rome \ufffd Oslo|LOC> on")
    encoding, made = round_trip(tokenizer, row)
    assert encoding.firsts.count(-1) == 1 and made.spans == row.values["tags"]
    row = marked("from <\ufffd Oslo Fjord|LOC> on")
    encoding, made = round_trip(tokenizer, row)
    start = row.text.index("Oslo")
    assert [TASK.tags[tag] for tag in TASK.label_ids(row.values["tags"], encoding) if tag != IGNORED] == ["O", "B-LOC", "I-LOC", "O"]
    assert made.spans == (Span(start, start + len("Oslo Fjord"), "LOC"),)


def test_a_file_s_own_tokens_are_cut_and_labelled_as_a_typed_text_is(tokenizer):
    tokens = ["the", "U.S.", "at", "11:15", "don't-know", "\u200b", "New", "\u200b", "York", "!"]
    starts = [0, *itertools.accumulate(len(token) + 1 for token in tokens)]
    words = tuple((start, start + len(token)) for start, token in zip(starts, tokens, strict=False))
    spans = (Span(*words[1], "LOC"), Span(*words[3], "PER"), Span(*words[4], "ORG"), Span(words[6][0], words[8][1], "LOC"))
    text = " ".join(tokens)
    encoding, made = round_trip(tokenizer, Row(text, {"tags": spans}, words))
    assert [text[start:end] for start, end in encoding.words[:8]] == ["the", "U", ".", "S", ".", "at", "11", ":"]
    assert made.spans == spans


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_any_spans_on_any_text_survive_the_round_trip(tokenizer, data):
    pieces = data.draw(st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=6)), max_size=12))
    text = data.draw(st.sampled_from([" ", "", "  "])).join(pieces)
    words = find_words(text)
    [encoding] = encode(tokenizer, [text], 512)
    kept = [word for word, first in zip(words, encoding.firsts, strict=True) if first >= 0]
    spans: list[Span] = []
    inside = False
    for start, end in kept:
        what = data.draw(st.sampled_from(["out", "on", *LABELS]))
        if what == "on" and inside:
            spans[-1] = Span(spans[-1].start, end, spans[-1].label)
        elif what in LABELS:
            spans.append(Span(start, end, what))
        inside = what != "out" and bool(spans) and spans[-1].end == end
    assert round_trip(tokenizer, Row(text, {"tags": tuple(spans)}))[1].spans == tuple(spans)


@settings(max_examples=100, deadline=None)
@given(text=st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=6)), max_size=12).map(" ".join), seed=st.integers(0, 2**32 - 1),
       cut=st.sampled_from([8, 512]))
def test_predicted_spans_lie_inside_the_text_and_apart(tokenizer, text, seed, cut):
    words = find_words(text)
    [encoding] = encode(tokenizer, [text], cut)
    logits = 5 * torch.randn(1, len(encoding.ids), TASK.outputs, generator=torch.Generator().manual_seed(seed))
    [made] = TASK.decode(logits, [encoding])
    edges = [0, *(edge for span in made.spans for edge in (span.start, span.end)), len(text)]
    assert edges == sorted(edges)
    starts, ends = {start for start, _ in words}, {end for _, end in words}
    assert all(span.start < span.end and span.start in starts and span.end in ends and span.label in LABELS for span in made.spans)
    assert len(made.confidences) == len(made.spans) and all(0 < probability <= 1 for probability in made.confidences)


# Subwords


def test_only_the_first_subword_of_a_word_is_labelled_and_never_padding_or_special_tokens(tokenizer):
    rows = [marked("to <Llanfairpwllgwyngyll|LOC> now"), marked("<Zorblaxity|PER>")]
    encodings = encode(tokenizer, [row.text for row in rows], 64)
    labels = [{"tags": TASK.label_ids(row.values["tags"], encoding)} for row, encoding in zip(rows, encodings, strict=True)]
    batch = collate(encodings, tokenizer.pad_token_id, labels, [TASK])["labels"]["tags"]
    longest = len(encodings[0].ids)
    assert longest > 8 and len(encodings[1].ids) < longest
    at = [tokenizer.tokenize(row.text) for row in rows]
    heads = [[1 + place for place, piece in enumerate(pieces) if not piece.startswith("##")] for pieces in at]
    assert [first for encoding in encodings for first in encoding.firsts] == [*heads[0], *heads[1]]
    for row, firsts, tags in zip(batch.tolist(), heads, ([0, 1, 0], [2]), strict=True):
        assert len(row) == longest
        assert [row[first] for first in firsts] == tags
        assert all(label == IGNORED for place, label in enumerate(row) if place not in firsts)


def test_a_row_that_is_not_labelled_or_an_entity_with_an_unknown_label_has_no_label_id(tiny):
    [encoding] = encode(tiny[1], ["Fly to Rome"], 16)
    assert set(TASK.label_ids(None, encoding)) == {IGNORED}
    assert TASK.label_ids((), encoding).count(0) == 3
    ids = TASK.label_ids((Span(7, 11, "CITY"),), encoding)
    assert [ids[first] for first in encoding.firsts] == [0, 0, IGNORED]


@pytest.mark.parametrize(("offsets", "firsts"), [
    ([(0, 0), (0, 3), (3, 6), (6, 10), (10, 12), (12, 15), (0, 0)], [1, 2, 3, 4]),  # the blank is the subword's
    ([(0, 0), (0, 3), (4, 6), (7, 10), (11, 13), (13, 15), (0, 0)], [1, 2, 3, 4]),  # the blank is nobody's
    ([(0, 3), (3, 4), (4, 6), (6, 7), (7, 10), (10, 11), (11, 15)], [0, 2, 4, 6]),  # the blank is a subword of its own
    ([(0, 0), (0, 3), (3, 6), (6, 8)], [1, 2, 3, -1]),  # cut off
    ([(0, 6), (6, 15)], [0, -1, 1, -1]),  # a subword of two words is the first one's
])
def test_a_subword_belongs_to_the_word_of_its_first_visible_character(offsets, firsts):
    text = "fly to New York"
    assert first_subwords(text, find_words(text), offsets) == firsts


def test_spans_survive_a_byte_level_tokenizer_that_counts_blanks_to_the_word_after():
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=False)
    trainer = trainers.BpeTrainer(vocab_size=320, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    backend.train_from_iterator(["fly to New York to New York in Zürich to fly"] * 20, trainer)
    byte_level = PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="!")
    row = marked("fly to <New York|LOC>  <Zürich|LOC>, <東京|LOC> 😀 <Ann|PER>")
    assert any(row.text[start:end] == " New" for start, end in byte_level(row.text, return_offsets_mapping=True).offset_mapping)
    encoding, made = round_trip(byte_level, row)
    assert made.spans == row.values["tags"] and min(encoding.firsts) >= 0


# Cut off


def test_an_entity_that_was_cut_off_counts_as_missed(tokenizer):
    row = marked("<Rome|LOC> " + "to " * 20 + "<Oslo|LOC>")
    encoding, made = round_trip(tokenizer, row, max_length=10)
    assert made.spans == row.values["tags"][:1] and encoding.firsts[-1] == -1
    scores = TASK.score([row.values["tags"]], [made], [encoding])
    assert scores == {"f1": pytest.approx(2 / 3), "precision": 1.0, "recall": 0.5, "accuracy": pytest.approx(21 / 22)}
    assert TASK.hit_counts(row.values["tags"], made) == (1, 3)


def test_a_text_without_words_has_no_spans(tokenizer):
    for text in ("", " ", "\x00", "\u200b"):
        assert round_trip(tokenizer, Row(text, {"tags": ()}))[1] == Tagged((), ())


# The best legal tags


def legal(tags: tuple[str, ...]) -> bool:
    return all(tag[0] != "I" or (before[0] in "BI" and before[1:] == tag[1:]) for before, tag in zip(("O", *tags), tags, strict=False))


def test_decoding_finds_the_best_of_all_legal_tag_sequences():
    task = Tagging(TaskSpec(name="tags", kind="tagging", labels=("x", "y")))
    generator = torch.Generator().manual_seed(3)
    for _ in range(12):
        lengths = torch.randint(0, 6, (6,), generator=generator).tolist()
        logits = 3 * torch.randn(6, max(*lengths, 1), 5, generator=generator)
        logits[..., 3:] += 2  # I- often wins where it may not stand
        for length, of_text, made in zip(lengths, logits.log_softmax(-1), task.decode(logits, [by_words(n) for n in lengths]), strict=True):
            def log_prob(ids, of_text=of_text):
                return sum(of_text[place, tag].item() for place, tag in enumerate(ids))

            paths = [ids for ids in itertools.product(range(5), repeat=length) if legal(tuple(task.tags[tag] for tag in ids))]
            best = max(paths, key=log_prob)
            words = by_words(length).words
            assert list(made.spans) == tags_to_spans(words, [task.tags[tag] for tag in best])
            for span, probability in zip(made.spans, made.confidences, strict=True):
                inside = [place for place, word in enumerate(words) if span.start <= word[0] < span.end]
                mean = sum(of_text[place, best[place]].item() for place in inside) / len(inside)
                assert probability == pytest.approx(math.exp(mean), rel=1e-5)


# Scores


def test_rows_without_gold_are_passed_over_and_texts_without_entities_score_0():
    spans = (Span(0, 1, "LOC"),)
    empty, found = Tagged((), ()), Tagged(spans, (1.0,))
    assert TASK.score([None, None], [empty, found], [by_words(2)] * 2) == {}
    assert TASK.score([None, spans], [found, found], [by_words(2)] * 2) == dict.fromkeys(("f1", "precision", "recall", "accuracy"), 1.0)
    assert TASK.score([()], [empty], [by_words(2)]) == {"f1": 0.0, "precision": 0.0, "recall": 0.0, "accuracy": 1.0}


@given(st.lists(st.sampled_from(["O", "B-x", "I-x", "B-y", "I-y"]), max_size=8))
def test_tags_that_are_legal_are_spans_and_back_the_same_tags(tags):
    words = by_words(len(tags)).words
    back = spans_to_tags(words, tags_to_spans(words, tags))
    assert back == tags or not legal(tuple(tags))
    assert legal(tuple(back))
