"""Trainer: what one run holds in memory (model, optimizer, balancer, encoded rows, its place in the plan) and the parts of a step."""

import math
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, replace
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerFast

from mtl.data.cooccurrence import find_hints
from mtl.data.readers import Progress, no_progress
from mtl.data.rows import Dataset, Row
from mtl.data.store import take
from mtl.errors import MtlError, SettingError
from mtl.inference.predictor import answer, merge
from mtl.model.batching import by_length, collate, encode
from mtl.model.encoder import load_encoder, longest_input
from mtl.model.loading import load_model, load_tokenizer, read_weights
from mtl.model.machine import Machine
from mtl.model.multitask import MultiTaskConfig, MultiTaskModel, build_model, freeze_lowest, learned_weights, parameter_groups
from mtl.model.packing import can_pack, pack
from mtl.model.randomness import seeded_dropout
from mtl.model.split import Split, compute_features, make_split, sample_places
from mtl.runs.checkpoint import START
from mtl.runs.events import RunStarted, StepDone
from mtl.runs.folder import Run
from mtl.scoring.scores import Scores, score, tune
from mtl.settings.best import Criterion, refusal_of_best
from mtl.settings.config import RunConfig
from mtl.settings.methods import refusal_of_processes
from mtl.settings.rates import auto_epochs, auto_rates
from mtl.settings.steering import Steered
from mtl.tasks.base import IGNORED, Prediction
from mtl.training.balancing import UNCERTAINTY_RATE, Balancer, chance_loss, make_balancer
from mtl.training.gradient_conflict import ConflictMeter, last_layer
from mtl.training.pins import Pins
from mtl.training.processes import ALONE, Processes
from mtl.training.sampling import Pool, Step, plan_epoch
from mtl.training.steering import Steering
from mtl.training.step import MicroBatch, StepLog, TrainingProgress, TrainingStep, cut_into_batches, seed_of
from mtl.training.teach import read_taught

CHANCE_ROWS = 2000  # enough to know how frequent the labels are
LOOK_EVERY = 4  # steps between two looks at corrections


class Trainer:
    """Everything that one process of a run holds in memory."""

    def __init__(self, config: RunConfig, run: Path, dataset: Dataset, machine: Machine, scratch: Path,
                 processes: Processes = ALONE, show: Progress = no_progress, logged: Sequence[Steered] = ()) -> None:
        """Load the encoder, encode the rows of `dataset` (in files in the folder `scratch` if they are many), and build the rest. `logged`:
        the changes that the log of a resumed run has."""
        if problem := refusal_of_processes(config.balancing, processes.count):
            raise MtlError(problem)
        self.config, self.run, self.dataset, self.machine, self.processes = config, run, dataset, machine, processes
        self.weights = config.loss_weights([spec.name for spec in dataset.tasks])
        self.steering = Steering(config.steering, logged, self.weights)
        model, self.tokenizer = _take_up(run / START, config) if (run / START).is_dir() else _make_model(config, dataset)
        # pretrained word embeddings know more words than the training rows have; those of 'tiny' have learned nothing yet
        freeze_lowest(model, config.frozen_layers, config.freeze_embeddings and config.encoder != "tiny")
        self._packs = (config.fine_tuning != "heads" and config.pooling != "pooler"
                       and can_pack(model.encoder.eval(), model.config.max_length))
        self.model = model.to(machine.device)
        self.tasks = list(self.model.tasks.values())
        self.train_split = self._make_split("train", dataset.train, scratch, show)
        self.validation_split = self._make_split("validation", dataset.validation, scratch, show)  # training never uses test rows
        if problem := refusal_of_best(config.best, [task for task, counts in self.validation_split.targets.items() if counts.any()]):
            raise SettingError("Best", "best", problem)
        self.criterion = Criterion(config.best, {task.name: {"main_score": task.main_score, "weight": self.weights[task.name]}
                                                 for task in self.tasks})
        labelled = {task: counts > 0 for task, counts in self.train_split.targets.items() if self.weights[task] > 0}
        # padding costs nothing if texts are packed, or if a frozen encoder has encoded them already: then rows need no order by length
        step_rows = config.batch_size * config.accumulation * processes.count
        self.pool = Pool(labelled, step_rows, None if self._packs or self.train_split.features else self.train_split.lengths)
        first_epoch = plan_epoch(config.sampling, self.pool, config.seed, temperature=config.temperature)
        self.steps_per_epoch = len(first_epoch)
        epochs = config.epochs or auto_epochs(self.steps_per_epoch)
        self.total_steps = min(epochs * self.steps_per_epoch, config.max_steps or math.inf)
        self.wrapped: nn.Module = self.model  # for forward passes in training
        if torch.distributed.is_initialized():
            some_unused = (config.pooling == "pooler" and all(task.reads != "sentence" for task in self.tasks)
                           or not all(mask.all() for mask in labelled.values())
                           or any(step.owners is not None or len(step.tasks) < len(self.tasks) for step in first_epoch))
            self.wrapped = nn.parallel.DistributedDataParallel(self.model, find_unused_parameters=some_unused)  # averages gradients
        self.balancer = self.new_balancer()
        automatic = auto_rates(config.encoder, config.fine_tuning, step_rows, model.config.encoder.hidden_size)
        self.rates = config.learning_rate or automatic[0], config.head_learning_rate or automatic[1]  # of the encoder, and of the heads
        groups = parameter_groups(self.model, *self.rates, config.weight_decay)
        if own := self.balancer.parameters():
            groups.append({"params": own, "lr": UNCERTAINTY_RATE, "base_lr": UNCERTAINTY_RATE, "weight_decay": 0.0})
        self.optimizer = torch.optim.AdamW(groups, fused=True)
        self.conflicts = ConflictMeter(list(labelled), last_layer(self.model.encoder), config.diagnose_every, self.total_steps)
        self.progress = TrainingProgress()
        self.corrections = taught.corrections if (taught := read_taught(Run(run))) else 0  # the first training rows
        self.log = StepLog(self.total_steps)
        self.pins = Pins(self.predict, self.tasks, dataset.validation, config.seed, self.progress)

    def _make_split(self, name: str, rows: Sequence[Row], scratch: Path, show: Progress) -> Split:
        split = make_split(self.tokenizer, self.tasks, rows, self.model.config.max_length, scratch / f"{name}-examples.arrow", show)
        if self.config.fine_tuning == "heads":  # the encoder never changes, so it encodes every text once, now
            file = scratch / f"{name}-features"
            split = replace(split, features=compute_features(self.model, split.examples, split.lengths, self.machine, file, show))
        return split

    def new_balancer(self) -> Balancer:
        """A balancer for this run that has learned nothing yet."""
        trained = [weight for weight in self.model.encoder.parameters() if weight.requires_grad]
        split, chance = self.train_split, {}
        for task, counts in split.targets.items():  # of rows of its own: in rows of all tasks, a small one may have hardly any
            places = np.flatnonzero(counts)
            places = places[sample_places(len(places), CHANCE_ROWS, self.config.seed)]
            ids = chain.from_iterable(np.atleast_1d(labels[task]).tolist() for _, labels in take(split.examples, places))
            chance[task] = self.model.tasks[task].chance or chance_loss(ids, int(counts[places].sum()))
        return make_balancer(self.config.balancing, {task: self.weights[task] for task in self.pool.labelled}, trained,
                             list(self.model.heads.parameters()), self.machine.device, chance)

    @property
    def epoch(self) -> float:
        """How often the training rows were used so far."""
        return self.progress.step / self.steps_per_epoch

    @property
    def is_finished(self) -> bool:
        """Whether all steps are done, or `patience` evaluations have passed without a better score."""
        return self.is_at_end or 0 < self.config.patience <= self.progress.stale

    @property
    def is_at_end(self) -> bool:
        """Whether all steps are done, or all corrections are learned."""
        return self.progress.step >= self.total_steps or self.progress.learned > 1

    def plan(self, epoch: int) -> list[Step]:
        """The steps of `epoch` (from 0)."""
        epochs = -(-self.total_steps // self.steps_per_epoch)
        return plan_epoch(self.config.sampling, self.pool, self.config.seed, epoch, epochs, self.config.temperature)

    def begin(self, planned: Step) -> TrainingStep:
        """Cut a step of the plan into batches, give it its seeds, and prepare model and balancer for it."""
        counts, rank, processes = self.train_split.targets, self.processes.rank, self.processes.count
        targets = {task: total for task in planned.tasks if (total := int(counts[task][planned.rows[planned.serves(task)]].sum()))}
        batches = cut_into_batches(planned, rank, processes, self.config.batch_size, counts, list(targets), self.balancer.by_task)
        self.model.train()  # an evaluation between two steps may have left it in eval mode
        steered = self.steering.at(self.progress.step)
        factors = self.balancer.steer(steered.weights)
        seed = seed_of(self.config.seed, self.progress.step)
        self.balancer.begin(seed, len(batches), processes, {task: planned.share_of(task) * factors.get(task, 1.0) for task in targets})
        return TrainingStep(planned, batches, targets, seed_of(self.config.seed, self.progress.step, rank), steered, factors)

    def forward(self, batch: MicroBatch) -> dict[str, Tensor]:
        """One encoder pass over a batch; returns the loss of each of its tasks, summed over its labels."""
        encodings, ids = zip(*take(self.train_split.examples, batch.rows), strict=True)
        tasks, device = [self.model.tasks[task] for task in batch.tasks], self.machine.device
        inputs = collate(encodings, self.tokenizer.pad_token_id, ids, tasks)
        for task, rows in batch.ignored.items():
            inputs["labels"][task][torch.from_numpy(rows)] = IGNORED
        features = self.train_split.features and self.train_split.features.batch(batch.rows).to(device)
        packing = pack([len(encoding.ids) for encoding in encodings]).to(device) if self._packs else None
        labels = {task: of_task.to(device) for task, of_task in inputs["labels"].items()}
        with self.machine.autocast():
            return self.wrapped(inputs["input_ids"].to(device), inputs["attention_mask"].to(device), labels, hidden_states=features,
                                packing=packing).losses

    def look_at_corrections(self) -> None:
        """Every few steps of a run that learns from corrections, see whether it has them all right. After two such looks in a row it ends,
        and goes back as far as it can, so that it forgets no more than it must."""
        if self.corrections and (self.is_at_end or self.progress.step % LOOK_EVERY == 0):
            self.progress.learned = self.progress.learned + 1 if all(right := self._right_corrections()) else 0
            if self.is_at_end:
                self._go_back(right)

    def _right_corrections(self) -> list[bool]:
        """Of each correction, whether the model has it right as it is now."""
        self.model.eval()  # the next step sets it back
        rows, split = range(self.corrections), self.train_split
        made = answer(self.model, split.examples, by_length(split.lengths[rows].tolist(), 32), self.machine, list(self.model.tasks),
                      split.features).in_order()
        return [all(gold.agrees(guess[task].value) for task, gold in row.values.items() if gold is not None)
                for row, guess in zip(take(split.rows, rows), made, strict=True)]

    def _go_back(self, right: list[bool]) -> None:
        """Move the weights towards those that the run began with, as long as all corrections that are `right` stay so: on the line between
        a model and one that was trained further there are some that know both (Wortsman et al., 2022, https://arxiv.org/abs/2109.01903)."""
        begun, now = read_weights(self.run / START), {name: weight.clone() for name, weight in learned_weights(self.model).items()}

        def put(part: float) -> None:
            self.model.load_state_dict({name: begun[name].to(weight.device).lerp(weight, part) if weight.is_floating_point() else weight
                                        for name, weight in now.items()}, strict=False)

        for eighths in range(1, 8):
            put(eighths / 8)
            if all(still for still, before in zip(self._right_corrections(), right, strict=True) if before):
                break
        put((eighths + 1) / 8)  # an eighth more, so that they are right by a margin; or all of it

    def second_pass(self, step: TrainingStep) -> None:
        """Give the balancer the losses of the step's rows after the optimizer's step, with the same dropout. Such a step is one batch."""
        with torch.no_grad(), seeded_dropout(step.dropout_seed, self.machine.device):
            self.balancer.update(step.means(self.forward(step.batches[0])))

    def report(self) -> StepDone | None:
        """The event for the steps since the last event, or None. All processes must call it."""
        return self.log.take(self.progress.step, self.epoch, self.progress.seconds, self.processes.gather)

    def evaluate(self, split: Split, model: MultiTaskModel) -> Scores:
        """Losses and scores of `model` on `split`; each process computes a share of the batches. Leaves the model in eval mode."""
        model.eval()
        model.set_tuned({}, {})  # `tune` fits a new calibration
        mine = split.batches()[self.processes.rank::self.processes.count]
        answers = answer(model, split.examples, mine, self.machine, [task.name for task in self.tasks], split.features)
        return score(self.tasks, split, tune(model, split, merge(self.processes.gather(answers))), self.weights)

    def predict(self, texts: Sequence[str]) -> list[dict[str, Prediction]]:
        """What the model says of a few `texts` now, under the calibration of the last evaluation. Leaves the model in eval mode."""
        self.model.eval()
        examples = [(encoding, None) for encoding in encode(self.tokenizer, texts, self.model.config.max_length)]
        names = [task.name for task in self.tasks]
        return answer(self.model, examples, [list(range(len(texts)))], self.machine, names).in_order()

    def started(self) -> RunStarted:
        """The first event of a training, new or resumed."""
        train, validation = (Counter(name for row in split.rows for name, value in row.values.items() if value is not None)
                             for split in (self.train_split, self.validation_split))
        tasks = {task.name: {"kind": task.spec.kind, "labels": list(task.spec.labels), "train_rows": train[task.name],
                             "validation_rows": validation[task.name], "weight": self.weights[task.name], "main_score": task.main_score}
                 for task in self.tasks}
        return RunStarted(self.progress.step, self.total_steps, self.steps_per_epoch, tasks, len(self.train_split.rows),
                          len(self.validation_split.rows), self.model.num_parameters(), self.machine.device, self.machine.precision,
                          self.machine.threads, self.processes.count, os.getpid(), self.model.num_parameters(only_trainable=True),
                          self.rates[0] if self.config.fine_tuning != "heads" else None, self.rates[1],
                          self.config.eval_every or self.steps_per_epoch, round(float(self.train_split.lengths.mean()), 1))


def _make_model(config: RunConfig, dataset: Dataset) -> tuple[MultiTaskModel, PreTrainedTokenizerFast]:
    """The model for `config`, on the CPU, and its tokenizer."""
    encoder, tokenizer = load_encoder(config.encoder, [row.text for row in dataset.train], config.seed)
    of_model = MultiTaskConfig(tasks=[spec.model_dump(mode="json") for spec in dataset.tasks], pooling=config.pooling,
                               normalize=config.normalize, dropout=config.dropout, base=config.encoder,
                               max_length=min(config.max_length, longest_input(encoder)),
                               lora_rank=config.lora_rank if config.fine_tuning == "lora" else 0, only_heads=config.fine_tuning == "heads",
                               hints=[asdict(hint) for hint in find_hints(dataset.train, dataset.tasks)])
    return build_model(encoder, of_model, config.encoder_dropout, config.seed), tokenizer


def _take_up(checkpoint: Path, config: RunConfig) -> tuple[MultiTaskModel, PreTrainedTokenizerFast]:
    """The model in `checkpoint`, to go on with under `config`, and its tokenizer."""
    model = load_model(checkpoint, config.encoder_dropout)
    model.config.int8_cost_bound, model.config.name_or_path = None, ""  # of other weights; a folder on this machine
    return model, load_tokenizer(checkpoint)
