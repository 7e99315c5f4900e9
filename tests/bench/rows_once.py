"""How long a file of many rows takes from Start to the first step, beside what the look at it took: python -m tests.bench.rows_once [ROWS].

The same command in the checkout before rows were kept gives the figures of before: there the look is not remembered, so that the first step
waits for two more readings. User CPU seconds, which hardly depend on what else the machine does."""

import sys
import time
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

ROWS = 100_000


def main() -> None:
    """Look, start, train one step; a line for each."""
    from mtl.data.resolve import settle
    from mtl.runs.events import StepDone
    from mtl.runs.folder import create_run
    from mtl.settings.config import make_config
    from mtl.training.loop import train

    rows = int(sys.argv[1]) if len(sys.argv) > 1 else ROWS
    with TemporaryDirectory() as place:
        root, file = Path(place), Path(place) / "rows.csv"
        file.write_text("text,intent,mood\n" + "".join(
            f"the {index}th text goes to number {index * 7919 % rows},{'abc'[index % 3]},{'xy'[index % 2]}\n" for index in range(rows)))
        config = make_config({"source": "files", "train_files": (str(file),), "encoder": "tiny", "device": "cpu", "max_steps": 1})
        began = time.process_time()

        def tell(what: str) -> None:
            nonlocal began
            print(f"{what}: {time.process_time() - began:.2f} s", flush=True)
            began = time.process_time()

        with suppress(ImportError):
            import datasets  # noqa: F401 - loaded once in a process, whatever is read
        tell("load the library")
        config = settle(config, root)
        tell("look")
        try:
            run = create_run(root, config, parsed=root / "parsed")
        except TypeError:  # before rows were kept
            run = create_run(root, config)
        tell("start")
        next(event for event in train(run.config, run.folder) if isinstance(event, StepDone))
        tell("to the first step")


if __name__ == "__main__":
    main()
