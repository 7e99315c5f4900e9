"""A value that pydantic refused, as a sentence for people, made from the JSON schema: a new field needs no words of its own here."""

import re
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, ValidationError

from mtl.errors import MtlError, SettingError

SHOWN = 40  # characters of a value in a message
FEW = 8  # names that can be listed in a sentence
Schema = dict[str, Any]


def refused(error: ValidationError, model: type[BaseModel], field: str = "", label: str = "") -> MtlError:
    """The first error that pydantic found in a `model`, in words. `field` and `label` name the setting if the model is an item of it."""
    first = error.errors(include_url=False, include_context=False)[0]
    if first["type"] == "json_invalid":
        return MtlError("The settings hold characters that are no text. Write them as plain UTF-8.")
    whole = model.model_json_schema()
    labels, node, is_item = [label] * bool(label), whole, bool(field)
    for part in first["loc"]:
        names = node.get("properties", {})
        if names and part not in names:
            unknown = shorten(str(part))
            if labels:
                return MtlError(f"{', '.join(labels)}: there is no '{unknown}'. It has: {', '.join(names)}.")
            near = get_close_matches(str(part), names, n=1)
            return MtlError(f"There is no setting '{unknown}'." + (f" Did you mean '{near[0]}'?" if near else ""))
        if names:
            # a setting has a label; the fields of its items are called by their names
            labels.append(part if is_item else names[part]["title"])
            node, field, is_item = names[part], field or part, True
        elif "items" in node or "additionalProperties" in node:
            labels.append(f"number {part + 1}" if "items" in node else shorten(str(part)))
            node = node.get("items") or node["additionalProperties"]
        else:  # a dict's key is wrong, not its value: then pydantic adds '[key]' to its place
            node = {"type": "string"}
        if "anyOf" in node:  # it may be null: then its other kind
            node = node | next(kind for kind in node["anyOf"] if kind["type"] != "null") | {"nullable": True}
        node = whole["$defs"][node["$ref"].rpartition("/")[2]] if "$ref" in node else node
    value = None if first["type"] == "missing" else first["input"]
    kind = "enum" if "enum" in node else node["type"]
    if kind == "array" and isinstance(value, list | tuple):
        sentence = f"found {len(value):,}, wanted {_count(node)}. Leave some out."
    else:
        is_long = kind == "string" and isinstance(value, str) and len(value) > SHOWN
        sentence = f"found {found(value, kind, field)}, wanted {wanted(node)}." + " Shorten it." * is_long
    return SettingError(", ".join(labels) or "The settings", field, sentence)


def found(value: Any, kind: str = "", field: str = "") -> str:
    """A wrong value in a message: short, and of a file only its name. `kind` is the type in the schema, or 'enum'."""
    if isinstance(value, str):
        value = re.split(r"[\\/]", value)[-1] if field.endswith("_files") else value
        quoted = f"'{shorten(value)}'"
        quoted = f"{len(value):,} characters ({quoted})" if kind == "string" and len(value) > SHOWN else quoted
        return quoted if value else "an empty text"
    if value is None or isinstance(value, bool):
        return {None: "nothing", True: "true", False: "false"}[value]
    if isinstance(value, int | float):
        return repr(value) if kind == "integer" and isinstance(value, float) and value.is_integer() else number(value)
    if isinstance(value, list | tuple):
        return f"a list of {len(value):,}"
    return "names with values" if isinstance(value, dict) else "something else"


def wanted(node: Schema) -> str:
    """Which values the schema allows; for a number its default is the example."""
    count, names, default = _count(node), node.get("properties", {}), node.get("default")
    if "enum" in node:
        return "one of " + ", ".join(node["enum"])
    match node["type"]:
        case "boolean":
            return "true or false"
        case "integer" | "number" as kind:
            example = "" if default is None else f", such as {number(default).replace(',', '')}"
            return f"a {'whole ' * (kind == 'integer')}number{_range(node)}{example}" + ", or nothing" * node.get("nullable", False)
        case "string":
            return f"a text of {count} characters" if count else "a text"
        case "array":
            return f"a list of {count}" if count else "a list"
    return "names with values" + f": {', '.join(names)}" * (0 < len(names) <= FEW)


def number(value: float) -> str:
    """A number in a message; of a very long one only its length."""
    if isinstance(value, int):
        return f"{value:,}" if abs(value) < 10**20 else "a number of more than 20 digits"
    short = f"{value:g}" if float(f"{value:g}") == value else repr(value)
    return {"nan": "NaN", "inf": "infinity", "-inf": "minus infinity"}.get(short, short)


def shorten(text: str) -> str:
    """A text in a message: its beginning, as far as it can be shown."""
    shown = "".join(letter if letter.isprintable() else "\ufffd" for letter in text[:SHOWN])
    return shown + "…" if len(text) > SHOWN else shown


def _count(node: Schema) -> str:
    """How many characters or items there may be; '' if any number of them."""
    least, most = (node.get(f"{bound}Length") or node.get(f"{bound}Items") for bound in ("min", "max"))
    return f"{least:,} to {most:,}" if least and most else f"at most {most:,}" if most else f"at least {least:,}" if least else ""


def _range(node: Schema) -> str:
    """The bounds of a number: ' from 0 to 1', ' above 0'."""
    least, above, most, below = (node.get(rule) for rule in ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum"))
    is_open = most is None and below is None
    low = "" if least is None else f" of at least {number(least)}" if is_open else f" from {number(least)}"
    low = low if above is None else f" above {number(above)}"
    if not low:
        return f" up to {number(most)}" if most is not None else f" below {number(below)}" if below is not None else ""
    return low if is_open else f"{low} to {number(most)}" if below is None else f"{low} to below {number(below)}"
