"""Rows survive every way there is: into each format and back, into each tagging scheme and back, and from any offsets onto word edges."""

import json
import os
import re
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from mtl.data import store
from mtl.data.formats.schemes import TagSurvey, to_spans
from mtl.data.readers import read_files
from mtl.data.words import Span, are_edges, find_words, spans_to_tags, tags_to_spans
from mtl.data.writers import write_rows
from mtl.errors import MtlError
from mtl.settings.config import TaskSpec
from tests.plain import Row, from_bio

EXAMPLES = settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
MOOD, SLOTS, KIND = (TaskSpec(name="mood", kind="classification"), TaskSpec(name="slots: two", kind="tagging"),
                     TaskSpec(name="Kind", kind="tagging"))
LABELS = ["good", "not so good", "café", "cafe\u0301", "007", "none", "true", "1.10", "null", "-", "日本", "=1+1", "a,b", 'the "x"', "🙂"]
TYPES = ["LOC", "first name", "é", "007", "O", "B-x", "a.b", "_x"]
# What breaks readers: emoji and joiners, marks, right to left, scripts without blanks, zero width, odd blanks, and the signs of formats.
ODD = ["👩\u200d👩\u200d👧", "🇫🇷", "👍🏽", "1\ufe0f\u20e3", "e\u0301", "ｅ", "ﷺ", "مرحبا", "שָׁלוֹם", "\u202e", "\u2066",
       "日本語", "ไทย", "한국", "\u1112\u1161", "\u200b", "\ufeff", "\u00ad", "\u00a0", "\u3000", "\u2028", "\u0085", "\x0b", "\x1c",
       "\x7f", "\ufffe", "\ue000", '"', "'", "''", ",", ";", "|", "\t", "\\", "\\n", "[", "]", "(", ")", "<", ">", "<b>", "</b>", "[a](B)",
       "[a : b]", "__label__x ", "{", "}", "#", "# x = y", "O", "B-LOC", "-DOCSTART-", "[SEP]",
       "text", "label", "[1]", "[]", "null", "\\ud800", "=", "/", "://"]
PIECE = st.one_of(st.sampled_from(ODD), st.characters(exclude_categories=["Cs"], exclude_characters="\0"),
                  st.text("abcde ", min_size=1, max_size=5))
TEXT = st.lists(PIECE | st.just(" ") | st.sampled_from("\n\r"), min_size=1, max_size=8).map("".join).filter(str.strip)
WORD = st.lists(PIECE, min_size=1, max_size=3).map("".join).map(lambda text: re.sub("[ \t\r\n]", "", text)).filter(bool)


@st.composite
def spans_on(draw, words, may_lack: bool = True):
    """Entities on these words; None: not labelled."""
    if may_lack and draw(st.integers(0, 4)) == 0:
        return None
    tags = draw(st.lists(st.sampled_from(["O", "O", "B", "I"]), min_size=len(words), max_size=len(words)))
    labels = draw(st.lists(st.sampled_from(TYPES), min_size=1, max_size=2))
    return tuple(tags_to_spans(words, [tag if tag == "O" else f"{tag}-{labels[index % len(labels)]}" for index, tag in enumerate(tags)]))


@st.composite
def raw_row(draw, tasks=(MOOD, SLOTS, KIND), text=TEXT, labels=LABELS, may_lack=True) -> Row:
    text = draw(text)
    values = {task.name: draw(st.sampled_from([None, *labels])) if task.kind == "classification"
              else draw(spans_on(find_words(text), may_lack)) for task in tasks}
    return Row(text, values)


@st.composite
def cut_row(draw, tasks=(MOOD, SLOTS, KIND)) -> Row:
    """A row that has words of its own."""
    words, end = [], -1
    tokens = draw(st.lists(WORD, min_size=1, max_size=6).filter(lambda tokens: " ".join(tokens).strip()))
    for token in tokens:
        words.append((end + 1, end + 1 + len(token)))
        end = words[-1][1]
    text = " ".join(tokens)
    seen = [word for word in words if are_edges(find_words(text), [Span(*word, "")])]  # not those that are control characters only
    return Row(text, {task.name: draw(st.sampled_from([None, *LABELS])) if task.kind == "classification"
                      else draw(spans_on(seen)) for task in tasks}, tuple(words))


def there_and_back(folder: Path, name: str, rows: list[Row], tasks) -> list[Row]:
    path = folder / name
    write_rows(path, rows, tasks)
    assert os.listdir(folder) == [name]  # nothing temporary stays
    table = read_files([path], wanted=[task.name for task in tasks])
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    return list(table.rows)


# Formats


ANY_ROWS = given(st.lists(raw_row(), min_size=1, max_size=4) | st.lists(cut_row(), min_size=1, max_size=4))


@EXAMPLES
@ANY_ROWS
@example([Row("\0", {"mood": "a\0", "slots: two": (), "Kind": None})])
@example([Row("[]", {"mood": "x", "slots: two": (), "Kind": None}), Row("[1]", {"mood": None, "slots: two": None, "Kind": None})])
@pytest.mark.parametrize("suffix", [".jsonl", ".JSON"])
def test_rows_survive_json(tmp_path, suffix, rows):
    assert there_and_back(tmp_path, "x" + suffix, rows, [MOOD, SLOTS, KIND]) == rows


@settings(EXAMPLES, max_examples=30)
@ANY_ROWS
@example([Row("\0", {"mood": "a\0", "slots: two": (), "Kind": None})])
@pytest.mark.parametrize("name", ["x.PARQUET", "saved"])
def test_rows_survive_parquet_and_a_saved_dataset(tmp_path, name, rows):
    assert there_and_back(tmp_path, name, rows, [MOOD, SLOTS, KIND]) == rows


@EXAMPLES
@ANY_ROWS
@example([Row("a\r\rb\n", {"mood": "x", "slots: two": (), "Kind": None})])
@pytest.mark.parametrize("suffix", [".csv", ".TSV"])
def test_rows_survive_tables_of_text(tmp_path, suffix, rows):
    assert there_and_back(tmp_path, "x" + suffix, rows, [MOOD, SLOTS, KIND]) == rows


@EXAMPLES
@given(st.lists(cut_row(), min_size=1, max_size=4))
@example([Row("#a=b c", {"mood": None, "slots: two": (), "Kind": (Span(0, 4, "O"),)}, ((0, 4), (5, 6)))])
@example([Row("\ufeff#", {"mood": "O", "slots: two": None, "Kind": None}, ((0, 2),))])
def test_rows_with_words_survive_columns(tmp_path, rows):
    assume(not any("-DOCSTART-" in row.text.split(" ") for row in rows))
    assert there_and_back(tmp_path, "x.conll", rows, [MOOD, SLOTS, KIND]) == rows


@EXAMPLES
@given(st.lists(raw_row(), min_size=1, max_size=4))
def test_texts_become_their_words_in_columns(tmp_path, rows):
    assume(all(find_words(row.text) for row in rows))
    for row, again in zip(rows, there_and_back(tmp_path, "x.conll", rows, [MOOD, SLOTS, KIND]), strict=True):
        words = find_words(row.text)
        assert [again.text[start:end] for start, end in again.words] == [row.text[start:end] for start, end in words]
        assert again.text == " ".join(row.text[start:end] for start, end in words)
        for name, value in row.values.items():
            if isinstance(value, tuple):
                assert spans_to_tags(again.words, again.values[name]) == spans_to_tags(words, value)
            else:
                assert again.values[name] == value


@EXAMPLES
@given(st.lists(cut_row(tasks=[TaskSpec(name="tags", kind="tagging")]), min_size=1, max_size=4))
def test_a_single_task_called_tags_needs_no_header_in_columns(tmp_path, rows):
    assume(not any("-DOCSTART-" in row.text.split(" ") for row in rows))
    assert there_and_back(tmp_path, "x.conll", rows, [TaskSpec(name="tags", kind="tagging")]) == rows


MARKED = [TaskSpec(name="label", kind="classification"), TaskSpec(name="entities", kind="tagging")]


@EXAMPLES
@given(st.lists(raw_row(MARKED, labels=[label for label in LABELS if " " not in label], may_lack=False), min_size=1, max_size=4))
@example([Row("<b>x</b> [a : b] \\(n)\n", {"label": None, "entities": (Span(1, 2, "a](b"),)})])
@example([Row("\ufeff[x", {"label": None, "entities": (Span(0, 1, "_x"), Span(1, 2, "\\"))})])
def test_rows_survive_marked_text(tmp_path, rows):
    assume(any(row.values["entities"] for row in rows))
    try:
        again = there_and_back(tmp_path, "x.txt", rows, MARKED)
    except MtlError as error:  # the few that would be read otherwise
        assert "would be read otherwise" in str(error) and "__label__" in "".join(row.text for row in rows)
    else:
        assert again == rows


LINE = TEXT.map(lambda text: text.replace("\n", "").replace("\r", "")).filter(str.strip)


@EXAMPLES
@given(st.lists(raw_row(MARKED[:1], LINE, ["good", "007", "none", "日本", "🙂"]), min_size=1, max_size=4))
def test_rows_with_classes_survive_fasttext(tmp_path, rows):
    try:
        again = there_and_back(tmp_path, "x.txt", rows, MARKED[:1])
    except MtlError as error:
        marked = any(sign in row.text for row in rows for sign in ("[", "<", "__label__"))
        assert marked if "would be read otherwise" in str(error) else not any(row.values["label"] for row in rows)
    else:
        assert again == rows


def test_words_are_lost_where_not_all_rows_have_them_but_no_entity_is(tmp_path):
    rows = [Row("New York!", {SLOTS.name: (Span(0, 9, "LOC"),)}, ((0, 3), (4, 9))), Row("New York!", {SLOTS.name: (Span(0, 8, "LOC"),)})]
    for suffix in (".jsonl", ".json", ".csv", ".tsv", ".parquet"):
        assert there_and_back(tmp_path, "x" + suffix, rows, [SLOTS]) == [Row(row.text, row.values) for row in rows]


def test_the_files_are_what_others_write_too(tmp_path):
    rows = [Row("To New York", {"mood": "good", "tags": (Span(3, 11, "LOC"),)}, ((0, 2), (3, 6), (7, 11))),
            Row("now", {"mood": None, "tags": ()}, ((0, 3),))]
    tags = TaskSpec(name="tags", kind="tagging")
    wanted = {
        "x.jsonl": '{"tokens": ["To", "New", "York"], "mood": "good", "tags": ["O", "B-LOC", "I-LOC"]}\n'
                   '{"tokens": ["now"], "tags": ["O"]}\n',
        "x.conll": "# global.columns = FORM\ttags\n# mood = good\nTo\tO\nNew\tB-LOC\nYork\tI-LOC\n\nnow\tO\n\n",
        "x.txt": "__label__good To [New York](LOC)\nnow\n",
        "x.tsv": 'tokens\tmood\ttags\r\n"[""To"", ""New"", ""York""]"\tgood\t"[""O"", ""B-LOC"", ""I-LOC""]"\r\n'
                 '"[""now""]"\t\t"[""O""]"\r\n',
    }
    for name, content in wanted.items():
        write_rows(tmp_path / name, iter(rows), [MOOD, tags])
        assert (tmp_path / name).read_bytes().decode() == content
    write_rows(tmp_path / "x.conll", rows, [tags])
    assert (tmp_path / "x.conll").read_text() == "To\tO\nNew\tB-LOC\nYork\tI-LOC\n\nnow\tO\n\n"
    write_rows(tmp_path / "y.json", [Row(row.text, row.values) for row in rows], [MOOD, tags])
    assert json.loads((tmp_path / "y.json").read_text()) == [
        {"text": "To New York", "mood": "good", "tags": [{"start": 3, "end": 11, "label": "LOC"}]}, {"text": "now", "tags": []}]


def row(text="hello", words=None, **values) -> Row:
    return Row(text, values, words)


CLASS, TAGS = TaskSpec(name="a", kind="classification"), TaskSpec(name="b", kind="tagging")


@pytest.mark.parametrize(("name", "rows", "tasks", "message"), [
    ("x.xlsx", [row()], [], r"rows cannot be written in this format. Name the file \.jsonl, \.json, \.csv"),
    ("x.csv", [], [CLASS], "there are no rows to write"),
    ("x.jsonl", [row(text="a")], [TaskSpec(name="Text", kind="classification")], "a task called 'Text' would be taken for the sentence"),
    ("x.csv", [row(a="b")], [CLASS, CLASS], "column 'a' appears twice"),
    ("x.jsonl", [row(a="['b']")], [CLASS], "the label .* would be taken for a list"),
    ("x.json", [row(task="b")], [TaskSpec(name="task", kind="classification")], "are those of an annotation tool. Rename them"),
    ("x.csv", [row("a\0b")], [CLASS], r"holds no NUL characters.* Write .jsonl or .parquet"),
    ("x.tsv", [row("a", b=tuple(Span(0, 1, "x") for _ in range(5000)))], [TAGS], "no lists so long"),
    ("x.conll", [row("\x01")], [CLASS], "cannot be written as a word on each line"),
    ("x.conll", [row("-DOCSTART-", ((0, 10),))], [CLASS], "cannot be written as a word on each line"),
    ("x.conll", [row("a" * 1001)], [CLASS], "cannot be written as a word on each line"),
    ("x.conll", [row("a b", ((0, 3),))], [CLASS], "cannot be written as a word on each line"),
    ("x.conll", [row("a", a="b\nc")], [CLASS], "cannot be written as a comment"),
    ("x.conll", [row("a", sent_id="b")], [TaskSpec(name="sent_id", kind="classification")], "cannot be written as a comment"),
    ("x.conll", [row("a", b=(Span(0, 1, "x\ty"),))], [TAGS], "hold no TAB, NUL or end of line"),
    ("x.conll", [row("a", b=(Span(0, 1, "x\0"),))], [TAGS], "hold no TAB, NUL or end of line"),
    ("x.conll", [row("a")], [TaskSpec(name="Form", kind="tagging")], "'FORM' and 'id' are no names for a column of tags"),
    ("x.txt", [row()], [TAGS, TaskSpec(name="c", kind="tagging")], "holds one task with entities and one with classes. Write"),
    ("x.txt", [row(b=None)], [TAGS], "cannot tell that a text is not labelled"),
    ("x.txt", [row(b=())], [TAGS], "none of the first 200 texts has an entity or a class"),
    ("x.txt", [row(a="two words")], [CLASS], "would be read otherwise"),
    ("x.txt", [row("a\nb", a="c")], [CLASS], "would be read otherwise"),
    ("x.txt", [row("[a](B)", a="c")], [CLASS], "would be read otherwise"),
    ("x.txt", [row("__label__a b", a=None)], [CLASS], "would be read otherwise"),
    ("x.txt", [row("a", b=(Span(0, 1, "http://x"),))], [TAGS], "would be read otherwise"),
    ("no/x.csv", [row()], [CLASS], r"x\.csv: cannot be written \(No such file or directory\)"),
])
def test_what_a_format_cannot_hold_is_refused_and_nothing_is_left(tmp_path, name, rows, tasks, message):
    with pytest.raises(MtlError, match=message) as caught:
        write_rows(tmp_path / name, rows, tasks)
    assert str(caught.value).startswith("x.") and str(caught.value).endswith(".") and len(str(caught.value)) <= 250
    assert os.listdir(tmp_path) == []


def test_a_file_is_replaced_whole_or_stays_as_it_was(tmp_path):
    write_rows(tmp_path / "x.csv", [row("one", a="b")], [CLASS])
    before = (tmp_path / "x.csv").read_bytes()
    with pytest.raises(MtlError):
        write_rows(tmp_path / "x.csv", [row("two", a="b"), row("t\0o", a="b")], [CLASS])
    assert (tmp_path / "x.csv").read_bytes() == before and os.listdir(tmp_path) == ["x.csv"]
    write_rows(tmp_path / "x.csv", [row("two", a="b")], [CLASS])
    assert (tmp_path / "x.csv").read_bytes() == before.replace(b"one", b"two")


def test_many_rows_are_written_in_batches(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "KEPT_IN_MEMORY", 100)
    rows = [row(f"text {index}", a="xy"[index % 2], b=(Span(0, 4, "A"),) if index % 3 else None) for index in range(2500)]
    for name in ("x.jsonl", "x.csv", "x.parquet", "saved"):
        assert there_and_back(tmp_path, name, rows, [CLASS, TAGS]) == rows


# Tagging schemes


@EXAMPLES
@given(st.lists(st.tuples(st.sampled_from(["O", "O", "B", "I"]), st.sampled_from(TYPES)), min_size=1, max_size=12),
       st.sampled_from(["IOB2", "IOB1", "BIOES", "BILOU", "bare"]))
def test_tags_survive_every_scheme(pairs, scheme):
    words = [(index * 2, index * 2 + 1) for index in range(len(pairs))]
    spans = tags_to_spans(words, ["O" if prefix == "O" else f"{prefix}-{label}" for prefix, label in pairs])
    tags = spans_to_tags(words, spans)
    assert tags_to_spans(words, tags) == spans
    if scheme == "bare":  # which cannot tell neighbours of one type apart, nor a type called O
        assume(not any(left.end + 1 == right.start and left.label == right.label for left, right in zip(spans, spans[1:], strict=False)))
        assume(not any(span.label == "O" for span in spans))
    written = from_bio(tags, scheme)
    assert to_spans(words, written, scheme) == spans
    assert spans_to_tags(words, to_spans(words, written, scheme)) == tags
    if spans and scheme != "bare":
        survey = TagSurvey()
        survey.add(written)
        assert survey.scheme == scheme


# Offsets


@EXAMPLES
@example("[]", [], True)
@example("[1]", [], True)
@given(TEXT | st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30).filter(str.strip),
       st.lists(st.tuples(st.integers(-3, 40), st.integers(-3, 40), st.sampled_from(["A", "B c"])), max_size=6), st.booleans())
def test_every_span_that_is_read_lies_on_word_edges_of_its_text(tmp_path, text, spans, tagged):
    sample = {"text": text, "spans": [{"start": start, "end": end, "label": label} for start, end, label in spans]}
    if tagged:
        sample["tags"] = ["B-X" for _ in text.split()]
    (tmp_path / "x.jsonl").write_text(json.dumps(sample))
    try:
        [row] = read_files([tmp_path / "x.jsonl"], wanted=["spans", "tags"]).rows
    except MtlError as error:
        assert "has an entity from" in str(error) or "overlap" in str(error)
        return
    words = row.word_ranges()
    for value in row.values.values():
        assert all(0 <= span.start < span.end <= len(row.text) for span in value or ())
        assert {span.start for span in value or ()} <= {start for start, _ in words}
        assert {span.end for span in value or ()} <= {end for _, end in words}
        assert all(left.end <= right.start for left, right in zip(value or (), (value or ())[1:], strict=False))
        assert tuple(tags_to_spans(words, spans_to_tags(words, value or ()))) == (value or ())
