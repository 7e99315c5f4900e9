"""Texts with their entities marked in them: [Ada](PER) flew to <LOC>Rome</LOC> [time : at nine]. Three spellings; a file uses one."""

import re
from collections.abc import Iterable, Iterator
from itertools import islice

from mtl.data.formats.files import Record, Source, read_lines, show
from mtl.data.words import Span
from mtl.errors import MtlError

# A backslash before the first sign of a mark makes it plain text. The patterns take linear time.
SYNTAXES = {
    "round": re.compile(r"\\.|\[(?P<words>(?:\\.|[^\[\]\\])+)\]\((?P<label>(?:\\.|[^()\\])+)\)", re.DOTALL),  # Rasa's and Markdown's
    "tag": re.compile(r"(?<!\\)<(?P<label>[A-Za-z][\w.-]*)>(?P<words>(?:[^<]|<(?![A-Za-z/]))+)</(?P=label)>"),
    "colon": re.compile(r"(?<!\\)\[\s*(?P<label>[A-Za-z][\w.-]*)\s*:(?=\s*[^\s\[\]])(?P<words>[^\[\]]+)\]"),  # MASSIVE's
}
LOOKED_AT = 200  # lines by which a file's layout is recognised
_ESCAPE = re.compile(r"\\(\([nr]\)|[\\\[\]()<_])")
_FASTTEXT = re.compile(r"__label__(\S+)[ \t]")


def read_marked(source: Source) -> Iterator[Record]:
    """Each line of a text file as a text; `__label__x` in front is its class, as in fastText, or several are its labels."""
    for number, line in enumerate(read_lines(source.path), 1):
        line = line.rstrip("\r\n")
        if line.strip():
            label, text = split_label(line)
            more, rest = split_label(text.lstrip()) if label else (None, "")
            while more:
                label, text, source.guesses["label"] = f"{label}|{more}", rest, ("labels", "")
                more, rest = split_label(text.lstrip())
            yield number, {"text": text} | ({"label": label} if label else {})


def split_label(line: str) -> tuple[str | None, str]:
    """The class in front of a line, if there is one, and the rest."""
    found = _FASTTEXT.match(line)
    return (found[1], line[found.end():]) if found else (None, line)


def looks_marked(lines: Iterable[str]) -> bool:
    """Whether any of the first lines has an entity marked or a class in front."""
    return any(_FASTTEXT.match(line) or find_syntax(line) for line in islice(lines, LOOKED_AT))


def find_syntax(text: str) -> str:
    """The spelling of the first entity marked in `text`, '' if there is none."""
    return next((name for name in SYNTAXES if next(_marks(text, name), None)), "")


def _marks(text: str, syntax: str) -> Iterator[re.Match]:
    """The entities marked in the spelling `syntax`; links of Markdown are none."""
    return (found for found in SYNTAXES[syntax].finditer(text) if "://" not in (found["label"] or "://"))


def parse_marked(marked: str, syntax: str) -> tuple[str, tuple[Span, ...]]:
    """The plain text and the spans marked in it; raises MtlError if an entity is inside another."""
    if not syntax:
        return marked, ()
    unescape = _unescape if syntax == "round" else str
    plain, bare, spans, end, length = [], [], [], 0, 0
    for found in _marks(marked, syntax):
        before, words = unescape(marked[end:found.start()]), unescape(found["words"].strip() if syntax == "colon" else found["words"])
        bare += [marked[end:found.start()], found["words"]]
        length += len(before)
        spans.append(Span(length, length + len(words), unescape(found["label"]).strip()))
        plain += [before, words]
        length, end = length + len(words), found.end()
    bare.append(marked[end:])
    if spans and (outer := next(_marks("".join(bare), syntax), None)):
        raise MtlError(f"an entity is marked within another: {show(outer.group('words'), 60)}. Mark only one of them.")
    return "".join([*plain, unescape(marked[end:])]), tuple(spans)


def write_marked(text: str, spans: Iterable[Span]) -> str:
    """`text` on one line with its `spans` marked; the inverse of `parse_marked` with the spelling 'round'."""
    parts, end = [], 0
    for span in spans:
        parts += [_escape(text[end:span.start]), f"[{_escape(text[span.start:span.end])}]({_escape(span.label)})"]
        end = span.end
    line = "".join([*parts, _escape(text[end:])])
    return "\\" + line if line.startswith("__label__") else line


def _escape(text: str) -> str:
    """The ends of lines become \\(n) and \\(r), since C:\\new holds none."""
    return re.sub(r"[\\\[\]()<]", r"\\\g<0>", text).replace("\n", r"\(n)").replace("\r", r"\(r)")


def _unescape(text: str) -> str:
    return _ESCAPE.sub(lambda found: {"(n)": "\n", "(r)": "\r"}.get(found[1], found[1]), text)
