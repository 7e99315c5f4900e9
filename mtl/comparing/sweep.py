"""The trade-off between two tasks: the validation scores of both for every weight that was tried, from a sweep's plan and logs."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from mtl.comparing.plan import Plan
from mtl.errors import MtlError
from mtl.runs.history import History
from mtl.settings.shorthand import parts


@dataclass(frozen=True)
class Point:
    """One run of a sweep, at its best evaluation: the scores of both tasks, and the share of rows with everything right."""

    alpha: float
    first: float
    second: float
    everything_right: float


def parse_numbers(text: str) -> list[float]:
    """'0.1, 0.5' -> [0.1, 0.5]; raises MtlError on anything else, and on a number that is no alpha."""
    numbers = []
    for part in parts(text):
        with suppress(ValueError):
            if 0 <= (number := float(part)) <= 1:
                numbers.append(number)
                continue
        raise MtlError(f"Alphas: '{part[:40]}' is not a number from 0 to 1. Write for example 0.1,0.5,0.9.")
    return numbers


def sweep_points(plan: Plan, histories: Sequence[History | None]) -> tuple[tuple[str, str], list[Point]]:
    """The names of the two scores, and a point for every run that has one yet; ('', '') if none has."""
    names, points = ("", ""), []
    for member, history in zip(plan.members, histories, strict=True):
        if history and history.started and history.best:
            measures = {task: facts["main_score"] for task, facts in history.started.tasks.items()}
            scores = [history.best.scores.get(task, {}).get(measure) for task, measure in measures.items()]
            if len(scores) == 2 and None not in scores:
                names = tuple(f"{task} {measure}" for task, measure in measures.items())
                points.append(Point(member.config.alpha, *scores, history.best.everything_right))
    return names, points


def sweep_markdown(names: tuple[str, str], points: Sequence[Point]) -> str:
    """The points as a table."""
    rows = [f"| {point.alpha:g} | {100 * point.first:.1f} | {100 * point.second:.1f} | {100 * point.everything_right:.1f} |"
            for point in points]
    return "\n".join([f"| alpha | {names[0]} | {names[1]} | everything right |", "|---|---|---|---|", *rows, "",
                      f"Alpha weighs {names[0].rpartition(' ')[0]}, 1 - alpha the other. Validation scores of one run each: small "
                      "differences may be due to chance."])
