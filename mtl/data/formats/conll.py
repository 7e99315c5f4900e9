"""CoNLL columns (a word and its tags a line, labels of sentences in comments), and the files seq.in, seq.out and label, into records."""

import re
from collections.abc import Iterator
from itertools import chain, islice, zip_longest

from mtl.data.formats.files import MAX_WORD, MAX_WORDS, PARTS, Record, Source, file_name, part_of, read_lines, show
from mtl.data.formats.schemes import TAG
from mtl.errors import MtlError
from mtl.text import many

NOT_LABELLED = "_"  # in place of every tag of a sentence that has none
NAMES = "global.columns"  # the comment with the names of the columns, as CoNLL-U Plus writes it; the word's is FORM
UNIVERSAL = ("id", "FORM", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc")  # the columns of CoNLL-U
COMMENT = re.compile(r"#\s*(?P<key>\w[\w .:-]*?)\s*=\s*(?P<value>.*)")
NO_LABELS = re.compile(r"(global\.|newdoc|newpar|text_|translit|meta::).*|sent_id|text|generator|s_type")  # comments of CoNLL-U
_JSON = re.compile(r"\s*(\{\s*(\"|$)|\[\s*([\"{\[]|$))")
_BLANK = re.compile(r"[ \t]+")


def read_conll(source: Source) -> Iterator[Record]:
    """The sentences of a file of columns: `tokens`, then 'column 2' and so on, the last one `tags`, unless the file names them."""
    name, layout, start, comments, words = source.name, _Layout(), 0, {}, []
    for number, line in enumerate(chain(read_lines(source.path), [""]), 1):
        line = line.rstrip("\r\n")
        fields = layout.cut(line)
        if not fields or fields[0] == "-DOCSTART-":
            if words:
                yield start, layout.sentence(words, comments)
            comments, words = {}, []
            continue
        if not words and line[0] == "#" and layout.is_comment(line, fields):
            comments |= layout.read_comment(line)
            continue
        if not layout.width:
            with source.at(number):
                fields = layout.begin(line)
        if layout.numbered and ("-" in fields[0] or "." in fields[0]):
            continue  # a range of words, or an empty node
        if len(fields) != layout.width:
            raise MtlError(f"{name}, line {number}: has {many(len(fields), 'column')}, the lines before have {layout.width:,}. "
                           "Give every word the same columns, and no blanks inside them.")
        if len(fields[0]) > MAX_WORD:
            raise MtlError(f"{name}, line {number}: a word has {len(fields[0]):,} characters, the limit is {MAX_WORD:,}. "
                           "Are blanks missing?")
        start = start if words else number
        words.append(fields)
        if len(words) > MAX_WORDS:
            raise MtlError(f"{name}: the sentence from line {start} has over {MAX_WORDS:,} words. Put a blank line after every sentence.")


class _Layout:
    """How the lines of one file are cut into columns; found by its first word, or by a comment with the columns' names."""

    def __init__(self) -> None:
        self.width, self.tabs, self.numbered = 0, False, False
        self.names: list[str] = []

    def cut(self, line: str) -> list[str]:
        """The columns of a line: cut at TABs and blanks only, since a word may hold a no-break space; at TABs alone in a file of TABs."""
        if self.tabs and line.count("\t") == self.width - 1:
            fields = line.split("\t") if " " not in line else _at_tabs(line)
            return fields if any(fields) else []
        return _at_blanks(line)

    def begin(self, line: str) -> list[str]:
        """The columns of the first word, like which all others must be."""
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
        is_universal = len(fields) == len(UNIVERSAL) and re.fullmatch(r"1(-\d+)?", fields[0])
        self._set(list(UNIVERSAL) if is_universal else ["FORM", *(f"column {index}" for index in range(2, len(fields))), "tags"])
        return fields

    def _set(self, names: list[str]) -> None:
        self.names, self.width = names, len(names)
        self.numbered = names[0].lower() == "id"
        self.word = next((index for index, name in enumerate(names) if name.upper() == "FORM"), 0)

    def is_comment(self, line: str, fields: list[str]) -> bool:
        """Whether a line that begins with #, before the first word of a sentence, is a comment and not that word."""
        if self.tabs:
            return "\t" not in line or len(fields) != self.width
        if self.width:
            return len(fields) != self.width or not TAG.fullmatch(fields[-1])
        return COMMENT.fullmatch(line) is not None or len(fields) == 1 or not TAG.fullmatch(fields[-1])

    def read_comment(self, line: str) -> dict[str, str]:
        """The label of the sentence that a comment gives, if any; names of columns go into the layout."""
        comment = COMMENT.fullmatch(line)
        if comment and comment["key"] == NAMES:
            self.tabs = "\t" in comment["value"]
            self._set(comment["value"].strip().split("\t" if self.tabs else None) or ["FORM"])
        elif comment and not NO_LABELS.fullmatch(comment["key"]):
            return {comment["key"]: comment["value"].strip()}
        return {}

    def sentence(self, words: list[list[str]], comments: dict[str, str]) -> dict[str, object]:
        """The words of a sentence, its other columns, and the labels from its comments."""
        columns = list(zip(*words, strict=True))
        fields: dict[str, object] = {"tokens": list(columns[self.word])}
        for index, (name, column) in enumerate(zip(self.names, columns, strict=True)):
            if index != self.word and name.lower() != "id":
                fields[name] = None if set(column) == {NOT_LABELLED} else list(column)
        return fields | {key: value for key, value in comments.items() if key not in fields}


def _at_tabs(line: str) -> list[str]:
    return [field.strip(" ") for field in line.strip(" \t").split("\t")]


def _at_blanks(line: str) -> list[str]:
    line = line.strip(" \t\r\n")
    return _BLANK.split(line) if line else []


def read_parts(source: Source) -> Iterator[Record]:
    """The sentences of seq.in, with their tags from seq.out and their class from label."""
    parts = {part_of(path): path for path in source.paths}
    if missing := [part for part in PARTS if part not in parts]:
        raise MtlError(f"{source.name}: its {' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing. "
                       f"Give {', '.join(PARTS)} together, with the same beginning of the name.")
    names = {part: file_name(path) for part, path in parts.items()}
    for number, lines in enumerate(zip_longest(*(read_lines(parts[part]) for part in PARTS)), 1):
        if None in lines and any(line and line.strip() for line in lines):
            short = [part for part, line in zip(PARTS, lines, strict=True) if line is None]
            raise MtlError(f"{source.name}: {' and '.join(short)} end{'s' * (len(short) == 1)} before line {number}, "
                           "which the others have. Give every sentence a line in all three.")
        tokens, tags, label = _at_blanks(lines[0] or ""), _at_blanks(lines[1] or ""), (lines[2] or "").strip()
        if len(tokens) != len(tags):
            raise MtlError(f"{names['seq.out']}, line {number}: {many(len(tags), 'tag')}, but {names['seq.in']} has "
                           f"{many(len(tokens), 'word')} there. Give one tag per word.")
        if tokens:
            yield number, {"tokens": tokens, "tags": tags, "label": label}
        elif label:
            raise MtlError(f"{names['label']}, line {number}: '{show(label)}', but {names['seq.in']} has no words there. "
                           "Remove the line in all three.")


def looks_like_columns(lines: Iterator[str]) -> bool:
    """Whether these are lines of a word and its tags: two columns or more, a tag in the last, and blank lines between."""
    width = words = 0
    ended = False  # whether there is a blank line between two words
    for line in islice(lines, 200):
        fields = _at_blanks(line)
        if fields and not fields[0].startswith(("#", "-DOCSTART-")):
            width = width or len(fields)
            if width == 1 or len(fields) != width or not (TAG.fullmatch(fields[-1]) or fields[-1] == NOT_LABELLED):
                return False
            words += 1
        ended = ended or (words > 0 and not fields)
    return words > 1 and ended
