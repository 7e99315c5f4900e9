"""CoNLL columns into records: a word a line with its tags, a blank line after each sentence, labels of the sentence in comments. Also the
layout in which a sentence is a line in each of three files: seq.in, seq.out and label."""

import re
from collections.abc import Iterator
from itertools import islice

from mtl.data.files import MAX_WORD, MAX_WORDS, PARTS, Record, Source, file_name, part_of, read_lines, show
from mtl.data.schemes import TAG
from mtl.errors import MtlError

NOT_LABELLED = "_"  # in place of every tag of a sentence that has none
NAMES = "global.columns"  # the comment with the names of the columns, as CoNLL-U Plus writes it; the word's is FORM
UNIVERSAL = ("id", "FORM", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc")  # the columns of CoNLL-U
COMMENT = re.compile(r"#\s*(?P<key>\w[\w .:-]*?)\s*=\s*(?P<value>.*)")
NO_LABELS = re.compile(r"(global\.|newdoc|newpar|text_|translit|meta::).*|sent_id|text|generator|s_type")  # comments of CoNLL-U
_JSON = re.compile(r"\s*(\{\s*(\"|$)|\[\s*([\"{\[]|$))")
_BLANK = re.compile(r"[ \t]+")


def read_conll(source: Source) -> Iterator[Record]:
    """The sentences of a file of columns: `tokens`, the last column as `tags`, those between as 'column 2' and so on, unless the file
    names them."""
    name, width, tabs, found = source.name, 0, False, False
    start, comments, words = 0, {}, []
    names: list[str] = []
    for number, line in enumerate(read_lines(source.path), 1):
        line = line.rstrip("\r\n")
        fields = _fields(line, width if tabs else 0)
        if not fields or fields[0] == "-DOCSTART-":
            if words:
                found = True
                yield start, _sentence(words, names, comments)
            comments, words = {}, []
            continue
        if not words and line.startswith("#") and _is_comment(line, fields, width, tabs):
            comment = COMMENT.fullmatch(line)
            if comment and comment["key"] == NAMES:
                tabs = "\t" in comment["value"]
                names = comment["value"].strip().split("\t" if tabs else None)
                width = len(names)
            elif comment and not NO_LABELS.fullmatch(comment["key"]):
                comments[comment["key"]] = comment["value"].strip()
            continue
        if not width:
            tabs = _has_tabs(line)
            fields = _fields(line, -1 if tabs else 0)
            names = list(UNIVERSAL) if len(fields) == 10 and re.fullmatch(r"1(-\d+)?", fields[0]) else []
        if names and names[0].lower() == "id" and re.search("[-.]", fields[0]):
            continue  # a range of words, or an empty node
        width = width or len(fields)
        if not (found or words) and (other := _other_format(line, fields)):
            raise MtlError(f"{name}, line {number}: {other}")
        if width == 1:
            raise MtlError(f"{name}, line {number}: has 1 column. Write a word, a blank and its tag on each line.")
        if len(fields) != width:
            raise MtlError(f"{name}, line {number}: has {len(fields):,} column(s), the lines before have {width:,}. "
                           "Give every word the same columns, and no blanks inside them.")
        if len(fields[0]) > MAX_WORD:
            raise MtlError(f"{name}, line {number}: a word has {len(fields[0]):,} characters, the limit is {MAX_WORD:,}. "
                           "Are blanks missing?")
        start = start if words else number
        words.append(fields)
        if len(words) > MAX_WORDS:
            raise MtlError(f"{name}: the sentence from line {start} has over {MAX_WORDS:,} words. "
                           "Put a blank line after every sentence.")
    if words:
        found = True
        yield start, _sentence(words, names, comments)
    if not found:
        raise MtlError(f"{name}: has no sentences. Write a word and its tag on each line, and a blank line after each sentence.")


def _fields(line: str, tabs: int = 0) -> list[str]:
    """The columns: split at TABs and blanks only, since a word may hold a no-break space; at TABs alone if that gives `tabs` columns (-1:
    any number)."""
    line = line.strip(" \t")
    if tabs and "\t" in line:
        fields = [field.strip(" ") for field in line.split("\t")]
        if tabs in (-1, len(fields)):
            return fields
    return _BLANK.split(line) if line else []


def _has_tabs(line: str) -> bool:
    """Whether the columns of the first word are cut by TABs, so that labels may have blanks in them."""
    fields = _fields(line, -1)
    last = fields[-1]
    return ("\t" in line and all(fields) and " " not in fields[0]
            and (len(fields) == len(UNIVERSAL) or " " not in line or last == NOT_LABELLED or TAG.fullmatch(last) is not None))


def _is_comment(line: str, fields: list[str], width: int, tabs: bool) -> bool:
    """Whether a line with a # in front, before a sentence's first word, tells something about the sentence and is not its first word."""
    if tabs:
        return "\t" not in line or len(fields) != width
    if width:
        return len(fields) != width or not TAG.fullmatch(fields[-1])
    return COMMENT.fullmatch(line) is not None or len(fields) == 1 or not TAG.fullmatch(fields[-1])


def _other_format(line: str, fields: list[str]) -> str:
    """What the first word's line looks like if it is none; else ''."""
    if _JSON.match(line):
        return "looks like JSON, not like columns. Rename the file to .jsonl, or to .json if it is one list."
    if re.search("[^,;][,;]", fields[-1]) and not TAG.fullmatch(fields[-1]):
        return "looks like CSV, not like columns. Rename the file to .csv."
    return ""


def _sentence(words: list[list[str]], names: list[str], comments: dict[str, str]) -> dict[str, object]:
    columns = list(zip(*words, strict=True))
    names = names or ["FORM", *(f"column {index}" for index in range(2, len(columns))), "tags"]
    word = next((index for index, name in enumerate(names) if name.upper() == "FORM"), 0)
    fields: dict[str, object] = {"tokens": list(columns[word])}
    for index, (name, column) in enumerate(zip(names, columns, strict=True)):
        if index != word and name.lower() != "id":
            fields[name] = None if set(column) == {NOT_LABELLED} else list(column)
    return fields | {key: value for key, value in comments.items() if key not in fields}


def read_parts(source: Source) -> Iterator[Record]:
    """The sentences of seq.in, with their tags from seq.out and their class from label."""
    parts = {part_of(path): path for path in source.paths}
    missing = [part for part in PARTS if part not in parts]
    if missing:
        raise MtlError(f"{source.name}: its {' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing. "
                       f"Give {', '.join(PARTS)} together, with the same beginning of the name.")
    names = {part: file_name(path) for part, path in parts.items()}
    files = [read_lines(parts[part]) for part in PARTS]
    found = False
    for number, (words, tags, label) in enumerate(_together(source, files), 1):
        tokens, of_words = _fields(words.rstrip("\r\n")), _fields(tags.rstrip("\r\n"))
        if len(tokens) != len(of_words):
            raise MtlError(f"{names['seq.out']}, line {number}: {len(of_words):,} tags, but {names['seq.in']} has "
                           f"{len(tokens):,} words there. Give one tag per word.")
        if tokens:
            found = True
            yield number, {"tokens": tokens, "tags": of_words, "label": label.strip()}
        elif label.strip():
            raise MtlError(f"{names['label']}, line {number}: '{show(label.strip())}', but {names['seq.in']} has no words there. "
                           "Remove the line in all three.")
    if not found:
        raise MtlError(f"{source.name}: has no sentences. Write one per line.")


def _together(source: Source, files: list[Iterator[str]]) -> Iterator[tuple[str, ...]]:
    number = 0
    while True:
        lines = tuple(next(file, None) for file in files)
        number += 1
        if None not in lines:
            yield lines
        elif any(line is not None and line.strip() for line in lines):
            short = [part for part, line in zip(PARTS, lines, strict=True) if line is None]
            raise MtlError(f"{source.name}: {' and '.join(short)} end{'s' * (len(short) == 1)} before line {number}, "
                           "which the others have. Give every sentence a line in all three.")
        elif lines == (None, None, None):
            return


def looks_like_columns(lines: Iterator[str]) -> bool:
    """Whether these are lines of a word and its tags: two columns or more, a tag in the last, and blank lines between."""
    width = words = 0
    ended = False  # whether there is a blank line between two words
    for line in islice(lines, 200):
        fields = _fields(line.rstrip("\r\n"))
        if fields and not fields[0].startswith(("#", "-DOCSTART-")):
            width = width or len(fields)
            if width == 1 or len(fields) != width or not (TAG.fullmatch(fields[-1]) or fields[-1] == NOT_LABELLED):
                return False
            words += 1
        ended = ended or (words > 0 and not fields)
    return words > 1 and ended
