"""A sample of any of the annotation tools as a flat object: spaCy, Prodigy, doccano, DataTurks, Argilla, UBIAI, LightTag, Label Studio."""

from collections.abc import Callable
from itertools import accumulate
from typing import Any

from mtl.data.formats.argilla import is_argilla, read_argilla
from mtl.data.formats.export import Annotated, Export, dicts, texts, without
from mtl.data.formats.files import NAMES, a_kind, show
from mtl.data.formats.label_studio import is_label_studio, read_label_studio, read_label_studio_min
from mtl.data.formats.schemes import TAG
from mtl.errors import MtlError

_PRODIGY = {"_task_hash", "_input_hash", "spans", "accept", "options"}
# how tools name where an entity starts and where it ends, and what is missing in the end of those that give the last character
_OFFSETS = {"startPos": ("endPos", 1), "startCharIndex": ("endCharIndex", 1), "begin": ("end", 0), "startOffset": ("endOffset", 0),
            "start_char": ("end_char", 0), "char_start": ("char_end", 0), "start_index": ("end_index", 0), "start": ("end", 0),
            "start_offset": ("end_offset", 0)}
_TYPES = ("tag", "tag_name", "category", "entityName", "entityLabel", "entity_group", "class", "displayName")
_MARKS = {"data", "annotations", "annotation_id", "answer", "annotation", "responses", "fields", "document", "classifications", "source",
          "annotation_approver", "cats", "task", "completions", "predictions", "paragraphs", "example", "examples", "row", "_source",
          "parts", "utterances", "patterns", "texts", "phrases", "userSays", "trainingPhrases", "properties", "values",
          "tokenized_text"}  # one of these is in every sample that is no flat object yet
_PLACES = ("offsets", "offset", "span", "pos", "position", "indices", "location")  # of an entity: its start and its end in a list
_STARTS, _, _LABELS = NAMES["entity"]


def flatten(value: Any, export: Export | None = None) -> dict[str, object] | None:
    """A sample of any of the tools as a flat object; None if the annotator rejected or skipped it. Raises MtlError if it is no sample."""
    export = export or Export()
    if isinstance(value, list) and len(value) == 2 and isinstance(value[0], str) and isinstance(value[1], dict):
        value = {"text": value[0]} | value[1]
        return _spacy(value, export)
    if isinstance(value, list) and (fields := _words_and_tags(value) or _listed(value)):
        return fields
    if not isinstance(value, dict):
        raise MtlError(f"holds {a_kind(value)}. Write an object such as {{\"text\": \"...\", \"topic\": \"...\"}}.")
    if is_label_studio(value):
        return read_label_studio(value, export)
    if "annotation_id" in value and "annotator" in value:
        return read_label_studio_min(value, export)
    if value.get("answer") in ("accept", "reject", "ignore") and _PRODIGY & value.keys():
        return Annotated(without(value, "answer")) if value["answer"] == "accept" else None
    for is_of, read in _TOOLS:
        if is_of(value):
            return read(value, export)
    if isinstance(value.get("cats"), dict):
        value = _spacy(value, export)
    value = _with_usual_offsets(value, export)
    return _own_task(value) if isinstance(value.get("task"), str) and value["task"].strip() else value


def _listed(value: list) -> dict[str, object] | None:
    """A text and its entities or labels, [text, [[start, end, label]]]; or the cells of a row, a text among them, in whatever order."""
    if len(value) == 2 and isinstance(value[0], str) and isinstance(value[1], list):
        return {"text": value[0], "labels" if texts(value[1]) else "entities": value[1]}
    is_row = len(value) > 1 and texts(value) and all(part is None or isinstance(part, str | int | float) for part in value)
    return {f"column {number}": part for number, part in enumerate(value, 1)} if is_row else None


def _words_and_tags(value: list) -> dict[str, object] | None:
    """[["Ada", "left"], ["B-PER", "O"]], or [["Ada", "B-PER"], ["left", "O"]], also with columns between; None if it is neither."""
    if not value or any(not isinstance(part, list) or len(texts(part)) != len(part) for part in value) or len({*map(len, value)}) != 1:
        return None
    for columns in ([*zip(*value, strict=True)], value):
        if len(columns) > 1 and all(map(TAG.fullmatch, columns[-1])):
            between = {f"column {number}": list(column) for number, column in enumerate(columns[1:-1], 2)}
            return {"tokens": list(columns[0]), **between, "tags": list(columns[-1])}
    return None


def is_plain(value: Any, export: Export) -> bool:
    """Whether a sample is certainly of no tool, and can be taken as it is. For most rows of most files, in a microsecond."""
    if type(value) is not dict:
        return False
    keys = tuple(value)
    if keys not in export.plain:
        if not _MARKS.isdisjoint(keys) or any(key.endswith((".responses", "-metadata")) for key in keys) or len(export.plain) > 1_000:
            return False
        export.plain.add(keys)
    return all(type(part) is not list or not part or type(part[0]) is not dict or all(map(_is_usual, part)) for part in value.values())


def _is_usual(part: object) -> bool:
    return type(part) is dict and len(part) == 3 and "start" in part and "end" in part and type(part.get("label")) is str


def _with_usual_offsets(sample: dict[str, Any], export: Export) -> dict[str, Any]:
    """The sample with its entities as start, end and label; the sample itself if they are so already, or there are none."""
    found = {key: [_entity(part, export) if isinstance(part, dict) else part for part in value] for key, value in sample.items()
             if isinstance(value, list) and key not in NAMES["tokens"] and any(map(_is_entity, dicts(value)))}
    changed = any(part is not old for key, parts in found.items() for part, old in zip(parts, sample[key], strict=True))
    return Annotated(sample | found) if changed else sample


def _is_entity(part: dict[str, Any]) -> bool:
    return bool(any(key in part for key in _OFFSETS) or _place(part)) and any(key in part for key in (*_LABELS, *_TYPES))


def _place(part: dict[str, Any]) -> list[int]:
    """The start and the end of an entity that has them in a list, [0, 3] or [[0, 3]]; none if it has not."""
    found = next((part[key] for key in _PLACES if isinstance(part.get(key), list)), [])
    found = found[0] if len(found) == 1 and isinstance(found[0], list) else found
    return found if [*map(type, found)] == [int, int] else []


def _entity(part: dict[str, Any], export: Export) -> dict[str, Any]:
    """An entity in the words that are usual here."""
    for attribute in ("role", "group"):
        if part.get(attribute):
            export.leave("attribute", attribute)
    start = next((key for key in _OFFSETS if key in part), "")
    end, more = _OFFSETS.get(start, ("", 0))
    kind = next((key for key in (*_LABELS, *_TYPES) if key in part), "")
    label = part.get(kind)
    if type(label) is int:
        export.leave("number", kind)
        label = str(label)
    if label is part.get(kind) and start in _STARTS and kind in _LABELS:
        return part
    if not start and (place := _place(part)):
        part, start, end = part | dict(zip(("start", "end"), place, strict=True)), "start", "end"
    last = part.get(end)
    own = next(({"text": part[key]} for key in ("text", "value") if isinstance(part.get(key), str)), {})
    return {"start": part.get(start), "end": last + more if type(last) is int else last, "label": label} | own


def _spacy(sample: dict[str, Any], export: Export) -> dict[str, object]:
    """spaCy's text and {"entities": [[start, end, label]], "cats": {label: score}} in one object."""
    fields = without(sample, "cats", "links", "heads", "deps")
    cats = sample.get("cats")
    if isinstance(cats, dict) and cats:
        labels = [label for label, score in cats.items() if isinstance(score, int | float) and score >= 0.5]
        (export.several if len(labels) > 1 else export.single).add("cats")
        fields["cats"] = labels
    return fields


def _own_task(sample: dict[str, Any]) -> dict[str, object]:
    """{"text", "task": T, "label" or T_labels: value}: the value belongs to a task called T, and the row is not labelled for others."""
    task = sample["task"].strip()
    known = (f"{task}_labels", f"{task}_label", f"{task}_tags", "labels", "label", "tags", "entities", "spans")
    if not (keys := [key for key in known if key in sample]):
        raise MtlError(f"the task is '{show(task)}', but there is no 'label' and no '{show(task)}_labels'. Add one of them.")
    return without(sample, "task", *keys) | {task: next((sample[key] for key in keys if sample[key] is not None), None)}


def _is_dataturks(sample: dict[str, Any]) -> bool:
    done = sample.get("annotation")
    return isinstance(sample.get("content"), str) and "annotation" in sample and (
        any("points" in part for part in dicts(done)) or (isinstance(done, dict) and "labels" in done)
        or (not done and "extras" in sample))


def _dataturks(sample: dict[str, Any], export: Export) -> dict[str, object]:
    """DataTurks: entities whose ends are the last character, or {"labels": [...]} for the text."""
    fields, done = without(sample, "annotation", "extras", "metadata"), sample["annotation"]
    if isinstance(done, dict):
        return fields | {"labels": done.get("labels")}
    entities = []
    for part in dicts(done):
        labels = texts(part["label"]) if isinstance(part.get("label"), list) else texts([part.get("label")])
        if len(labels) != 1:
            export.leave("several labels" if labels else "no label", "annotation")
        for point in dicts(part.get("points")) if labels else ():
            entities.append(_entity({"startPos": point.get("start"), "endPos": point.get("end"), "tag": labels[0],
                                     "text": point.get("text")}, export))
    return fields | {"entities": None if done is None else entities}


def _is_gliner(sample: dict[str, Any]) -> bool:
    return isinstance(words := sample.get("tokenized_text"), list) and len(texts(words)) == len(words)


def _gliner(sample: dict[str, Any], export: Export) -> dict[str, object]:
    """GLiNER's words, and entities as the numbers of their first and last word."""
    words = sample["tokenized_text"]
    starts = list(accumulate((len(word) + 1 for word in words), initial=0))
    entities = []
    for part in sample["ner"] if isinstance(sample.get("ner"), list) else ():
        first, last, label = part if isinstance(part, list) and len(part) == 3 else (None, None, None)
        if not (type(first) is type(last) is int and 0 <= first <= last < len(words)):
            raise MtlError("'ner' has an entity that is not [first word, last word, label], with words counted from 0. Mend it.")
        entities.append({"start": starts[first], "end": starts[last] + len(words[last]), "label": label})
    return Annotated(without(sample, "tokenized_text") | {"text": " ".join(words), "ner": entities})


def _is_of_words(sample: dict[str, Any]) -> bool:
    return not isinstance(sample.get("text"), str) and _word_key(sample.get("tokens")) != ""


def _word_key(tokens: object) -> str:
    words = dicts(tokens)
    return next((key for key in ("word", "orth", "form", "text", "token") if words and len(words) == len(tokens)
                 and all(isinstance(word.get(key), str) for word in words)), "")


def _of_words(sample: dict[str, Any], export: Export) -> dict[str, object]:
    """A sentence whose words are objects, as CoreNLP writes them: every key that has a text for each word is a column of tags."""
    words, key = sample["tokens"], _word_key(sample["tokens"])
    columns = {name: [word[name] for word in words] for name in words[0]
               if name not in (key, "id") and all(isinstance(word.get(name), str) for word in words)}
    return {name: part for name, part in sample.items() if isinstance(part, str)} | {"tokens": [word[key] for word in words]} | columns


def _is_ubiai(sample: dict[str, Any]) -> bool:
    return isinstance(sample.get("document"), str) and any(map(_is_entity, dicts(sample.get("tokens"))))


def _ubiai(sample: dict[str, Any], export: Export) -> dict[str, object]:
    """UBIAI, which calls the entities tokens."""
    if related := dicts(sample.get("relations")):
        export.leave("relation", count=len(related))
    return _with_usual_offsets(Annotated(without(sample, "tokens", "relations") | {"entities": sample["tokens"]}), export)


def _is_lighttag(sample: dict[str, Any]) -> bool:
    return isinstance(sample.get("content"), str) and any("classname" in part for part in dicts(sample.get("classifications")))


def _lighttag(sample: dict[str, Any], export: Export) -> dict[str, object]:
    """LightTag's classes of a text, beside its entities."""
    classes = [part["classname"] for part in dicts(sample["classifications"]) if isinstance(part.get("classname"), str)]
    return _with_usual_offsets(sample | {"classifications": classes}, export)


def _is_ground_truth(sample: dict[str, Any]) -> bool:
    return isinstance(sample.get("source"), str) and any(key.endswith("-metadata") and key[:-9] in sample for key in sample)


def _ground_truth(sample: dict[str, Any], export: Export) -> dict[str, object]:
    """A line of SageMaker Ground Truth's manifest: entities below the name of the job, or a class whose name is among its metadata."""
    fields: dict[str, object] = {"text": sample["source"]}
    for key, value in without(sample, "source").items():
        about, done = sample.get(f"{key}-metadata"), value.get("annotations") if isinstance(value, dict) else None
        if isinstance(done, dict):
            fields[key] = done.get("entities")
        elif isinstance(about, dict) and isinstance(about.get("class-name"), str):
            fields[key] = about["class-name"]
    return _with_usual_offsets(fields, export)


def _is_doccano(sample: dict[str, Any]) -> bool:
    done = dicts(sample.get("annotations"))
    return "annotation_approver" in sample or (bool(done) and all("label" in part and "user" in part for part in done))


def _doccano(sample: dict[str, Any], export: Export) -> dict[str, object]:
    """doccano's older JSON: annotations with the numbers of labels."""
    done, fields = dicts(sample.get("annotations")), without(sample, "annotation_approver")
    if done and not any(map(_is_entity, done)):
        fields["annotations"] = [str(part.get("label")) for part in done]
        if numbers := sum(type(part.get("label")) is int for part in done):
            export.leave("number", "annotations", count=numbers)
    return _with_usual_offsets(fields, export)


_TOOLS: tuple[tuple[Callable, Callable], ...] = (
    (_is_dataturks, _dataturks), (is_argilla, read_argilla), (_is_ubiai, _ubiai), (_is_lighttag, _lighttag),
    (_is_ground_truth, _ground_truth), (_is_doccano, _doccano), (_is_gliner, _gliner), (_is_of_words, _of_words))
