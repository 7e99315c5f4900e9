"""How many of the subwords that are computed are real, and whether what is done about it changes what is learned.

    python tests/bench/padding.py share [--batch-size 32]          # SNIPS (where it is) and newsroom
    python tests/bench/padding.py scores [--seeds 3] [--epochs 3]  # newsroom's validation scores; full fine-tuning

Three ways: rows at random, packed (what is done); rows of about one length together, padded (what is done for an encoder that cannot pack);
rows at random, padded.

`scores` trains each run with one thread, as many beside each other as there are cores."""

import argparse
import json
import os
import statistics
import sys
import tempfile
from itertools import product
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from mtl.data.dataset import load
from mtl.model.encoder import load_encoder
from mtl.model.machine import cores
from mtl.model.packing import pack
from mtl.model.split import make_split
from mtl.runs.events import Evaluated
from mtl.settings.config import RunConfig, make_config
from mtl.tasks import make_task
from mtl.training import sampling, trainer
from mtl.training.loop import train
from mtl.training.sampling import Pool, plan_epoch

SNIPS = Path(__file__).resolve().parents[3] / "shared" / "data" / "snips"
WAYS = ("packed", "by length", "shuffled")


def share(options: argparse.Namespace) -> None:
    """The share of real subwords in the batches of the first epoch."""
    tokenizer = load_encoder("bundled")[1]
    files = {"source": "files", "train_files": (str(SNIPS / "train.jsonl"),), "validation_files": (str(SNIPS / "validation.jsonl"),)}
    facts = {}
    for name, values in (({"snips": files} if SNIPS.is_dir() else {}) | {"newsroom": {}}).items():
        with tempfile.TemporaryDirectory() as folder:
            dataset = load(make_config(values), Path(folder), Path(folder) / "data")
            tasks = [make_task(spec) for spec in dataset.tasks]
            split = make_split(tokenizer, tasks, dataset.train, 128, Path(folder) / "examples.arrow")
        for way in WAYS:
            pool = Pool({task: counts > 0 for task, counts in split.targets.items()}, options.batch_size,
                        split.lengths if way == "by length" else None)
            lengths = [split.lengths[step.rows] for step in plan_epoch("joint", pool, 1)]
            computed = sum(pack(of_step.tolist()).texts.numel() if way == "packed" else len(of_step) * of_step.max() for of_step in lengths)
            facts[f"{name}, {way}"] = float(split.lengths.sum() / computed)
            print(f"{name}, {way}: {facts[f'{name}, {way}']:.1%} of the computed subwords are real")
    print(json.dumps(facts))


def best_on_validation(config: RunConfig) -> Evaluated:
    """The best look at validation of a run with these settings."""
    with tempfile.TemporaryDirectory() as folder:
        return max((event for event in train(config, Path(folder)) if isinstance(event, Evaluated)), key=lambda event: event.score)


def scores(options: argparse.Namespace) -> None:
    """Mean and standard deviation over seeds of the tasks' mean score and of everything right."""
    with tempfile.TemporaryDirectory() as folder:
        running = 0
        for seed, way in product(range(1, options.seeds + 1), WAYS):
            if running == cores():
                os.wait()
                running -= 1
            running += 1
            if os.fork() == 0:
                if way != "packed":
                    trainer.can_pack = lambda encoder, longest: False
                if way == "shuffled":
                    sampling.POOL = 1
                best = best_on_validation(make_config({"epochs": options.epochs, "threads": 1, "seed": seed, "diagnose_every": 0}))
                (Path(folder) / f"{way}-{seed}").write_text(json.dumps([best.score, best.everything_right]))
                os._exit(0)
        for _ in range(running):
            os.wait()
        facts = {}
        for way in WAYS:
            found = 100 * np.array([json.loads(file.read_text()) for file in sorted(Path(folder).glob(f"{way}-*"))])
            facts[way] = {what: (float(column.mean()), statistics.stdev(column) if len(column) > 1 else 0.0)
                          for what, column in zip(("mean of the tasks", "everything right"), found.T, strict=True)}
            print(f"{way}: " + ", ".join(f"{what} {mean:.1f} ({spread:.1f})" for what, (mean, spread) in facts[way].items()))
    print(json.dumps(facts))


def main() -> None:
    """What was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["share", "scores"])
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=3)
    options = parser.parse_args()
    {"share": share, "scores": scores}[options.what](options)


if __name__ == "__main__":
    main()
