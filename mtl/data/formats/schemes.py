"""How tags are written: their spelling (B-PER, B_PER, PER-B, ...), their scheme (IOB1, IOB2, BIOES, BILOU, bare types), how to tell which;
and the separators of several labels in one cell."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from mtl.data.words import Range, Span, tags_to_spans
from mtl.errors import MtlError
from mtl.settings.config import MAX_LABELS

TAG = re.compile(r"O|[BIESLU]-\S.*", re.DOTALL)
_BARE = re.compile(r"(?![BIESLUbieslu]([-_]|$))(?!.-)(?!-)(?!o$)\S.*", re.DOTALL)  # a type without a prefix, and no slip of the pen
# Spellings of tags, by an example. A column has one only if all its tags have it, but for those that stand for O: of one tag alone it is
# a slip of the pen. M and W are what some call I and S.
FORMS = {example: re.compile(pattern, re.DOTALL) for example, pattern in {
    "B-PER": r"(?P<mark>[BIESLU])-(?P<type>\S.*)",
    "M-PER": r"(?P<mark>[BMESW])-(?P<type>\S.*)",
    "B_PER": r"(?P<mark>[BIESLUMW])[_:/.|\u2013](?P<type>\S.*)",
    "b-per": r"(?P<mark>[bieslumw])[-_:/.|\u2013](?P<type>\S.*)",
    "begin-PER": r"(?P<mark>(?i:begin|beg|inside|end|single|middle|last|unit))[-_:](?P<type>\S.*)",
    "PER-B": r"(?P<type>\S.*)[-_:/.|\u2013](?P<mark>[BIESLUMW])",
    "per-b": r"(?P<type>\S.*)[-_:/.|\u2013](?P<mark>[bieslumw])",
    "BPER": r"(?P<mark>[BIESLUM])(?P<type>\w\S*)",
    "B": r"(?P<mark>[BIESLUM])(?P<type>)",
}.items()}
_MARKS = str.maketrans("MW", "IS")
NAMELESS = "entity"  # the type in the spelling B
BRACKETS = "(PER*"  # OntoNotes': an entity is opened at its first word and closed at its last
_BRACKETS = re.compile(r"(\((?P<type>[^()*\s]+))?\*?\)?")
# what stands for O, in lower case: where other tags have a prefix; and where there are only types, of which it is the most frequent
OUTSIDE = {"o", "0", "", "_", "-", "*", "-x-", "none", "null", "nil", "nolabel", "no_label", "no-label", "other", "outside", "out", "na",
           "n/a", "nothing"}
_LANGUAGE = re.compile(r"[a-z]{2,3}:(?=\S)")  # in front of every word and every tag, as in WikiANN
SEPARATORS = ("|", "#", ";", ",")  # between several labels in one cell
YES, NO = {"1", "1.0", "true", "yes", "x"}, {"0", "0.0", "false", "no"}  # values of a column for one label
ONLY_YES = "only yes"
MANY = 20_000  # different pairs of neighbours that no column of tags has, but every column of words
# one of several tags in a cell
_CELL_TAG = re.compile("|".join(["O|o|0|_|NoLabel", *(re.sub(r"\?P<\w+>", "?:", FORMS[form].pattern)
                                                     for form in ("B-PER", "M-PER", "B_PER", "b-per", "PER-B"))]), re.DOTALL)


@dataclass(frozen=True)
class Spelling:
    """How the tags of a column are written: one of FORMS or BRACKETS ('': types alone), what stands for O and, in front of all, a language;
    `upper` where B- and I- tags write one type in two cases."""

    form: str = ""
    outside: frozenset[str] = frozenset()
    language: str = ""
    upper: bool = False

    def read(self, tag: str) -> str:
        """What `tag` means, as TAG has it; one in another spelling stays as it is."""
        tag = tag.strip().removeprefix(self.language)
        if tag in self.outside:
            return "O"
        found = FORMS[self.form].fullmatch(tag) if self.form in FORMS else None
        if not found:
            return tag
        label = found["type"] or NAMELESS
        return f"{found['mark'][0].upper().translate(_MARKS)}-{label.upper() if self.upper else label}"

    def told(self, name: str) -> Iterator[str]:
        """What a user should know about the spelling of the column `name`."""
        if self.language:
            yield f"'{self.language}' in front of every tag in '{name}' is left out."
        if self.form == "B":
            yield f"the tags in '{name}' have no types; every entity is called '{NAMELESS}'."
        elif self.form not in ("", "B-PER"):
            yield f"the tags in '{name}' are written like {self.form}; they are read as B-PER and I-PER are."
        if outside := sorted(self.outside):
            shown = ", ".join(f"'{tag}'" if tag else "an empty cell" for tag in outside)
            yield f"{shown} in '{name}' is read as O: no entity."
        if self.upper:
            yield f"the types in '{name}' are written in other cases after B- than after I-; all are read in upper case."


class TagSurvey:
    """Counts the tags of a column, sentence by sentence, to find their spelling and their scheme."""

    def __init__(self) -> None:
        self.pairs: Counter[tuple[object, object]] = Counter()  # a tag (None at the beginning) and the next

    def add(self, tags: Sequence[object]) -> None:
        if len(self.pairs) < MANY:
            self.pairs.update(zip((None, *tags), tags, strict=False))

    @cached_property
    def tags(self) -> Counter[str]:
        """How often there is each tag."""
        found: Counter[str] = Counter()
        for (_, tag), count in self.pairs.items():
            if isinstance(tag, str):
                found[tag.strip()] += count
        return found

    @cached_property
    def numbers(self) -> bool:
        """Whether tags are numbers, whose names are unknown."""
        return any(not isinstance(tag, str) for _, tag in self.pairs) or (bool(self.tags) and all(map(str.isdecimal, self.tags)))

    @cached_property
    def spelling(self) -> Spelling:
        return _find_spelling(self.tags, [pair for pair in self.pairs if all(isinstance(tag, str) for tag in pair)])

    @cached_property
    def _meant(self) -> dict[str, str] | None:
        """What the tags mean, as TAG has them; None if they are written so."""
        if self.spelling in (Spelling(), Spelling("B-PER")):
            return None
        return {tag: self.spelling.read(tag) for pair in self.pairs for tag in pair if isinstance(tag, str)}

    def read(self, tags: Sequence[str]) -> Sequence[str]:
        """The tags of a sentence as TAG has them; those in no known spelling stay as they are."""
        if self._meant is None:
            return tags
        if self.spelling.form == BRACKETS:
            return list(_read_brackets(tags))
        meant, read = self._meant, self.spelling.read
        return [meant[tag] if tag in meant else read(tag) for tag in tags]

    @cached_property
    def _read_pairs(self) -> list[tuple[str, str]]:
        if self.spelling.form == BRACKETS:
            return [("", f"B-{found['type']}") for tag in self.tags if (found := _BRACKETS.fullmatch(tag))["type"]] + [("", "O")]
        read = self.spelling.read
        return [(read(before) if isinstance(before, str) else "", read(tag)) for before, tag in self.pairs if isinstance(tag, str)]

    @cached_property
    def prefixes(self) -> set[str]:
        """B, I and so on, and O if it stands for itself or beside them."""
        found = {tag[0] for _, tag in self._read_pairs if TAG.fullmatch(tag)}
        return found if found != {"O"} or "O" in self.tags else set()

    @property
    def prefixed(self) -> bool:
        return bool(self.prefixes - {"O"})

    @cached_property
    def types(self) -> set[str]:
        """The types of the entities."""
        return {tag[2:] if TAG.fullmatch(tag) else tag for _, tag in self._read_pairs
                if tag != "O" and (TAG.fullmatch(tag) or _BARE.fullmatch(tag))}

    @cached_property
    def bare(self) -> bool:
        """Whether there are types without a prefix."""
        return any(_BARE.fullmatch(tag) and not TAG.fullmatch(tag) for _, tag in self._read_pairs)

    @property
    def has_outside(self) -> bool:
        """Whether some words are in no entity."""
        return "O" in self.prefixes or bool(self.spelling.outside)

    @property
    def is_mostly_outside(self) -> bool:
        """Whether no tag is more frequent than O, written so."""
        return bool(self.tags) and self.tags["O"] == max(self.tags.values())

    @property
    def has_neighbours(self) -> bool:
        """Whether there is more than one tag anywhere."""
        return any(before is not None for before, _ in self.pairs)

    @property
    def marks_entities(self) -> bool:
        """Whether some words have a tag and others have none; parts of speech, which every word has, mark no entities."""
        if self.tags and all(tag != "O" and tag.lower() in OUTSIDE for tag in self.tags):
            return False
        return not self.bare or (self.has_outside and (self.prefixed or len(self.types) <= MAX_LABELS))

    @property
    def scheme(self) -> str:
        """IOB2, IOB1, BIOES, BILOU, or 'bare' for types without prefixes; raises MtlError if two schemes are mixed."""
        bioes, bilou = self.prefixes & {"E", "S"}, self.prefixes & {"L", "U"}
        if bioes and bilou:
            raise MtlError(f"the tags mix two schemes: BIOES ({'-, '.join(sorted(bioes))}-) and BILOU ({'-, '.join(sorted(bilou))}-). "
                           "Use one of them.")
        if bioes or bilou:
            return "BIOES" if bioes else "BILOU"
        if self.bare and not self.prefixed:
            return "bare"
        same = {(before, tag) for before, tag in self._read_pairs if before[1:] == tag[1:]}
        # I- tags that continue nothing are usual in IOB1, and an error in IOB2; B- tags after another type or none are not IOB1's
        loose, needless = (any(tag[:2] == f"{prefix}-" for _, tag in {*self._read_pairs} - same) for prefix in "IB")
        return "IOB1" if loose and not needless else "IOB2"


def _find_spelling(tags: Counter[str], pairs: Iterable[tuple[str, str]]) -> Spelling:
    """How these tags are written, given how often there is each, and which are neighbours."""
    language = found[0] if (found := _LANGUAGE.match(next(iter(tags), ""))) else ""
    if language and all(tag.startswith(language) for tag in tags) and any(TAG.fullmatch(tag.removeprefix(language)) for tag in tags):
        tags = Counter({tag.removeprefix(language): count for tag, count in tags.items()})
    else:
        language = ""
    if "*" in tags and any("(" in tag for tag in tags) and all(map(_BRACKETS.fullmatch, tags)):
        return Spelling(BRACKETS)
    outside = {tag for tag in tags if tag != "O" and tag.lower() in OUTSIDE}
    marked = tags.keys() - outside - {"O"}
    form = next((form for form in FORMS if marked and _has_form(marked, form)), "")
    if not form:
        most = max(tags, key=tags.__getitem__, default="O")  # of bare types, no entity is the most frequent
        mixed = any(map(TAG.fullmatch, marked))
        outside &= {"" if "O" in tags else most} if marked and not mixed else set()
        return Spelling("B-PER" if mixed else "", frozenset(outside), language)
    return Spelling(form, frozenset(outside), language, _is_of_two_cases(FORMS[form], pairs, language))


def _has_form(tags: Iterable[str], form: str) -> bool:
    found = [FORMS[form].fullmatch(tag) for tag in tags]
    if not all(found):
        return False
    begun, going = ({each["type"] for each in found if each["mark"][0].upper() in marks} for marks in ("BSUW", "IMEL"))
    # PLANT-B may be the name of a type, and so may BOOK
    return form == "B-PER" or bool(begun if form != "BPER" and form != "B" else going and going <= begun)


def _is_of_two_cases(form: re.Pattern, pairs: Iterable[tuple[str, str]], language: str) -> bool:
    """Whether an entity of one type in lower case goes on in upper case, or the other way round."""
    for pair in pairs:
        left, right = (form.fullmatch(tag.strip().removeprefix(language)) for tag in pair)
        if left and right and right["mark"][0].upper() in "IMEL":
            types = left["type"], right["type"]
            if types[0] != types[1] and types[0].casefold() == types[1].casefold():
                return True
    return False


def _read_brackets(tags: Sequence[str]) -> Iterator[str]:
    """(PER* * *) as B-PER I-PER I-PER."""
    inside = ""
    for tag in tags:
        found = _BRACKETS.fullmatch(tag.strip())
        opened = found["type"] if found else tag
        inside = opened or inside
        yield (f"B-{opened}" if opened else f"I-{inside}" if inside else "O") if found else tag
        inside = "" if not found or tag.strip().endswith(")") else inside


def find_language(words: Sequence[object], known: str | None) -> str:
    """What stands in front of all these words, and of those before them, if that is a language: 'en:'. `known`: None at the beginning."""
    if known is None:
        found = _LANGUAGE.match(words[0]) if words and isinstance(words[0], str) else None
        known = found[0] if found else ""
    return known if known and all(isinstance(word, str) and word.startswith(known) for word in words) else ""


def split_tags(cell: str) -> list[str]:
    """The tags in a cell: between blanks or commas, or as a list is printed, with quotes around each or without."""
    inner = cell.strip()
    if inner[:1] + inner[-1:] in ("[]", "()"):
        inner = inner[1:-1]
    for mark in SEPARATORS:
        if mark in inner:
            parts = [part.strip().strip("'\"").strip() for part in inner.split(mark)]
            if len(parts) > 1 and all(map(_CELL_TAG.fullmatch, parts)) and not any(set(part) & {" ", *SEPARATORS} for part in parts):
                return parts
    return [part.strip("'\"") for part in inner.split()] if inner != cell.strip() else inner.split()


def are_tags(parts: Iterable[str]) -> bool:
    """Whether the parts of a cell may all be tags."""
    return all(map(_CELL_TAG.fullmatch, parts))


def to_spans(words: Sequence[Range], tags: Sequence[str], scheme: str) -> list[Span]:
    """The spans that `tags`, one per word, mark in `scheme`, as conlleval reads them: any tag may follow any other."""
    bio: list[str] = []  # the same tags in BIO, where every entity begins with B-
    inside = ""  # the type of the entity that the word before left open
    for tag in tags:
        prefix, _, label = ("O", "", "") if tag == "O" else ("I", "-", tag) if scheme == "bare" else tag.partition("-")
        bio.append("O" if not label else ("B-" if prefix in ("B", "S", "U") or label != inside else "I-") + label)
        inside = "" if prefix in ("E", "S", "L", "U") else label
    return tags_to_spans(words, bio)


def find_separator(values: Iterable[str]) -> str:
    """The mark between several labels in one cell: every part must be the whole of another cell; empty if there is none."""
    alone = set(values)
    for mark in SEPARATORS:
        parts = {part.strip() for value in alone if mark in value for part in value.split(mark)}
        is_number = mark == "," and all(map(str.isnumeric, parts)) and all(value.count(mark) < 2 for value in alone)  # such as 1,5
        if parts and parts <= alone and not is_number:
            return mark
    return ""
