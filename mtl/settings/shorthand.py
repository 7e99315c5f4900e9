"""Settings written on one line, as in a flag or a text field: loss weights, columns, datasets of the Hub, changes in the middle."""

import json
import re

from mtl.errors import MtlError
from mtl.settings.config import ROLES, ColumnSpec, HubSpec, make_spec


def parts(text: str) -> list[str]:
    """'a, b' -> ['a', 'b']."""
    return [part.strip() for part in text.split(",") if part.strip()]


def parse_weights(text: str) -> dict[str, float]:
    """'intent=1, tags=2' -> {'intent': 1.0, 'tags': 2.0}; raises MtlError on anything else."""
    weights = {}
    for part in parts(text):
        task, _, number = map(str.strip, part.rpartition("="))
        if task in weights:
            raise MtlError(f"Loss weights: '{task}' has two weights. Give it one.")
        try:
            weights[task] = float(number if "=" in part else "")
        except ValueError as error:
            raise MtlError(f"Loss weights: '{part}' is not of the form task=number. Write for example intent=1,tags=2.") from error
    return weights


def parse_steering(text: str) -> object:
    """'[{"step": 9, "rate": 0.5}]' -> what RunConfig checks; raises MtlError if it is no JSON."""
    try:
        return json.loads(text)
    except ValueError as error:
        raise MtlError(f"Steering: '{text[:60]}' is not JSON. Write for example [{{\"step\": 9, \"rate\": 0.5}}].") from error


def parse_columns(text: str) -> tuple[ColumnSpec, ...]:
    """'Review=text, sst2/label=class:mood' -> ColumnSpecs; raises MtlError on anything else."""
    specs = []
    for part in parts(text):
        place, equals, what = part.rpartition("=")
        group, _, column = place.strip().rpartition("/")
        role, _, task = what.strip().partition(":")
        if not equals or not column or role not in ROLES:
            raise MtlError(f"Columns: '{part[:60]}' is not of the form column=role. The roles are: {', '.join(ROLES)}. "
                           "Write for example Review=text,Stars=class:sentiment.")
        specs.append(make_spec("columns", ColumnSpec, {"column": column, "role": role, "task": task.strip(), "group": group}))
    return tuple(specs)


def parse_hub(text: str) -> tuple[HubSpec, ...]:
    """'fancyzhx/ag_news, nyu-mll/glue:sst2@<commit>' -> HubSpecs with the usual splits; raises MtlError on anything else."""
    specs = []
    for part in parts(text):
        found = re.fullmatch(r"([^\s:@]+)(?::([^\s:@]+))?(?:@([0-9a-f]{40}))?", part)
        if not found:
            raise MtlError(f"Hub datasets: '{part[:60]}' is not of the form owner/name:config@commit. Write for example nyu-mll/glue:sst2.")
        specs.append(make_spec("hub", HubSpec, {"id": found[1], "config": found[2] or "", "revision": found[3] or ""}))
    return tuple(specs)
