"""How the lines of a file of columns are cut, and which column is what: the word, its number, its tags, a label of the sentence. Found in
the first lines of the file, or told by a comment or a header with the columns' names."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice

from mtl.data.formats.files import WORD_NAMES, are_names_of_words, show
from mtl.data.formats.schemes import OUTSIDE, TAG, TagSurvey
from mtl.data.formats.word_rows import counts_words, is_anew, is_repeated
from mtl.errors import MtlError

NOT_LABELLED = "_"  # in place of every tag of a sentence that has none
NAMES = "global.columns"  # the comment with the names of the columns, as CoNLL-U Plus writes it; the word's is FORM
UNIVERSAL = ("id", "FORM", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc")  # the columns of CoNLL-U
# the columns of CoNLL-2012 that every line has; those of verbs and their arguments, and of coreference, follow
ONTONOTES = ("document", "part", "id", "FORM", "upos", "parse", "lemma", "frameset", "sense", "speaker", "ner")
COMMENT = re.compile(r"#\s*(?P<key>\w[\w .:-]*?)\s*=\s*(?P<value>.*)")
_COLON = re.compile(r"#\s*(?P<key>\w[\w.-]*)\s*:\s+(?P<value>\S.*)")
# comments of CoNLL-U, and those that begin with an id, as MultiCoNER's '# id 5239d808 domain=en'
NO_LABELS = re.compile(r"(global\.|newdoc|newpar|text_|translit|meta::).*|sent_id|text|generator|s_type|(\w+_)?id .*|.* \d+ .*")
_NO_LABELS = re.compile(r"(\w+_)?id|text.*|source|url|file|author|date|lang|language|domain", re.IGNORECASE)  # with a colon
WEBANNO = "#FORMAT=WebAnno"
LOOKED_AT = 400  # lines
_JSON = re.compile(r"\s*(\{\s*(\"|$)|\[\s*([\"{\[]|$))")
_BLANK = re.compile(r"[ \t]+")
_NAME = re.compile(r"[^\W\d_]{2}[\w #.-]*")


class Layout:
    """How the lines of one file are cut into columns, and what they are, given its first lines."""

    def __init__(self, head: Sequence[str]) -> None:
        self.width, self.word, self.tabs, self.numbered, self.ragged = 0, 0, False, False, False
        self.names: list[str] = []
        self.told: list[str] = []  # what a user should know
        self.head = head
        self.label_keys = set(_label_keys(head))  # of comments with a colon
        self.left_out: set[int] = set()  # columns with the number of the word or of its sentence, and others that are never tags
        self.labels: set[int] = set()  # columns with a label of the sentence at each of its words
        self.group: int | None = None  # the column that tells where a sentence begins where there are no blank lines:
        self.is_counted = False  # by the number of the word, and not of the sentence
        self.last: set[str] = set()  # what stands in the last column
        if head and head[0].startswith(WEBANNO):
            raise MtlError("is WebAnno's TSV, which INCEpTION writes too. Export the annotations from there as CoNLL 2002 (.conll).")
        if head and head[0].startswith("#begin document"):
            self.ragged = True
            self._set(ONTONOTES)
            self.left_out = {index for index, name in enumerate(ONTONOTES) if name not in ("FORM", "upos", "ner")}

    def _set(self, names: Sequence[str]) -> None:
        self.names, self.width = list(names), len(names)
        self.word = next((index for index, name in enumerate(names) if name.upper() == "FORM"), 0)
        self.numbered = names[0].lower() == "id"
        self.left_out = {0} if self.numbered else set()

    def cut(self, line: str) -> list[str]:
        """The columns of a line: cut at TABs and blanks only, since a word may hold a no-break space; at TABs alone in a file of TABs."""
        if self.tabs and line.count("\t") == self.width - 1:
            fields = line.split("\t") if " " not in line else _at_tabs(line)
            return fields if any(fields) else []
        return at_blanks(line)[:self.width] if self.ragged else at_blanks(line)

    def begin(self, line: str) -> list[str]:
        """The columns of the first word, like which all others must be; none if the line has their names."""
        fields, tabs = self.cut(line), _at_tabs(line)
        if _JSON.match(line):
            raise MtlError("looks like JSON, not like columns. Rename the file to .jsonl, or to .json if it is one list.")
        if re.search("[^,;][,;]", fields[-1]) and not TAG.fullmatch(fields[-1]):
            raise MtlError("looks like CSV, not like columns. Rename the file to .csv.")
        last = tabs[-1]  # labels between TABs may have blanks
        self.tabs = len(tabs) > 1 and all(tabs) and " " not in tabs[0] and (
            len(tabs) == len(UNIVERSAL) or " " not in line or last == NOT_LABELLED or TAG.fullmatch(last) is not None)
        fields = tabs if self.tabs else fields
        if len(fields) == 1:
            raise MtlError("has 1 column. Write a word, a blank and its tag on each line.")
        if len(fields) == len(UNIVERSAL) and re.fullmatch(r"1(-\d+)?", fields[0]):
            self._set(UNIVERSAL)
            return fields
        has_names = are_names_of_words(fields) or self._are_names(fields)
        self._set(fields if has_names else [*(f"column {index}" for index in range(1, len(fields))), "tags"])
        self._find_columns(fields if has_names else [])
        return [] if has_names else fields

    def _are_names(self, fields: list[str]) -> bool:
        """Whether the first line has names of columns that are not usual: a plain word above tags that all have a prefix."""
        rows = [each for each in map(self.cut, self.head) if each and len(each) == len(fields)]
        below = {each[-1] for each in rows[1:]} - {NOT_LABELLED}
        if rows[:1] != [fields] or not below - {"O"} or not all(map(TAG.fullmatch, below)) or not all(map(_NAME.fullmatch, fields)):
            return False
        if TAG.fullmatch(fields[-1]) or fields[-1].lower() in OUTSIDE or fields[-1] in {tag[2:] for tag in below}:
            return False  # a slip of the pen
        self.told = [f"the first line, '{show(' '.join(fields), 60)}', is taken for the names of the columns."]
        return True

    def _find_columns(self, header: list[str]) -> None:
        """Find which column has the words, in the first lines of the file, and which have what is the same in all words of a sentence."""
        fields = [self.cut(line) for line in self.head if line[0] != "#"]
        self.last = {each[-1] for each in fields if len(each) == self.width}
        sentences, comments = self._sample(header)
        columns = [[[row[index] for row in rows] for rows in sentences] for index in range(self.width)]
        flat = [list(chain.from_iterable(column)) for column in columns]
        self.numbered, self.left_out, key, told = False, set(), [""] * len(flat[0]), self.told
        for index in range(self.width - 2):
            is_group = is_repeated(list(map("".join, zip(key, flat[index], strict=True))))
            if not is_group and not counts_words(columns[index]) and not _counts_all(columns[index]):
                break
            self.left_out.add(index)
            if is_group:
                key = [f"{value}-" for value in flat[index]]
            self.numbered = self.numbered or (index == 0 and not is_group)
            if is_group or (len(sentences) == 1 and self.group is None):
                self.group, self.is_counted = index, not is_group
            self.told = [*told, f"the words are in column {index + 2}, after numbers of sentences or words, which are left out."]
        named = [index for index, name in enumerate(header) if name.casefold() in WORD_NAMES]
        self.word = next(chain(named, (index for index in range(self.width) if index not in self.left_out)))
        if not header and self.width == 2 and has_tags(columns[0]) and not has_tags(columns[1]):
            self.word, self.names = 1, ["tags", "column 2"]
            self.told = ["the tags are taken from the first column, and the words from the second."]
        if not self.left_out or len(sentences) < 2 or len(flat[0]) < 2 * len(sentences):
            return  # only files with numbers, as MaChAmp's, are known to repeat the label of a sentence at its words
        for index in set(range(self.word + 1, self.width - 1)) - self.left_out:
            if len(set(flat[index])) > 1 and all(len(set(values)) == 1 for values in columns[index]) and not any(
                    TAG.fullmatch(value) or value.lower() in OUTSIDE for value in flat[index]):
                known = all(values[0] in labels.values() for values, labels in zip(columns[index], comments, strict=True))
                (self.left_out if known else self.labels).add(index)  # in a comment, too
                self.told += [] if known else [f"'{self.names[index]}' is the same in all words of a sentence, and taken for its label."]

    def _sample(self, header: list[str]) -> tuple[list[list[list[str]]], list[dict[str, str]]]:
        """The words of the first sentences, and the comments of each."""
        sentences, comments = [[]], [{}]
        for line in self.head:
            line = line.rstrip("\r\n")
            fields = self.cut(line)
            if not fields:
                sentences.append([])
                comments.append({})
            elif line[0] == "#" and not sentences[-1] and self.is_comment(line, fields):
                comments[-1] |= self.read_comment(line)
            elif len(fields) == self.width and fields != header:
                sentences[-1].append(fields)
        return [rows for rows in sentences if rows], [labels for rows, labels in zip(sentences, comments, strict=True) if rows]

    def begins(self, before: list[str], fields: list[str]) -> bool:
        """Whether the line after the word `before` is the first of a sentence, though there is no blank line."""
        if self.group is None:
            return False
        left, right = before[self.group], fields[self.group]
        return is_anew(left, right) if self.is_counted else left != right

    def is_comment(self, line: str, fields: list[str]) -> bool:
        """Whether a line that begins with #, before the first word of a sentence, is a comment and not that word."""
        if self.tabs:
            return "\t" not in line or len(fields) != self.width
        if self.width:
            return len(fields) != self.width or not (TAG.fullmatch(fields[-1]) or fields[-1] in self.last)
        return COMMENT.fullmatch(line) is not None or len(fields) == 1 or not TAG.fullmatch(fields[-1])

    def read_comment(self, line: str) -> dict[str, str]:
        """The label of the sentence that a comment gives, if any; names of columns go into the layout."""
        comment = COMMENT.fullmatch(line)
        if comment and comment["key"] == NAMES:
            self.tabs = "\t" in comment["value"]
            self._set(comment["value"].strip().split("\t" if self.tabs else None) or ["FORM"])
            return {}
        if not comment or NO_LABELS.fullmatch(comment["key"]):
            comment = _COLON.fullmatch(line)
            comment = comment if comment and comment["key"] in self.label_keys else None
        return {comment["key"]: comment["value"].strip()} if comment else {}

    def sentence(self, words: list[list[str]], comments: dict[str, str]) -> dict[str, object]:
        """The words of a sentence, its other columns, and the labels from its comments."""
        columns = list(zip(*words, strict=True))
        fields: dict[str, object] = {"tokens": list(columns[self.word])}
        for index, (name, column) in enumerate(zip(self.names, columns, strict=True)):
            if index == self.word or index in self.left_out:
                continue
            if index in self.labels:
                fields[name] = column[0] if len(set(column)) == 1 else None
            elif name == "misc" and (tags := _read_misc(column)):
                fields |= tags
            else:
                fields[name] = None if set(column) == {NOT_LABELLED} else list(column)
        return fields | {key: value for key, value in comments.items() if key not in fields}


def _counts_all(column: Sequence[Sequence[str]]) -> bool:
    """Whether the words of each sentence, which may all be short, are counted from 0 or from 1."""
    return max(map(len, column)) > 1 and any(
        all(list(values) == list(map(str, range(first, first + len(values)))) for values in column) for first in (0, 1))


def _read_misc(column: Sequence[str]) -> dict[str, object]:
    """The tags in the last column of CoNLL-U, such as Name=B-PER|SpaceAfter=No, by their keys."""
    found: dict[str, list[str]] = {}
    for index, cell in enumerate(column):
        for part in cell.split("|") if "=" in cell else ():
            key, _, value = part.partition("=")
            if TAG.fullmatch(value):
                found.setdefault(key, [NOT_LABELLED] * len(column))[index] = value
    return found


def _at_tabs(line: str) -> list[str]:
    return [field.strip(" ") for field in line.strip(" \t").split("\t")]


def at_blanks(line: str) -> list[str]:
    """The parts of a line between blanks and TABs."""
    line = line.strip(" \t\r\n")
    return _BLANK.split(line) if line else []


def _label_keys(head: Iterable[str]) -> Iterator[str]:
    """The keys of comments such as '# intent: book' whose values come again: a remark comes once, and each text is another."""
    found: dict[str, Counter[str]] = {}
    for comment in map(_COLON.fullmatch, map(str.rstrip, head)):
        if comment and not _NO_LABELS.fullmatch(comment["key"]) and not re.match(r"\d+:\d+:", comment["value"]):  # spans
            found.setdefault(comment["key"], Counter())[comment["value"].strip()] += 1
    return (key for key, values in found.items() if 1 < len(values) < values.total())


def looks_like_columns(lines: Iterator[str]) -> bool:
    """Whether these are lines of a word and its tags: two columns or more, tags in the last, and blank lines between; or, between blanks, a
    header and a number of the sentence."""
    sentences: list[list[list[str]]] = [[]]
    width, has_names, is_table, ended = 0, False, False, False
    for index, line in enumerate(islice(lines, LOOKED_AT)):
        fields = at_blanks(line)
        if not index and line.startswith((WEBANNO, "#begin document")):
            return True
        if not fields:
            ended = ended or bool(sentences[-1])
            sentences.append([])
        elif not fields[0].startswith(("#", "-DOCSTART-")):
            width = width or len(fields)
            if width == 1 or len(fields) != width:
                return False
            if not has_names and not any(sentences) and are_names_of_words(fields):
                has_names, is_table = "\t" not in line, "\t" in line
            else:
                is_table = is_table or (width > 2 and "\t" in line)
                sentences[-1].append(fields)
    rows = list(chain.from_iterable(sentences))
    is_grouped = has_names and any(is_repeated([row[index] for row in rows]) for index in range(width - 2))
    tags = {row[-1] for row in rows}
    are_sure = not is_table and "O" in tags and tags != {"O"} and all(map(TAG.fullmatch, tags))
    if len(rows) < 2 or not (ended or is_grouped or are_sure):
        return False
    last, first = ([[row[index] for row in each] for each in sentences] for index in (-1, 0))
    return all(TAG.fullmatch(row[-1]) or row[-1] == NOT_LABELLED for row in rows) or has_tags(last) or (width == 2 and has_tags(first))


def has_tags(column: Iterable[Sequence[str]]) -> bool:
    """Whether a column, sentence by sentence, holds tags, in any spelling."""
    survey = TagSurvey()
    for tags in column:
        survey.add(tags)
    return survey.has_outside and survey.marks_entities and (survey.prefixed or 2 * len(survey.types) <= survey.tags.total())
