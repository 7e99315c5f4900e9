"""Tables with a word and its tags on each row, whatever file they come from, into one record a sentence. Which column holds the words and
which ends a sentence is found in what stands in them; names only help."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain, groupby, islice

from mtl.data.formats.files import MAX_WORDS, NAMES, TAG_NAMES, WORD_NAMES, Record, Source, show
from mtl.data.formats.schemes import OUTSIDE, TAG, TagSurvey
from mtl.data.formats.tables import as_list
from mtl.data.questions import Reading
from mtl.errors import MtlError

GRAMMAR = {"pos", "pos_tag", "pos_tags", "upos", "xpos", "chunk", "chunk_tag", "chunk_tags", "chunks", "lemma", "lemmas", "parse"}
_CHUNKS = {"NP", "VP", "PP", "ADJP", "ADVP", "SBAR", "PRT", "CONJP", "INTJ", "LST", "UCP"}
MOST, ALMOST_ALL = 0.75, 0.98  # shares of the rows
BLANKS = frozenset(" \t\r\n")
LOOKED_AT = 500  # rows by which a table is known


@dataclass(frozen=True)
class _Layout:
    """What the columns of a table of words are for."""

    words: str
    tagged: tuple[str, ...]  # a tag for each word
    groups: tuple[str, ...]  # the same in all words of a sentence, such as its number
    firsts: tuple[str, ...]  # filled at the first word of a sentence only
    counts: tuple[str, ...]  # count the words of a sentence
    gaps: bool  # whether there are blank lines between sentences
    labels: tuple[str, ...] = ()  # the label of a sentence, at its first word or at all

    def begins(self, before: Record, record: Record) -> bool:
        """Whether `record` is the first word of a sentence, given the one before it."""
        (last, left), (line, right) = before, record
        return ((self.gaps and line > last + 1) or any(left.get(name) != right.get(name) for name in self.groups)
                or any(_text(right.get(name)) for name in self.firsts)
                or any(is_anew(_text(left.get(name)), _text(right.get(name))) for name in self.counts))

    def ends(self) -> str:
        """Where sentences end, in words."""
        if names := self.groups or self.firsts:
            return f"where '{show(names[-1])}' {'changes' if self.groups else 'is filled'}"
        return f"where '{show(self.counts[0])}' begins anew" if self.counts else "at blank lines"


def join_words(source: Source, records: Iterator[Record]) -> Iterator[Record]:
    """The records of a table; if each is a word with its tags, those of a sentence joined into one."""
    head = list(islice(records, LOOKED_AT))
    if source.format == "csv" and _is_word(head):
        header: Record = (1, {name: name for name in head[0][1]})
        head, records = list(map(_numbered, [header, *head])), map(_numbered, records)
    layout = _find_layout(source, head)
    _ask(source, head)
    if layout is None:
        return chain(head, records)
    source.notice(f"has a word on each row; rows are joined into sentences {layout.ends()}. "
                  f"To read every row as a text of its own, set '{show(layout.words)}' to text.")
    for name in head[0][1]:
        values = {_text(fields[name]) for _, fields in head}
        if name in layout.labels and len(values) == 1:
            source.guesses[name] = "ignore", "every word has the same value"
        elif _is_grammar(name.casefold()) or (name in layout.tagged and _survey(list(values)).types <= _CHUNKS):
            source.guesses[name] = "ignore", "it holds grammar, not entities; set it to tags to learn it"
        elif name in layout.tagged:
            source.guesses[name] = "tags", ""
    return _sentences(source, chain(head, records), layout)


def _ask(source: Source, head: Sequence[Record]) -> None:
    """Ask whether the rows are words, if only the names of the columns and many O make it likely."""
    unsaid = replace(source, roles={}, notices=[])
    with suppress(MtlError):
        layout = _find_layout(unsaid, head)
        if layout and not any(_survey([_text(fields[name]) for _, fields in head]).prefixed for name in layout.tagged):
            words = next(_cut(head, layout))
            sentence = " ".join(_text(fields[layout.words]) for _, fields in words)
            row = " \u00b7 ".join(f"{name}: {_text(value)}" for name, value in head[0][1].items())
            is_text = source.roles.get(layout.words) == "text"
            source.readings = (Reading("The rows are words of sentences", sentence, {}, not is_text),
                               Reading("Each row is a text of its own", row, {layout.words: "text"}, is_text))


def _is_grammar(name: str) -> bool:
    """Whether a column called so has parts of speech, chunks, or what stands at the words before and after."""
    return name in GRAMMAR or name.startswith(("prev-", "prev_", "next-", "next_"))


def _is_word(head: Sequence[Record]) -> bool:
    """Whether the names of the columns are a word and its tag, as in the rows."""
    rows = [list(map(_text, fields.values())) for _, fields in head if any(fields.values())]
    names = list(head[0][1]) if head else []
    return len(names) > 1 and all(TAG.fullmatch(row[-1]) for row in [names, *rows])


def _numbered(record: Record) -> Record:
    """A record whose columns have numbers for names."""
    return record[0], {f"column {index}": value for index, value in enumerate(record[1].values(), 1)}


def looks_like_word_rows(lines: Iterable[str]) -> bool:
    """Whether the lines of a file named .txt are words and tags with commas or semicolons between."""
    seen = [line.strip() for line in islice(lines, LOOKED_AT) if line.strip()]
    for mark in ",;|":
        rows = [line.split(mark) for line in seen]
        survey = _survey([row[-1] for row in rows[1:]])
        if len({len(row) for row in rows}) == 1 < len(rows[0]) and survey.marks_entities and survey.has_outside and (
                survey.prefixed or survey.is_mostly_outside):
            return True
    return False


def is_anew(left: str, right: str) -> bool:
    """Whether counting begins anew with `right`, after `left`: from 0 or from 1."""
    return right == "0" or (right == "1" and left != "0")


def _text(value: object) -> str:
    return "" if value is None else str(value).strip(" \t\r\n")  # a word may be a no-break space


def _find_layout(source: Source, head: Sequence[Record]) -> _Layout | None:
    """What the columns are for; None if this is no table of words. Raises MtlError if nothing tells where sentences end."""
    rows = [fields for _, fields in head if any(map(_text, fields.values()))]
    if len(rows) < 2 or {"text", "marked"} & set(source.roles.values()) or any(fields.keys() != rows[0].keys() for fields in rows):
        return None
    columns = {name: [_text(fields[name]) for fields in rows] for name in rows[0]}
    groups = list(_find_groups(columns))
    firsts = [name for name, values in columns.items() if source.roles.get(name) != "tags" and _is_at_firsts(values)]
    counts = [name for name, values in columns.items() if name not in groups and counts_words([values])]
    free = {name: values for name, values in columns.items() if name not in (*groups, *firsts, *counts)}
    if any(2 * sum(" " in value for value in values) > len(values) for values in free.values()):
        return None  # texts
    words = [name for name in free if source.roles.get(name) == "tokens" or _are_words(rows, name)]
    named = next((name for name in words if source.roles.get(name) == "tokens" or name.casefold() in WORD_NAMES), "")
    surveys = {name: _survey(values) for name, values in free.items() if name != named and name.casefold() not in NAMES["text"]
               and source.roles.get(name) in (None, "tags", "ignore")}
    sure = [name for name, survey in surveys.items() if source.roles.get(name) == "tags" or _are_surely_tags(survey, bool(named))]
    tagged = sure or [name for name, survey in surveys.items() if _may_be_tags(name, survey, bool(named), (*groups, *firsts))]
    tagged = tagged or [name for name in surveys if named and (groups or firsts) and _is_grammar(name.casefold())]
    word = named or max((name for name in words if name not in tagged), key=lambda name: len(set(columns[name])), default="")
    if not word or not tagged or not (sure or named or word.casefold() not in NAMES["text"]):
        return None
    if not sure and not _are_words(rows, word, ALMOST_ALL):
        return None
    lines = [line for line, _ in head]
    gaps = sum(right > left + 1 for left, right in zip(lines, lines[1:], strict=False)) if source.format != "json" else 0
    layout = _Layout(word, tuple(tagged), tuple(groups), tuple(firsts), tuple(counts), 0 < gaps < len(head) - 1)
    sentences = list(_cut(head, layout))
    if len(sentences) > 1 or groups:
        return replace(layout, labels=tuple(_find_labels(sentences, layout)))
    if not sure:
        return None
    raise MtlError(f"{source.name}: has a word on each row, but nothing tells where a sentence ends. Add a column with the number of the "
                   f"sentence, or a blank line after each. To read every row as a text, set '{show(word)}' to text.")


def _are_surely_tags(survey: TagSurvey, has_words: bool) -> bool:
    """Whether these tags have prefixes, and words in no entity have one, too; beside words without that name they must be usual ones."""
    usual = survey.spelling.form in ("B-PER", "B_PER", "b-per") and {"B", "I"} <= survey.prefixes
    return survey.prefixed and (has_words or usual) and any(tag and tag.lower() in OUTSIDE for tag in survey.tags)


def _may_be_tags(name: str, survey: TagSurvey, has_words: bool, groups: Sequence[str]) -> bool:
    """Whether these may be tags that lack prefixes or O or, in a column named so, are numbers."""
    is_named = has_words and name.casefold() in TAG_NAMES - {"class", "category", "target"}
    if survey.numbers:
        return is_named and bool(groups) and ("tag" in name.casefold() or 2 * survey.tags["0"] > survey.tags.total()
                                              or any("sent" in group.casefold() for group in groups))
    is_likely = is_named or (has_words and groups and "B" in survey.prefixes) or 2 * survey.tags["O"] >= survey.tags.total()
    return bool(survey.marks_entities and survey.has_outside and is_likely)


def _find_groups(columns: dict[str, list[str]]) -> Iterator[str]:
    """The columns that have one value in a sentence: its number, or its document's, in which sentences may be counted anew."""
    key: list[str] = []
    for name, values in columns.items():
        joined = list(map("\0".join, zip(key, values, strict=True))) if key else values
        is_only = "sent" in name.casefold() and len(set(values)) == 1  # the only sentence of a small file
        if name.casefold() not in TAG_NAMES and (is_only or is_repeated(joined)) and all(map(_has_number, values)):
            key = joined
            yield name


def _has_number(value: str) -> bool:
    return " " in value or any(map(str.isdecimal, value))


def _find_labels(sentences: Sequence[Sequence[Record]], layout: _Layout) -> Iterator[str]:
    """The columns with one value in a sentence, at each of its words or at the first alone."""
    if sum(map(len, sentences)) < 2 * len(sentences):
        return
    for name in sentences[0][0][1]:
        found = [[_text(fields[name]) for _, fields in words] for words in sentences]
        is_one = all(len(set(values)) == 1 for values in found) or all(values[0] and not any(values[1:]) for values in found)
        if is_one and name not in (layout.words, *layout.tagged, *layout.groups, *layout.firsts, *layout.counts):
            yield name


def _is_at_firsts(values: Sequence[str]) -> bool:
    """Whether there are numbers at some words, beginning with the first, and nothing at the others."""
    filled = list(filter(None, values))
    return bool(values[0]) and len(filled) < len(values) and all(any(map(str.isdecimal, value)) for value in filled)


def _survey(values: Sequence[str]) -> TagSurvey:
    survey = TagSurvey()
    survey.add(values)
    return survey


def _are_words(rows: Sequence[dict[str, object]], name: str, share: float = MOST) -> bool:
    """Whether there is one word in this share of the cells; in a column that is not called so, numbers and signs are the fewer, too."""
    cells = [fields[name] for fields in rows]
    good = sum(_text(cell) != "" and BLANKS.isdisjoint(_text(cell)) and as_list(cell) is cell and not isinstance(cell, list | dict)
               for cell in cells)
    named = name.casefold() in WORD_NAMES
    return good >= share * len(cells) and (named or 2 * sum(any(map(str.isalpha, _text(cell))) for cell in cells) >= len(cells))


def is_repeated(values: Sequence[str]) -> bool:
    """Whether each value, which has a digit or is a text, stands in one run of neighbours, as the number of a sentence does."""
    runs = [(value, len(list(run))) for value, run in groupby(values)]
    return (1 < len(runs) <= 0.75 * len(values) and len({value for value, _ in runs}) == len(runs)
            and all(_has_number(value) for value, _ in runs))


def counts_words(column: Iterable[Sequence[str]]) -> bool:
    """Whether the values, sentence by sentence, count from 0 or 1 in each, or on through the file."""
    before = highest = -1
    steps = count = 0
    for place, value in ((place, value) for values in column for place, value in enumerate(values)):
        if not value.isdecimal() or len(value) > 9:
            if before >= 0 and value.replace("-", ".").replace(".", "", 1).isdecimal():
                continue  # a range of words or an empty node, as in CoNLL-U
            return False
        if int(value) not in (before + 1, 0, 1):
            return False
        steps += int(value) == before + 1 or place == 0
        count += 1
        before = int(value)
        highest = max(before, highest)
    return highest > 1 and 2 * steps >= count  # numbers of tags, such as 0 0 0 1 2 0, go on less often


def _cut(records: Iterable[Record], layout: _Layout) -> Iterator[list[Record]]:
    """The rows of each sentence."""
    words: list[Record] = []
    for record in records:
        is_blank = not any(map(_text, record[1].values()))
        if words and (is_blank or layout.begins(words[-1], record) or len(words) > MAX_WORDS):
            yield words
            words = []
        if not is_blank:
            words.append(record)
    if words:
        yield words


def _sentences(source: Source, records: Iterable[Record], layout: _Layout) -> Iterator[Record]:
    """One record for the rows of each sentence."""
    for words in _cut(records, layout):
        if len(words) > MAX_WORDS:
            raise MtlError(f"{source.name}: the sentence from {source.unit} {words[0][0]} has over {MAX_WORDS:,} words. "
                           f"Sentences end {layout.ends()}.")
        yield words[0][0], _join(words, layout)


def _join(words: Sequence[Record], layout: _Layout) -> dict[str, object]:
    name = layout.words if layout.words.casefold() in WORD_NAMES - {"form"} else "tokens"
    fields: dict[str, object] = {name: [_text(fields[layout.words]) for _, fields in words]}
    for column in words[0][1]:
        if column in layout.labels:
            fields[column] = words[0][1][column]
        elif column not in (layout.words, *layout.groups, *layout.firsts, *layout.counts):
            fields[column] = [_text(fields[column]) for _, fields in words]
    return fields
