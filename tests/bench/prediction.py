"""Prediction with one shared model beside the usual way: two transformers pipelines over two models of the same size.

    python tests/bench/prediction.py [--rows 2000 | --all] [--snips FOLDER] [--checkpoint FOLDER] [--engine NAME ...]

Ours and theirs take turns in one process, on the same texts, from the text to labels and entities; what is printed are medians of the
rounds and their ratios, and a JSON line at the end. The pipelines are called the usual way: one call a sentence for one, and for many the
whole list with the best of their batch sizes 1, 8 and 32. The encoder is the bundled one, its heads are new unless there is a checkpoint:
neither matters for speed. Without SNIPS (JSONL files of tokens, tags and intent) the texts are those of newsroom."""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

THEIR_BATCH_SIZES = (1, 8, 32)
SAMPLE = 200  # sentences on which theirs is chosen
THEIRS = 500  # sentences that theirs is given in a round: its speed does not depend on how many more there are


def read_data(snips: Path) -> tuple[list[str], list]:
    """The texts to predict, the longest part of the data, and its first classification and tagging task."""
    from mtl.data.dataset import load
    from mtl.settings.config import make_config

    files = {"source": "files", "train_files": (str(snips / "train.jsonl"),), "validation_files": (str(snips / "validation.jsonl"),)}
    with tempfile.TemporaryDirectory() as folder:
        dataset = load(make_config(files if snips.is_dir() else {"source": "newsroom"}), Path(folder))
        specs = {spec.kind: spec for spec in reversed(dataset.tasks)}
        return [row.text for row in dataset.train], [specs["classification"], specs["tagging"]]


def make_predictor(specs: Sequence, checkpoint: Path | None, engine: str):
    """Ours: from a checkpoint, or the bundled encoder with new heads."""
    from mtl.inference.predictor import Predictor
    from mtl.model.encoder import load_encoder
    from mtl.model.machine import find_machine
    from mtl.model.multitask import MultiTaskConfig, build_model, for_inference

    if checkpoint:
        return Predictor.load(checkpoint, "cpu", engine)
    encoder, tokenizer = load_encoder("bundled")
    model = build_model(encoder, MultiTaskConfig(tasks=[spec.model_dump(mode="json") for spec in specs]))
    return Predictor(for_inference(model), tokenizer, find_machine("cpu", "fp32", 0), engine)


def make_pipelines(specs: Sequence) -> tuple[Callable, Callable]:
    """Theirs: a model a task, each with the bundled encoder."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoModelForTokenClassification, pipeline

    from mtl.model.encoder import load_encoder

    made = []
    kinds = ((AutoModelForSequenceClassification, "text-classification", {}, list(specs[0].labels)),
             (AutoModelForTokenClassification, "token-classification", {"aggregation_strategy": "simple"},
              ["O", *(f"{prefix}-{label}" for label in specs[1].labels for prefix in "BI")]))
    for kind, name, settings, labels in kinds:
        encoder, tokenizer = load_encoder("bundled")
        config = encoder.config
        config.num_labels, config.id2label = len(labels), dict(enumerate(labels))
        torch.manual_seed(1)
        model = kind.from_config(config).eval()
        model.base_model.load_state_dict(encoder.state_dict(), strict=False)
        made.append(pipeline(name, model=model, tokenizer=tokenizer, device="cpu", **settings))
    return made[0], made[1]


def milliseconds(ask: Callable, texts: Sequence[str]) -> list[float]:
    """For each text alone, how long `ask` took."""
    taken = []
    for text in texts:
        start = time.perf_counter()
        ask(text)
        taken.append(1000 * (time.perf_counter() - start))
    return taken


def per_second(ask: Callable, texts: list[str]) -> float:
    """How many of `texts`, given together, `ask` answers in a second."""
    start = time.perf_counter()
    ask(texts)
    return len(texts) / (time.perf_counter() - start)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--all", action="store_true", help="10,000 rows")
    parser.add_argument("--singles", type=int, default=60, help="sentences asked one by one in each round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--limit", type=float, default=100, help="seconds after which no new round begins")
    parser.add_argument("--snips", type=Path, default=ROOT.parent / "shared" / "data" / "snips")
    parser.add_argument("--checkpoint", type=Path, help="with a classification and a tagging task, trained on the same data")
    parser.add_argument("--engine", nargs="+", default=["auto"], help="of ours")
    options = parser.parse_args()
    until = time.perf_counter() + options.limit

    texts, specs = read_data(options.snips)
    texts = (texts * (10_000 // len(texts) + 1))[:10_000 if options.all else options.rows]
    classify, tag = make_pipelines(specs)
    predictors = {engine: make_predictor(specs, options.checkpoint, engine) for engine in options.engine}
    asks = {"pipelines": lambda text: (classify(text), tag(text))} | {
        f"ours, {engine}": (lambda text, predictor=predictor: predictor.predict([text])) for engine, predictor in predictors.items()}
    speeds = {size: per_second(lambda many, size=size: (classify(many, batch_size=size), tag(many, batch_size=size)), texts[:SAMPLE])
              for size in THEIR_BATCH_SIZES}
    size = max(speeds, key=speeds.get)
    print("pipelines, sentences/s by batch size: " + ", ".join(f"{size}: {speed:.0f}" for size, speed in speeds.items()))
    theirs = texts[:THEIRS]
    manies = {"pipelines": lambda: per_second(lambda many: (classify(many, batch_size=size), tag(many, batch_size=size)), theirs)} | {
        f"ours, {engine}": (lambda predictor=predictor: per_second(predictor.predict, texts)) for engine, predictor in predictors.items()}

    singles: dict[str, list[list[float]]] = {name: [] for name in asks}
    many: dict[str, list[float]] = {name: [] for name in asks}
    for number in range(options.rounds):
        if number and time.perf_counter() > until:
            print(f"Out of time after {number} rounds.")
            break
        part = texts[number * options.singles:(number + 1) * options.singles]
        for name, ask in asks.items():
            singles[name].append(milliseconds(ask, part))
            many[name].append(manies[name]())
    report(singles, many, {engine: predictor.how for engine, predictor in predictors.items()}, len(texts), size)


def report(singles: dict[str, list[list[float]]], many: dict[str, list[float]], engines: dict[str, str], rows: int, size: int) -> None:
    """Medians over the rounds, and the ratios within each round, which the machine's other work disturbs less."""
    facts = {"rows": rows, "rounds": len(many["pipelines"]), "their batch size": size, "engines": engines}
    of_theirs = [statistics.median(part) for part in singles["pipelines"]]
    for name in many:
        medians, of_all = [statistics.median(part) for part in singles[name]], sorted(sum(singles[name], []))
        facts[name] = {
            "one: median ms": statistics.median(medians), "one: p95 / median": of_all[int(0.95 * len(of_all))] / statistics.median(of_all),
            "many: per s": statistics.median(many[name]),
            "one: times faster": statistics.median(theirs / ours for theirs, ours in zip(of_theirs, medians, strict=True)),
            "many: times faster": statistics.median(ours / theirs for theirs, ours in zip(many["pipelines"], many[name], strict=True))}
        print(f"{name:16} " + ", ".join(f"{what} {value:.2f}" for what, value in facts[name].items()))
    print(json.dumps(facts))


if __name__ == "__main__":
    main()
