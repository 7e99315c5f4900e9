"""A text that is longer than the model reads: it says where it was cut, or is read in pieces whose answers are joined."""

import pytest
from hypothesis import given
from hypothesis import strategies as some

from mtl.errors import MtlError
from mtl.inference.pieces import find_pieces, split_sentences
from mtl.inference.predictor import Predictor
from mtl.model.machine import Machine
from mtl.model.multitask import for_inference
from mtl.settings.config import TaskSpec

SENTENCES = ["Book a table in Rome for two. ", "Fly from New York to Paris tomorrow! ", "Play some jazz by Miles Davis. ",
             "\u6771\u4eac\u306b\u884c\u304f\u3002", "Is it far from good, Anna said? "]
ALL_KINDS = (TaskSpec(name="mood", kind="classification", labels=("bad", "good")), TaskSpec(name="slots", kind="tagging", labels=("LOC",)),
             TaskSpec(name="topics", kind="multilabel", labels=("art", "food", "law")))


@pytest.fixture
def predictor(tiny, make_model):
    """A model for a task of every kind, which reads 16 subwords."""
    return Predictor(for_inference(make_model(specs=ALL_KINDS, max_length=16)), tiny[1], Machine("cpu", "fp32", 1), "plain")


def words_read(limit: int):
    """A `cut_at` that reads `limit` words between blanks."""
    def cut_at(text: str) -> int | None:
        words = text.split()
        return None if len(words) <= limit else len(text) - len(" ".join(text.lstrip().split()[limit:]))
    return cut_at


def pieces_of(text: str, limit: int, window: int = 1000) -> list[str]:
    return [text[start:end] for start, end in find_pieces(text, words_read(limit), window)]


@pytest.mark.parametrize(("text", "pieces"), [
    ("One two. Three four five.", ["One two. ", "Three four five."]),
    ("One. Two. Three four five six.", ["One. Two. ", "Three four five six."]),  # the last end that fits
    ('He said "go now." Then he left.', ['He said "go now." ', "Then he left."]),
    ("So. Dr. Ana B. Silva left", ["So. ", "Dr. Ana B. Silva ", "left"]),  # neither title nor initial ends a sentence
    ("One two\n\nthree four five", ["One two\n\n", "three four five"]),
    ("It cost 3.50 or so. Yes", ["It cost 3.50 or ", "so. Yes"]),
    ("one two three four five six", ["one two three four ", "five six"]), ("one", ["one"])])
def test_a_piece_ends_with_a_sentence_or_else_with_a_word(text, pieces):
    assert pieces_of(text, 4) == pieces


@given(some.lists(some.sampled_from([*SENTENCES, "word ", "\n\n", "   ", "A. ", "\u2028"]), min_size=1, max_size=30), some.integers(1, 9),
       some.integers(20, 90))
def test_the_pieces_hold_the_whole_text_in_order_and_none_is_empty(parts, limit, window):
    text = "".join(parts)
    ranges = find_pieces(text, words_read(limit), window)
    assert "".join("".join(text[start:end] for start, end in ranges).split()) == "".join(text.split())
    assert all(text[start:end].strip() for start, end in ranges) and ranges == sorted(ranges)


def test_a_text_that_is_cut_says_so_in_json_and_a_short_one_does_not(predictor):
    cut, whole = predictor.predict(["".join(SENTENCES), "Book a table."])
    assert cut.plain()["cut_at"] == cut.cut_at and 0 < cut.cut_at < len(cut.text) and "cut_at" not in whole.plain()
    assert list(cut.plain())[:2] == ["text", "cut_at"]


def test_in_pieces_nothing_is_cut_and_every_piece_answers_as_it_does_alone(predictor):
    text = "".join(SENTENCES * 3)
    [joined] = predictor.predict([text], long="split")
    ranges = find_pieces(text, lambda part: predictor.predict([part])[0].cut_at, 16 * 16)
    alone = predictor.predict([text[start:end] for start, end in ranges])
    assert joined.cut_at is None and joined.pieces == joined.plain()["pieces"] == len(ranges) > 3
    assert [(span.start, span.end, span.label) for span in joined.predictions["slots"].spans] == [
        (start + span.start, start + span.end, span.label) for (start, _), one in zip(ranges, alone, strict=True)
        for span in one.predictions["slots"].spans]
    assert all(text[span["start"]:span["end"]] == span["text"] for span in joined.plain()["slots"])


def test_the_probability_of_a_class_is_the_mean_over_the_pieces_by_their_subwords(predictor):
    made = [predictor.predict([text])[0].predictions for text in ("Book a table.", "Fly home.")]
    for name in ("mood", "topics"):
        joined = predictor.model.tasks[name].join([one[name] for one in made], [0, 14], [0.75, 0.25])
        for label, sure in joined.probabilities.items():
            assert sure == pytest.approx(0.75 * made[0][name].probabilities[label] + 0.25 * made[1][name].probabilities[label])
        assert list(joined.probabilities.values()) == sorted(joined.probabilities.values(), reverse=True)
    assert joined.labels == tuple(label for label, sure in joined.probabilities.items() if sure >= 0.5)


def test_a_text_that_fits_is_answered_alike_in_both_ways(predictor):
    assert predictor.predict(["Book a table."], long="split") == predictor.predict(["Book a table."])


def test_in_pieces_a_text_may_have_more_characters_than_are_read_at_once(predictor):
    long = "Fly to Rome. " * 2_000
    with pytest.raises(MtlError, match="The text has 26,000 characters, the limit is 20,000"):
        predictor.predict([long])
    [made] = predictor.predict([long], ["mood"], long="split")
    assert made.cut_at is None and made.pieces > 100


def test_a_text_that_cannot_be_read_does_not_lose_the_others(predictor):
    empty, made, long = predictor.predict_each([" \n", "Book a table.", "a" * 20_001])
    assert (str(empty), str(long)) == ("The text is empty. Type a sentence.",
                                       "The text has 20,001 characters, the limit is 20,000. Split it.")
    assert made == predictor.predict(["Book a table."])[0]


@pytest.mark.parametrize(("text", "sentences"), [
    ("One. Two! Three?", ["One.", "Two!", "Three?"]), ("One. ", ["One."]), (" \n ", []),
    ("It cost 3.5 percent. and more.", ["It cost 3.5 percent. and more."]), ("Wait...  then go?! Yes.", ["Wait...  then go?!", "Yes."]),
    ("Dr. Who met J. Smith. He left.", ["Dr. Who met J. Smith.", "He left."]),
    ('He said "Go." Then he went.', ['He said "Go."', "Then he went."]),
    ("a title\nand a line\r\n\nthe end", ["a title", "and a line", "the end"]),
    ("\u6771\u4eac\u3002\u884c\u304f\u3002", ["\u6771\u4eac\u3002", "\u884c\u304f\u3002"])])
def test_a_sentence_ends_with_its_full_stop_or_with_the_line(text, sentences):
    assert split_sentences(text) == sentences


@given(some.text(some.sampled_from("a.!? \n\u3002\"")))
def test_no_character_of_a_sentence_is_lost_and_none_is_empty(text):
    sentences = split_sentences(text)
    assert "".join("".join(sentences).split()) == "".join(text.split()) and all(one.strip() == one != "" for one in sentences)


@pytest.mark.parametrize("filler", [" ", ".", ".\"", "\n ", "\u3002)", "A."])
def test_sentences_of_a_huge_text_are_found_in_one_pass(filler):
    text = "a" + filler * 300_000 + "b"  # hours, if each mark were a new beginning
    assert "".join(split_sentences(text)).count("b") == 1
