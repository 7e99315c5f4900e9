"""What Label Studio exports (JSON and JSON-MIN) as flat samples: an annotation's labels of regions and its answers about the text."""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain
from typing import Any

from mtl.data.formats.export import Annotated, Export, dicts, texts, without
from mtl.data.formats.files import NAMES, Record, Source, show
from mtl.data.formats.rendered import Rendered, render
from mtl.errors import MtlError
from mtl.text import from_utf16

PATH = " > "  # between the parts of a class of a taxonomy
_MIN = ("annotator", "annotation_id", "created_at", "updated_at", "lead_time")


def is_label_studio(sample: dict[str, Any]) -> bool:
    """Whether this is a task as its JSON export writes it."""
    return isinstance(sample.get("data"), dict) and any(key in sample for key in ("annotations", "completions", "predictions"))


def read_label_studio(sample: dict[str, Any], export: Export) -> dict[str, object] | None:
    """The answers of the annotation that counts, with the names of the labelling config; None if the task was skipped."""
    given = sample.get("annotations") or sample.get("completions")
    done = dicts(given)
    if given and not done:
        raise MtlError("its annotations are only named by their numbers. Export the project from Label Studio as JSON.")
    kept = [entry for entry in done if not entry.get("was_cancelled")]
    if done and not kept:
        return None
    data, pages = _read_data(sample["data"], export)
    if not kept:
        if waiting := next((what for what in ("draft", "prediction") if sample.get(f"{what}s")), ""):
            export.leave(waiting)
        return data
    chosen = next((entry for entry in kept if entry.get("ground_truth") is True), kept[0])
    if len(kept) > 1:
        export.leave("twice")
        if any(_essence(entry) != _essence(kept[0]) for entry in kept):
            export.leave("differ")
    return Annotated(data | _read_results(chosen.get("result") or [], data, pages, export))


def _essence(annotation: dict[str, Any]) -> list[str]:
    """An annotation without ids, to compare two."""
    return sorted(repr((result.get("from_name"), result.get("value"))) for result in dicts(annotation.get("result")))


def _read_data(data: dict[str, Any], export: Export) -> tuple[dict[str, object], dict[str, Any]]:
    """The texts and other plain values of a task, and what finds a region's place in those that were not plain texts, by name."""
    plain: dict[str, object] = {}
    pages: dict[str, Any] = {}
    for name, value in data.items():
        if turns := _turns(dicts(value)):
            plain[name], pages[name] = "\n".join(turns), turns
            export.leave("paragraphs", name)
        elif isinstance(value, list | dict):
            export.leave("data", name)
        elif page := _page(value, export):
            pages[name] = page
            plain[name] = page.text
        else:
            plain[name] = value
    if pages and not {name.casefold() for name in plain} & {*NAMES["text"]}:
        plain["text"] = plain.pop(next(iter(pages)))
    return plain, pages


def _page(value: object, export: Export) -> Rendered | None:
    """The text of a value that is HTML."""
    page = render(value) if isinstance(value, str) and export.is_html and "<" in value else None
    if page and page.text != value:
        export.leave("html")
    return page


def _turns(parts: list[dict[str, Any]]) -> list[str]:
    """What is said in the turns of a dialogue: under a usual key, or else the one with the longest texts."""
    length = Counter({key: sum(len(part[key]) for part in parts if isinstance(part.get(key), str)) for part in parts for key in part})
    key = next((key for key in NAMES["text"] if length[key]), max(length, key=length.__getitem__, default=""))
    return [part[key] for part in parts if isinstance(part.get(key), str)]


def _read_results(results: object, plain: dict[str, object], pages: dict[str, Any], export: Export) -> dict[str, Any]:
    """The entities and the answers of an annotation, by name."""
    text = next((key for key in NAMES["text"] if isinstance(plain.get(key), str)), "")
    found: dict[str, Any] = {}
    regions = {result["id"] for result in dicts(results) if isinstance(result.get("id"), str) and _labels_key(result.get("value"))}
    for result in results if isinstance(results, list) else [results]:
        if isinstance(result, dict) and (result.get("type") == "relation" or "from_id" in result):
            export.leave("relation")
            continue
        name, value = (result.get("from_name"), result.get("value")) if isinstance(result, dict) else (None, None)
        if not isinstance(name, str) or not isinstance(value, dict):
            raise MtlError("an annotation has no 'from_name' or no 'value'. Export from Label Studio as JSON.")
        kind = result["type"] if isinstance(result.get("type"), str) else ""
        if key := _labels_key(value):
            of = result.get("to_name") if isinstance(result.get("to_name"), str) else ""
            if of != text and isinstance(plain.get(of), str) and text:
                export.leave("other field", name, of)
                continue
            page = pages.get(of)
            entities = _region(name, key, value, page or next(iter(pages.values()), None), export)
            if found.get(name) and not dicts(found[name]):
                raise MtlError(f"'{show(name)}' has both choices and labels. Give each its own name in the labelling config.")
            if entities:
                found[name] = found.get(name, []) + entities
        elif kind in ("labels", "text", "hypertext", "hypertextlabels", "paragraphs", "paragraphlabels"):
            export.leave("no label", name)
        elif "start" in value or str(result.get("id")) in regions:
            export.leave("per region", name)
        elif (answer := _answer(name, value, export)) is not None:
            if dicts(found.get(name)):
                raise MtlError(f"'{show(name)}' has both choices and labels. Give each its own name in the labelling config.")
            found[name] = found[name] + answer if isinstance(answer, list) and isinstance(found.get(name), list) else answer
        else:
            export.leave("answer", name, kind or ", ".join(value))
    return found


def _labels_key(value: object) -> str:
    """The key under which the value of a region has its labels, '' if none."""
    return next((key for key in value if key.endswith("labels") and texts(value[key])), "") if isinstance(value, dict) else ""


def _region(name: str, key: str, value: dict[str, Any], page: Rendered | list[str] | None, export: Export) -> list[dict[str, Any]]:
    """An entity with its offsets in the text; no entity if the region is not on a text, or its place is unknown."""
    if "start" not in value or key in ("timeserieslabels", "videolabels", "timelinelabels"):
        export.leave("not on text", name, key)
        return []
    labels = texts(value[key])
    if len(labels) > 1:
        export.leave("several labels", name)
    start, end = _place(key, value, page)
    own = {"text": value["text"]} if isinstance(value.get("text"), str) and value["text"].strip() else {}
    if not own and key in ("hypertextlabels", "paragraphlabels") and not (type(start) is type(end) is int):
        export.leave("no offsets", name)
        return []
    return [{"start": start, "end": end, "label": labels[0]} | own]


def _place(key: str, value: dict[str, Any], page: Rendered | list[str] | None) -> tuple[object, object]:
    """Where a region starts and ends: its numbers count in the text, in the page's text nodes, or in a turn of a dialogue."""
    start, end = _whole(value.get("start")), _whole(value.get("end"))
    if key == "paragraphlabels":
        turns = page if isinstance(page, list) else None
        return _in_turns(start, value.get("startOffset"), turns), _in_turns(end, value.get("endOffset"), turns)
    if isinstance(whole := value.get("globalOffsets"), dict):
        start, end = whole.get("start"), whole.get("end")
    elif key == "hypertextlabels" and type(start) is not int:
        return None, None  # a path into the page: the region's own text is searched for
    return (page.place(start), page.end(end)) if isinstance(page, Rendered) else (start, end)


def _whole(value: object) -> object:
    return int(value) if isinstance(value, str) and value.isdecimal() and len(value) < 10 else value


def _in_turns(turn: object, offset: object, turns: list[str] | None) -> int | None:
    """Where an offset in a turn of a dialogue lies in its turns joined by line feeds."""
    if type(turn) is not int or type(offset) is not int or not 0 <= turn < len(turns or [""]):
        return None
    return from_utf16((turns or [""])[turn])(offset) + sum(len(before) + 1 for before in (turns or [""])[:turn])


def _answer(name: str, value: dict[str, Any], export: Export) -> Any:
    """What is said of the whole text: classes in a list, or a number; None if it is anything else."""
    paths = value.get("taxonomy") if isinstance(value.get("taxonomy"), list) else []
    if classes := texts(value.get("choices")) or [PATH.join(texts(path)) for path in paths if texts(path)]:
        export.several |= {name} if len(classes) > 1 else set()
        if paths and any(PATH in label for label in classes):
            export.leave("path", name)
        return classes
    return next((value[key] for key in ("rating", "number") if type(value.get(key)) in (int, float)), None)


def _answers(name: str, value: object, export: Export) -> Any:
    """The same in JSON-MIN: an answer, or a list of one, as it writes ratings and taxonomies; None if it is anything else."""
    [value, *more] = value if isinstance(value, list) and value else [value]
    return _answer(name, value, export) if isinstance(value, dict) and "start" not in value and not more else None


def read_label_studio_min(sample: dict[str, Any], export: Export) -> dict[str, object]:
    """A sample of Label Studio's JSON-MIN export, in which answers stand beside the texts."""
    fields, pages = {}, {}
    for name, value in without(sample, *_MIN).items():
        regions = dicts(value)
        if any(map(_labels_key, regions)):
            fields[name] = regions
        elif (answer := _answers(name, value, export)) is not None:
            fields[name] = answer
        elif name in export.choices and isinstance(value, str):
            fields[name] = [value]
        elif regions and any("start" in region for region in regions):
            export.leave("per region", name, count=len(regions))
        elif page := _page(value, export):
            pages[name] = page
            fields[name] = page.text
        elif isinstance(value, list) and value and len(texts(value)) == len(value):  # a person's own words; one alone is written as a text
            fields[name] = "\n".join(value)
        else:
            fields[name] = value
    page = next(iter(pages.values()), None)
    for name, value in fields.items():
        if any(map(_labels_key, dicts(value))):
            fields[name] = [entity for region in value if (key := _labels_key(region))
                            for entity in _region(name, key, region, page, export)]
            if unlabelled := sum(not _labels_key(region) for region in value):
                export.leave("no label", name, count=unlabelled)
    return Annotated(fields)


def read_label_studio_cells(source: Source, records: Iterator[Record]) -> Iterator[Record]:
    """The records of a table; those of Label Studio's CSV or TSV as in its JSON-MIN, whose values it writes into cells as JSON."""
    first = next(records, None)
    records = chain([first] if first else [], records)
    return _cells_read(source, records) if first and {"annotation_id", "annotator"} <= first[1].keys() else records


def _cells_read(source: Source, records: Iterator[Record]) -> Iterator[Record]:
    export = Export(source.path.stem, '"hypertextlabels"')
    for line, fields in records:
        values = {name: _of_json(cell) for name, cell in fields.items()}
        with source.at(line):
            sample = read_label_studio_min(values, export)
        for name, value in sample.items():  # a cell with one choice is a plain text, and one without entities is empty
            are_labels = isinstance(value, list) and value and len(texts(value)) == len(value)
            sample[name] = "|".join(value) if are_labels else None if value == "" else value
        yield line, sample
    export.tell(source)


def _of_json(cell: object) -> object:
    """What a cell holds as JSON; the cell itself if it is a plain text."""
    if isinstance(cell, str) and cell.startswith(("[{", '{"')):
        with suppress(ValueError, RecursionError):
            return json.loads(cell)
    return cell
