"""What pydantic refuses, as one sentence for people: the setting's label, what was found, what was wanted. All of it is read from the
fields of the model, so that a new field needs no words of its own here. Knows no setting."""

import re
from collections.abc import Sequence
from difflib import get_close_matches
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from mtl.errors import MtlError, SettingError

SHOWN = 40  # characters of a value in a message
FEW = 8  # names that can be listed in a sentence


def refused(error: ValidationError, model: type[BaseModel], field: str = "", label: str = "") -> MtlError:
    """The first of the errors that pydantic found in a `model`, in words. If the model is an item of another one's `field`, that field's
    `label` stands in front."""
    first = error.errors(include_url=False, include_context=False)[0]
    labels, loc = [label] * bool(label), list(first["loc"])
    kind: Any = model
    rules: Sequence[Any] = ()
    default: Any = None
    for depth, part in enumerate(loc):
        names = _fields(kind)
        if names and part not in names:
            return _unknown(str(part), ", ".join(labels), list(names))
        if names:
            kind, rules, title, default = names[part].annotation, names[part].metadata, names[part].title or part, names[part].default
        elif _item(kind) is None:  # it is the name in a dict that is wrong, not the value: pydantic adds '[key]' to its place
            kind, rules = str, ()
            continue
        else:
            title = shorten(str(part)) if get_origin(kind) is dict else f"number {part + 1}"
            kind, rules, default = _item(kind), (), None
        labels.append(title)
        field = field or (str(part) if depth == 0 else "")
    value = None if first["type"] == "missing" else first["input"]
    if first["type"] == "json_invalid":
        return MtlError("The settings hold characters that are no text. Write them as plain UTF-8.")
    if get_origin(kind) is tuple and isinstance(value, list | tuple):
        told, advice = f"found {len(value):,}, wanted {_count(_bounds(rules))}", " Leave some out."
    else:
        told, advice = f"found {found(value, kind, field)}, wanted {wanted(kind, rules, default)}", ""
    if kind is str and isinstance(value, str) and len(value) > SHOWN:
        advice = " Shorten it."
    return SettingError(", ".join(labels) or "The settings", field, f"{told}.{advice}")


def found(value: Any, kind: Any = None, field: str = "") -> str:
    """A wrong value in a message: short, and of a file only its name."""
    if isinstance(value, str):
        value = re.split(r"[\\/]", value)[-1] if field.endswith("_files") else value
        quoted = f"'{shorten(value)}'"
        return "an empty text" if not value else f"{len(value):,} characters ({quoted})" if kind is str and len(value) > SHOWN else quoted
    if value is None or isinstance(value, bool):
        return {None: "nothing", True: "true", False: "false"}[value]
    if isinstance(value, int | float):
        return repr(value) if kind is int and isinstance(value, float) and value.is_integer() else number(value)
    if isinstance(value, list | tuple):
        return f"a list of {len(value):,}"
    return "names with values" if isinstance(value, dict) else "something else"


def wanted(kind: Any, rules: Sequence[Any] = (), default: Any = None) -> str:
    """What a value of the type `kind` under pydantic's `rules` may be; a number has its `default` as an example."""
    plain, bounds = _plain(kind), _bounds([*rules, *_rules(kind)])
    if get_origin(plain) is Literal:
        return "one of " + ", ".join(map(str, get_args(plain)))
    if plain is bool:
        return "true or false"
    if plain in (int, float):
        example = f", such as {number(default).replace(',', '')}" if isinstance(default, int | float) else ""
        empty = ", or nothing" * (plain is not kind and get_origin(kind) is UnionType)
        return f"a {'whole ' * (plain is int)}number{_range(bounds)}{example}{empty}"
    many = _count(bounds)
    if plain is str:
        return f"a text of {many} characters" if many else "a text"
    if get_origin(plain) is tuple:
        return f"a list of {many}" if many else "a list"
    return "names with values" + f": {', '.join(_fields(plain))}" * (0 < len(_fields(plain)) <= FEW)


def number(value: float) -> str:
    """A number in a message; of an endless one only how long it is."""
    if isinstance(value, int):
        return f"{value:,}" if abs(value) < 10**20 else "a number of more than 20 digits"
    short = f"{value:g}" if float(f"{value:g}") == value else repr(value)
    return {"nan": "NaN", "inf": "infinity", "-inf": "minus infinity"}.get(short, short)


def shorten(text: str) -> str:
    """A text in a message: its beginning, as far as it can be shown."""
    shown = "".join(letter if letter.isprintable() else "\ufffd" for letter in text[:SHOWN])
    return shown + "…" if len(text) > SHOWN else shown


def _unknown(name: str, where: str, known: list[str]) -> MtlError:
    if where:
        return MtlError(f"{where}: there is no '{shorten(name)}'. It has: {', '.join(known)}.")
    near = get_close_matches(name, known, n=1)
    return MtlError(f"There is no setting '{shorten(name)}'." + (f" Did you mean '{near[0]}'?" if near else ""))


def _count(bounds: dict[str, Any]) -> str:
    """How many characters or items there may be; '' if any number of them."""
    least, most = bounds.get("min_length", 0), bounds.get("max_length")
    return f"{least:,} to {most:,}" if least and most else f"at most {most:,}" if most else f"at least {least:,}" if least else ""


def _range(bounds: dict[str, Any]) -> str:
    """The bounds of a number: ' from 0 to 1', ' above 0'."""
    low = f"from {number(bounds['ge'])}" if "ge" in bounds else f"above {number(bounds['gt'])}" if "gt" in bounds else ""
    high = f"to {number(bounds['le'])}" if "le" in bounds else f"to below {number(bounds['lt'])}" if "lt" in bounds else ""
    if low and not high:
        low = low.replace("from", "of at least")
    if high and not low:
        high = high.replace("to below", "below").replace("to ", "up to ")
    return "".join(f" {part}" for part in (low, high) if part)


def _bounds(rules: Sequence[Any]) -> dict[str, Any]:
    return {name: getattr(rule, name) for rule in rules for name in ("ge", "gt", "le", "lt", "min_length", "max_length")
            if getattr(rule, name, None) is not None}


def _plain(kind: Any) -> Any:
    """`kind` without what may be nothing and without bounds: float of float | None."""
    if get_origin(kind) is UnionType:
        return _plain(next(part for part in get_args(kind) if part is not NoneType))
    return get_args(kind)[0] if get_origin(kind) is Annotated else kind


def _rules(kind: Any) -> Sequence[Any]:
    """The bounds within Annotated[float, Field(ge=0)]."""
    extra = get_args(kind)[1:] if get_origin(kind) is Annotated else ()
    return [rule for part in extra for rule in (part.metadata if isinstance(part, FieldInfo) else [part])]


def _item(kind: Any) -> Any:
    """What a list or a dict of the type `kind` holds; None if it is neither."""
    place = {tuple: 0, dict: 1}.get(get_origin(_plain(kind)))
    return None if place is None else get_args(_plain(kind))[place]


def _fields(kind: Any) -> dict[str, FieldInfo]:
    """The fields of a model; of anything else none."""
    return kind.model_fields if isinstance(kind, type) and issubclass(kind, BaseModel) else {}
