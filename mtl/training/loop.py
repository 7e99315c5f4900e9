"""The joint loop: `train` yields what happens, event by event. Headless: it knows no page, no threads, no terminal, and decides nothing
about a run but the training itself."""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState

from mtl.data.dataset import LAID_OUT
from mtl.data.kept import load_run
from mtl.data.readers import Progress, no_progress
from mtl.model.machine import Machine, find_machine, use_threads
from mtl.model.split import sample
from mtl.runs.checkpoint import BEST, LAST, PREVIOUS, drop_damaged_last, newest_checkpoint, sweep
from mtl.runs.events import Event, Notice, StatusChanged
from mtl.settings.config import RunConfig
from mtl.text import many
from mtl.training.trainer import Learner

LOGGED_STEPS = 1000  # a run logs its steps in so many events at most, each the mean since the last, beside those that time makes due
LOOKS = 500  # likewise at most so many looks at the tasks' gradients
FIRST_LOOK = 24  # dev rows: fewer than a batch, as somebody waits for the first point
BetweenSteps = Callable[[Learner], bool]


def train(config: RunConfig, run: Path, *, resume: bool = False, between_steps: BetweenSteps = lambda learner: False,
          progress: Progress = no_progress) -> Iterator[Event]:
    """Train as `config` says in the folder `run`, yielding events; `resume` goes on from its newest whole checkpoint.

    `between_steps(learner)` is called before every step, when the model is at rest: it may copy it, wait (a pause), or return True
    to stop, which ends the run like any other, with its checkpoint. `progress` hears how far the data is prepared. Ends with
    StatusChanged 'finished' or 'stopped'; raises MtlError on bad data, settings that do not fit, or a loss that is no number.
    """
    world = join_processes(config.device)
    checkpoint, facts, complaints = newest_checkpoint(run) if resume else (None, {}, [])
    machine = _machine(config, facts, world)
    use_threads(machine.threads)
    laid_out = run / LAID_OUT / str(world.process_index if world else 0)
    shutil.rmtree(laid_out, ignore_errors=True)  # of a process that was killed
    dataset = load_run(config, run, laid_out, progress, is_first=not world or world.process_index == 0,
                       expected=facts.get("data", ""))
    learner = Learner(config, run, dataset, machine, world, laid_out, progress)
    if learner.rank == 0:
        sweep(run)
        if checkpoint and checkpoint.name == PREVIOUS:
            drop_damaged_last(run)
    notices = [Notice(complaint, "warning") for complaint in complaints] + (
        list(learner.restore(checkpoint, facts)) if checkpoint else [])
    yield learner.started()
    yield from notices + [Notice(notice) for notice in [*dataset.notices, *_truncated(learner)]]
    yield StatusChanged("running")

    if learner.progress.step == 0:  # where it starts from: what chance gives, which a few rows can tell while somebody waits
        yield replace(learner.evaluate(sample(learner.dev_split, FIRST_LOOK, config.seed), "dev", learner.model), is_best=False)
    log_every = -(-learner.total_steps // LOGGED_STEPS)
    learner.stepper.diagnoser.at_most_every(-(-learner.total_steps // LOOKS))
    while learner.progress.step < learner.total_steps and not learner.patience_is_over:
        epoch, done = divmod(learner.progress.step, learner.steps_per_epoch)
        for step in learner.plan(epoch)[done:]:
            stop, is_due = learner.agreed(between_steps(learner), learner.is_long_untold)
            if stop:
                if learner.stepper.window.rows:
                    yield learner.step_done()
                yield from learner.save(LAST, resumable=True)
                onward = f"goes on from step {learner.kept_step()}" if learner.kept_step() else "begins anew"
                yield StatusChanged("stopped", f"Stopped at step {learner.progress.step}. Resume {onward}.")
                return
            learner.optimize(step)
            now = learner.progress.step
            last = now == learner.total_steps
            if now % log_every == 0 or last or is_due:
                yield learner.step_done()
            if found := learner.stepper.diagnoser.told(now):
                yield found
            if last or now % (config.eval_every or learner.steps_per_epoch) == 0:
                yield from _evaluate_and_save(learner, now)
            elif config.checkpoint_every and now % config.checkpoint_every == 0:
                yield from learner.save(LAST, resumable=True)
            if last or learner.patience_is_over:
                break
    yield from _finish(learner)


def join_processes(device: str) -> PartialState | None:
    """The other processes of a distributed run and this one's place among them; None if a launcher started none."""
    if int(os.environ.get("WORLD_SIZE", 1)) == 1:
        return None
    return PartialState(cpu=device == "cpu" or not torch.cuda.is_available())


def _evaluate_and_save(learner: Learner, step: int) -> Iterator[Event]:
    """A look at dev; the weights are kept as best if they are, and always as last."""
    evaluated = learner.evaluate(learner.dev_split, "dev", learner.model)
    learner.note_score(evaluated)
    yield evaluated
    learner.keep_look()
    if evaluated.is_best:
        learner.model.config.int8_cost_bound = learner.int8_cost_bound()
        yield from learner.save(BEST, resumable=False)
        learner.model.config.int8_cost_bound = None  # of these weights, and no others
    if learner.config.keep_epochs and step % learner.steps_per_epoch == 0:
        yield from learner.save(f"epoch-{step // learner.steps_per_epoch:03d}", resumable=False)
    yield from learner.save(LAST, resumable=True)


def _finish(learner: Learner) -> Iterator[Event]:
    """The end, in words. The test rows are left alone: measuring.py measures them, once, when somebody asks."""
    at, config = learner.progress, learner.config
    early = f" early, after {config.patience} evaluations without a better score," if at.step < learner.total_steps else ""
    message = f"Finished{early} at step {at.step}. The best dev score, {at.best_score:.1%}, was at step {at.best_step}."
    yield StatusChanged("finished", message)


def _machine(config: RunConfig, facts: dict[str, Any], world: PartialState | None) -> Machine:
    """The machine asked for; a resumed run keeps what was decided when it began, if it is still there."""
    before = facts.get("machine", {})
    processes = world.num_processes if world else 1
    wanted = find_machine(config.device, config.precision, config.threads, processes)
    if before and before["device"].split(":")[0] == wanted.device and facts["processes"] == processes:
        wanted = Machine(wanted.device, before["precision"], before["threads"])
    if world and world.device.type != "cpu":  # each process its own GPU
        wanted = Machine(str(world.device), wanted.precision, wanted.threads)
    return wanted


def _truncated(learner: Learner) -> list[str]:
    """A sentence if texts were cut."""
    cut = learner.train_split.cut
    if not cut:
        return []
    rest = "is longer than {} subwords and was" if cut == 1 else "are longer than {} subwords and were"
    return [f"{cut:,} of {many(len(learner.train_split.rows), 'training row')} {rest.format(learner.model.config.max_length)} cut. "
            "Raise Max length (max_length) to keep them whole."]

