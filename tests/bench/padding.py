"""How many of the subwords that are computed are real, and whether grouping rows by length biases what is learned.

    python tests/bench/padding.py share [--batch-size 32]        # SNIPS (where it is) and newsroom, grouped and not
    python tests/bench/padding.py scores [--seeds 3]             # newsroom's dev scores, grouped and not; two epochs, two layers

`scores` trains each run with one thread, as many beside each other as there are cores."""

import argparse
import json
import os
import statistics
import sys
import tempfile
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from mtl import data, sampling
from mtl.config import RunConfig, make_config
from mtl.encoder import load_encoder
from mtl.evaluation import make_split
from mtl.events import Evaluated
from mtl.machine import cores
from mtl.sampling import Draw, Pool, plan_epoch
from mtl.tasks import make_task
from mtl.training import train

SNIPS = Path(__file__).resolve().parents[3] / "shared" / "data" / "snips"
GROUPED, SHUFFLED = sampling.POOL, 1


def share(options: argparse.Namespace) -> None:
    """The share of real subwords in the batches of the first epoch."""
    tokenizer = load_encoder("bundled")[1]
    files = {"source": "files", "train_files": (str(SNIPS / "train.jsonl"),), "dev_files": (str(SNIPS / "dev.jsonl"),)}
    facts = {}
    for name, values in (({"snips": files} if SNIPS.is_dir() else {}) | {"newsroom": {}}).items():
        with tempfile.TemporaryDirectory() as folder:
            dataset = data.load(make_config(values), Path(folder), Path(folder) / "data")
            tasks = [make_task(spec) for spec in dataset.tasks]
            split = make_split(tokenizer, tasks, dataset.train, 128, Path(folder) / "examples.arrow")
            pool = Pool(split.lengths, {task: counts > 0 for task, counts in split.targets.items()}, options.batch_size)
            for how, sampling.POOL in (("grouped", GROUPED), ("shuffled", SHUFFLED)):
                lengths = [split.lengths[step.rows] for step in plan_epoch("joint", pool, 1, Draw(0, 1, 1.0))]
                facts[f"{name}, {how}"] = float(split.lengths.sum() / sum(len(of_step) * of_step.max() for of_step in lengths))
                print(f"{name}, {how}: {facts[f'{name}, {how}']:.1%} of the computed subwords are real")
    print(json.dumps(facts))


def best_on_dev(config: RunConfig) -> Evaluated:
    """The best look at dev of a run with these settings."""
    with tempfile.TemporaryDirectory() as folder:
        return max((event for event in train(config, Path(folder)) if isinstance(event, Evaluated)), key=lambda event: event.score)


def scores(options: argparse.Namespace) -> None:
    """Mean and standard deviation over seeds of the tasks' mean score and of everything right."""
    with tempfile.TemporaryDirectory() as folder:
        running = 0
        for seed in range(1, options.seeds + 1):
            for pool in (GROUPED, SHUFFLED):
                if running == cores():
                    os.wait()
                    running -= 1
                running += 1
                if os.fork() == 0:
                    sampling.POOL = pool
                    best = best_on_dev(make_config({"epochs": 2, "frozen_layers": 4, "threads": 1, "seed": seed, "diagnose_every": 0}))
                    (Path(folder) / f"{pool}-{seed}").write_text(json.dumps([best.score, best.everything_right]))
                    os._exit(0)
        for _ in range(running):
            os.wait()
        facts = {}
        for how, pool in (("grouped", GROUPED), ("shuffled", SHUFFLED)):
            found = 100 * np.array([json.loads(file.read_text()) for file in sorted(Path(folder).glob(f"{pool}-*"))])
            facts[how] = {what: (float(column.mean()), statistics.stdev(column) if len(column) > 1 else 0.0)
                          for what, column in zip(("mean of the tasks", "everything right"), found.T, strict=True)}
            print(f"{how}: " + ", ".join(f"{what} {mean:.1f} ({spread:.1f})" for what, (mean, spread) in facts[how].items()))
    print(json.dumps(facts))


def main() -> None:
    """What was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["share", "scores"])
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    {"share": share, "scores": scores}[options.what](options)


if __name__ == "__main__":
    main()
