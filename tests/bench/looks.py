"""What quick looks cost: training on newsroom with and without them, in turns.

    python tests/bench/looks.py [--rounds 6] [--steps 40]

The share is the time with looks over the time without, over all rounds; beside it, what the looks say that they took."""

import argparse
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from mtl.runs.events import Sampled, StepDone
from mtl.settings.config import make_config
from mtl.training.loop import train


class Contestant:
    """A training that rests between two rounds."""

    def __init__(self, folder: Path, has_looks: bool) -> None:
        folder.mkdir()
        self.events = train(make_config({"quick_looks": has_looks, "epochs": 20, "eval_every": 10**6}), folder)
        self.seconds, self.trained, self.looks = 0.0, 0.0, []
        next(event for event in self.events if isinstance(event, StepDone))

    def take(self, steps: int) -> None:
        """So many steps, with the looks among them."""
        start = time.perf_counter()
        while steps:
            event = next(self.events)
            if isinstance(event, Sampled):
                self.looks.append(event)
            elif isinstance(event, StepDone):
                steps, self.trained = steps - 1, event.seconds
        self.seconds += time.perf_counter() - start


def main() -> None:
    """Print what the looks cost."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--steps", type=int, default=40)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        contestants = [Contestant(Path(folder) / str(has_looks), has_looks) for has_looks in (True, False)]
        for place in range(given.rounds):
            for contestant in contestants if place % 2 else reversed(contestants):
                contestant.take(given.steps)
            show(*contestants, given.steps * (place + 1))


def show(looked: Contestant, plain: Contestant, steps: int) -> None:
    """Two lines about the rounds so far."""
    taken = [look.seconds for look in looked.looks]
    print(f"{len(taken)} looks at {looked.looks[0].rows} rows in {looked.trained:.0f} s of training, the first after "
          f"{looked.looks[0].step} steps; {sum(taken) / len(taken):.2f} s each, together {sum(taken) / looked.trained:.1%}")
    print(f"{steps} steps took {looked.seconds:.1f} s with looks and {plain.seconds:.1f} s without: "
          f"{looked.seconds / plain.seconds - 1:+.1%} (wanted: at most 5 %)", flush=True)


if __name__ == "__main__":
    main()
