"""Numbers in cells: how they are written, and which columns of them people want predicted."""

import math
import re
from collections.abc import Collection

from mtl.data.formats.files import NAMES

NUMBER = "number"  # the role of a column of numbers
ADVICE = "set it to number to predict numbers"
FRACTIONS = f"it holds numbers with a fraction ({ADVICE})"
CLASSES = "holds numbers, each of which is taken for a class. Set it to number to predict them as numbers."
TAKEN = "is taken for numbers to predict. Set it to class to learn each number as a label, or to ignore."
# an exact 1,234 may be 1.234 or 1234, so it is none
_WRITTEN = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|(?P<comma>[+-]?\d+,(?!\d{3}$)\d+)")
FEW = 8  # different numbers, up to which they may as well be classes


def as_number(value: object) -> float | None:
    """The number that a cell holds, with a decimal point or comma; None if it holds something else, or no finite number."""
    if isinstance(value, str):
        found = _WRITTEN.fullmatch(value.strip())
        if not found:
            return None
        value = found[0].replace(",", ".")
    elif isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def are_numbers(values: Collection[str]) -> bool:
    """Whether all of a column's different `values` are numbers, and there are some."""
    return bool(values) and all(as_number(value) is not None for value in values)


def have_fractions(values: Collection[str]) -> bool:
    """Whether they are numbers, of which some are written with a fraction."""
    return are_numbers(values) and any(not value.lstrip("+-").isdigit() for value in values)


def is_predicted(name: str) -> bool:
    """Whether a column of this name may well hold numbers to predict, such as stars or a score."""
    return not {*re.findall("[a-z]+", name.casefold())}.isdisjoint(NAMES["numbers"])
