"""How far the estimate at the start of a run is from the time that the run takes, over settings that differ in what takes their time.

    python tests/bench/estimate.py [--only heads,lora]

Each run is a process of its own, as in the terminal, so that none profits from what an earlier one loaded. Both times are from the
estimate to the end of the run. Run it on a quiet machine: the estimate is of the machine as it is at the start."""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from mtl.runs.events import Estimated, StatusChanged, read_events

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = {
    "newsroom, 2 epochs": ["--epochs", "2"],
    "the same, 4 frozen layers": ["--epochs", "2", "--frozen-layers", "4"],
    "the same, lora": ["--epochs", "2", "--fine-tuning", "lora"],
    "heads, 20 epochs": ["--epochs", "20", "--fine-tuning", "heads"],
    "tiny, hypothetical, 4 epochs": ["--source", "hypothetical", "--encoder", "tiny", "--epochs", "4"],
    "batch 8, accumulation 2": ["--epochs", "1", "--batch-size", "8", "--accumulation", "2"],
    "pcgrad, 1 epoch": ["--epochs", "1", "--balancing", "pcgrad"],
    "famo, each row for one task": ["--epochs", "1", "--balancing", "famo", "--sampling", "proportional"]}


def measure(flags: list[str]) -> tuple[float, float]:
    """The estimated and the real seconds of a run with these settings."""
    code = "import sys; from mtl.cli.main import main; main(sys.argv[1:])"
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-c", code, "train", *flags], cwd=ROOT, check=True, stdout=subprocess.DEVNULL,
                       env=os.environ | {"MTL_RUNS": folder})
        log, = Path(folder).glob("*/events.jsonl")
        events = read_events(log)
    start, guess = next((at.time, at.event) for at in events if isinstance(at.event, Estimated))
    end = next(at.time for at in events if isinstance(at.event, StatusChanged) and at.event.status == "finished")
    return guess.training + guess.besides, end - start


def main() -> None:
    """Print a line per setting, and the largest error."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default="", help="words, separated by commas; only settings that have one of them")
    words, errors = parser.parse_args().only.split(","), []
    print("| settings | estimated, s | took, s | error |\n|---|---|---|---|")
    for name, flags in SETTINGS.items():
        if any(word in name for word in words):
            guess, real = measure(flags)
            errors.append(guess / real - 1)
            print(f"| {name} | {guess:.1f} | {real:.1f} | {errors[-1]:+.0%} |", flush=True)
    print(f"\nThe largest error: {max(errors, key=abs):+.0%} (wanted: at most 25 %)")


if __name__ == "__main__":
    main()
