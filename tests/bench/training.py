"""Training beside what a user would otherwise run: real sentences per second, and how much of what the machine can do that is.

    python tests/bench/training.py [--batch-size 32] [--rounds 5] [--steps 8]
    python tests/bench/training.py --until 0.8     # seconds from the start to that share of validation rows with everything right, beside
Trainer

SNIPS (newsroom where it is absent), every task jointly, the bundled encoder, all cores. Contestants take turns, a few steps each round;
medians, and ratios of medians:

- ours: `mtl.training.loop.train` with the defaults, and with the word embeddings trained too, which is the work that the others do;
- trainer: transformers' Trainer on the same model and rows, dynamic padding, fused AdamW, the best of fp32 and bf16, at the same batch
  size; and the same with its batches grouped by length;
- textbook: batch 16, every sentence padded to 128 subwords, fp32, plain AdamW.

The roof is the rate of `torch.mm` at the encoder's own shapes, forward and backward. Useful work is 6 floating point operations per encoder
parameter (without embeddings) and real subword.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import cycle
from pathlib import Path

import numpy as np
import torch
import transformers
from torch import nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from mtl.data.dataset import load
from mtl.model.batching import collate
from mtl.model.machine import bf16_is_fast, cores, find_machine
from mtl.model.multitask import MultiTaskModel, parameter_groups
from mtl.runs.events import Evaluated, StepDone
from mtl.settings.config import RunConfig, make_config
from mtl.training.loop import train
from mtl.training.trainer import Trainer

SNIPS = Path(__file__).resolve().parents[3] / "shared" / "data" / "snips"


def make_settings(batch_size: int, **more: object) -> RunConfig:
    """Settings as a user would have them, apart from the data, and without quick looks, which the others do not take either."""
    files = {"source": "files", "train_files": (str(SNIPS / "train.jsonl"),), "validation_files": (str(SNIPS / "validation.jsonl"),)}
    return make_config((files if SNIPS.is_dir() else {}) | {"batch_size": batch_size, "quick_looks": False} | more)


class Ours:
    """Our own loop, as it is: planning, logging, diagnosis and all. It rests between two of its events."""

    def __init__(self, config: RunConfig, folder: Path) -> None:
        self.trainer: Trainer | None = None
        folder.mkdir()
        self.events = train(config, folder, between_steps=self._between)
        self._wait(1)

    def steps(self, count: int) -> tuple[int, int, float]:
        """Sentences, real subwords and seconds of `count` steps, after one to warm up."""
        torch.set_num_threads(self.trainer.machine.threads)
        self._wait(1)
        done = self.trainer.progress.step
        start = time.perf_counter()
        self._wait(count)
        seconds = time.perf_counter() - start
        rows = np.concatenate([step.rows for step in self.trainer.plan(0)[done:done + count]])
        return len(rows), int(self.trainer.train_split.lengths[rows].sum()), seconds

    def _between(self, trainer: Trainer) -> bool:
        self.trainer = trainer
        return False

    def _wait(self, steps: int) -> None:
        for event in self.events:  # a run this short logs every step
            steps -= isinstance(event, StepDone)
            if not steps:
                return


class OneLoss(nn.Module):
    """Our model, as Trainer wants one: the losses as one mean."""

    def __init__(self, model: MultiTaskModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor, **labels: torch.Tensor) -> dict[str, torch.Tensor]:
        out = self.model(input_ids, attention_mask, labels)
        return {"loss": sum(loss / (labels[task] >= 0).sum() for task, loss in out.losses.items())}


class Clock(TrainerCallback):
    """Notes when each step of a Trainer begins and ends; every so many steps asks `done` whether to stop."""

    def __init__(self, every: int = 0, done: Callable[[], bool] = lambda: False) -> None:
        self.times: list[float] = []
        self.every, self.done = every, done

    def on_step_begin(self, *args: object, **kwargs: object) -> None:
        self.times.append(time.perf_counter())

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object) -> None:
        if self.every and state.global_step % self.every == 0:
            control.should_training_stop = self.done()

    def on_train_end(self, *args: object, **kwargs: object) -> None:
        self.times.append(time.perf_counter())


class Theirs:
    """transformers' Trainer."""

    def __init__(self, trainer: Trainer, bf16: bool, grouped: bool, folder: Path) -> None:
        self.trainer, self.bf16, self.grouped, self.folder = trainer, bf16, grouped, folder
        self.seed = 0
        self.seen: list[int] = []

    def steps(self, count: int) -> tuple[int, int, float]:
        """As for Ours; other rows each time."""
        size, clock = self.trainer.config.batch_size, Clock()
        self.seed += 1
        self.train(clock, max_steps=count + 1)
        used = self.seen[size:(count + 1) * size]
        return len(used), sum(used), clock.times[-1] - clock.times[1]

    def train(self, clock: Clock, **settings: object) -> None:
        """Train with the parameter groups that our loop has."""
        trainer, config = self.trainer, self.trainer.config
        self.seen = []

        def gather(rows: list[dict]) -> dict[str, torch.Tensor]:
            encodings, labels = zip(*(row["example"] for row in rows), strict=True)
            self.seen.extend(len(encoding.ids) for encoding in encodings)
            batch = collate(encodings, trainer.tokenizer.pad_token_id, labels, trainer.tasks)
            return {"input_ids": batch["input_ids"], "attention_mask": batch["attention_mask"], **batch["labels"]}

        rows = [{"input_ids": example[0].ids, "example": example} for example in trainer.train_split.examples]
        arguments = TrainingArguments(
            output_dir=str(self.folder), per_device_train_batch_size=config.batch_size, bf16=self.bf16, use_cpu=True, report_to=[],
            save_strategy="no", logging_strategy="no", disable_tqdm=True, seed=self.seed, remove_unused_columns=False,
            warmup_steps=config.warmup, **({"train_sampling_strategy": "group_by_length"} if self.grouped else {}), **settings)
        groups = parameter_groups(trainer.model, *trainer.rates, config.weight_decay)
        optimizer = torch.optim.AdamW(groups, fused=True)
        transformers.Trainer(OneLoss(trainer.model), arguments, train_dataset=rows, data_collator=gather, callbacks=[clock],
                optimizers=(optimizer, None)).train()


class Textbook:
    """The loop of a tutorial: a fixed batch of 16, padded to 128, shuffled rows, plain AdamW on everything."""

    def __init__(self, trainer: Trainer) -> None:
        self.trainer = trainer
        self.optimizer = torch.optim.AdamW(trainer.model.parameters(), lr=2e-4)
        self.order = cycle(np.random.default_rng(1).permutation(len(trainer.train_split.rows)))

    def steps(self, count: int) -> tuple[int, int, float]:
        """As for Ours."""
        self._step()
        start = time.perf_counter()
        used = [length for _ in range(count) for length in self._step()]
        return len(used), sum(used), time.perf_counter() - start

    def _step(self) -> list[int]:
        trainer = self.trainer
        encodings, labels = zip(*(trainer.train_split.examples[next(self.order)] for _ in range(16)), strict=True)
        batch = collate(encodings, trainer.tokenizer.pad_token_id, labels, trainer.tasks)
        more = 128 - batch["input_ids"].shape[1]
        widen = nn.functional.pad
        of_tasks = {task: ids if ids.ndim == 1 else widen(ids, (0, more), value=-100) for task, ids in batch["labels"].items()}
        trainer.model.train()
        out = trainer.model(widen(batch["input_ids"], (0, more)), widen(batch["attention_mask"], (0, more)), of_tasks)
        loss = sum(loss / (of_tasks[task] >= 0).sum() for task, loss in out.losses.items())
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return [len(encoding.ids) for encoding in encodings]


def roof(model: MultiTaskModel, tokens: int, precision: str) -> Iterator[float]:
    """Floating point operations per second of the products that a step on `tokens` subwords consists of, endlessly, one trial each."""
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    shapes = [weight.shape for name, weight in model.encoder.named_parameters() if weight.ndim == 2 and "embeddings" not in name]
    products = [pair for out, into in shapes for pair in (
        (torch.ones(tokens, into, dtype=dtype), torch.ones(into, out, dtype=dtype)),  # forward
        (torch.ones(tokens, out, dtype=dtype), torch.ones(out, into, dtype=dtype)),   # backward, to what came in
        (torch.ones(out, tokens, dtype=dtype), torch.ones(tokens, into, dtype=dtype)))]  # backward, to the weights
    work = sum(6 * tokens * out * into for out, into in shapes)
    while True:
        start = time.perf_counter()
        for left, right in products:
            left @ right
        yield work / (time.perf_counter() - start)


def seconds_until(wanted: float, batch_size: int) -> None:
    """Seconds from the start, data and looks at validation included, until a look at validation finds so many rows right; two epochs at
    most."""
    every = 50
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for name, settings in {"ours": {}, "ours, embeddings trained": {"freeze_embeddings": False}}.items():
            config = make_settings(batch_size, device="cpu", epochs=2, eval_every=every, **settings)
            (folder / name).mkdir()
            start = time.perf_counter()
            for event in train(config, folder / name):
                if isinstance(event, Evaluated) and event.everything_right >= wanted:
                    break
            seconds = time.perf_counter() - start
            print(f"{name}: {seconds:.0f} s, step {event.step}, everything right {event.everything_right:.1%}", flush=True)
        for grouped in (False, True):
            start = time.perf_counter()
            laid_out = folder / f"data-{grouped}"
            trainer = Trainer(config, folder, load(config, folder, laid_out), find_machine("cpu", "fp32", 0), laid_out)
            looks = []

            def is_enough(trainer: Trainer = trainer, looks: list = looks) -> bool:
                looks.append(trainer.evaluate(trainer.validation_split, trainer.model).everything_right)
                trainer.model.train()
                return looks[-1] >= wanted

            Theirs(trainer, bf16_is_fast("cpu"), grouped, folder).train(Clock(every, is_enough), num_train_epochs=2)
            print(f"trainer{', by length' * grouped}: {time.perf_counter() - start:.0f} s, step {every * len(looks)}, everything right "
                  f"{looks[-1]:.1%}", flush=True)


def main() -> None:
    """Measure, and print a table and a line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=8, help="steps of a contestant in a round (the textbook takes a quarter)")
    parser.add_argument("--until", type=float, help="measure seconds until this share of validation rows has everything right")
    options = parser.parse_args()
    torch.set_num_threads(cores())
    if options.until:
        return seconds_until(options.until, options.batch_size)
    machine = find_machine("cpu", "auto", 0)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        base = make_settings(options.batch_size, device="cpu", freeze_embeddings=False, max_steps=400)
        trainer = Trainer(base, folder, load(base, folder, folder / "data"), machine, folder / "data")
        size = sum(weight.numel() for name, weight in trainer.model.encoder.named_parameters() if "embeddings" not in name)
        contestants = {
            "ours": Ours(make_settings(options.batch_size, device="cpu", max_steps=400), folder / "ours"),
            "ours, embeddings trained": Ours(base, folder / "trained"),
            "trainer": Theirs(trainer, bf16_is_fast("cpu"), False, folder),
            "trainer, by length": Theirs(trainer, bf16_is_fast("cpu"), True, folder),
            "textbook": Textbook(trainer),
        }
        rates: dict[str, list[float]] = {name: [] for name in contestants}
        shares: dict[str, list[float]] = {name: [] for name in contestants}
        roofs: list[float] = []
        products = roof(trainer.model, options.batch_size * int(np.median(trainer.train_split.lengths)), machine.precision)
        next(products)
        for _ in range(options.rounds):
            for name, contestant in contestants.items():
                sentences, tokens, seconds = contestant.steps(options.steps if name != "textbook" else max(2, options.steps // 4))
                rates[name].append(sentences / seconds)
                shares[name].append(6 * size * tokens / seconds)
                torch.set_num_threads(cores())
                roofs.append(max(next(products) for _ in range(3)))
    top = statistics.median(roofs)
    found = {name: {"sentences_per_second": round(statistics.median(of_name), 1),
                    "roof_share": round(statistics.median(shares[name]) / top, 3),
                    "same_work_x": round(statistics.median(rates["ours, embeddings trained"]) / statistics.median(of_name), 2),
                    "ours_is_x": round(statistics.median(rates["ours"]) / statistics.median(of_name), 2)}
             for name, of_name in rates.items()}
    print(f"{cores()} cores, {machine.precision}, roof {top / 1e9:.0f} GFLOP/s, batch {options.batch_size}")
    print("| loop | sentences/s | of the roof | ours, the same work | ours, defaults |\n|---|---|---|---|---|")
    for name, of_name in found.items():
        print(f"| {name} | {of_name['sentences_per_second']:.0f} | {of_name['roof_share']:.0%} | {of_name['same_work_x']:.1f} x | "
              f"{of_name['ours_is_x']:.1f} x |")
    print(json.dumps({"roof_gflops": round(top / 1e9), "batch_size": options.batch_size, "precision": machine.precision, "loops": found}))


if __name__ == "__main__":
    main()
