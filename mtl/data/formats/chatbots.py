"""Training data of chat bots as flat samples, each a text, its intent and its entities: Rasa (Markdown, YAML, JSON), Snips, Dialogflow,
LUIS and its successor, Wit, Watson, and intents with patterns."""

import re
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from mtl.data.formats.export import Annotated, Export, dicts, texts
from mtl.data.formats.files import NAMES, Record, Source, read_lines
from mtl.data.formats.marked import LOOKED_AT
from mtl.errors import MtlError
from mtl.text import from_utf16

HEADING = re.compile(r"##\s*(intent|synonym|regex|lookup)\s*:\s*(\S.*?)\s*", re.IGNORECASE)
_COMMENT = re.compile(r"<!--.*?-->")
_ITEM = re.compile(r"\s*[-*+]\s(.*)", re.DOTALL)
# [Rome](city), [Rome](city:value), [Rome]{"entity": "city", ...} and a list of such objects, of which the first counts
_MARK = re.compile(r"\[(?P<words>[^\[\]]+)\](?:\((?P<entity>[^():]+)(?P<value>:[^()]*)?\)|(?P<object>\[?\{[^{}]*\})(?:,\s*\{[^{}]*\})*\]?)")
_KEY = re.compile(r"""["']?(entity|role|group|value)["']?\s*:\s*["']?([^"',{}]+)""")
_SNIPS = re.compile(r"\[(?P<entity>[^\[\]:]+)(?::[^\[\]]*)?\]\((?P<words>[^()]+)\)")
_LISTED = ("patterns", "examples", "texts", "phrases", "utterances")  # what lists of an intent's texts are called
_NAMES = ("slot_name", "alias", "parameterId", "entity", "entityType", "meta")  # of the entity of a part of a text, the best first


def example(text: str, intent: object, entities: list[dict[str, Any]]) -> Annotated:
    """A sample: what is not marked in it is no entity."""
    return Annotated({"text": text, "intent": intent or None, "entities": entities})


def looks_like_rasa(lines: Iterable[str]) -> bool:
    """Whether a text file has the headings of Rasa's Markdown."""
    return any(HEADING.fullmatch(_COMMENT.sub("", line).strip()) for line in islice(lines, LOOKED_AT))


def looks_like_rasa_yaml(lines: Iterable[str]) -> bool:
    """Whether a text file has Rasa's list of examples in YAML."""
    return any(line.rstrip() == "nlu:" for line in islice(lines, LOOKED_AT))


def read_rasa(source: Source) -> Iterator[Record]:
    """The examples of intents in Rasa's Markdown."""
    export, kind, intent = Export(), "", ""
    for number, line in enumerate(read_lines(source.path), 1):
        if line.startswith("#"):
            line = _COMMENT.sub("", line)
            heading = HEADING.fullmatch(line.strip())
            kind, intent = (heading[1].lower(), heading[2]) if heading else ("", line.strip("# \r\n"))
        elif item := _ITEM.fullmatch(line.rstrip("\r\n")):
            if kind == "intent":
                yield number, _rasa_example(item[1].strip(), intent, export)
            else:
                export.leave("section", kind or intent or "?")
        elif line.strip() and not line.strip().startswith("<!--"):
            export.leave("line")
    export.tell(source)


def _rasa_example(marked: str, intent: object, export: Export) -> Annotated:
    """An example of Rasa, in which the entities are marked."""
    parts, entities, end, length = [], [], 0, 0
    for found in _MARK.finditer(marked):
        said = dict(_KEY.findall(found["object"])) if found["object"] else {"entity": found["entity"], "value": found["value"]}
        if not (label := (said.get("entity") or "").strip()):
            continue
        for attribute in ("role", "group", "value"):
            if said.get(attribute):
                export.leave("attribute", attribute)
        before = marked[end:found.start()]
        start = length + len(before)
        parts += [before, found["words"]]
        length, end = start + len(found["words"]), found.end()
        entities.append({"start": start, "end": length, "label": label})
    return example("".join([*parts, marked[end:]]), intent, entities)


def read_rasa_yaml(nlu: list, export: Export) -> Iterator[Annotated]:
    """The examples under `nlu` in Rasa's YAML: a text of items, or a list of texts or of objects with a text."""
    for part in dicts(nlu):
        given = part.get("examples")
        if isinstance(given, str):
            items = [_ITEM.fullmatch(line) for line in given.splitlines() if line.strip()]
            export.leave("line", count=items.count(None))
            given = [item[1].strip() for item in items if item]
        given = [one.get("text", "") if isinstance(one, dict) else one for one in given] if isinstance(given, list) else []
        if "intent" in part:
            yield from (_rasa_example(text.strip().removeprefix("- "), part["intent"], export) for text in texts(given) if text.strip())
        else:
            export.leave("section", next(iter(part), "?"), count=len(given))


def read_snips_yaml(part: dict[str, Any]) -> Iterator[Annotated]:
    """The utterances of an intent in Snips' YAML: turn on the light in the [room:room_name](kitchen)."""
    for marked in texts(part.get("utterances")):
        pieces, end = [], 0
        for found in _SNIPS.finditer(marked):
            pieces += [{"text": marked[end:found.start()]}, {"text": found["words"], "slot_name": found["entity"]}]
            end = found.end()
        yield join([*pieces, {"text": marked[end:]}], part.get("name"))


def is_in_parts(value: object) -> bool:
    """Whether this is a text cut into parts, some of which are entities: Snips' and Dialogflow's."""
    parts = _parts(value)
    return bool(parts) and all(isinstance(part.get("text"), str) and "start" not in part for part in parts)


def _parts(value: object) -> list[dict[str, Any]]:
    return dicts(value.get("data")) or dicts(value.get("parts")) if isinstance(value, dict) else []


def join(parts: list[dict[str, Any]], intent: object) -> Annotated:
    """The parts of a text as one, with their entities."""
    entities, length = [], 0
    for part in parts:
        start, length = length, length + len(part["text"])
        label = next((part[key] for key in _NAMES if isinstance(part.get(key), str) and part[key].strip()), "")
        if label and label != "@sys.ignore" and part["text"].strip():
            entities.append({"start": start, "end": length, "label": label.removeprefix("@")})
    return example("".join(part["text"] for part in parts), intent, entities)


def read_in_parts(value: dict[str, Any], export: Export, intent: object = None) -> Annotated:
    """A text in parts. Dialogflow has a file for each intent, called like it."""
    of_file = re.fullmatch(r"(.+)_usersays.*", export.name)
    return join(_parts(value), intent or (of_file[1] if of_file else None))


def read_intents(value: dict[str, Any], export: Export) -> Iterator[Any] | None:
    """The examples of an object that is an intent with its texts: Dialogflow's, or a tag with patterns; None if it is none."""
    intent = next((value[key] for key in ("tag", "intent") if isinstance(value.get(key), str)), "")
    listed = next((key for key in _LISTED if texts(value.get(key))), "")
    if intent and listed and not any(isinstance(value.get(key), str) for key in NAMES["text"]):
        if answers := len(texts(value.get("responses"))):
            export.leave("section", "responses", count=answers)
        return (example(text, intent, []) for text in texts(value[listed]) if text.strip())
    if isinstance(value.get("intent"), str) and any(isinstance(one.get("text"), str) for one in dicts(value.get("examples"))):
        return (_watson(one, value["intent"], export) for one in dicts(value["examples"]))
    for key, name in (("userSays", "name"), ("trainingPhrases", "displayName")):
        if phrases := [phrase for phrase in dicts(value.get(key)) if is_in_parts(phrase)]:
            return (read_in_parts(phrase, export, value.get(name)) for phrase in phrases)
    return None


def _watson(one: dict[str, Any], intent: str, export: Export) -> Annotated:
    """An example of Watson, with its mentions of entities."""
    return _utterance({"text": one.get("text"), "intent": intent, "entities": [
        {"entity": part.get("entity"), "start": place[0], "end": place[1]} for part in dicts(one.get("mentions"))
        if isinstance(place := part.get("location"), list) and len(place) == 2]}, export)


def read_bot(value: dict[str, Any], export: Export) -> Iterator[Any] | None:
    """The examples of a file that is one object: Rasa's JSON, Snips', Dialogflow's, Microsoft's; None if it is none of these."""
    if isinstance(rasa := value.get("rasa_nlu_data"), dict):
        return _rasa_json(rasa, export)
    if isinstance(value.get("nlu"), list) and any("examples" in part for part in dicts(value["nlu"])):
        _leave_others(value, export, "nlu", "version")
        return read_rasa_yaml(value["nlu"], export)
    intents = value.get("intents") if isinstance(value.get("intents"), dict) else value
    named = {name: part.get("utterances") if isinstance(part, dict) else part for name, part in intents.items()}
    if any(map(is_in_parts, (one for phrases in named.values() for one in dicts(phrases)))):
        if intents is not value:
            _leave_others(value, export, "intents", "language")
        return (read_in_parts(one, export, name) for name, phrases in named.items() for one in dicts(phrases) if is_in_parts(one))
    if isinstance(assets := value.get("assets"), dict) and dicts(assets.get("utterances")):
        return (_utterance(one, export) for one in dicts(assets["utterances"]))
    if dicts(value.get("utterances")) and any("intent" in one for one in dicts(value["utterances"])):
        _leave_others(value, export, "utterances", "intents", "entities")
        return (_utterance(one, export) for one in dicts(value["utterances"]))
    return None


def _rasa_json(rasa: dict[str, Any], export: Export) -> Iterator[Annotated]:
    _leave_others(rasa, export, *(key for key in rasa if key.endswith("_examples")))
    for one in (one for key, part in rasa.items() if key.endswith("_examples") for one in dicts(part)):
        entities = dicts(one.get("entities"))
        for attribute in (attribute for part in entities for attribute in ("role", "group") if part.get(attribute)):
            export.leave("attribute", attribute)
        yield example(one.get("text"), one.get("intent"), [{"start": part.get("start"), "end": part.get("end"), "label": part.get("entity")}
                                                           for part in entities])


def _utterance(one: dict[str, Any], export: Export) -> Annotated:
    """An utterance of LUIS, whose ends are the last character, of its successor, which gives lengths, or of Wit; all count in UTF-16."""
    text, entities = one.get("text"), []
    count = from_utf16(text) if isinstance(text, str) else lambda offset: offset
    for part in dicts(one.get("entities")):
        start = part.get("startPos", part.get("offset", part.get("start")))
        last, length = part.get("endPos"), part.get("length")
        end = last + 1 if type(last) is int else start + length if type(start) is type(length) is int else part.get("end")
        if type(start) is not int or type(end) is not int:
            raise MtlError("an entity has no whole numbers for its place. Export the utterances from the tool again.")
        if (count(start), count(end)) != (start, end):
            export.leave("javascript")
        for attribute in ("role", "children"):
            if part.get(attribute):
                export.leave("attribute", attribute)
        entities.append({"start": count(start), "end": count(end), "label": part.get("entity", part.get("category"))})
    return example(text, one.get("intent"), entities)


def _leave_others(value: dict[str, Any], export: Export, *read: str) -> None:
    """Count the parts of a file that hold no examples."""
    for key, part in value.items():
        if key not in read and part and isinstance(part, list | dict):
            export.leave("section", key, count=len(part))
