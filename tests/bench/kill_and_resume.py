"""Kills a training with SIGKILL at random moments, resumes it, and compares what it ends with to a run that nobody touched.

    python tests/bench/kill_and_resume.py --kills 20 [--epochs 6]

Prints a line per kill and a JSON summary; exits with 1 if any end differs. A child is forked for each attempt, so that torch is
imported once. The moment of a kill is a step drawn at random and a little later: by the clock alone, a machine that is busy at first
would have its runs killed when they are over.
"""

import argparse
import hashlib
import json
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import datasets  # noqa: F401 - once, before the forks: it takes longer to import than a run takes to train
import torch

from mtl.runs.folder import Run, create_run
from mtl.runs.history import read_history
from mtl.settings.config import RunConfig, make_config
from mtl.training.execute import run_training

SETTINGS = {"source": "hypothetical", "encoder": "tiny", "hypothetical_rows": 240, "epochs": 6, "batch_size": 8,
            "accumulation": 2, "learning_rate": 2e-3, "checkpoint_every": 3, "eval_every": 10, "threads": 1, "device": "cpu",
            "precision": "fp32"}  # 'auto' measures, and could come to another answer in another run


def child(run: Run, resume: bool) -> int:
    """The pid of a forked process that trains `run`."""
    pid = os.fork()
    if pid == 0:
        status = "failed"
        try:
            with run.hold():
                status = run_training(run, resume=resume)
        finally:
            os._exit(0 if status == "finished" else 1)
    return pid


def train_to_the_end(run: Run, resume: bool) -> None:
    """Train undisturbed."""
    _, status = os.waitpid(child(run, resume), 0)
    assert status == 0, read_history(run).message


def train_until(run: Run, resume: bool, step: int, seconds: float) -> None:
    """Train until the log has come to `step` and some seconds have passed; then comes SIGKILL."""
    pid = child(run, resume)
    while read_history(run).step < step:
        assert os.waitpid(pid, os.WNOHANG) == (0, 0), read_history(run).message
        time.sleep(0.02)
    time.sleep(seconds)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def ending(run: Run) -> str:
    """A digest of all that a run ends with: weights, optimizer, progress, every validation score, best checkpoint."""
    digest = hashlib.sha256()
    for file in ("last/model.safetensors", "best/model.safetensors"):
        digest.update((run.folder / file).read_bytes())
    state = torch.load(run.folder / "last" / "optimizer.pt", weights_only=True)
    for slot in state["state"].values():
        for value in slot.values():
            digest.update(value.numpy().tobytes())
    progress = json.loads((run.folder / "last" / "manifest.json").read_text())["facts"]["progress"]
    progress.pop("seconds")
    seen = [(at.step, at.scores, at.losses, at.is_best) for at in read_history(run).evaluations]
    digest.update(repr((progress, seen)).encode())
    return digest.hexdigest()


def attempt(root: Path, config: RunConfig, wanted: str, steps: int, dice: random.Random) -> dict:
    """One run killed once to three times, then resumed to its end."""
    run, kills = create_run(root, config), []
    for step in sorted(dice.randrange(steps) for _ in range(dice.randint(1, 3))):
        train_until(run, bool(kills), step, dice.uniform(0, 0.1))
        kills.append(read_history(run).step)
    train_to_the_end(run, resume=True)
    left = [path.name for path in run.folder.iterdir() if path.name.startswith((".tmp", ".del"))]
    return {"killed_at_steps": kills, "identical": ending(run) == wanted, "left_behind": left}


def main() -> None:
    """Parse, kill, compare, tell."""
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--kills", type=int, default=20, help="runs to kill (each one to three times)")
    ask.add_argument("--epochs", type=int, default=6)
    ask.add_argument("--seed", type=int, default=0)
    options = ask.parse_args()
    dice, results = random.Random(options.seed), []
    with tempfile.TemporaryDirectory() as folder:
        plans = []
        for sampling in ("joint", "alternating"):
            config = make_config(SETTINGS | {"sampling": sampling, "epochs": options.epochs})
            untouched = create_run(Path(folder), config)
            train_to_the_end(untouched, resume=False)
            plans.append((config, ending(untouched), read_history(untouched).step))
        for number in range(options.kills):
            config, wanted, steps = plans[number % len(plans)]
            results.append(attempt(Path(folder), config, wanted, steps, dice) | {"sampling": config.sampling})
            print(json.dumps(results[-1]), flush=True)
    good = sum(result["identical"] and not result["left_behind"] for result in results)
    print(json.dumps({"runs": len(results), "kills": sum(len(result["killed_at_steps"]) for result in results), "identical": good}))
    sys.exit(good < len(results))


if __name__ == "__main__":
    main()
