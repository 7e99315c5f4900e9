"""Learner: one run's model, optimizer and place in its plan, and what can be done with them: a step, a look at a split, a checkpoint.
When each is done, is training.py's to decide."""

import copy
import math
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import PartialState
from accelerate.utils import gather_object
from torch import Tensor, nn

from mtl.data.cooccurrence import find_hints
from mtl.data.rows import Dataset
from mtl.errors import MtlError
from mtl.inference.answer import answer, merge
from mtl.inference.fused_bert import HAS_INT8, accelerate, is_known
from mtl.model.encoder import load_encoder, longest_input
from mtl.model.loading import put_weights
from mtl.model.machine import Machine
from mtl.model.multitask import MultiTaskModel, at_rest, build_model, count_parameters, freeze_lowest, learned_weights
from mtl.model.packing import can_pack
from mtl.model.split import Split, batches_for, make_split, sample, sample_places, with_states
from mtl.runs.checkpoint import LAST, LOOKS, TALLIES, read_facts, save_checkpoint, write_tallies
from mtl.runs.events import CheckpointSaved, Evaluated, Event, Notice, RunStarted, StepDone
from mtl.scoring.intervals import cost_bound
from mtl.scoring.scores import score, tally_rows
from mtl.settings.config import RunConfig
from mtl.settings.methods import refusal_of_processes
from mtl.training.sampling import Draw, Pool, Step, plan_epoch
from mtl.training.step import Stepper, rate_factor

OPTIMIZER, BALANCER = "optimizer.pt", "balancer.pt"
TOLD_EVERY, TOLD_SHARE = 5.0, 0.005  # of the seconds spent training
KEPT_LOOKS = 2000  # so many looks of a run keep their tallies, which take 1 KB for 700 rows
INT8_ROWS = 2000  # dev rows at most, on which it is measured what 8 bits cost


@dataclass
class Progress:
    """Where a run stands; with the weights and the optimizer it is all that exact resume needs, since the plan of the rows, the learning
    rate and each step's randomness are functions of seed and step."""

    step: int = 0
    best_score: float = -1.0
    best_step: int = 0
    stale: int = 0  # evaluations since the best one
    seconds: float = 0.0


class Learner:
    """Everything that one run holds in memory; the methods are the verbs of the story that training.py tells."""

    def __init__(self, config: RunConfig, run: Path, dataset: Dataset, machine: Machine, world: PartialState | None,
                 laid_out: Path, progress: Callable[[str, float], None] = lambda what, share: None) -> None:
        self.config, self.run, self.dataset, self.machine = config, run, dataset, machine
        self.rank, self.processes = (world.process_index, world.num_processes) if world else (0, 1)
        self.weights = config.loss_weights([spec.name for spec in dataset.tasks])
        if problem := refusal_of_processes(config.balancing, self.processes):
            raise MtlError(problem)
        encoder, self.tokenizer = load_encoder(config.encoder, [row.text for row in dataset.train], config.seed)
        longest = min(config.max_length, longest_input(encoder))
        packs = config.fine_tuning != "heads" and config.pooling != "pooler" and can_pack(encoder, longest)
        self.model = build_model(encoder, dataset.tasks, pooling=config.pooling, normalize=config.normalize, dropout=config.dropout,
                                 encoder_dropout=config.encoder_dropout, max_length=longest, base=config.encoder,
                                 lora_rank=config.lora_rank if config.fine_tuning == "lora" else 0,
                                 only_heads=config.fine_tuning == "heads", seed=config.seed).to(machine.device)
        freeze_lowest(self.model, config.frozen_layers, config.freeze_embeddings and config.encoder != "tiny")
        self.model.config.hints = [asdict(hint) for hint in find_hints(dataset.train, dataset.tasks)]
        self.tasks = list(self.model.tasks.values())
        self.train_split, self.dev_split = (  # test rows are not looked at here
            make_split(self.tokenizer, self.tasks, rows, longest, laid_out / f"{name}-examples.arrow", progress)
            for name, rows in (("train", dataset.train), ("dev", dataset.dev)))
        if config.fine_tuning == "heads":
            self.train_split = with_states(self.train_split, self.model, machine, laid_out / "train-states", progress)
            self.dev_split = with_states(self.dev_split, self.model, machine, laid_out / "dev-states", progress)
        self.pool = Pool(self._labelled(), config.batch_size * config.accumulation * self.processes,
                         None if packs or self.train_split.states else self.train_split.lengths)
        self.parallel = self.model
        if world:
            self.parallel = nn.parallel.DistributedDataParallel(self.model, find_unused_parameters=self._leaves_heads_out())
        weights = {task: self.weights[task] for task in self.pool.labelled}
        self.stepper = Stepper(config, self.model, self.parallel, self.train_split, weights, self.tokenizer.pad_token_id, packs,
                               machine, self.rank, self.processes)
        self.steps_per_epoch = len(plan_epoch(config.sampling, self.pool, config.seed, Draw(0, 1, config.temperature)))
        self.total_steps = min(config.epochs * self.steps_per_epoch, config.max_steps or math.inf)
        self.progress = Progress()
        self._told_at: float | None = None  # seconds of training at the last StepDone of this process

    def _labelled(self) -> dict[str, np.ndarray]:
        """For each task with a weight above 0, which training rows have a target for it."""
        return {task: counts > 0 for task, counts in self.train_split.targets.items() if self.weights[task] > 0}

    def _leaves_heads_out(self) -> bool:
        """Whether there can be steps that some head, or a pooler that no task reads, takes no part in."""
        masks = self.pool.labelled.values()
        if self.config.pooling == "pooler" and all(task.reads != "sentence" for task in self.tasks):
            return True
        return self.config.sampling != "joint" or len(masks) < len(self.tasks) or not all(mask.all() for mask in masks)

    def plan(self, epoch: int) -> list[Step]:
        """The steps of `epoch`."""
        epochs = -(-self.total_steps // self.steps_per_epoch)
        return plan_epoch(self.config.sampling, self.pool, self.config.seed, Draw(epoch, epochs, self.config.temperature))

    def optimize(self, step: Step) -> None:
        """One optimizer step. Raises MtlError if the gradient is not a number."""
        factor = rate_factor(self.progress.step, self.total_steps, self.config.warmup, self.config.schedule)
        start = time.perf_counter()
        norm, sums = self.stepper.optimize(step, factor)
        if not math.isfinite(norm):
            raise MtlError(self._diverged(sums))
        self.progress.step = self.stepper.step
        self.progress.seconds += time.perf_counter() - start
        self._norm = norm

    def step_done(self) -> StepDone:
        """The event for the steps since the last one; there must be some."""
        self._told_at = self.progress.seconds
        rate = self.stepper.optimizer.param_groups[0]["lr"]
        return self.stepper.told(self.epoch, rate, self._norm, self.progress.seconds, self._gather)

    @property
    def is_long_untold(self) -> bool:
        """Whether the next step is due to be told, however many there are: it is the first of this process, or none was told for some
        seconds; of a long training, for a share of it, so that a week adds about 1,500 events."""
        seconds = self.progress.seconds
        return self._told_at is None or seconds - self._told_at > max(TOLD_EVERY, TOLD_SHARE * seconds)

    @property
    def patience_is_over(self) -> bool:
        """Whether the score has stopped getting better for as long as was asked."""
        return 0 < self.config.patience <= self.progress.stale

    @property
    def epoch(self) -> float:
        """How often the training rows have been seen."""
        return self.progress.step / self.steps_per_epoch

    def _diverged(self, sums: dict[str, Tensor]) -> str:
        parts = self._gather([{task: loss.item() for task, loss in sums.items()}])
        bad = [task for task in sums if not math.isfinite(sum(part[task] for part in parts))]
        what = f"the loss of {' and '.join(repr(task) for task in bad)}" if bad else f"the gradient of {' + '.join(map(repr, sums))}"
        kept = f"the checkpoint of step {self.kept_step()} is kept" if self.kept_step() else "no checkpoint was saved before"
        return (f"Step {self.progress.step + 1}: {what} is not a number any more, so this step was not taken and the run ends; {kept}. "
                f"Lower the learning rates (now {self.config.learning_rate:g} and {self.config.head_learning_rate:g}; "
                "1e-4 and 1e-3 are usual).")

    def kept_step(self) -> int:
        """The step of the newest checkpoint on disk, 0 if there is none."""
        try:
            return read_facts(self.run / LAST)["step"]
        except MtlError:
            return 0

    def _gather(self, items: list[Any]) -> list[Any]:
        return gather_object(items) if self.processes > 1 else items

    def agreed(self, *wishes: bool) -> list[bool]:
        """Which of the wishes any process has."""
        return [any(wish) for wish in zip(*self._gather([wishes]), strict=True)]

    def evaluate(self, split: Split, name: str, model: MultiTaskModel) -> Evaluated:
        """Losses and scores of `model` on `split`, each process answering its share of the batches."""
        start = time.perf_counter()
        model.eval()
        tasks = [task.name for task in self.tasks]
        mine = batches_for(split)[self.rank::self.processes]
        answers = merge(self._gather([answer(model, split.examples, mine, self.machine, tasks, split.states)]))
        got = score(self.tasks, split, answers, self.weights)
        self.tallies = got.tallies
        return Evaluated(self.progress.step, self.epoch, name, got.losses, got.scores, got.everything_right, got.score,
                         is_best=name == "dev" and got.score > self.progress.best_score, seconds=time.perf_counter() - start)

    def int8_cost_bound(self) -> float | None:
        """With 95 % confidence, the most that any task's main score, as just measured on dev, falls when the encoder is computed in 8
        bits. Prediction decides by it. None where that is not known how to do, would take longer than the training itself, or a task has
        no dev label.

        The largest of the tasks' 95 % bounds needs no correction for their number: it can be too low only if the bound of the task that
        loses most is (Berger, 1982).
        """
        if not HAS_INT8 or self.rank or self.dev_split.states is not None or not is_known(self.model):
            return None
        places = sample_places(len(self.dev_split.rows), INT8_ROWS, self.config.seed)
        part, cpu = sample(self.dev_split, INT8_ROWS, self.config.seed), Machine("cpu", "fp32", self.machine.threads)
        fast = accelerate(at_rest(copy.deepcopy(self.model).cpu()), "int8")[0]
        made = answer(fast, part.examples, batches_for(part), cpu, list(fast.tasks)).predictions
        after = {task.name: tally_rows(task, part.rows, [made[index][task.name] for index in range(len(places))]) for task in self.tasks}
        worst = max(cost_bound(self.tallies[name][places], tally) for name, tally in after.items())
        return worst if math.isfinite(worst) else None

    def keep_look(self) -> None:
        """Keep the tallies of the last look at dev, if the run's folder has a place for them. Of more than KEPT_LOOKS looks only every
        second one (third, ...) is kept, and the last."""
        step, every = self.progress.step, self.config.eval_every or self.steps_per_epoch
        stride = every * -(-self.total_steps // (every * KEPT_LOOKS))
        if self.rank == 0 and (self.run / LOOKS).is_dir() and (step % stride == 0 or step == self.total_steps):
            write_tallies(self.run / LOOKS / f"{step}.npz", self.tallies)

    def note_score(self, evaluated: Evaluated) -> None:
        """Remember whether the score was a new best."""
        if evaluated.is_best:
            self.progress.best_score, self.progress.best_step, self.progress.stale = evaluated.score, evaluated.step, 0
        else:
            self.progress.stale += 1

    def save(self, name: str, *, resumable: bool) -> Iterator[Event]:
        """Write a checkpoint; a full disk is told and training goes on."""
        start = time.perf_counter()
        try:
            if self.rank == 0:
                save_checkpoint(self.run, name, lambda folder: self._write(folder, resumable), self._facts())
            yield CheckpointSaved(self.progress.step, name, time.perf_counter() - start)
        except MtlError as error:
            yield Notice(str(error), "warning")

    def _write(self, folder: Path, resumable: bool) -> None:
        self.model.save_pretrained(folder, state_dict=learned_weights(self.model))
        self.tokenizer.save_pretrained(folder)
        if resumable:
            torch.save(self.stepper.optimizer.state_dict(), folder / OPTIMIZER)
            if state := self.stepper.balancer.state():
                torch.save(state, folder / BALANCER)
        else:
            write_tallies(folder / TALLIES, self.tallies)

    def _facts(self) -> dict[str, Any]:
        return {"step": self.progress.step, "progress": asdict(self.progress), "data": self.dataset.fingerprint,
                "config": self.config.model_dump(mode="json"), "machine": asdict(self.machine), "processes": self.processes,
                "torch": torch.__version__}

    def restore(self, checkpoint: Path, facts: dict[str, Any]) -> Iterator[Event]:
        """Go back to `checkpoint`; raises MtlError if it belongs to other data or settings, says so if it cannot be bit-exact."""
        if facts["data"] != self.dataset.fingerprint:
            raise MtlError("The data is not the same as when this run began, so it cannot be resumed. Either a file was changed, or this "
                           "version of the program reads or splits the rows in another way than the one that began the run. Start a new "
                           "run, or resume this one with the files and the version that it began with.")
        changed = [name for name, value in self.config.model_dump(mode="json").items() if facts["config"].get(name, value) != value]
        if changed:
            raise MtlError(f"The settings {', '.join(changed)} are not the ones that this run began with, so it cannot be resumed. "
                           "Start a new run.")
        put_weights(self.model, checkpoint)
        self.stepper.optimizer.load_state_dict(self._load(checkpoint / OPTIMIZER))
        if (checkpoint / BALANCER).exists():
            self.stepper.balancer.restore(self._load(checkpoint / BALANCER))
        self.progress = Progress(**facts["progress"])
        self.stepper.step = self.progress.step
        now = {"machine": asdict(self.machine), "processes": self.processes, "torch": torch.__version__}
        if any(facts[key] != value for key, value in now.items()):
            yield Notice("Resumed on another machine, number of processes or torch version: the result will be close to that of an "
                         "unbroken run, but not bit for bit the same.", "warning")

    def _load(self, file: Path) -> Any:
        return torch.load(file, map_location=self.machine.device, weights_only=True)

    def started(self) -> RunStarted:
        """The event that opens the log of a (resumed) training."""
        def labelled(split: Split) -> Counter[str]:
            return Counter(name for row in split.rows for name, value in row.values.items() if value is not None)

        train, dev = labelled(self.train_split), labelled(self.dev_split)
        tasks = {task.name: {"kind": task.spec.kind, "labels": list(task.spec.labels), "train_rows": train[task.name],
                             "dev_rows": dev[task.name], "weight": self.weights[task.name], "main_score": task.main_score}
                 for task in self.tasks}
        return RunStarted(self.progress.step, self.total_steps, self.steps_per_epoch, tasks, len(self.train_split.rows),
                          len(self.dev_split.rows), count_parameters(self.model), self.machine.device, self.machine.precision,
                          self.machine.threads, self.processes, os.getpid(), count_parameters(self.model, only_trainable=True))
