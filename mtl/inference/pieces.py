"""Where to cut a text that is longer than the model reads, and where its sentences end. Knows no model: it is told where a text would be
cut off."""

from collections.abc import Callable
from itertools import pairwise

import regex

from mtl.data.words import Range

WINDOW = 16  # characters looked at for each subword that the model reads: more than it can have, in almost any language
# The blanks after a sentence belong to it; a title or an initial in front of a name ends none. A run of marks or blanks is read once (++,
# and not from its middle): else a text of a million full stops would take hours.
_SENTENCE_END = regex.compile(
    r"""(?<!\b(?:Dr|Mr|Mrs|Ms|Prof|St|\p{Lu})|[.!?\u2026])[.!?\u2026]++["'\p{Pe}\p{Pf}]*+\s++(?!\p{Ll})"""
    r"""|[\u3002\uff01\uff1f]+[\p{Pe}\p{Pf}]*\s*|\n[ \t\r]*\n\s*""")
_BLANKS = regex.compile(r"\s+")
_LINE_END = regex.compile(r"[\r\n\u2028\u2029]\s*")


def split_sentences(text: str) -> list[str]:
    """The sentences of `text`, without the blanks around them; a line break ends one too."""
    ends = {found.end() for pattern in (_SENTENCE_END, _LINE_END) for found in pattern.finditer(text)} | {len(text)}
    return [sentence for start, end in pairwise([0, *sorted(ends)]) if (sentence := text[start:end].strip())]


def find_pieces(text: str, cut_at: Callable[[str], int | None], window: int) -> list[Range]:
    """The pieces of `text`, each so short that the model reads it whole: they end with a sentence, else (in a sentence that is too long)
    with a word. `cut_at` says at which character of a text the model would stop; at most `window` characters are looked at together."""
    pieces, start = [], 0
    while start < len(text):
        part = text[start:start + window]
        cut = cut_at(part)
        if cut is None and start + window < len(text):
            cut = len(part)
        end = len(part) if cut is None else _last_break(part, cut)
        if part[:end].strip():
            pieces.append((start, start + end))
        start += end
    return pieces


def _last_break(text: str, limit: int) -> int:
    """The best place to end a piece, at `limit` or before it, but not at 0."""
    for pattern in (_SENTENCE_END, _BLANKS):
        if ends := [end for found in pattern.finditer(text) if 0 < (end := found.end()) <= limit and found.start()]:
            return ends[-1]
    return max(limit, 1)
