"""What *best* means: the one number by which the evaluations of a run are compared, and how it is said. Knows no models and no logs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mtl.text import isolate

MEAN, LOSS = "mean of the main scores", "validation loss"
BESTS = {"mean": MEAN, "macro_f1": "mean F1 (macro F1 for classes)", "everything_right": "everything right", "loss": LOSS}
CLASSES_ALIKE = {"accuracy": "macro_f1", "micro_f1": "macro_f1"}  # a main score -> the one in which every class counts the same
CORRELATION, ERROR = "pearson", "mean_absolute_error"  # the scores of numbers that are no shares: from -1 to 1, and in their units
WORST = -1e30  # in place of a loss that is not a number, or infinite


@dataclass(frozen=True)
class Criterion:
    """Compares evaluations as the setting `best` says. `tasks`: for each task its main_score and weight, as in RunStarted."""

    best: str
    tasks: Mapping[str, Mapping[str, Any]]

    def score(self, losses: Mapping[str, float], scores: Mapping[str, Mapping[str, float]], everything_right: float) -> float:
        """What an evaluation comes to: more is better, so for 'loss' it is below 0. 0 if nothing that counts was measured."""
        if self.best == "everything_right":
            return everything_right
        if self.best == "loss":
            weights = {task: self.tasks[task]["weight"] for task in self._measures if task in losses}
            return max(WORST, -sum(weight * losses[task] for task, weight in weights.items()) / sum(weights.values())) if weights else 0.0
        found = [scores[task][measure] for task, measure in self._measures.items() if scores.get(task)]
        return sum(found) / len(found) if found else 0.0

    @property
    def by(self) -> str:
        """What that number is, for people."""
        names = [f"{isolate(task)} {measure.replace('_', ' ')}" for task, measure in self._measures.items()]
        return names[0] if len(names) == 1 and self.best not in ("everything_right", "loss") else BESTS.get(self.best, self.best)

    @property
    def _measures(self) -> dict[str, str]:
        """The score that counts of each task that does: of the trained ones, whose weight is not 0, or of the one that was chosen."""
        names = [name for name in self.tasks if self.best == name or self.best in BESTS and self.tasks[name]["weight"]]
        instead = CLASSES_ALIKE if self.best == "macro_f1" else {}
        return {name: instead.get(main := self.tasks[name]["main_score"], main) for name in names}


def shown(by: str, score: float) -> str:
    """What an evaluation comes to by a Criterion, for people."""
    return f"{-score:.3g}" if by == LOSS else f"{score:.1%}"


def shown_score(name: str, value: float) -> str:
    """The score of that name, for people."""
    return f"{value:.3g}" if name == ERROR else f"{value:.1%}"


def refusal_of_best(best: str, tasks: Sequence[str]) -> str:
    """Why `best` cannot be chosen by if `tasks` are measured; '' if it can."""
    return "" if best in (*BESTS, *tasks) else (f"found '{isolate(best)}', wanted {', '.join(BESTS)}, or a task with validation labels: "
                                                f"{', '.join(map(isolate, tasks))}.")
