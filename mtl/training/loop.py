"""The training loop: `train` takes step after step and yields what happens as events. It runs without a page, threads or a terminal; what
one step needs is in trainer.py, how losses become one gradient in balancing.py, what is saved in saving.py."""

import math
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from torch.nn.utils import clip_grad_norm_

from mtl.data.dataset import LAID_OUT
from mtl.data.kept import load_run
from mtl.data.readers import Progress, no_progress
from mtl.errors import MtlError
from mtl.model.machine import Machine, find_machine, use_threads
from mtl.model.split import sample
from mtl.runs.checkpoint import BEST, PREVIOUS, drop_damaged_last, newest_checkpoint, sweep
from mtl.runs.events import Evaluated, Event, Notice, StatusChanged
from mtl.scoring.scores import Scores
from mtl.settings.config import RunConfig
from mtl.text import many
from mtl.training.dropout import seeded_dropout
from mtl.training.processes import Processes, join_processes
from mtl.training.saving import keep_tallies, kept_step, measure_int8_cost, restore, save_resumable, save_weights
from mtl.training.step import TrainingStep, set_learning_rate
from mtl.training.trainer import Trainer

FIRST_LOOK = 24  # validation rows of the first evaluation: less than a batch, because somebody waits for the first point of the curve
BetweenSteps = Callable[[Trainer], bool]


def train(config: RunConfig, run: Path, *, resume: bool = False, between_steps: BetweenSteps = lambda trainer: False,
          progress: Progress = no_progress) -> Iterator[Event]:
    """Train as `config` says in the folder `run`, yielding events; `resume` continues from its newest undamaged checkpoint.

    `between_steps(trainer)` is called before every step, when the model is at rest: it may copy the model, wait (a pause), or return True
    to stop, which ends the run like any other, with a checkpoint. `progress` hears how far the data is prepared. The last event is
    StatusChanged 'finished' or 'stopped'. Raises MtlError for bad data, settings that do not fit, or a loss that is not a number.
    """
    trainer, notices = _set_up(config, run, resume, progress)
    yield from _opening(trainer, notices)
    now, optimizer, balancer, processes = trainer.progress, trainer.optimizer, trainer.balancer, trainer.processes
    while not trainer.is_finished:
        epoch, done = divmod(now.step, trainer.steps_per_epoch)
        for plan in trainer.plan(epoch)[done:]:  # above 0 only after a resume: the plan is made again, and what was done is skipped
            stop, report = processes.any(between_steps(trainer), trainer.log.is_due_after(now.step, now.seconds))
            if stop:
                yield from _stop(trainer)
                return
            start = time.perf_counter()
            rate = set_learning_rate(optimizer, trainer.rate_factor())
            step = trainer.begin(plan)
            with seeded_dropout(step.dropout_seed, trainer.machine.device):
                for batch in step.batches:
                    with processes.sync(trainer.wrapped, batch.is_last):
                        losses = trainer.forward(batch)  # one encoder pass, a loss per task
                        means = step.means(losses)
                        trainer.conflicts.measure(now.step, means)
                        balancer.backward(means)  # the losses become one gradient
                    step.count(losses)
            weights = balancer.finish()
            norm = clip_grad_norm_(trainer.model.parameters(), config.max_grad_norm or math.inf).item()
            if not math.isfinite(norm):
                raise MtlError(_divergence(trainer, step))
            optimizer.step()
            if balancer.looks_back:
                trainer.look_back(step)
            optimizer.zero_grad()
            seconds = time.perf_counter() - start
            now.step, now.seconds = now.step + 1, now.seconds + seconds
            trainer.log.add(step, weights, rate, norm, seconds)
            yield from _due_events(trainer, report)
            if trainer.is_finished:
                break
    yield _finished(trainer)


def _set_up(config: RunConfig, run: Path, resume: bool, progress: Progress) -> tuple[Trainer, list[Notice]]:
    """The trainer, where it starts or goes on, and what the user should know about that and about the data."""
    processes = join_processes(config.device)
    checkpoint, facts, complaints = newest_checkpoint(run) if resume else (None, {}, [])
    machine = _machine(config, facts, processes)
    use_threads(machine.threads)
    laid_out = run / LAID_OUT / str(processes.rank)
    shutil.rmtree(laid_out, ignore_errors=True)  # of a process that was killed
    dataset = load_run(config, run, laid_out, progress, is_first=processes.is_first, expected=facts.get("data", ""))
    trainer = Trainer(config, run, dataset, machine, laid_out, processes, progress)
    if processes.is_first:
        sweep(run)
        if checkpoint and checkpoint.name == PREVIOUS:
            drop_damaged_last(run)
    notices = [Notice(complaint, "warning") for complaint in complaints]
    notices += restore(trainer, checkpoint, facts) if checkpoint else []
    return trainer, notices + [Notice(notice) for notice in [*dataset.notices, *_truncated(trainer)]]


def _machine(config: RunConfig, facts: dict[str, Any], processes: Processes) -> Machine:
    """The machine asked for; a resumed run keeps the precision and threads that it began with, if the device is still there."""
    before = facts.get("machine", {})
    wanted = find_machine(config.device, config.precision, config.threads, processes.count)
    if before and before["device"].split(":")[0] == wanted.device and facts["processes"] == processes.count:
        wanted = Machine(wanted.device, before["precision"], before["threads"])
    return Machine(processes.gpu, wanted.precision, wanted.threads) if processes.gpu else wanted


def _truncated(trainer: Trainer) -> list[str]:
    """A sentence if texts were cut."""
    cut = trainer.train_split.cut
    if not cut:
        return []
    rest = "is longer than {} subwords and was" if cut == 1 else "are longer than {} subwords and were"
    return [f"{cut:,} of {many(len(trainer.train_split.rows), 'training row')} {rest.format(trainer.model.config.max_length)} cut. "
            "Raise Max length (max_length) to keep them whole."]


def _opening(trainer: Trainer, notices: list[Notice]) -> Iterator[Event]:
    """What is logged before the first step; a new run is also evaluated, to show what chance scores."""
    yield trainer.started()
    yield from notices
    yield StatusChanged("running")
    if trainer.progress.step == 0:
        start = time.perf_counter()
        scores = trainer.evaluate(sample(trainer.validation_split, FIRST_LOOK, trainer.config.seed), trainer.model)
        yield _evaluated(trainer, scores, start, is_best=False)


def _due_events(trainer: Trainer, report: bool) -> Iterator[Event]:
    """What is to be told and done after a step: a `report` if it is time, gradient conflicts, an evaluation, a checkpoint."""
    step, config = trainer.progress.step, trainer.config
    if report:
        yield trainer.report()
    if found := trainer.conflicts.finish(step, trainer.processes.count):
        yield found
    if step == trainer.total_steps or step % (config.eval_every or trainer.steps_per_epoch) == 0:
        yield from _evaluate_and_save(trainer)
    elif config.checkpoint_every and step % config.checkpoint_every == 0:
        yield from save_resumable(trainer)


def _evaluate_and_save(trainer: Trainer) -> Iterator[Event]:
    """Score the validation rows; keep the weights as best if they are, and always as last."""
    now, start = trainer.progress, time.perf_counter()
    scores = trainer.evaluate(trainer.validation_split, trainer.model)
    is_best = now.note_score(scores.score)
    yield _evaluated(trainer, scores, start, is_best)
    keep_tallies(trainer, scores.tallies)
    if is_best:
        yield from save_weights(trainer, BEST, scores.tallies, measure_int8_cost(trainer, scores.tallies))
    if trainer.config.keep_epochs and now.step % trainer.steps_per_epoch == 0:
        yield from save_weights(trainer, f"epoch-{now.step // trainer.steps_per_epoch:03d}", scores.tallies)
    yield from save_resumable(trainer)


def _evaluated(trainer: Trainer, scores: Scores, start: float, is_best: bool) -> Evaluated:
    return Evaluated(trainer.progress.step, trainer.epoch, "validation", scores.losses, scores.scores, scores.everything_right,
                     scores.score,
                     is_best, time.perf_counter() - start)


def _divergence(trainer: Trainer, step: TrainingStep) -> str:
    """Which loss or gradient is not a number any more, in words. All processes must call it."""
    config, kept = trainer.config, kept_step(trainer.run)
    parts = trainer.processes.gather({task: loss.item() for task, loss in step.losses.items()})
    bad = [task for task in step.labels if not math.isfinite(sum(part.get(task, 0.0) for part in parts))]
    what = f"the loss of {' and '.join(map(repr, bad))}" if bad else f"the gradient of {' + '.join(map(repr, step.labels))}"
    saved = f"the checkpoint of step {kept} is kept" if kept else "no checkpoint was saved before"
    return (f"Step {trainer.progress.step + 1}: {what} is not a number any more, so this step was not taken and the run ends; {saved}. "
            f"Lower the learning rates (now {config.learning_rate:g} and {config.head_learning_rate:g}; 1e-4 and 1e-3 are usual).")


def _stop(trainer: Trainer) -> Iterator[Event]:
    """The end that was asked for: what was not logged yet, a checkpoint, and from where a resume goes on."""
    if report := trainer.report():
        yield report
    yield from save_resumable(trainer)
    kept = kept_step(trainer.run)  # on a full disk an older one
    onward = f"goes on from step {kept}" if kept else "begins anew"
    yield StatusChanged("stopped", f"Stopped at step {trainer.progress.step}. Resume {onward}.")


def _finished(trainer: Trainer) -> StatusChanged:
    """The end of the plan, or of patience. The test rows stay untouched: they are scored once, when somebody asks."""
    now, patience = trainer.progress, trainer.config.patience
    early = f" early, after {patience} evaluations without a better score," if now.step < trainer.total_steps else ""
    return StatusChanged("finished", f"Finished{early} at step {now.step}. The best validation score, {now.best_score:.1%}, was at step "
                                     f"{now.best_step}.")
