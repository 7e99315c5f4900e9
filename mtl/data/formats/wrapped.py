"""Where the rows are in a file that is one object or one YAML document: in a list somewhere in it, in columns, or under keys."""

from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import Any

from mtl.data.formats.chatbots import is_in_parts, read_bot, read_in_parts, read_intents, read_snips_yaml
from mtl.data.formats.export import Export, dicts, texts
from mtl.data.formats.files import NAMES, SPLIT_OF_WORD, Source, show, show_names
from mtl.data.formats.label_studio import is_label_studio
from mtl.errors import MtlError
from mtl.text import many

TEXT_KEYS, TOKEN_KEYS, HEADER = set(NAMES["text"]), set(NAMES["tokens"]), set(NAMES["header"])
USUAL = {  # names of lists of rows
    "data", "rows", "examples", "records", "samples", "annotations", "annotations_and_examples", "items", "documents", "intents"}
LOOKED_AT, DEPTH = 50, 4  # elements of a list that are looked at, and levels of objects in which a list is searched
WITHOUT_TEXT = {  # keys of files that have no labelled texts to read, and what to do
    "anncomplete": "an annotation file of tagtog, which lacks the text. Export the entities with their text, as CoNLL (.conll)",
    "%FEATURE_STRUCTURES": "UIMA's JSON, as INCEpTION writes it. Export CoNLL 2002 or 2003 there, and give the .conll",
    "interactionModel": "a model of Alexa, whose samples are patterns such as {city}. Write the texts that people say, with their intents",
    "nbformat": "a Jupyter notebook. Give the file that it reads",
    "session_config": "the domain of a bot of Rasa. Give the file with nlu and its examples",
    "webhookUsed": "an intent of Dialogflow without its texts. Give the file beside it whose name ends in _usersays_ and the language",
    "projectFileVersion": "a project of Azure whose texts are in files of their own. Write JSONL with the texts and their entities"}
ADVICE = "Write one object per row, each on its own line."


def find_rows(value: Any, source: Source, export: Export) -> Iterable[Any]:
    """The samples in the one value that a file is; a notice says where they were found. Raises MtlError if that is not clear."""
    if not isinstance(value, dict) or _is_sample(value):
        return [value]
    if rows := read_intents(value, export) or read_bot(value, export) or _unfolded(value, export):
        return rows
    if what := next((what for key, what in WITHOUT_TEXT.items() if key in value), ""):
        raise MtlError(f"is {what}.")
    if rows := _of_table(value) or _of_columns(value):
        source.notice("is one object with a list for each column; they are read as the columns of a table.")
        return rows
    lists = dict(_lists(value)) or {
        key: rows for key, part in value.items()
        if isinstance(part, dict) and key.casefold() in {*USUAL, *SPLIT_OF_WORD} and (rows := _of_classes(part, source))}
    if lists:
        return _chosen(lists, value, source, export)
    if rows := _of_keys(value, source):
        return rows
    if any(isinstance(part, list | dict) and part for part in value.values()) and not _has_text(value):
        raise MtlError(f"is one object with the keys {show_names(value)}, and none of them holds a list of rows with texts. {ADVICE}")
    return [value]


def unfold(value: Any, export: Export) -> Iterator[Any]:
    """The samples in one element of a list: several in spaCy 2's documents, in paragraphs of a page, and in the phrases of an intent."""
    if isinstance(value, list) and len(texts(value)) == len(value) > 1 and not export.header and HEADER & {*map(str.casefold, value)}:
        export.header = value  # of lists that are rows of a table
    elif export.header and isinstance(value, list) and len(value) == len(export.header):
        yield dict(zip(export.header, value, strict=True))
    elif not isinstance(value, dict) or _is_sample(value):
        yield value
    else:
        rows = _unfolded(value, export) or read_intents(value, export)
        yield from rows if rows is not None else [read_in_parts(value, export) if is_in_parts(value) else value]


def _unfolded(value: dict[str, Any], export: Export) -> Iterator[Any] | None:
    """The samples in an object that has others in it; None if it is one itself."""
    paragraphs = dicts(value.get("paragraphs"))
    if any("sentences" in part for part in paragraphs):
        return chain.from_iterable(_spacy_2(part, export) for part in paragraphs)
    if any(map(_is_row, paragraphs)):
        return iter(paragraphs)
    if isinstance(value.get("example"), dict) and "annotations" in value:  # LightTag's annotations_and_examples
        return iter([value["example"] | {"annotations": value["annotations"]}])
    for key in ("row", "_source", "properties", "data"):  # of the Hub's viewer, of Elasticsearch, of GeoJSON, of Label Studio's imports
        if isinstance(value.get(key), dict) and (key in ("row", "_source") or (_has_text(value[key]) and not _has_text(value))):
            return iter([value[key]])
    if value.get("type") == "entity" and ("values" in value or "automatically_extensible" in value):  # of Snips' YAML
        export.leave("section", str(value.get("name")), count=len(value.get("values") or ()))
        return iter(())
    return read_snips_yaml(value) if value.get("type") == "intent" and texts(value.get("utterances")) else None


def _spacy_2(paragraph: dict[str, Any], export: Export) -> Iterator[dict[str, object]]:
    """The sentences of a paragraph of spaCy 2, or the paragraph where it has classes, with BILUO tags."""
    sentences = [dicts(sentence.get("tokens")) for sentence in dicts(paragraph.get("sentences"))]
    cats = {part["label"]: part.get("value") for part in dicts(paragraph.get("cats")) if isinstance(part.get("label"), str)}
    for tokens in [[*chain.from_iterable(sentences)]] if cats else sentences:
        tags = [token.get("ner", "O") for token in tokens]
        if "-" in tags:
            export.leave("no tags")
        fields = {"tokens": [token.get("orth") for token in tokens], "ner": None if "-" in tags else tags}
        yield fields | ({"cats": cats} if cats else {})


def _is_sample(value: dict[str, Any]) -> bool:
    """Whether an object is one row itself, whatever else is in it."""
    text = next((value[key] for key in ("text", "sentence", "utterance", *NAMES["tokens"]) if key in value), None)
    return isinstance(text, str) or (isinstance(text, list) and _are_words(text)) or is_label_studio(value)


def _are_words(values: list) -> bool:
    return len(texts(values)) == len(values) and not any(" " in word for word in values)


def _is_row(value: Any) -> bool:
    """Whether an element of a list looks like a row: it has a text, and it is no entity."""
    if isinstance(value, list):
        return len(value) > 1 and isinstance(value[0], str | list) and isinstance(value[1], type(value[0]) | dict)
    if not isinstance(value, dict) or any("start" in key.casefold() for key in value):
        return False
    return _has_text(value) or is_label_studio(value) or is_in_parts(value) or bool(texts(value.get("patterns"))) or any(
        value.get(key) and isinstance(value[key], list | dict) for key in (
            "paragraphs", "userSays", "trainingPhrases", "examples", "example", "row", "_source", "properties"))


def _has_text(value: dict[str, Any]) -> bool:
    return any(isinstance(part, str) and (key.casefold() in TEXT_KEYS or " " in part) for key, part in value.items()) or any(
        isinstance(value.get(key), list) for key in TOKEN_KEYS)


def _lists(value: dict[str, Any], path: str = "", depth: int = DEPTH) -> Iterator[tuple[str, list]]:
    """The lists in an object that look like lists of rows, each with its path."""
    for key, part in value.items():
        here = f"{path}.{key}" if path else key
        if isinstance(part, dict) and (rows := _of_table(part) or _of_columns(part)):
            yield here, rows
        elif isinstance(part, dict) and depth > 1:
            yield from _lists(part, here, depth - 1)
        elif isinstance(part, list):
            seen = [one for one in islice(part, LOOKED_AT) if one is not None]
            if seen and sum(map(_is_row, seen)) * 2 >= len(seen):
                yield here, part


def _chosen(lists: dict[str, list], value: dict[str, Any], source: Source, export: Export) -> list:
    """The list that is meant: the only one, the one of the training split, or the one that is called as lists of rows are."""
    splits = {path: SPLIT_OF_WORD.get(path.rpartition(".")[2].casefold(), "") for path in lists}
    usual = [path for path in lists if path.rpartition(".")[2].casefold() in USUAL]
    train = [path for path, split in splits.items() if split == "train"]
    [path, *more] = lists if len(lists) == 1 else train if len(train) == 1 else usual or lists
    if more:
        raise MtlError(f"is one object with several lists of rows: {show_names(lists)}. Save the one that is meant in its own file.")
    kept = [row for row in lists[path] if row is not None]
    source.notice(f"is one object; its rows are taken from the list '{show(path)}'.")
    for other, rows in lists.items():
        if other != path:
            advice = "Save it in a file of its own to use it" if splits[other] else "It is no part of that list"
            source.notice(f"the list '{show(other)}' ({many(len(rows), 'row')}) is left out. {advice}.")
    for key, part in value.items():
        if part and isinstance(part, list) and key not in lists:
            export.leave("section", key, count=len(part))
    if empty := len(lists[path]) - len(kept):
        export.leave("empty", count=empty)
    return kept


def _of_table(value: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of {"columns": ["text", "label"], "data": [["so good", "x"]]}, as pandas writes it with orient='split'."""
    for names, rows in ((value.get("columns"), value.get("data")), (value.get("header"), value.get("rows"))):
        fits = names and rows and isinstance(names, list) and isinstance(rows, list) and len(set(texts(names))) == len(names)
        if fits and all(isinstance(row, list) and len(row) == len(names) for row in rows):
            return [dict(zip(names, row, strict=True)) for row in rows]
    return []


def _of_columns(value: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of {"text": ["so good", ...], "label": ["x", ...]}, or of the same with the row's number before each value."""
    columns = {key: list(part.values()) if isinstance(part, dict) else part for key, part in value.items()}
    kinds, first = {type(part) for part in value.values()}, next(iter(value.values()), None)
    if len(value) < 2 or len(kinds) > 1 or not isinstance(first, list | dict) or len({len(column) for column in columns.values()}) > 1:
        return []
    if isinstance(first, dict) and any(part.keys() != first.keys() for part in value.values()):
        return []
    held = [column for key, column in columns.items() if _is_called(key, TEXT_KEYS) and texts(column) and not _are_words(column)]
    held += [column for key, column in columns.items() if _is_called(key, TOKEN_KEYS) and {*map(type, column)} == {list}]
    if not held:
        return []
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _is_called(key: str, names: set[str]) -> bool:
    """Whether a key is one of the names, or several of it."""
    return key.casefold() in names or key.casefold().removesuffix("s") in names


def _of_keys(value: dict[str, Any], source: Source) -> list[dict[str, Any]]:
    """The rows of {"7": {"text": "so good", ...}, ...}, or of lists under classes."""
    parts = list(value.values())
    if parts and all(isinstance(part, dict) and _is_row(part) for part in parts):
        source.notice("is one object with a row under each key; the keys are left out.")
        return parts
    return _of_classes(value, source)


def _of_classes(value: dict[str, Any], source: Source) -> list[dict[str, Any]]:
    """The rows of {"greet": ["hi there", ...], ...}, where the keys are classes."""
    parts = list(value.values())
    are_lists = len(parts) > 1 and all(isinstance(part, list) and part and len(texts(part)) == len(part) for part in parts)
    if are_lists and any(" " in text for part in parts for text in part) and not any(_is_called(key, HEADER | TEXT_KEYS) for key in value):
        source.notice("is one object with a list of texts under each key; the keys are taken for the classes of the texts.")
        return [{"text": text, "label": key} for key, part in value.items() for text in part]
    return []
