"""JSON and YAML into records: lines, arrays, objects spread over lines, and one object with the rows somewhere in it."""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, NoReturn

from mtl.data.formats.export import Export, texts
from mtl.data.formats.files import Record, Source, check_file, read_lines, show
from mtl.data.formats.tools import flatten, is_plain
from mtl.data.formats.wrapped import find_rows, unfold
from mtl.errors import MtlError

MAX_ARRAY = 50_000_000  # bytes; an array is one long line, which has to be read whole
MAX_YAML = 5_000_000  # bytes; its reader is slow
_BLANKS = re.compile(r"[ \t\r\n]*")
Values = Iterable[tuple[int, Any]]  # each with the line, or the row, where it begins


def read_json(source: Source) -> Iterator[Record]:
    """The objects of a file of JSON lines, of one JSON array, or wherever the rows are in one object."""
    decoder = json.JSONDecoder(object_pairs_hook=_unique_keys, parse_constant=_no_constant)
    check_file(source.path)
    with source.path.open("rb") as file:  # a list of samples? A line that is a list itself, [text, {...}], begins with a text
        is_array = re.match(rb'(\xef\xbb\xbf)?\s*\[\s*($|[^\s"])', file.read(4096))
    if not is_array and _is_lines(source, decoder):
        return _records(source, _lines(source, decoder), Export(source.path.stem))
    text = _read_whole(source, MAX_ARRAY, "a JSON array" if is_array else "JSON that is not one object per line")
    export = Export(source.path.stem, text)
    return _records(source, _array(source.name, text, decoder) if is_array else _objects(source, text, decoder, export), export)


def read_yaml(source: Source) -> Iterator[Record]:
    """The rows of YAML: Rasa's and Snips' examples, or a list of objects."""
    import yaml  # not needed for any other file

    loader, name = getattr(yaml, "CBaseLoader", yaml.BaseLoader), source.name  # everything is a text: 'no' is no false, 1.10 not 1.1
    text = _read_whole(source, MAX_YAML, "YAML")
    try:
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, loader)):  # few of them can make up gigabytes
            raise MtlError(f"{name}: uses an alias of YAML (*name). Write its value in its place.")
        parts = list(yaml.load_all(text, loader))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        raise MtlError(f"{name}{line}: is not YAML ({show(getattr(error, 'problem', None) or 'of another kind', 60)}). Mend it.") from error
    except RecursionError as error:
        raise MtlError(f"{name}: is nested too deeply. Write a list of objects.") from error
    export = Export(source.path.stem)
    return _records(source, _in_one(source, parts[0] if len(parts) == 1 else parts, export), export)


def _records(source: Source, values: Values, export: Export) -> Iterator[Record]:
    """The samples in the values, each as a flat object; at the end it is told what was left out of them."""
    empty = True
    for line, value in values:
        if is_plain(value, export):
            empty = False
            yield line, value
            continue
        try:
            for sample in unfold(value, export):
                fields = flatten(sample, export)
                empty = False
                if fields is not None:
                    yield line, fields
                else:
                    export.leave("rejected")
        except MtlError as error:
            raise MtlError(f"{source.name}, {source.unit} {line}: {error}") from error
    export.tell(source)
    if empty:
        raise MtlError(f"{source.name}: is empty. Write one JSON object per line.")


def _is_lines(source: Source, decoder: json.JSONDecoder) -> bool:
    """Whether there is an object on each line: not if the first line does not end one, nor if there is only that line."""
    lines = filter(str.strip, read_lines(source.path, MAX_ARRAY))
    first = next(lines, "").strip()
    try:
        value, end = decoder.raw_decode(first)
    except json.JSONDecodeError as error:
        return error.pos < len(first) or not first
    except (MtlError, ValueError, RecursionError):
        return True
    is_one_list = isinstance(value, list) and len(texts(value)) == len(value) > 1  # of texts: no row
    return not (isinstance(value, dict) or is_one_list) or end < len(first) or next(lines, None) is not None


def _lines(source: Source, decoder: json.JSONDecoder) -> Values:
    name, lines = source.name, read_lines(source.path)
    for line, text in enumerate(map(str.strip, lines), 1):
        if text:
            value, end = _parse(decoder, name, text, 0, line, lines)
            if text[end:].strip() == ",":
                source.notice("the commas behind its objects are left out.")
            elif end < len(text):
                raise MtlError(f"{name}, line {line}: column {end + 1} is not JSON: something follows the object. "
                               "Write one object per line.")
            yield line, value


def _read_whole(source: Source, most: int, what: str) -> str:
    """The text of a file that cannot be read line by line."""
    if (size := source.path.stat().st_size) > most:
        brackets = ", without the brackets and commas around them" * ("array" in what)
        raise MtlError(f"{source.name}: is {what} of {size / 1e6:,.0f} MB, the limit is {most / 1e6:,.0f} MB. "
                       f"Write one object per line{brackets}.")
    return "".join(read_lines(source.path, most)).replace("\r\n", "\n").replace("\r", "\n")


def _objects(source: Source, text: str, decoder: json.JSONDecoder, export: Export) -> Values:
    """The values one after the other, each over as many lines as it takes; a single one has the rows in it."""
    at, line = _BLANKS.match(text).end(), 1
    line += text.count("\n", 0, at)
    value, end = _parse(decoder, source.name, text, at, line)
    if not text[end:].strip():
        yield from _in_one(source, value, export)
        return
    while True:
        yield line, value
        begin, at = at, _BLANKS.match(text, end).end()
        if at == len(text):
            return
        line += text.count("\n", begin, at)
        value, end = _parse(decoder, source.name, text, at, line)


def _in_one(source: Source, value: Any, export: Export) -> Values:
    """The samples in the one value that a file is, each with its number."""
    number = 0
    try:
        rows = value if isinstance(value, list) else find_rows(value, source, export)
        source.counts_rows = rows != [value]
        for number, row in enumerate(rows, 1):
            yield number, row
    except MtlError as error:
        raise MtlError(f"{source.name}{f', row {number + 1}' if number else ''}: {error}") from error


def _array(name: str, text: str, decoder: json.JSONDecoder) -> Values:
    """The elements of an array, parsed one at a time, each with its line."""
    line, seen = 1, 0

    def skip(at: int) -> int:
        nonlocal line, seen
        at = _BLANKS.match(text, at).end()
        line, seen = line + text.count("\n", seen, at), at
        return at

    at = text.index("[") + 1
    while text[(at := skip(at)):at + 1] != "]":
        if at == len(text):
            raise MtlError(f"{name}, line {line}: the array is not closed. Write a ']' after the last element; is the file cut off?")
        value, at = _parse(decoder, name, text, at, line)
        yield line, value
        at = skip(at)
        if at < len(text) and text[at] not in ",]":
            raise MtlError(f"{name}, line {line}: between the elements of a JSON array a comma is needed, and nothing else. Mend it there.")
        at += text[at:at + 1] == ","
    if skip(at + 1) < len(text):
        raise MtlError(f"{name}, line {line}: something follows the end of the JSON array. Write one object per line, or one array.")


def _parse(decoder: json.JSONDecoder, name: str, text: str, at: int, line: int, rest: Iterable[str] = ()) -> tuple[Any, int]:
    """The value that begins at `at`, in `line`, and where it ends. `rest`: the lines that follow, if `text` is one line."""
    try:
        value, end = decoder.raw_decode(text, at)
        if text.find("\\ud", at, end) >= 0 or text.find("\\uD", at, end) >= 0:  # only an escape can make a lone surrogate
            json.dumps(value, ensure_ascii=False).encode()
        return value, end
    except json.JSONDecodeError as error:
        line += text.count("\n", at, error.pos)
        what = "the object is not closed. Write one whole object per line; is the file cut off?"
        if any(map(str.strip, rest)):
            what = "the object is not closed on its line. Write one whole object per line, and \\n for a line feed in a text."
        if error.pos < len(text) and not error.msg.startswith("Unterminated"):
            what = f"column {error.colno} is not JSON: {_advice(text, error) or error.msg.lower().removesuffix(' at') + '. Mend it there'}."
    except MtlError as error:
        what = str(error)
    except UnicodeEncodeError:
        what = "broken Unicode: half of a surrogate pair. Write the character itself."
    except ValueError:  # int() of more than 4,300 digits
        what = "a number is too long. Put it in quotes, or remove it."
    except RecursionError:
        what = "nested too deeply. Write one flat object per line."
    raise MtlError(f"{name}, line {line}: {what}")


def _advice(text: str, error: json.JSONDecodeError) -> str:
    """What is wrong in JSON, if it is one of the usual things, and what to do."""
    rest = text[error.pos:error.pos + 40]
    if rest.startswith(("//", "/*", "#")):
        return "it is a comment. Remove it"
    if text[:error.pos].rstrip().endswith(",") and (rest.lstrip() or "x")[0] in "}]":
        return "a comma stands before the end of a list or an object. Remove it"
    if re.match(r"['(]|None\b|True\b|False\b", rest):
        return "it is written as Python prints it. Write it with json.dumps"
    return "it is a line of JavaScript. Remove all before the first bracket" if re.match(r"[\w.]+\s*(\w+\s*)?=", rest) else ""


def _unique_keys(pairs: list[tuple[str, object]]) -> dict[str, object]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        keys = [key for key, _ in pairs]
        raise MtlError(f"key '{show(next(key for key in keys if keys.count(key) > 1))}' appears twice. Keep one of them.")
    return fields


def _no_constant(constant: str) -> NoReturn:
    raise MtlError(f"{constant} is not allowed in JSON. Write null where there is no value.")


