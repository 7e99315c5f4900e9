"""CoNLL columns (a word and its tags a line, labels of sentences in comments), and the files seq.in, seq.out and label, into records."""

from collections.abc import Iterator
from itertools import chain, islice, zip_longest

from mtl.data.formats.files import MAX_WORD, MAX_WORDS, PARTS, Record, Source, file_name, part_of, read_lines, show
from mtl.data.formats.layouts import LOOKED_AT, Layout, at_blanks
from mtl.errors import MtlError
from mtl.text import many

ENDS = set(".!?\u3002")  # of sentences


def read_conll(source: Source) -> Iterator[Record]:
    """The sentences of a file of columns: `tokens`, then 'column 2' and so on, the last one `tags`, unless the file names them."""
    count, fields = 0, {}
    for line, fields in _read_sentences(source):
        yield line, fields
        count += 1
    if count == 1 and not ENDS.isdisjoint(fields["tokens"][:-1]):
        source.notice(f"has no blank line, and is read as one sentence of {many(len(fields['tokens']), 'word')}. Put a blank line after "
                      "every sentence.")


def _read_sentences(source: Source) -> Iterator[Record]:
    name, start, comments, words = source.name, 0, {}, []
    head = list(islice(read_lines(source.path), LOOKED_AT))
    with source.at(1):
        layout = Layout(head)
    for number, line in enumerate(chain(read_lines(source.path), [""]), 1):
        line = line.rstrip("\r\n")
        fields = layout.cut(line)
        if not fields or fields[0] == "-DOCSTART-" or (layout.ragged and line[0] == "#"):
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
            for sentence in layout.told:
                source.notice(sentence)
            if not fields:
                continue
        if layout.numbered and ("-" in fields[0] or "." in fields[0]):
            continue  # a range of words, or an empty node
        if len(fields) != layout.width:
            raise MtlError(f"{name}, line {number}: has {many(len(fields), 'column')}, the lines before have {layout.width:,}. "
                           "Give every word the same columns, and no blanks inside them.")
        if len(fields[0]) > MAX_WORD:
            raise MtlError(f"{name}, line {number}: a word has {len(fields[0]):,} characters, the limit is {MAX_WORD:,}. "
                           "Are blanks missing?")
        if words and layout.group is not None and layout.begins(words[-1], fields):
            yield start, layout.sentence(words, comments)
            comments, words = {}, []
        start = start if words else number
        words.append(fields)
        if len(words) > MAX_WORDS:
            raise MtlError(f"{name}: the sentence from line {start} has over {MAX_WORDS:,} words. Put a blank line after every sentence.")


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
        tokens, tags, label = at_blanks(lines[0] or ""), at_blanks(lines[1] or ""), (lines[2] or "").strip()
        if len(tokens) != len(tags):
            raise MtlError(f"{names['seq.out']}, line {number}: {many(len(tags), 'tag')}, but {names['seq.in']} has "
                           f"{many(len(tokens), 'word')} there. Give one tag per word.")
        if tokens:
            yield number, {"tokens": tokens, "tags": tags, "label": label}
        elif label:
            raise MtlError(f"{names['label']}, line {number}: '{show(label)}', but {names['seq.in']} has no words there. "
                           "Remove the line in all three.")
