"""Users' text in our sentences: shortened between characters, made visible, isolated from the reading direction around it."""

import re
from collections.abc import Callable
from itertools import accumulate

import regex

REPLACED = "\ufffd"  # in place of a character that cannot be shown
FIRST_STRONG_ISOLATE, POP_ISOLATE = "\u2068", "\u2069"
PLURALS = {"is": "are", "was": "were", "has": "have"}

_CHARACTER = regex.compile(r"\X")  # a grapheme: a letter with its accents, a whole family of emoji
_MOVES_ITS_SURROUNDINGS = regex.compile(r"[\p{Bidi_Class=R}\p{Bidi_Class=AL}\p{Bidi_Class=AN}\p{Bidi_Control}]")
_JOINERS = str.maketrans("", "", "\u200c\u200d")  # invisible, but needed in emoji, Persian and Indic words
# after =, anything; after + and -, what has the signs of a formula only; anywhere in it, a call or another program's name
_FORMULA = regex.compile(r"""[\t\r\n]*(?:=\s*\S|[+\-](?=.*\w)[\w.,;:+\-*/^&<>=$!%(){}"'#@]*$|[+\-@].*\w[(|])""", regex.DOTALL)
_NUMBER = regex.compile(r"[+\-]?[\d.,]*\d[\d.,]*(?:[eE][+\-]?\d+)?\s?%?")
_FLAG = regex.compile("\U0001f3f4[\U000e0020-\U000e007f]+")  # of England, Scotland, Wales


def cut(text: str, limit: int) -> str:
    """The first graphemes of `text`, `limit` code points at most; none is cut in two, unless the first alone is longer."""
    if len(text) <= limit or text[:limit + 1].isascii():
        return text[:limit]
    blank = max(0, text.rfind(" ", 0, limit))  # a character begins there: the text before need not be searched
    *_, last = (match.start() for match in _CHARACTER.finditer(text, blank, limit + 1))
    return text[:last or limit]


def shorten(text: str, limit: int) -> str:
    """`text`, or its first characters, `limit` code points at most, and an ellipsis."""
    return text if len(text) <= limit else cut(text, limit) + "…"


def visible(text: str, instead: str = REPLACED) -> str:
    """`text` with `instead` in the place of each character that cannot be shown, such as a control character."""
    if text.isprintable():
        return text
    pairs = ((one, one.translate(_JOINERS)) for one in _CHARACTER.findall(text))
    return "".join(one if bare and (bare.isprintable() or _FLAG.fullmatch(bare)) else instead for one, bare in pairs)


def can_be_shown(text: str) -> bool:
    """Whether every character of `text` can be seen."""
    return visible(text, "") == text


def isolate(text: str) -> str:
    """`text` with invisible characters around it (in HTML: <bdi>), because Arabic or Hebrew would reorder numbers and marks beside it."""
    return f"{FIRST_STRONG_ISOLATE}{text}{POP_ISOLATE}" if _MOVES_ITS_SURROUNDINGS.search(text) else text


def guarded(cell: str) -> str:
    """`cell` for a table that a spreadsheet may open: with an apostrophe in front where it would be read as a formula. Numbers, and texts
    such as '- he said' or '@ana thanks', stay as they are."""
    return f"'{cell}" if _FORMULA.match(cell) and not _NUMBER.fullmatch(cell) else cell


def many(count: int, noun: str, verb: str = "", total: int = 0) -> str:
    """'1 row has', '1,234 rows have', '3 of 200 rows (1.5%) have'."""
    if (total or count) != 1:
        noun = f"{noun[:-1]}ies" if noun.endswith("ty") else noun + ("es" if noun.endswith("s") else "s")
    out = f"{count:,} of {total:,} {noun} ({count / total:.1%})" if total else f"{count:,} {noun}"
    return f"{out} {verb if count == 1 else PLURALS[verb]}" if verb else out


def inflect(sentence: str, count: int, **names: str) -> str:
    """A sentence with [singular|plural] in it about `count` things: '{:,} row[|s] [was|were] left out'."""
    return re.sub(r"\[(.*?)\|(.*?)\]", r"\1" if count == 1 else r"\2", sentence).format(count, **names)


def from_utf16(text: str) -> Callable[[int], int]:
    """Makes of an offset in UTF-16 units, as JavaScript and .NET count them, one in characters: an emoji is two units."""
    if text.isascii() or max(text) <= "\uffff":
        return int
    ends = accumulate((2 if char > "\uffff" else 1 for char in text), initial=0)
    characters = {units: index for index, units in enumerate(ends)}
    return lambda units: characters.get(units, units)


def duration(seconds: float | None) -> str:
    """Seconds in the units that people use."""
    if seconds is None:
        return "?"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


def roughly(seconds: float) -> str:
    """The same in round numbers, such as 'about 3 min', so that a sentence with it does not change every second."""
    if seconds < 95:
        return f"about {max(10, 10 * round(seconds / 10))} s"
    return f"about {round(seconds / 60)} min" if seconds < 5700 else f"about {seconds / 3600:.1f} h"
