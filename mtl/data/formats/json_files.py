"""JSON lines and arrays into records: flat objects, also of what annotation tools (spaCy, Prodigy, doccano, Label Studio) export."""

import json
import re
from collections.abc import Iterator
from typing import Any, NoReturn

from mtl.data.formats.files import Record, Source, a_kind, check_file, read_lines, show, show_names
from mtl.errors import MtlError

MAX_ARRAY = 50_000_000  # bytes; an array is one long line, which has to be read whole
_BLANKS = re.compile(r"[ \t\r\n]*")


class Annotated(dict):
    """A sample that an annotator has finished: where it lacks a list of entities, it has none; it is not unlabelled."""


def read_json(source: Source) -> Iterator[Record]:
    """The objects of a file of JSON lines, or of one JSON array."""
    name, empty = source.name, True
    decoder = json.JSONDecoder(object_pairs_hook=_unique_keys, parse_constant=_no_constant)
    check_file(source.path)
    with source.path.open("rb") as file:  # a list of samples? A line that is a list itself, [text, {...}], begins with a text
        is_array = re.match(rb'(\xef\xbb\xbf)?\s*\[\s*($|[^\s"])', file.read(4096))
    for line, value in (_array if is_array else _lines)(source, decoder):
        try:
            fields = flatten(value)
        except MtlError as error:
            raise MtlError(f"{name}, line {line}: {error}") from error
        empty = False
        if isinstance(fields, Annotated) and isinstance(done := value.get("annotations"), list) and len(done) > 1:
            source.notice("where a text was annotated more than once, the first annotation is taken.")
        if fields is not None:
            yield line, fields
        else:
            source.notice("samples that were rejected or skipped while annotating are left out.")
    if empty:
        raise MtlError(f"{name}: is empty. Write one JSON object per line.")


def _lines(source: Source, decoder: json.JSONDecoder) -> Iterator[tuple[int, Any]]:
    name = source.name
    for line, text in enumerate(map(str.strip, read_lines(source.path)), 1):
        if text:
            value, end = _parse(decoder, name, text, 0, line)
            if end < len(text):
                raise MtlError(f"{name}, line {line}: column {end + 1} is not JSON: something follows the object. "
                               "Write one object per line.")
            yield line, value


def _array(source: Source, decoder: json.JSONDecoder) -> Iterator[tuple[int, Any]]:
    """The elements of an array, parsed one at a time, each with its line."""
    name, size = source.name, source.path.stat().st_size
    if size > MAX_ARRAY:
        raise MtlError(f"{name}: is a JSON array of {size / 1e6:,.0f} MB, the limit is {MAX_ARRAY / 1e6:,.0f} MB. "
                       "Write one object per line, without the brackets and commas around them.")
    text = "".join(read_lines(source.path, MAX_ARRAY)).replace("\r\n", "\n").replace("\r", "\n")
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


def _parse(decoder: json.JSONDecoder, name: str, text: str, at: int, line: int) -> tuple[Any, int]:
    """The value that begins at `at`, in `line`, and where it ends."""
    try:
        value, end = decoder.raw_decode(text, at)
        if text.find("\\ud", at, end) >= 0 or text.find("\\uD", at, end) >= 0:  # only an escape can make a lone surrogate
            json.dumps(value, ensure_ascii=False).encode()
        return value, end
    except json.JSONDecodeError as error:
        line += text.count("\n", at, error.pos)
        what = "the object is not closed. Write one whole object per line; is the file cut off?"
        if error.pos < len(text) and not error.msg.startswith("Unterminated"):
            what = f"column {error.colno} is not JSON: {error.msg.lower().removesuffix(' at')}. Mend it there."
    except MtlError as error:
        what = str(error)
    except UnicodeEncodeError:
        what = "broken Unicode: half of a surrogate pair. Write the character itself."
    except ValueError:  # int() of more than 4,300 digits
        what = "a number is too long. Put it in quotes, or remove it."
    except RecursionError:
        what = "nested too deeply. Write one flat object per line."
    raise MtlError(f"{name}, line {line}: {what}")


def _unique_keys(pairs: list[tuple[str, object]]) -> dict[str, object]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        keys = [key for key, _ in pairs]
        raise MtlError(f"key '{show(next(key for key in keys if keys.count(key) > 1))}' appears twice. Keep one of them.")
    return fields


def _no_constant(constant: str) -> NoReturn:
    raise MtlError(f"{constant} is not allowed in JSON. Write null where there is no value.")


def flatten(value: Any) -> dict[str, object] | None:
    """A sample of any of the tools as a flat object; None if the annotator rejected or skipped it. Raises MtlError if it is no sample."""
    if isinstance(value, list) and len(value) == 2 and isinstance(value[0], str) and isinstance(value[1], dict):
        return _spacy({"text": value[0]} | value[1])
    if not isinstance(value, dict):
        raise MtlError(f"holds {a_kind(value)}. Write an object such as {{\"text\": \"...\", \"topic\": \"...\"}}.")
    if isinstance(value.get("data"), dict) and ("annotations" in value or "completions" in value):
        return _label_studio(value)
    if "annotation_id" in value and "annotator" in value:
        return _label_studio_min(value)
    if value.get("answer") in ("accept", "reject", "ignore") and _PRODIGY & value.keys():
        return Annotated(_without(value, "answer")) if value["answer"] == "accept" else None
    if isinstance(value.get("cats"), dict):
        return _spacy(value)
    return _own_task(value) if isinstance(value.get("task"), str) and value["task"].strip() else value


_PRODIGY = {"_task_hash", "_input_hash", "spans", "accept", "options"}


def _without(sample: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: part for key, part in sample.items() if key not in keys}


def _spacy(sample: dict[str, Any]) -> dict[str, object]:
    """spaCy's text and {"entities": [[start, end, label]], "cats": {label: score}} in one object."""
    fields = _without(sample, "cats", "links", "heads", "deps")
    cats = sample.get("cats")
    if isinstance(cats, dict) and cats:
        labels = [label for label, score in cats.items() if isinstance(score, int | float) and score >= 0.5]
        if len(labels) > 1:
            raise MtlError(f"'cats' marks {len(labels)} labels at once ({show_names(labels)}). A text has one label per task; "
                           "give each task its own key.")
        fields["cats"] = labels[0] if labels else None
    return fields


def _own_task(sample: dict[str, Any]) -> dict[str, object]:
    """{"text", "task": T, "label" or T_labels: value}: the value belongs to a task called T, and the row is not labelled for others."""
    task = sample["task"].strip()
    known = (f"{task}_labels", f"{task}_label", f"{task}_tags", "labels", "label", "tags", "entities", "spans")
    if not (keys := [key for key in known if key in sample]):
        raise MtlError(f"the task is '{show(task)}', but there is no 'label' and no '{show(task)}_labels'. Add one of them.")
    return _without(sample, "task", *keys) | {task: next((sample[key] for key in keys if sample[key] is not None), None)}


def _label_studio(sample: dict[str, Any]) -> dict[str, object] | None:
    """Label Studio's JSON export: the choices and labels of the first annotation, with the names of the labelling config."""
    done = [entry for entry in sample.get("annotations") or sample.get("completions") or [] if isinstance(entry, dict)]
    kept = [entry for entry in done if not entry.get("was_cancelled")]
    if done and not kept:
        return None
    data = {key: part for key, part in sample["data"].items() if isinstance(part, str | int | float)}
    found: dict[str, Any] = {}
    for result in kept[0].get("result") or [] if kept else []:
        name, value = (result.get("from_name"), result.get("value")) if isinstance(result, dict) else (None, None)
        if not isinstance(name, str) or not isinstance(value, dict):
            raise MtlError("an annotation has no 'from_name' or no 'value'. Export from Label Studio as JSON.")
        if isinstance(choices := value.get("choices"), list) and choices:
            found[name] = _only(name, choices)
        elif type(value.get("rating")) is int:
            found[name] = value["rating"]
        elif isinstance(labels := value.get("labels"), list) and labels:
            if not isinstance(found.setdefault(name, []), list):
                raise MtlError(f"'{show(name)}' has both choices and labels. Give each its own name in the labelling config.")
            found[name].append({"start": value.get("start"), "end": value.get("end"), "label": _only(name, labels)})
    return Annotated(data | found) if kept else data


def _label_studio_min(sample: dict[str, Any]) -> dict[str, object]:
    """A sample of Label Studio's JSON-MIN export."""
    fields = _without(sample, "annotator", "annotation_id", "created_at", "updated_at", "lead_time")
    for key, part in fields.items():
        if isinstance(part, dict) and isinstance(choices := part.get("choices"), list):
            fields[key] = _only(key, choices)
    return Annotated(fields)


def _only(name: str, labels: list) -> Any:
    if len(labels) != 1:
        raise MtlError(f"'{show(name)}' has {len(labels)} labels at once. A text or span has one label per task; give each its own name.")
    return labels[0]
