"""Why: for a linear model the words' weights are known; for others they sum to what they explain; and nobody notices that it was asked."""

import copy
import random
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn
from transformers import AutoModel
from transformers.modeling_outputs import BaseModelOutput

from mtl.data.values import Label, Labels, Number, Spans
from mtl.data.words import Span
from mtl.errors import MtlError
from mtl.inference.predictor import Predictor
from mtl.inference.why import TOLERANCE, Explained
from mtl.model.machine import Machine
from mtl.model.multitask import for_inference
from mtl.runs.folder import Run
from mtl.settings.config import Scale, TaskSpec
from mtl.training.execute import run_training
from tests.model.test_multitask import FAMILIES

CPU = Machine("cpu", "fp32", 1)
SCALE = Scale(mean=3.0, deviation=2.0, low=1.0, high=5.0)
SPECS = (TaskSpec(name="mood", kind="classification", labels=("bad", "good")),
         TaskSpec(name="topics", kind="multilabel", labels=("art", "law")),
         TaskSpec(name="stars", kind="number", scale=SCALE), TaskSpec(name="places", kind="tagging", labels=("LOC", "PER")))
FILLERS = ("we", "saw", "that", "then", "again", "quite", "often", "there")
NAMES = ("Kim", "Lee", "Mori")


class Linear(nn.Module):
    """An encoder whose states are the vectors of the subwords."""

    def __init__(self, embeddings: nn.Embedding) -> None:
        super().__init__()
        self.embeddings = embeddings

    def get_input_embeddings(self) -> nn.Embedding:
        return self.embeddings

    def forward(self, attention_mask: Tensor, input_ids: Tensor | None = None, inputs_embeds: Tensor | None = None) -> BaseModelOutput:
        return BaseModelOutput(self.embeddings(input_ids) if inputs_embeds is None else inputs_embeds)


def deciding_rows(count: int, seed: int = 0) -> list[dict]:
    """Rows in which single words decide: calm or loud the mood, goal and bank the topics, one to five the stars, doctor or city what the
    name is."""
    draws, rows = random.Random(seed), []
    for index in range(count):
        mood, kind, name = ("calm", "loud")[index % 2], ("doctor", "city")[index // 2 % 2], draws.choice(NAMES)
        topics, stars = [word for word in ("goal", "bank") if draws.random() < 0.5], draws.randrange(5)
        words = [mood, kind, name, *topics, ("one", "two", "three", "four", "five")[stars], *draws.sample(FILLERS, 3)]
        draws.shuffle(words)
        text = " ".join(words)
        start = text.index(name)
        rows.append({"text": text, "mood": mood.upper(), "topics": topics, "stars": stars + 1.0,
                     "names": (Span(start, start + len(name), {"doctor": "PER", "city": "LOC"}[kind]),)})
    return rows


@pytest.fixture(scope="module")
def trained(tmp_path_factory, tiny_config, write_rows) -> Predictor:
    """A model that has learned what the deciding words decide."""
    folder = tmp_path_factory.mktemp("deciding")
    files = {f"{split}_files": [write_rows(folder / f"{split}.jsonl", deciding_rows(count, count))]
             for split, count in (("train", 600), ("validation", 60))}
    run = Run(folder / "run")
    run.folder.mkdir()
    config = tiny_config(source="files", epochs=12, **files)
    (run.folder / "config.json").write_text(config.model_dump_json())
    assert run_training(run, resume=False) == "finished"
    return Predictor.load(run.checkpoint("best"), "cpu")


def ranked(made: Explained) -> list[str]:
    """The words, the one that speaks most for the value first."""
    return [made.text[word.start:word.end] for word in sorted(made.words, key=lambda word: -word.weight)]


def make_predictor(make_model: Callable, tokenizer, **changes) -> Predictor:
    return Predictor(for_inference(make_model(**changes)), tokenizer, CPU)


def test_for_a_linear_model_the_attributions_are_its_weights(make_model, tiny):
    model = make_model(specs=SPECS)
    model.encoder = Linear(model.encoder.get_input_embeddings())
    predictor = Predictor(for_inference(model), tiny[1], CPU)
    text = "Play jazz, Anna!"
    [encoding] = __import__("mtl.model.batching", fromlist=["encode"]).encode(tiny[1], [text], 32)
    vectors = model.encoder.embeddings.weight
    moved = vectors[encoding.ids] - vectors[tiny[1].pad_token_id]  # (T, H)
    heads = dict(zip(model.tasks, model.heads, strict=True))
    # a mean over all subwords, of which the special ones do not move; then a linear head
    expected = {("mood", "good"): moved @ (heads["mood"].weight[1] - heads["mood"].weight[0]) / len(moved),
                ("topics", "law"): moved @ heads["topics"].weight[1] / len(moved),
                ("stars", None): moved @ heads["stars"].weight[0] * SCALE.deviation / len(moved)}
    for (task, target), weights in expected.items():
        made = predictor.explain(text, task, target)
        edges = [*encoding.firsts, len(encoding.ids) - 1]
        wanted = [weights[first:end].sum().item() for first, end in zip(edges, edges[1:], strict=False)]
        assert [text[word.start:word.end] for word in made.words] == ["Play", "jazz", ",", "Anna", "!"]
        assert [word.weight for word in made.words] == pytest.approx(wanted, rel=1e-3, abs=1e-5)
        assert made.gap < 1e-3 and made.steps == 32
