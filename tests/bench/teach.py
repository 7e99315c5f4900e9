"""What it costs to learn from corrections: the starter model learns ten sets of five sentences that it gets wrong.

    python tests/bench/teach.py [--sets 10] [--without rehearsal]

The sentences are validation rows of newsroom, which are left out of validation then. For each set: the seconds until before and after are
known, how many of the five are right, and on the other validation rows the scores and the answers that were forgotten and learned; at the
end the means. Without rehearsal, a step has corrections only."""

import argparse
import json
import random
import sys
import tempfile
import time
from pathlib import Path
from statistics import fmean

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from mtl.comparing.before_after import BeforeAfter, before_after
from mtl.data.dataset import NEWSROOM
from mtl.inference.predictor import Predictor
from mtl.runs.folder import delete_run, open_starter
from mtl.runs.history import read_history
from mtl.training.execute import run_training
from mtl.training.teach import SHARE, make_taught, read_corrections, tasks_of

FIVE = 5


def wrong_rows() -> list[str]:
    """The lines of newsroom's validation file that the starter model gets wrong, mixed."""
    file, tasks = NEWSROOM / "validation.jsonl", tasks_of(open_starter())
    lines = file.read_text(encoding="utf-8").splitlines()
    made = Predictor.load(open_starter()).predict([json.loads(line)["text"] for line in lines])
    wrong = []
    with tempfile.TemporaryDirectory() as folder:
        for start in range(0, len(lines), 100):  # not more corrections at a time than are learned at once
            part = Path(folder) / "part.jsonl"
            part.write_text("\n".join(lines[start:start + 100]), encoding="utf-8")
            for place, row in enumerate(read_corrections(part, tasks), start):
                if not all(gold.agrees(made[place].predictions[task].value) for task, gold in row.values.items()):
                    wrong.append(lines[place])
    random.Random(1).shuffle(wrong)
    return wrong


def teach(root: Path, lines: list[str], share: float) -> tuple[BeforeAfter, float, float, int]:
    """What came of one set, the seconds that it took, those of all cores together, and the steps."""
    file = root / "corrections.jsonl"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    start, busy = time.perf_counter(), time.process_time()
    run = make_taught(root, "starter", open_starter(), None, file, share=share)
    assert run_training(run, resume=False) == "finished"
    found, steps = before_after(run), read_history(run).step
    delete_run(run)
    return found, time.perf_counter() - start, time.process_time() - busy, steps


def main() -> None:
    """Print a line for each set, and the means."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--sets", type=int, default=10)
    parser.add_argument("--without", choices=["rehearsal"])
    given = parser.parse_args()
    wrong, done = wrong_rows(), []
    print(f"{len(wrong)} validation rows are wrong somewhere")
    with tempfile.TemporaryDirectory() as root:
        for number in range(given.sets):
            found, seconds, busy, steps = teach(Path(root), wrong[FIVE * number:FIVE * number + FIVE], 1.0 if given.without else SHARE)
            done.append((seconds, found))
            scores = ", ".join(f"{one.name} {100 * one.before:.1f} to {100 * one.after:.1f}" for one in found.changes)
            print(f"{number + 1}: {seconds:.0f} s ({busy:.0f} s of all cores), {steps} steps; {found.right_after} of {FIVE} right "
                  f"({found.right_before} before); {scores}; {found.forgotten} forgotten, {found.learned} learned", flush=True)
    means = [f"{changes[0].name} {100 * fmean(one.before for one in changes):.1f} to {100 * fmean(one.after for one in changes):.1f}"
             for changes in zip(*(found.changes for _, found in done), strict=True)]
    print(f"mean: {fmean(seconds for seconds, _ in done):.0f} s; {fmean(found.right_after for _, found in done):.1f} of {FIVE} right; "
          f"{', '.join(means)}; {fmean(found.forgotten for _, found in done):.1f} forgotten, "
          f"{fmean(found.learned for _, found in done):.1f} learned")


if __name__ == "__main__":
    main()
