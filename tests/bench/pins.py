"""What five pinned sentences cost: training on newsroom with and without them, in turns.

    python tests/bench/pins.py [--rounds 6] [--steps 40]

The share is the time of the looks, in which the log is not written, over the training time; beside it, the processors' time with
them over that without, over all rounds: on a busy machine the time on the clock scatters by more than the looks take."""

import argparse
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from mtl.runs.events import MOST_PINNED, StepDone
from mtl.settings.config import make_config
from mtl.training.loop import train
from mtl.training.trainer import Trainer

TEXTS = ("Honestly, the concert in Lisbon with Priya Okafor was superb!", "Last week the flight by Acme Airlines was a mess.",
         "Shares of Norlund Shipping fell 4 percent in Oslo on Monday after a weak forecast.", "It rained in Bergen.",
         "The striker Ines Caldeira scored twice as Brazil beat Norway in the final in Sydney.")


class Contestant:
    """A training that rests between two rounds; with `texts`, which it pins, it looks at them whenever that is due."""

    def __init__(self, folder: Path, texts: tuple[str, ...]) -> None:
        folder.mkdir()
        self.seconds, self.trained, self.looks, self._texts = 0.0, 0.0, [], texts
        config = make_config({"quick_looks": False, "epochs": 20, "eval_every": 10**6})
        self.events = train(config, folder, between_steps=self._between_steps)
        next(event for event in self.events if isinstance(event, StepDone))

    def _between_steps(self, trainer: Trainer) -> bool:
        for text in self._texts if trainer.progress.step == 0 else ():
            list(trainer.pins.add(text))
        start = time.perf_counter()
        if list(trainer.pins.look()) and trainer.progress.step:
            self.looks.append(time.perf_counter() - start)
        return False

    def take(self, steps: int) -> None:
        """So many steps, with the looks before them."""
        start = time.process_time()
        while steps:
            if isinstance(event := next(self.events), StepDone):
                steps, self.trained = steps - 1, event.seconds
        self.seconds += time.process_time() - start


def main() -> None:
    """Print what the looks cost."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--steps", type=int, default=40)
    given = parser.parse_args()
    assert len(TEXTS) == MOST_PINNED
    with tempfile.TemporaryDirectory() as folder:
        watched, plain = (Contestant(Path(folder) / name, texts) for name, texts in (("watched", TEXTS), ("plain", ())))
        for place in range(given.rounds):
            for contestant in (watched, plain) if place % 2 else (plain, watched):
                contestant.take(given.steps)
            took, looks = sum(watched.looks), len(watched.looks)
            print(f"{looks} looks at {len(TEXTS)} sentences in {watched.trained:.0f} s of training; {took / max(1, looks):.3f} s each, "
                  f"together {took / watched.trained:.2%} (wanted: at most 1 %)\n{given.steps * (place + 1)} steps took "
                  f"{watched.seconds:.1f} s of the processors with them and {plain.seconds:.1f} s without: "
                  f"{watched.seconds / plain.seconds - 1:+.1%}", flush=True)


if __name__ == "__main__":
    main()
