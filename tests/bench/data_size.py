"""Memory and time for data of growing size: read, looked at, split, tokenised and iterated once, each size in a process of its own.

    python tests/bench/data_size.py [--rows 10000 100000 1000000]

Prints one line a size: the time in all and per row, the peak of the memory that belongs to the process alone (RssAnon; pages of mapped
files can be dropped by the system at any time), the peak of everything resident, and what the bars say: memory at the largest size within
20 % of that at a tenth of it, time in proportion."""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))


def write_file(path: Path, rows: int) -> None:
    """A file of sentences of 5 to 40 words, a class and entities, as the readers know them."""
    draws = random.Random(rows)
    words = [f"word{number}" for number in range(5000)] + ["Rome", "Anna", "Acme"]
    with path.open("w", encoding="utf-8") as file:
        for number in range(rows):
            tokens = draws.choices(words, k=draws.randint(5, 40)) + [str(number)]
            tags = ["B-NAME" if token[0].isupper() else "O" for token in tokens]
            file.write(json.dumps({"tokens": tokens, "tags": tags, "topic": f"topic {number % 7}"}) + "\n")


class Watch:
    """The peaks of this process's memory in MB, looked at every 20 ms."""

    def __init__(self) -> None:
        self.own = self.resident = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        while not self._over.wait(0.02):
            fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":" in line)
            self.own = max(self.own, int(fields["RssAnon"].split()[0]) / 1024)
            self.resident = max(self.resident, int(fields["VmRSS"].split()[0]) / 1024)

    def end(self) -> None:
        """Stop looking."""
        self._over.set()
        self._thread.join()


def measure(file: Path, folder: Path) -> dict[str, float]:
    """Everything that is done with data before and while a run learns from it, but the learning; seconds and MB."""
    import numpy as np

    from mtl.data.dataset import load
    from mtl.data.store import take
    from mtl.model.batching import collate
    from mtl.model.encoder import load_encoder
    from mtl.model.split import make_split
    from mtl.settings.config import make_config
    from mtl.tasks import make_task
    from mtl.training.sampling import Pool, plan_epoch

    _, tokenizer = load_encoder("bundled")
    watch, seconds, start = Watch(), {}, time.perf_counter()
    dataset = load(make_config({"source": "files", "train_files": (str(file),)}), folder, folder / "rows")
    seconds["read"] = time.perf_counter() - start
    tasks = [make_task(spec) for spec in dataset.tasks]
    split = make_split(tokenizer, tasks, dataset.train, 128, folder / "rows" / "examples.arrow")
    seconds["tokenise"] = time.perf_counter() - start - seconds["read"]
    pool = Pool({name: counts > 0 for name, counts in split.targets.items()}, 32)
    tokens = 0
    for step in plan_epoch("joint", pool, 1):
        encodings, labels = zip(*take(split.examples, step.rows), strict=True)
        tokens += collate(encodings, 0, labels, tasks)["input_ids"].numel()
    seconds["iterate"] = time.perf_counter() - start - seconds["read"] - seconds["tokenise"]
    watch.end()
    assert tokens >= int(np.sum(split.lengths))
    return {"rows": len(dataset.train) + len(dataset.validation), "own": watch.own, "resident": watch.resident, **seconds}


def main() -> None:
    """Measure every size in a process of its own and compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        with tempfile.TemporaryDirectory(dir=options.one.parent) as folder:
            print(json.dumps(measure(options.one, Path(folder))))
        return
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for rows in options.rows:
            file = Path(folder) / f"{rows}.jsonl"
            write_file(file, rows)
            done = subprocess.run([sys.executable, __file__, "--one", str(file)], capture_output=True, text=True, check=True)
            seen = json.loads(done.stdout.splitlines()[-1])
            total = seen["read"] + seen["tokenise"] + seen["iterate"]
            found.append((rows, seen["own"], total))
            print(f"{rows:>9,} rows, {file.stat().st_size / 1e6:6.1f} MB: {total:6.1f} s ({1e6 * total / rows:5.0f} us a row: read "
                  f"{seen['read']:.1f} s, tokenise {seen['tokenise']:.1f} s, iterate {seen['iterate']:.1f} s), own memory "
                  f"{seen['own']:,.0f} MB, resident {seen['resident']:,.0f} MB", flush=True)
            file.unlink()
    for (few, before, time_before), (many, after, time_after) in zip(found, found[1:], strict=False):
        print(f"{few:,} -> {many:,} rows: own memory x {after / before:.2f}, time x {time_after / time_before:.1f} "
              f"for {many / few:.0f} x rows")


if __name__ == "__main__":
    main()
