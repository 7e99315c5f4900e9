"""What Why? costs: an explanation of each task for sentences of newsroom and for a long text, beside a prediction of the same text.

    python tests/bench/why.py [--sentences 8] [--model starter]

On one core, as on the page. The first explanation, which imports captum, is counted apart."""

import argparse
import json
import sys
import time
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import psutil

import mtl
from mtl.errors import MtlError

ROWS = Path(mtl.__file__).parent / "data" / "newsroom" / "validation.jsonl"


def main() -> None:
    """Print seconds, steps and gaps."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--sentences", type=int, default=8)
    parser.add_argument("--model", default="starter")
    given = parser.parse_args()
    texts = [json.loads(line)["text"] for line in ROWS.read_text(encoding="utf-8").splitlines()]
    predictor = mtl.load(given.model, device="cpu", engine="plain")
    start = time.perf_counter()
    predictor.explain(texts[0], next(iter(predictor.model.tasks)))
    print(f"the first one, with captum's import: {time.perf_counter() - start:.1f} s")
    show("a sentence", predictor, texts[:: len(texts) // given.sentences][: given.sentences])
    show("a text that fills the window", predictor, [" ".join(texts[:20])])


def show(what: str, predictor, texts: list[str]) -> None:
    """A line about explanations of `texts`."""
    asked, taken, made = [], [], []
    for text in texts:
        for task in predictor.model.tasks:
            start = time.perf_counter()
            predictor.predict([text], [task])
            asked.append(time.perf_counter() - start)
            try:
                made.append(predictor.explain(text, task))
            except MtlError:  # it finds no entity there
                continue
            taken.append(time.perf_counter() - start - asked[-1])
    print(f"{what}, {len(made)} explanations: {median(taken):.2f} s, at most {max(taken):.2f} s; {median(taken) / median(asked):.0f} x a "
          f"prediction; steps {sorted({one.steps for one in made})}; gap at most {max(one.gap for one in made):.2%} (wanted: at most 2 %); "
          f"resident {psutil.Process().memory_info().rss / 1e9:.2f} GB", flush=True)


if __name__ == "__main__":
    main()
