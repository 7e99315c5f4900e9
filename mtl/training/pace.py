"""How long a run takes on this machine, from a few measured numbers: before there is a run, and for the rest of one. Knows no torch."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from mtl.runs.history import History
from mtl.settings.config import RunConfig
from mtl.settings.methods import METHODS, SAMPLINGS
from mtl.settings.rates import auto_epochs

COMPARING = 0.25  # the time to compare the tasks' gradients, relative to a step
BEST_SHARE = 0.7  # of the evaluations are the best so far, at a guess; then the model is saved once more, and measured in 8 bits
INT8_COST, INT8_ROWS = 1.2, 2000  # the time of that measurement, relative to an evaluation on its rows, and how many these are at most
# quick looks take this share of the training time at most; one takes so many seconds where that is enough for a sample; and between two
# this share of the training time so far passes at least: about 170 looks in an hour and 330 in a week
LOOKS_SHARE, LOOK_COST, RARER = 0.05, 0.2, 0.03
ENOUGH_STEPS = 20  # of a run, to correct the pace by them
OPENING = 3.0  # seconds from Start to the first step, if the encoder was loaded before
LAYERS, EMBEDDINGS, LORA, HEADS = 6, 1.13, 0.8, 0.02  # of the bundled encoder; the time of a step, relative to one of the usual settings


@dataclass(frozen=True)
class Breaks:
    """The seconds of what comes between steps: an evaluation, the measurement of 8 bits, saving the model, saving all for a resume."""

    evaluation: float
    int8: float
    best: float
    last: float

    def seconds(self, steps: int, every: int, checkpoint_every: int) -> float:
        """All of them in so many steps, with an evaluation `every` so many and at the end."""
        saves = steps // checkpoint_every if checkpoint_every else 0
        return -(-steps // every) * (self.evaluation + self.last + BEST_SHARE * (self.best + self.int8)) + saves * self.last


@dataclass(frozen=True)
class Pace:
    """What this machine needs for the bundled encoder: seconds a subword in a step that trains every layer, and in an evaluation; seconds
    an optimizer's step; of saving the model, and all for a resume; and whether it has 8 bits."""

    device: str
    training: float
    reading: float
    update: float
    best: float
    last: float
    has_int8: bool

    def run_seconds(self, config: RunConfig, rows: int, validation_rows: int, subwords: float) -> float | None:
        """The time from Start to the end of a run of `config` on so many rows of so many `subwords` each; None if that is not known, see
        `step_seconds`. With patience it is the most."""
        if (step := self.step_seconds(config, rows, subwords)) is None:
            return None
        subwords, is_read_once, an_epoch = min(subwords, config.max_length), config.fine_tuning == "heads", -(-rows // _step_rows(config))
        steps = int(min((config.epochs or auto_epochs(an_epoch)) * an_epoch, config.max_steps or math.inf))
        evaluation = self.reading * validation_rows * subwords * (HEADS if is_read_once else 1)
        int8 = self.has_int8 * (not is_read_once) * INT8_COST * min(1, INT8_ROWS / max(1, validation_rows)) * evaluation
        breaks = Breaks(evaluation, int8, self.best, self.last).seconds(steps, config.eval_every or an_epoch, config.checkpoint_every)
        reading_once = is_read_once * self.reading * subwords * (rows + validation_rows)
        return OPENING + reading_once + steps * step + breaks + config.quick_looks * looks_seconds(steps * step)

    def step_seconds(self, config: RunConfig, rows: int, subwords: float) -> float | None:
        """The time of a step of `config`; None for another encoder or device, and if a step has the rows of one task only."""
        if config.encoder != "bundled" or config.device not in ("auto", self.device) or SAMPLINGS[config.sampling].one_task_per_step:
            return None
        a_subword = self.reading + (self.training - self.reading) * (1 - min(config.frozen_layers / LAYERS, 1))
        a_subword *= METHODS[config.balancing].cost * (1 + (COMPARING / config.diagnose_every if config.diagnose_every else 0))
        a_subword *= {"heads": HEADS, "lora": LORA, "full": 1.0 if config.freeze_embeddings else EMBEDDINGS}[config.fine_tuning]
        return a_subword * min(_step_rows(config), rows) * min(subwords, config.max_length) + self.update

    def corrected(self, config: RunConfig, history: History) -> Pace:
        """This pace, as much slower or faster as the steps of a run were: the machine may have been busy when it was measured."""
        started, last = history.started, history.steps[-1] if history.steps else None
        if not started or not last or not started.subwords or last.step < ENOUGH_STEPS or started.processes > 1:
            return self
        guess = self.step_seconds(config, started.train_rows, started.subwords)
        times = last.seconds / last.step / guess if guess else 1.0
        return replace(self, training=times * self.training, reading=times * self.reading, update=times * self.update)


def _step_rows(config: RunConfig) -> int:
    return config.batch_size * config.accumulation


def looks_seconds(training: float) -> float:
    """The time that quick looks take in so many seconds of training: a share at first, then they get rarer."""
    full = LOOK_COST / LOOKS_SHARE / RARER
    return LOOKS_SHARE * min(training, full) + LOOK_COST / RARER * math.log(max(1.0, training / full))
