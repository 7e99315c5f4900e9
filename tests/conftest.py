"""What many tests need: a tiny encoder that was never trained, its tokenizer, small settings, and files of rows."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from mtl.config import RunConfig, TaskSpec, make_config
from mtl.data.words import Span
from mtl.encoder import load_encoder
from mtl.model import build_model
from mtl.training import train

TEXTS = ["Book a table in Rome for two.", "Fly from New York to Paris tomorrow!", "Play some jazz by Miles Davis",
         "It is far from good, Anna said."]
SPECS = (TaskSpec(name="intent", kind="classification", labels=("book", "fly", "play")),
         TaskSpec(name="mood", kind="classification", labels=("bad", "good")),
         TaskSpec(name="slots", kind="tagging", labels=("LOC", "PER")))


@pytest.fixture(scope="session")
def tiny():
    """The tiny encoder and its tokenizer; not to be changed."""
    return load_encoder("tiny", TEXTS, seed=5)


@pytest.fixture(scope="session", params=["bundled", "tiny"])
def tokenizer(request, tiny):
    """The bundled and the tiny tokenizer, in turn."""
    return load_encoder("bundled")[1] if request.param == "bundled" else tiny[1]


@pytest.fixture
def make_model(tiny):
    """A function that builds a model (by default on the tiny encoder, for three tasks), in eval mode."""
    def make(encoder=None, specs=SPECS, **changes):
        settings = {"pooling": "mean", "normalize": False, "dropout": 0.1, "encoder_dropout": None, "max_length": 32} | changes
        return build_model(encoder or tiny[0], specs, **settings).eval()

    return make


@pytest.fixture(scope="session")
def tiny_config() -> Callable[..., RunConfig]:
    """A function that makes settings for a run of a second or less."""
    def make(**changes) -> RunConfig:
        return make_config({"encoder": "tiny", "hypothetical_rows": 60, "epochs": 2, "batch_size": 16, "learning_rate": 2e-3,
                            "head_learning_rate": 2e-3, "device": "cpu", "precision": "fp32", "threads": 1} | changes)

    return make


@pytest.fixture(scope="session")
def finish():
    """A function that trains to the end and returns all events."""
    def run(config: RunConfig, folder: Path, **how) -> list:
        folder.mkdir(parents=True, exist_ok=True)
        return list(train(config, folder, **how))

    return run


@pytest.fixture(scope="session")
def write_rows():
    """A function that writes rows, {text, task: value}, to a JSONL file and returns its path as text."""
    def plain(value):
        return [{"start": span.start, "end": span.end, "label": span.label} for span in value] if isinstance(value, tuple) else value

    def write(path: Path, rows: list[dict]) -> str:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps({key: plain(value) for key, value in row.items()}) + "\n" for row in rows), encoding="utf-8")
        return str(path)

    return write


@pytest.fixture(scope="session")
def easy_rows():
    """A function that makes rows of which a tiny encoder learns everything within few epochs."""
    def make(count: int) -> list[dict]:
        rows = []
        for index in range(count):
            start, place = ("yes please go", ("Rome", "Oslo")[index % 3 % 2]) if index % 2 else ("no never stay", "Lima")
            text = f"{start} {'very ' * (index % 4)}now {place}"
            rows.append({"text": text, "answer": start.split()[0], "place": (Span(len(text) - 4, len(text), "LOC"),)})
        return rows

    return make
