"""Quick looks: the main scores of a few validation rows every few seconds, so that curves move between two evaluations. What a look costs
decides how many rows it has and when the next one is due. It changes nothing in the run."""

import time

from mtl.model.split import Split, sample
from mtl.runs.events import Sampled
from mtl.scoring.scores import Scores
from mtl.training.pace import LOOK_COST, LOOKS_SHARE, RARER
from mtl.training.trainer import Trainer

FIRST, OFTEN = 1.0, 2.0  # seconds of training before the first look, and between two at least
SIZES = (256, 128, 64, 32)  # rows: the most that take LOOK_COST seconds, which allows a look every 4 seconds


class QuickLooks:
    """The looks of one training. All processes must call `take` together, so one of them decides for all; each has a clock of its own."""

    def __init__(self, trainer: Trainer) -> None:
        self._trainer, self._rows, self._gap = trainer, None, OFTEN
        self._next = trainer.progress.seconds + FIRST

    @property
    def are_due(self) -> bool:
        """Whether to look after the next step: not if an evaluation comes soon anyway."""
        trainer, now = self._trainer, self._trainer.progress
        every = trainer.config.eval_every or trainer.steps_per_epoch
        until = min(every - now.step % every, trainer.total_steps - now.step) - 1  # steps from that look to the evaluation
        return trainer.config.quick_looks and now.seconds >= self._next and until * now.seconds / now.step > self._gap / 2

    def take(self) -> Sampled:
        """Score the sample, which the first look chooses."""
        trainer, now = self._trainer, self._trainer.progress
        if self._rows is None:
            self._rows = self._choose()
        seen, cost = self._look(self._rows)
        self._gap = max(OFTEN, cost / LOOKS_SHARE, RARER * now.seconds)
        self.postpone()
        main = {task.name: seen.scores[task.name][task.main_score] for task in trainer.tasks if seen.scores[task.name]}
        return Sampled(now.step, trainer.epoch, main, seen.losses, seen.everything_right, len(self._rows.rows), cost)

    def postpone(self) -> None:
        """Wait with the next look: there is a score of this step."""
        self._next = self._trainer.progress.seconds + self._gap

    def _choose(self) -> Split:
        """Validation rows that cost little, by the time for a few of them. Smaller samples are part of the larger ones."""
        split, seed = self._trainer.validation_split, self._trainer.config.seed
        few = sample(split, SIZES[-1], seed)
        pace = self._look(few)[1] / len(few.rows)
        size = next((size for size in SIZES if size * pace <= LOOK_COST), SIZES[-1])
        return sample(split, self._trainer.processes.gather(size)[0], seed)

    def _look(self, rows: Split) -> tuple[Scores, float]:
        start, model = time.perf_counter(), self._trainer.model
        # an evaluation fits calibration and thresholds; those of the last whole one stay, because checkpoints hold them
        tuned = {name: task.thresholds for name, task in model.tasks.items() if task.thresholds}, model.config.calibration
        seen = self._trainer.evaluate(rows, model)
        model.set_tuned(*tuned)
        return seen, time.perf_counter() - start
