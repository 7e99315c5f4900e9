"""Entities whose offsets do not count characters, put right by the text that each says it has: JavaScript counts in UTF-16, others to
the last character, some in another text. What has no text of its own is taken at its word."""

import re
from collections.abc import Callable
from typing import Any

from mtl.data.columns import ALIASES
from mtl.text import from_utf16

Place = tuple[object, object]  # where an entity says that it starts and ends
Count = Callable[[Place], Place]


def put_right(entries: list, text: str, mended: list[str], *, is_copied: bool = False) -> list:
    """The entities of `text`, with the offsets at which their own texts stand, and a repair (a key of REPAIRS) for each that was put right.
    One whose offsets are wrong goes, unless its text stands in one place. If it stands in none it may be another spelling, such as a lemma,
    and the offsets are kept; but a tool has copied it from the text (`is_copied`)."""
    told = [entry for entry in entries if _has_text(entry)]
    if all(_fits(text, _place(entry), entry["text"]) for entry in told):
        return entries
    characters = from_utf16(text)

    def by_utf16(place: Place) -> Place:
        return characters(place[0]), characters(place[1])

    for name, count in (("javascript", by_utf16), ("inclusive", _add_last)):  # all of a text are counted in one way
        if all(_fits(text, _moved(_place(entry), count), entry["text"]) for entry in told):
            mended += [name] * len(told)
            return [_at(entry, _moved(_place(entry), count)) if isinstance(entry, dict) else entry for entry in entries]
    found = [_search(entry, text, by_utf16, mended, is_copied) if _has_text(entry) else entry for entry in entries]
    return [entry for entry in found if entry is not None]


def _has_text(entry: object) -> bool:
    return isinstance(entry, dict) and isinstance(entry.get("text"), str) and bool(entry["text"].strip())


def _search(entry: dict[str, Any], text: str, by_utf16: Count, mended: list[str], is_copied: bool) -> dict[str, Any] | None:
    """One entity at the only place where its text stands; None if that is unknown, and its own offsets are wrong."""
    own, place = entry["text"], _place(entry)
    if _fits(text, place, own):
        return entry
    if _fits(text, moved := _moved(place, by_utf16), own):
        mended.append("javascript")
        return _at(entry, moved)
    pattern = re.compile(r"\s+".join(map(re.escape, own.replace("\\n", " ").split())))
    first = pattern.search(text)
    if first and not pattern.search(text, first.start() + 1):
        mended.append("searched")
        return _at(entry, first.span())
    is_known = first is None and not is_copied and all(type(offset) is int for offset in place)
    mended.append("other text" if is_known else "no place")
    return entry if is_known else None


def _place(entry: dict[str, Any]) -> Place:
    return tuple(next((entry[key] for key in names if key in entry), None) for names in ALIASES[:2])


def _at(entry: dict[str, Any], place: Place) -> dict[str, Any]:
    return {key: part for key, part in entry.items() if key not in ALIASES[0] + ALIASES[1]} | {"start": place[0], "end": place[1]}


def _moved(place: Place, count: Count) -> Place:
    return count(place) if all(type(offset) is int for offset in place) else place


def _fits(text: str, place: Place, own: str) -> bool:
    """Whether the text at a place is an entity's own, but for blanks and case."""
    start, end = place
    return type(start) is int and type(end) is int and 0 <= start < end and _plain(text[start:end]) == _plain(own)


def _plain(text: str) -> str:
    return " ".join(text.replace("\\n", " ").split()).casefold()  # some write an end of line as two characters


def _add_last(place: Place) -> Place:
    return place[0], place[1] + 1
