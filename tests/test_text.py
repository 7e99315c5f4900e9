"""A user's text in our sentences: cut between characters, made visible, and kept from moving what stands around it."""

import pytest
from hypothesis import given
from hypothesis import strategies as some

from mtl.data.formats.files import show
from mtl.data.hub.files import listed
from mtl.data.words import find_words
from mtl.errors import MtlError
from mtl.settings.config import make_config
from mtl.text import can_be_shown, cut, guarded, isolate, many, roughly, shorten, visible

FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
SCOTLAND = "\U0001f3f4\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f"
PERSIAN = "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645"  # with a zero width non-joiner
HEBREW = "\u05e9\u05dc\u05d5\u05dd"
WHOLE = [FAMILY, SCOTLAND, PERSIAN, "e\u0301", "\U0001f44d\U0001f3fd", "1\ufe0f\u20e3", "\U0001f1eb\U0001f1f7", "\u0915\u094d\u0937"]


@pytest.mark.parametrize("one", [FAMILY, SCOTLAND, "e\u0301", "\U0001f44d\U0001f3fd", "1\ufe0f\u20e3", "\U0001f1eb\U0001f1f7"])
@pytest.mark.parametrize("limit", range(1, 12))
def test_a_text_is_never_cut_within_a_character(one, limit):
    text = "ab" + 3 * one
    rest = cut(text, limit).removeprefix("ab"[:limit])
    assert rest == one * (len(rest) // len(one)) and len(cut(text, limit)) <= limit
    assert shorten(text, limit) == (cut(text, limit) + "…" if len(text) > limit else text)


@given(some.text(max_size=40), some.integers(1, 40))
def test_what_is_cut_off_is_the_end_and_no_more_than_a_character_too_much(text, limit):
    assert text.startswith(cut(text, limit)) and min(1, len(text)) <= len(cut(text, limit)) <= limit


@pytest.mark.parametrize("text", WHOLE)
def test_what_is_joined_by_invisible_characters_is_shown_as_it_was_written(text):
    assert can_be_shown(text) and visible(text) == text and text in show(f"a {text}") and text in listed([text])
    assert make_config({"name": text}).name == text


@pytest.mark.parametrize("text", ["a\x00b", "a\u202eb", "a\nb", "\u200d", "\u200b", "a\U000e0067", "a\u2066b"])
def test_what_cannot_be_seen_is_replaced_and_is_no_name(text):
    assert not can_be_shown(text) and "\ufffd" in visible(text)
    with pytest.raises(MtlError, match="cannot be shown"):
        make_config({"name": text})


def test_only_what_would_move_its_surroundings_is_isolated():
    assert isolate("Zürich 7 東京") == "Zürich 7 東京"
    for text in (HEBREW, f"a {HEBREW} 7", "\u0661\u0662", "a\u202eb"):
        assert isolate(text) == f"\u2068{text}\u2069"
    assert show(f"{HEBREW} 7") == f"\u2068{HEBREW} 7\u2069"


@pytest.mark.parametrize("text", [f"hi {FAMILY}!", f"{FAMILY}{FAMILY}", f"go{SCOTLAND}", "ok\U0001f44d\U0001f3fd1\ufe0f\u20e3"])
def test_no_entity_can_begin_or_end_within_an_emoji(text):
    for start, end in find_words(text):
        assert cut(text, start) == text[:start] and cut(text, end) == text[:end], text[start:end]


@pytest.mark.parametrize(("words", "expected"), [
    (many(1, "row", "has"), "1 row has"), (many(1234, "row", "has"), "1,234 rows have"), (many(0, "class"), "0 classes"),
    (many(3, "row", "was", 200), "3 of 200 rows (1.5%) were"), (many(1, "row", total=1), "1 of 1 row (100.0%)"),
    (many(2, "entity"), "2 entities")])
def test_a_count_agrees_with_its_noun_and_verb(words, expected):
    assert words == expected


@pytest.mark.parametrize(("seconds", "said"), [(0, "about 10 s"), (44, "about 40 s"), (94, "about 90 s"), (96, "about 2 min"),
                                               (185, "about 3 min"), (5600, "about 93 min"), (9000, "about 2.5 h")])
def test_a_time_that_is_not_exact_is_said_in_round_numbers(seconds, said):
    assert roughly(seconds) == said


@pytest.mark.parametrize("cell", ["=1+1", "= SUM(A1)", '=HYPERLINK("http://x")', "+1+1", "-A1", "@SUM(A1:A2)", "-2+3", "+49-30-1234",
                                  "\t=1+1", "\r=A1", "=cmd|' /C calc'!A0", "+cmd|' /C calc'!A0", "-1+cmd|' /C calc'!A0"])
def test_what_a_spreadsheet_would_run_has_an_apostrophe_in_front(cell):
    assert guarded(cell) == "'" + cell


@pytest.mark.parametrize("cell", ["", "-5", "+3.5", "-1,234.50", "-1e-05", "-12 %", "-", "--", "- he said", "- 5 of them (sadly)",
                                  "-5 degrees today", "@ana thanks!", "@ana", "+ a plus", ":-)", "a=b", "1=1", "'=1", "5 - 3",
                                  "\u2212A1", "+49 30 1234", " =1"])
def test_numbers_and_prose_are_no_formulas(cell):
    assert guarded(cell) == cell
