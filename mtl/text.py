"""Users' text in our sentences: shortened between characters, made visible, isolated from the reading direction around it."""

import regex

REPLACED = "\ufffd"  # in place of a character that cannot be shown
FIRST_STRONG_ISOLATE, POP_ISOLATE = "\u2068", "\u2069"
PLURALS = {"is": "are", "was": "were", "has": "have"}

_CHARACTER = regex.compile(r"\X")  # a grapheme: a letter with its accents, a whole family of emoji
_MOVES_ITS_SURROUNDINGS = regex.compile(r"[\p{Bidi_Class=R}\p{Bidi_Class=AL}\p{Bidi_Class=AN}\p{Bidi_Control}]")
_LETTER = regex.compile(r"[\p{Bidi_Class=L}\p{Bidi_Class=R}\p{Bidi_Class=AL}]")
_JOINERS = str.maketrans("", "", "\u200c\u200d")  # invisible, but needed in emoji, Persian and Indic words
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


def is_right_to_left(text: str) -> bool:
    """Whether the first letter of `text` is read from right to left."""
    first = _LETTER.search(text)
    return first is not None and _MOVES_ITS_SURROUNDINGS.match(first.group()) is not None


def many(count: int, noun: str, verb: str = "", total: int = 0) -> str:
    """'1 row has', '1,234 rows have', '3 of 200 rows (1.5%) have'."""
    if (total or count) != 1:
        noun = f"{noun[:-1]}ies" if noun.endswith("ty") else noun + ("es" if noun.endswith("s") else "s")
    out = f"{count:,} of {total:,} {noun} ({count / total:.1%})" if total else f"{count:,} {noun}"
    return f"{out} {verb if count == 1 else PLURALS[verb]}" if verb else out


def duration(seconds: float | None) -> str:
    """Seconds in the units that people use."""
    if seconds is None:
        return "?"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s" if minutes else f"{rest} s"
