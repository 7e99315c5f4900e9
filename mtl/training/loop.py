"""The training loop: `train` takes step after step (its parts are in trainer.py) and yields events. Knows no page, threads or terminal."""

import math
import shutil
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch.nn.utils import clip_grad_norm_

from mtl.data.dataset import LAID_OUT
from mtl.data.kept import load_run
from mtl.data.readers import Progress, no_progress
from mtl.errors import MtlError
from mtl.model.machine import Machine, find_machine, use_threads
from mtl.model.randomness import seeded_dropout
from mtl.model.split import Split, sample
from mtl.runs.checkpoint import BEST, LAST, PREVIOUS, drop_damaged_last, newest_checkpoint, saved_step, sweep
from mtl.runs.events import Estimated, Evaluated, Event, Every, Notice, Pinned, StatusChanged, read_events
from mtl.runs.folder import Run
from mtl.scoring.scores import Scores
from mtl.settings.best import shown
from mtl.settings.config import RunConfig
from mtl.settings.steering import Steered
from mtl.text import duration, many
from mtl.training.estimate import estimate
from mtl.training.looks import QuickLooks
from mtl.training.processes import Processes, join_processes
from mtl.training.saving import keep_hit_counts, measure_int8_cost, restore, save
from mtl.training.step import TrainingStep, rate_factor, set_learning_rate
from mtl.training.trainer import Trainer

FIRST_ROWS = 24  # validation rows of the first evaluation: less than a batch, because the user waits for the first point of the curve


def train(config: RunConfig, run: Path, *, resume: bool = False, between_steps: Callable[[Trainer], bool] = lambda trainer: False,
          progress: Progress = no_progress, save_every: float = math.inf) -> Iterator[Event]:
    """Train with `config` in the folder `run`, yielding events, the last of them StatusChanged 'finished' or 'stopped'; `resume` goes on
    from the newest undamaged checkpoint. `between_steps(trainer)`, before every step, may copy the model, wait (a pause), ask
    `trainer.steering` for a change, or return True to stop with a checkpoint; one is also saved every `save_every` seconds. Raises MtlError
    for bad data, settings, or a loss of NaN."""
    trainer, notices = _set_up(config, run, resume, progress)
    guess = yield from _open(trainer, notices)
    begun, is_unsaved, looks = time.perf_counter(), Every(save_every), QuickLooks(trainer)
    now, optimizer, balancer, processes = trainer.progress, trainer.optimizer, trainer.balancer, trainer.processes
    while not trainer.is_finished:
        epoch, done = divmod(now.step, trainer.steps_per_epoch)
        # `done` is above 0 only after a resume: the epoch's plan is made again and its first `done` steps are skipped
        for planned in trainer.plan(epoch)[done:]:
            asked = time.perf_counter()
            stop, report, look = yield from _prepare(trainer, between_steps, looks)
            begun += time.perf_counter() - asked  # pauses do not count
            if stop:
                yield from _stop(trainer)
                return
            if trainer.is_finished:  # by an evaluation that was asked for
                break
            start, step = time.perf_counter(), trainer.begin(planned)
            factor = rate_factor(now.step, trainer.total_steps, config.warmup, config.schedule) * step.steered.rate
            rate = set_learning_rate(optimizer, factor)
            wants_norms = balancer.wants_norms(now.step, step.targets)
            _add_gradients(trainer, step, wants_norms)
            weights = balancer.finish()
            if step.steered.frozen:
                trainer.model.encoder.zero_grad()  # without a gradient, the optimizer leaves a weight and its moments as they are
            norm = clip_grad_norm_(trainer.model.parameters(), config.max_grad_norm or math.inf).item()
            if not math.isfinite(norm):
                raise MtlError(_divergence(trainer, step))
            optimizer.step()
            measured = trainer.conflicts.of_step(processes.count)
            if wants_norms:  # of other steps nothing, so that Diagnose every changes nothing, and a resume knows what was measured
                balancer.learn(*measured)
            if balancer.needs_second_pass:
                trainer.second_pass(step)
            optimizer.zero_grad()
            seconds = time.perf_counter() - start
            now.step, now.seconds = now.step + 1, now.seconds + seconds
            trainer.log.add(step, weights, rate, norm, seconds)
            yield from _due_events(trainer, report, looks, look, is_unsaved)
            if trainer.is_finished:
                break
    done, took = _finished(trainer), duration(time.perf_counter() - begun)
    yield replace(done, message=f"{done.message} It took {took}" + (f" (estimated: {guess.words})." if guess else "."))


def _open(trainer: Trainer, notices: list[Notice]) -> Generator[Event, None, Estimated | None]:
    """The events before the first step; returns the estimate of the time, if there is one."""
    yield trainer.started()
    yield from notices
    yield StatusChanged("running")
    if trainer.progress.step == 0:  # the scores of chance
        yield _evaluate(trainer, sample(trainer.validation_split, FIRST_ROWS, trainer.config.seed))[1]
    pinned = [at.event for at in read_events(Run(trainer.run).log.path, Pinned)]
    yield from trainer.pins.open(pinned, trainer.config.quick_looks)
    if guess := estimate(trainer):
        yield guess
    return guess


def _prepare(trainer: Trainer, between_steps: Callable[[Trainer], bool], looks: QuickLooks) -> Generator[Event, None, list[bool]]:
    """What comes before a step: `between_steps`, and changes, each in the log before it holds; again until it asks for none, since it may
    wait in a pause. Returns whether to stop, and whether a report and a quick look are due after the step."""
    now, steering = trainer.progress, trainer.steering
    while True:
        answers = trainer.processes.any(between_steps(trainer), trainer.log.is_due_after(now.step, now.seconds), looks.are_due)
        changes, steering.wants_checkpoint, saves = steering.take(now.step), False, steering.wants_checkpoint
        if changes and (report := trainer.report()):  # the steps before a change are told apart from those after it
            yield report
        for change in changes:
            yield change
            steering.make(change)
        if steering.at(now.step).evaluate and now.evaluated != now.step:  # after a resume it may be due again
            yield from _evaluate_and_save(trainer)
            looks.postpone()
        elif saves:
            yield from save(trainer)
        if answers[0] or not (changes or saves):
            return answers


def _add_gradients(trainer: Trainer, step: TrainingStep, wants_norms: bool) -> None:
    """The forward and backward passes of a step."""
    with seeded_dropout(step.dropout_seed, trainer.machine.device):
        for batch in step.batches:
            with trainer.processes.sync(trainer.wrapped, now=batch is step.batches[-1]):
                losses = trainer.forward(batch)  # one encoder pass, a loss per task
                means = step.means(losses)
                trainer.conflicts.measure(trainer.progress.step, means, wants_norms)
                trainer.balancer.backward(means)  # the losses become one gradient
            step.count(losses)


def _set_up(config: RunConfig, run: Path, resume: bool, progress: Progress) -> tuple[Trainer, list[Notice]]:
    """The trainer, new or restored, and notices about that and about the data."""
    processes = join_processes(config.device)
    checkpoint, facts, complaints = newest_checkpoint(run) if resume else (None, {}, [])
    machine = _machine(config, facts, processes)
    use_threads(machine.threads)
    scratch = run / LAID_OUT / str(processes.rank)
    shutil.rmtree(scratch, ignore_errors=True)  # left by a process that was killed
    dataset = load_run(config, run, scratch, progress, is_first=processes.is_first, expected=facts.get("data", ""))
    logged = [at.event for at in read_events(Run(run).log.path, Steered)] if resume else []
    trainer = Trainer(config, run, dataset, machine, scratch, processes, progress, logged)
    if processes.is_first:
        sweep(run)
        if checkpoint and checkpoint.name == PREVIOUS:
            drop_damaged_last(run)
    notices = [Notice(complaint, "warning") for complaint in complaints] + (restore(trainer, checkpoint, facts) if checkpoint else [])
    notices += map(Notice, dataset.notices)
    if cut := trainer.train_split.cut:
        rest = "is longer than {} subwords and was" if cut == 1 else "are longer than {} subwords and were"
        notices.append(Notice(f"{cut:,} of {many(len(trainer.train_split.rows), 'training row')} "
                              f"{rest.format(trainer.model.config.max_length)} cut. Raise Max length (max_length) to keep them whole."))
    return trainer, notices


def _machine(config: RunConfig, facts: dict[str, Any], processes: Processes) -> Machine:
    """The machine for the settings. A resumed run keeps the precision and threads it began with, if the device is still there."""
    before = facts.get("machine", {})
    wanted = find_machine(config.device, config.precision, config.threads, processes.count)
    if before and before["device"].split(":")[0] == wanted.device and facts["processes"] == processes.count:
        wanted = Machine(wanted.device, before["precision"], before["threads"])
    return Machine(processes.gpu, wanted.precision, wanted.threads) if processes.gpu else wanted


def _due_events(trainer: Trainer, report: bool, looks: QuickLooks, look: bool, is_unsaved: Every) -> Iterator[Event]:
    """The events that are due after a step: losses if `report`, gradient conflicts, a quick `look`, an evaluation, a checkpoint."""
    step, config = trainer.progress.step, trainer.config
    trainer.look_at_corrections()
    if report:
        yield trainer.report()
    if found := trainer.conflicts.finish(step):
        yield found
    if trainer.is_at_end or step % (config.eval_every or trainer.steps_per_epoch) == 0:
        yield from _evaluate_and_save(trainer)
        looks.postpone()
        return
    if look:
        yield looks.take()
        yield from trainer.pins.look()
    if config.checkpoint_every and step % config.checkpoint_every == 0 or is_unsaved():
        yield from save(trainer)


def _evaluate_and_save(trainer: Trainer) -> Iterator[Event]:
    """Score the validation rows; save the weights as `last`, and as `best` if they are."""
    now = trainer.progress
    scores, event = _evaluate(trainer, trainer.validation_split)
    now.evaluated = now.step
    if is_best := now.best_score is None or event.score > now.best_score:
        now.best_score, now.best_step = event.score, now.step
    now.stale = 0 if is_best else now.stale + 1
    yield replace(event, is_best=is_best)
    yield from trainer.pins.look(must=True) if trainer.is_finished else trainer.pins.look(scores.hit_counts)
    keep_hit_counts(trainer, scores.hit_counts)
    if is_best:
        yield from save(trainer, BEST, scores.hit_counts, measure_int8_cost(trainer, scores.hit_counts))
    if trainer.config.keep_epochs and now.step % trainer.steps_per_epoch == 0:
        yield from save(trainer, f"epoch-{now.step // trainer.steps_per_epoch:03d}", scores.hit_counts)
    yield from save(trainer)


def _evaluate(trainer: Trainer, split: Split) -> tuple[Scores, Evaluated]:
    start, scores = time.perf_counter(), trainer.evaluate(split, trainer.model)
    measured = scores.losses, scores.scores, scores.everything_right
    return scores, Evaluated(trainer.progress.step, trainer.epoch, "validation", *measured, trainer.criterion.score(*measured),
                             is_best=False, seconds=time.perf_counter() - start, by=trainer.criterion.by)


def _divergence(trainer: Trainer, step: TrainingStep) -> str:
    """A message about which loss or gradient is not a number any more. All processes must call it."""
    kept = saved_step(trainer.run / LAST)
    parts = trainer.processes.gather({task: loss.item() for task, loss in step.losses.items()})
    bad = [task for task in step.targets if not math.isfinite(sum(part.get(task, 0.0) for part in parts))]
    what = f"the loss of {' and '.join(map(repr, bad))}" if bad else f"the gradient of {' + '.join(map(repr, step.targets))}"
    saved = f"the checkpoint of step {kept} is kept" if kept else "no checkpoint was saved before"
    return (f"Step {trainer.progress.step + 1}: {what} is not a number any more, so this step was not taken and the run ends; {saved}. "
            f"Lower the learning rates (now {trainer.rates[0]:g} and {trainer.rates[1]:g}), or leave them empty: then they fit the model.")


def _stop(trainer: Trainer) -> Iterator[Event]:
    """The end of a run that was stopped: unlogged losses, a checkpoint, and the step that a resume starts from."""
    if report := trainer.report():
        yield report
    yield from trainer.pins.look(must=True)
    yield from save(trainer)
    kept = saved_step(trainer.run / LAST)  # on a full disk an older one
    onward = f"goes on from step {kept}" if kept else "begins anew"
    yield StatusChanged("stopped", f"Stopped at step {trainer.progress.step}. Resume {onward}.")


def _finished(trainer: Trainer) -> StatusChanged:
    """The end of the plan, or of patience. Test rows stay untouched: they are scored once, when the user asks for it."""
    now, patience, by = trainer.progress, trainer.config.patience, trainer.criterion.by
    early = f" early, after {many(patience, 'evaluation')} without a better score," if not trainer.is_at_end else (
        " as soon as all corrections were right," if now.learned > 1 else "")
    return StatusChanged("finished", f"Finished{early} at step {now.step}. The best step was {now.best_step}: {by} "
                                     f"{shown(by, now.best_score)}.")
