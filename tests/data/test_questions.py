"""Files that may as well be read in another way: which, what is taken, and how the user says otherwise."""

import pytest

from mtl.data.parsed import read_unmerged
from mtl.data.readers import read_files
from mtl.settings.shorthand import parse_columns

UNCLEAR = "Das Haus,ruhig\nEin Boot,laut\nDie Stadt,eng\n"  # three rows, or two with names above them
WORDS = "word,type\nAda,person\nleft,O\nOslo,place\nnow,O\n\nRain,O\nin,O\nLima,place\ntoday,O\n"


def read(path, content, columns=""):
    path.write_text(content, encoding="utf-8")
    table = read_files([path], parse_columns(columns))
    return table, [row.text for row in table.rows]


def test_a_first_line_that_may_be_a_row_is_taken_for_the_names_and_asked_about_with_a_row_of_each_reading(tmp_path):
    table, texts = read(tmp_path / "some.csv", UNCLEAR)
    assert texts == ["Ein Boot", "Die Stadt"]
    [question] = table.questions
    names, row = question.readings
    assert (names.is_taken, row.is_taken) == (True, False)
    assert (names.example, row.example) == ("Das Haus: Ein Boot \u00b7 ruhig: laut", "column 1: Das Haus \u00b7 column 2: ruhig")
    assert any("nothing tells whether the first line" in notice and "set 'column 1' to text" in notice for notice in table.notices)


def test_the_answer_is_a_column_and_can_be_taken_back(tmp_path):
    asked, _ = read(tmp_path / "some.csv", UNCLEAR)
    [(column, role)] = asked.questions[0].readings[1].roles.items()
    table, texts = read(tmp_path / "some.csv", UNCLEAR, f"{column}={role}")
    assert texts == ["Das Haus", "Ein Boot", "Die Stadt"]
    assert [reading.is_taken for reading in table.questions[0].readings] == [False, True]
    assert not any("nothing tells" in notice for notice in table.notices)
    assert asked.questions[0].readings[0].roles == {}
    assert read(tmp_path / "some.csv", UNCLEAR, "Das Haus=text")[1] == ["Ein Boot", "Die Stadt"]


@pytest.mark.parametrize("content", [
    "text,label\nEin Boot,laut\nDie Stadt,eng\n",
    "Beitrag,Haltung\n" + "Ein langer Satz,gut\nNoch ein Satz,schlecht\n" * 4,  # the labels come again, their name does not
    "Das Haus,ruhig\n" + "Ein Boot,laut\nDie Stadt,ruhig\n" * 4,  # the first label comes again
    "Gefiel es?,Warum?\nJa sehr,so\nNein nie,darum\n",
])
def test_a_first_line_that_shows_what_it_is_is_not_asked_about(tmp_path, content):
    assert read(tmp_path / "some.csv", content)[0].questions == ()


def test_words_without_prefixes_are_joined_and_asked_about(tmp_path):
    table, texts = read(tmp_path / "some.csv", WORDS)
    assert texts == ["Ada left Oslo now", "Rain in Lima today"]
    joined, apart = table.questions[0].readings
    assert (joined.example, apart.example) == ("Ada left Oslo now", "word: Ada \u00b7 type: person")
    table, texts = read(tmp_path / "some.csv", WORDS, "word=text")
    assert texts[:3] == ["Ada", "left", "Oslo"] and [reading.is_taken for reading in table.questions[0].readings] == [False, True]
    prefixed = WORDS.replace("person", "B-person").replace("place", "B-place")
    assert read(tmp_path / "some.csv", prefixed)[0].questions == ()


def test_questions_are_kept_with_what_was_parsed(tmp_path):
    path = tmp_path / "some.csv"
    path.write_text(UNCLEAR)
    first, again = (read_unmerged([path], (), (), tmp_path / "parsed", lambda what, share: None) for _ in range(2))
    assert first.questions == again.questions != ()
