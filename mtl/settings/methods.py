"""The ways of balancing and sampling, as people choose between them (methods.json): when to use each, its paper, its cost, and what
excludes it. The choices in config.py, the flags and the page are made from these cards; training/ has the code. Knows no torch."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Method:
    """One way of balancing. `cost` is the time of a step relative to 'equal' if every row has labels for all of three tasks, `cost_apart`
    if every row has labels for one task; tests/bench/methods.py measured both on two CPU cores."""

    title: str
    when: str
    paper: str
    cost: float
    cost_apart: float
    is_gradient: bool = False  # needs the gradient of each task by itself
    wants_whole_step: bool = False  # needs all losses of a step at once
    takes_weights: bool = False  # the user may say how much each task counts


@dataclass(frozen=True)
class Sampling:
    """One way to choose the rows of each step: what it does (after its name, for the help of the setting), and when to use it."""

    does: str
    when: str
    one_task_per_step: bool = False


_CARDS = json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))
METHODS = {name: Method(**card) for name, card in _CARDS["balancing"].items()}
SAMPLINGS = {name: Sampling(**card) for name, card in _CARDS["sampling"].items()}
TAKE_WEIGHTS = ("equal", *(name for name, card in METHODS.items() if card.takes_weights))  # 'equal' becomes 'fixed' if weights are given


def refusal(config: Any) -> str:
    """Why the balancing of `config` (a RunConfig) cannot be used with its other settings, as the end of a sentence; '' if it can."""
    balancing, method = config.balancing, METHODS[config.balancing]
    given = "Alpha is" if config.alpha is not None else "Loss weights are" if config.weights else ""
    if given and balancing == "equal":
        return f"but {given} given; leave them out, or use 'fixed'"
    if given and not method.takes_weights:
        return f"which finds weights by itself, but {given} given too; leave them out, or use 'fixed'"
    if balancing == "fixed" and not given:
        return "but there are no weights; give Loss weights such as intent=1,tags=2, or an Alpha, or use 'equal'"
    if SAMPLINGS[config.sampling].one_task_per_step and (method.is_gradient or balancing in ("famo", "random")):
        return f"but with Sampling '{config.sampling}' a step has one task only, and nothing to balance; use 'joint' or 'proportional'"
    if method.wants_whole_step and config.accumulation > 1:
        return f"which needs all losses of a step at once, but Accumulation is {config.accumulation}; set it to 1"
    if method.is_gradient and config.fine_tuning == "heads":
        return "but with Fine-tuning 'heads' nothing is trained that the tasks share; use 'equal'"
    return ""


def refusal_of_processes(balancing: str, processes: int) -> str:
    """Why `balancing` cannot run on so many processes, as a sentence; '' if it can."""
    method = METHODS[balancing]
    if processes > 1 and (method.is_gradient or method.wants_whole_step):
        return f"{method.title} needs a whole step in one process, but this run has {processes} processes. Use one, or another balancing."
    return ""
