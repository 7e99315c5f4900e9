"""Why: for a linear model the words' weights are known; for others they sum to what they explain; and nobody notices that it was asked."""

from collections.abc import Callable

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import AutoModel, PreTrainedTokenizerBase
from transformers.modeling_outputs import BaseModelOutput

import mtl
from mtl.errors import MtlError
from mtl.inference.predictor import Predictor
from mtl.inference.why import TOLERANCE, Explained
from mtl.model.batching import encode
from mtl.model.machine import Machine
from mtl.model.multitask import for_inference
from mtl.runs.folder import create_run
from mtl.settings.config import Scale, TaskSpec
from mtl.training.execute import run_training
from tests.deciding import MOODS, STARS, TYPES, deciding_rows
from tests.model.test_multitask import FAMILIES
from tests.watcher import wait, wait_for_step

CPU = Machine("cpu", "fp32", 1)
SCALE = Scale(mean=3.0, deviation=2.0, low=1.0, high=5.0)
SPECS = (TaskSpec(name="mood", kind="classification", labels=("bad", "good")),
         TaskSpec(name="topics", kind="multilabel", labels=("art", "law")),
         TaskSpec(name="stars", kind="number", scale=SCALE), TaskSpec(name="places", kind="tagging", labels=("LOC", "PER")))
TEXT = "Play jazz, Anna!"


class Linear(nn.Module):
    """An encoder whose states are the vectors of the subwords."""

    def __init__(self, embeddings: nn.Embedding) -> None:
        super().__init__()
        self.embeddings = embeddings

    def get_input_embeddings(self) -> nn.Embedding:
        return self.embeddings

    def forward(self, attention_mask: Tensor, input_ids: Tensor | None = None, inputs_embeds: Tensor | None = None) -> BaseModelOutput:
        return BaseModelOutput(self.embeddings(input_ids) if inputs_embeds is None else inputs_embeds)


@pytest.fixture
def make_predictor(make_model, tiny) -> Callable[..., Predictor]:
    """A function that makes a predictor that was never trained, of tasks of every kind."""
    def make(encoder=None, tokenizer: PreTrainedTokenizerBase | None = None, **changes) -> Predictor:
        return Predictor(for_inference(make_model(encoder, specs=SPECS, **changes)), tokenizer or tiny[1], CPU)

    return make


@pytest.fixture(scope="module")
def trained(tmp_path_factory, tiny_config, write_rows) -> Predictor:
    """A model that has learned what the deciding words decide."""
    folder = tmp_path_factory.mktemp("deciding")
    files = {f"{split}_files": (write_rows(folder / f"{split}.jsonl", deciding_rows(count, count)),)
             for split, count in (("train", 600), ("validation", 60))}
    columns = ({"column": "stars", "role": "number"},)
    run = create_run(folder / "runs", tiny_config(source="files", epochs=16, learning_rate=3e-3, columns=columns, **files))
    assert run_training(run, resume=False) == "finished"
    return Predictor.load(run.checkpoint("best"), "cpu")


def ranked(made: Explained, leave_out: str = "") -> list[str]:
    """The words, the one that speaks most for the value first."""
    words = [made.text[word.start:word.end] for word in sorted(made.words, key=lambda word: -word.weight)]
    return [word for word in words if word != leave_out]


# What is known


def test_for_a_linear_model_the_weights_of_words_are_its_own(make_predictor, tiny):
    predictor = make_predictor()
    model, vectors = predictor.model, predictor.model.encoder.get_input_embeddings()
    model.encoder = Linear(vectors)
    [encoding] = encode(tiny[1], [TEXT], 32)
    moved = vectors.weight[encoding.ids] - vectors.weight[tiny[1].pad_token_id]  # (T, H)
    heads = {name: head.weight / len(moved) for name, head in zip(model.tasks, model.heads, strict=True)}  # they read the mean
    for task, target, head in [("mood", "good", heads["mood"][1] - heads["mood"][0]), ("topics", "law", heads["topics"][1]),
                               ("stars", None, SCALE.deviation * heads["stars"][0])]:
        made, of_subwords = predictor.explain(TEXT, task, target), moved @ head
        edges = [*encoding.firsts, len(encoding.ids) - 1]  # all but the special tokens
        wanted = [of_subwords[first:end].sum().item() for first, end in zip(edges, edges[1:], strict=False)]
        assert [TEXT[word.start:word.end] for word in made.words] == ["Play", "jazz", ",", "Anna", "!"]
        assert [word.weight for word in made.words] == pytest.approx(wanted, rel=1e-3, abs=1e-5)
        assert (made.gap < 1e-3, made.steps) == (True, 32)
    assert predictor.explain(TEXT, "stars").after == pytest.approx(predictor(TEXT).predictions["stars"].number, rel=1e-5)


def test_the_words_that_decide_come_first_for_every_kind_of_task(trained):
    told = []
    for row in deciding_rows(27, seed=1):
        if (word := row["mood"].lower()) in MOODS:
            told.append((ranked(trained.explain(row["text"], "mood"))[0], word))
            told.append((ranked(trained.explain(row["text"], "mood", "PLAIN"))[-1], word))
        told += [(ranked(trained.explain(row["text"], "topics", topic))[0], topic) for topic in row["topics"]]
        if row["stars"] == 5:
            told.append((ranked(trained.explain(row["text"], "stars"))[0], STARS[4]))
    assert len(told) > 60 and sum(found == wanted for found, wanted in told) >= 0.9 * len(told), told


def test_for_an_entity_what_counts_is_the_word_that_decides_its_type(trained):
    told = []
    for row in deciding_rows(27, seed=1):
        if row["names"]:
            made = trained.explain(row["text"], "names")
            [span] = made.value
            assert (span,) == row["names"] and made.after > 0
            assert trained.explain(row["text"], "names", [{"start": span.start, "end": span.end, "label": "LOC PER".replace(
                span.label, "").strip()}]).after < 0
            told.append((ranked(made, row["text"][span.start:span.end])[0], next(word for word in TYPES if TYPES[word] == span.label)))
    assert len(told) == 18 and sum(found == wanted for found, wanted in told) >= 0.9 * len(told), told


# Completeness


@pytest.mark.parametrize("task", ["mood", "topics", "stars", "names"])
def test_all_words_together_make_up_the_difference_within_2_percent(trained, task):
    for row in [row for row in deciding_rows(18, seed=2) if row["names"]]:
        made = trained.explain(row["text"], task)
        total = sum(word.weight for word in made.words)
        assert made.gap <= TOLERANCE == 0.02
        assert total == pytest.approx(made.after - made.before, abs=0.02 * max(abs(total), *(abs(word.weight) for word in made.words)))


@pytest.mark.parametrize("family", FAMILIES)
def test_it_holds_for_every_family_of_encoders(family, make_predictor, tiny):
    torch.manual_seed(0)
    config = FAMILIES[family].__class__(**FAMILIES[family].to_dict() | {"vocab_size": len(tiny[1])})
    predictor = make_predictor(AutoModel.from_config(config))
    for task, target in (("mood", None), ("topics", None), ("stars", None), ("places", [{"start": 11, "end": 15, "label": "PER"}])):
        made = predictor.explain(TEXT, task, target)
        assert made.gap <= TOLERANCE and len(made.words) == 5


@pytest.mark.parametrize("changes", [{"pooling": "cls"}, {"pooling": "pooler"}, {"pooling": "mean", "normalize": True}, {"lora_rank": 4},
                                     {"only_heads": True}], ids=str)
def test_it_holds_however_the_model_was_trained_and_pools(make_predictor, changes):
    assert make_predictor(**changes).explain(TEXT, "mood").gap <= TOLERANCE


def test_the_bundled_encoder_is_explained_too():
    made = mtl.load("starter", device="cpu").explain("Last week the flight by Acme Airlines was a mess.", "sentiment", "negative")
    assert made.gap <= TOLERANCE and ranked(made)[0] == "mess"


# What is read, and what is refused


def test_of_a_long_text_only_the_part_that_was_read_is_explained(make_predictor):
    predictor = make_predictor(max_length=8)
    text = "Fly from New York to Paris tomorrow and play some jazz"
    made = predictor.explain(text, "mood")
    assert 0 < len(made.words) < 8 and made.words[-1].end < len(text) and made.gap <= TOLERANCE
    with pytest.raises(MtlError, match="was not read"):
        predictor.explain(text, "places", [{"start": text.index("jazz"), "end": len(text), "label": "LOC"}])


@pytest.mark.parametrize(("task", "target"), [("mood", "great"), ("topics", ["art", "odd"]), ("topics", []), ("places", "ORG"),
                                              ("places", [{"start": 0, "end": 4, "label": "ORG"}]), ("mood", ["good"]),
                                              ("places", [{"start": 1, "end": 4, "label": "LOC"}]), ("places", [{"begin": 1}])], ids=str)
def test_a_target_that_cannot_be_is_refused_with_what_is_wanted(make_predictor, task, target):
    with pytest.raises(MtlError, match=f"Task '{task}': found .*wanted"):
        make_predictor().explain(TEXT, task, target)


def test_an_empty_text_and_an_unknown_task_are_refused(make_predictor):
    with pytest.raises(MtlError, match="is empty"):
        make_predictor().explain(" ", "mood")
    with pytest.raises(MtlError, match="has no task 'tone'"):
        make_predictor().explain(TEXT, "tone")


# Nobody notices


def test_nothing_in_the_model_is_changed(make_predictor):
    predictor = make_predictor()
    before = {name: weight.clone() for name, weight in predictor.model.state_dict().items()}, predictor(TEXT).plain()
    for task, target in (("mood", None), ("topics", None), ("stars", None), ("places", [{"start": 11, "end": 15, "label": "PER"}])):
        predictor.explain(TEXT, task, target)
    assert all(torch.equal(weight, before[0][name]) for name, weight in predictor.model.state_dict().items())
    assert all(weight.grad is None and not weight.requires_grad for weight in predictor.model.parameters())
    assert predictor(TEXT).plain() == before[1] and not predictor.model.training


def test_a_run_that_is_asked_why_while_it_trains_ends_bit_for_bit_like_one_left_alone(jobs, tiny_config):
    config, ends = tiny_config(epochs=40, eval_every=10_000), []
    for is_asked in (True, False):
        run = jobs.start(config, "key")
        if is_asked:
            wait_for_step(jobs, run.id, 2)
            for _ in range(3):
                made = jobs.snapshot(run.id).predictor.explain("The food in Oslo was great.", "class")
                assert made.gap <= TOLERANCE
        wait(jobs, run.id, "finished")
        ends.append(load_file(run.folder / "last" / "model.safetensors"))
    assert ends[0].keys() == ends[1].keys() and all(torch.equal(weight, ends[1][name]) for name, weight in ends[0].items())
