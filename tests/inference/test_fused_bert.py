"""mtl/inference/fused_bert.py: the faster ways give the same answers, know what they do not know, and leave the model as it was."""

import copy
import math

import pytest
import torch
from transformers import DistilBertConfig, DistilBertModel

from mtl.errors import MtlError
from mtl.inference.fused_bert import accelerate
from mtl.inference.predictor import Predictor
from mtl.model.batching import by_tokens, collate, encode
from mtl.model.encoder import load_encoder
from mtl.model.loading import load_weights
from mtl.model.machine import Machine
from mtl.model.multitask import for_inference
from mtl.runs.checkpoint import save_checkpoint
from tests.conftest import TEXTS

SAME_LENGTH = ["book a table", "fly to rome", "play some jazz"]  # all words are whole in both vocabularies


@pytest.fixture(params=["tiny", "bundled"])
def loaded(request, tiny, make_model):
    """A model at rest on the tiny and on the bundled encoder, and its tokenizer."""
    encoder, tokenizer = (copy.deepcopy(tiny[0]), tiny[1]) if request.param == "tiny" else load_encoder("bundled")
    return for_inference(make_model(encoder)), tokenizer


def batch_of(tokenizer, texts):
    batch = collate(encode(tokenizer, texts, 32), tokenizer.pad_token_id)
    return batch["input_ids"], batch["attention_mask"]


@pytest.mark.parametrize("texts", [TEXTS, SAME_LENGTH, TEXTS[:1]], ids=["padded", "of one length", "one"])
@torch.inference_mode()
def test_fused_gives_the_same_logits(loaded, texts):
    model, tokenizer = loaded
    ids, mask = batch_of(tokenizer, texts)
    fused, how = accelerate(model, "fused")
    wanted, got = model(ids, mask).logits, fused(ids, mask).logits
    assert how == "fused" and fused.encoder is not model.encoder and got.keys() == wanted.keys()
    for task, logits in wanted.items():
        of_words = mask.bool() if logits.ndim == 3 else ...
        assert (got[task] - logits)[of_words].abs().max() < 1e-4


@pytest.mark.parametrize("pooling", ["pooler", "cls"])
@torch.inference_mode()
def test_fused_pools_as_the_model_does(tiny, make_model, pooling):
    model = for_inference(make_model(copy.deepcopy(load_encoder("tiny", TEXTS, seed=5)[0]), pooling=pooling))
    batch = batch_of(tiny[1], TEXTS)
    assert torch.allclose(accelerate(model, "fused")[0](*batch).logits["intent"], model(*batch).logits["intent"], atol=1e-5)


@torch.inference_mode()
def test_int8_is_close_and_leaves_the_model_as_it_was(loaded):
    model, tokenizer = loaded
    batch = batch_of(tokenizer, TEXTS)
    before = model(*batch).logits["intent"]
    small = accelerate(model, "int8")[0](*batch).logits["intent"]
    assert 0 < (small - before).abs().max() < 0.3
    assert torch.equal(model(*batch).logits["intent"], before)


@torch.inference_mode()
def test_int8_does_not_round_the_features_that_are_outliers(make_model, monkeypatch):
    model = for_inference(make_model(load_encoder("bundled")[0]))
    ids = torch.randint(1000, 30_000, (8, 16))

    def error() -> float:
        encoders = model.encoder, accelerate(model, "int8")[0].encoder
        wanted, got = (encoder(ids, torch.ones_like(ids)).last_hidden_state for encoder in encoders)
        return ((got - wanted).norm() / wanted.norm()).item()

    kept = error()
    monkeypatch.setattr("mtl.inference.fused_bert.OUTLYING", math.inf)
    assert kept < 0.5 * error()


@pytest.mark.parametrize(("cost", "how"), [(None, "fused"), (0.01, "fused"), (0.0099, "int8"), (0.0, "int8")])
def test_int8_is_chosen_only_if_it_is_fastest_and_surely_costs_less_than_a_point(loaded, monkeypatch, cost, how):
    def chosen(of_int8: float) -> str:
        monkeypatch.setattr("mtl.inference.fused_bert._fastest", {})
        monkeypatch.setattr("mtl.inference.fused_bert._seconds", lambda *models: [3.0, 2.0, of_int8][:len(models)])
        return accelerate(loaded[0])[1]

    loaded[0].config.int8_cost_bound = cost
    assert chosen(of_int8=1.0) == how and chosen(of_int8=2.5) == "fused"
    monkeypatch.setattr("mtl.inference.fused_bert.HAS_INT8", False)
    assert chosen(of_int8=1.0) == "fused"


def test_a_checkpoint_from_before_whose_cost_is_no_bound_is_not_allowed_8_bits(make_model, monkeypatch, tmp_path):
    model = make_model()
    model.config.int8_cost = 0.0  # as it was called
    save_checkpoint(tmp_path, "best", model.save_pretrained, {"step": 1})
    loaded = load_weights(tmp_path / "best", "cpu")
    monkeypatch.setattr("mtl.inference.fused_bert._fastest", {})
    monkeypatch.setattr("mtl.inference.fused_bert._seconds", lambda *models: [3.0, 2.0, 1.0][:len(models)])
    assert loaded.config.int8_cost_bound is None and accelerate(loaded)[1] == "fused"


@pytest.mark.parametrize("engine", ["plain", "fused", "int8", "auto"])
def test_a_predictor_says_how_it_computes_and_any_way_answers(loaded, engine):
    predictor = Predictor(*loaded, Machine("cpu", "fp32", 1), engine)
    [predicted] = predictor.predict(TEXTS[:1])
    assert predicted.predictions.keys() == {"intent", "mood", "slots"}
    assert predictor.how in (["cpu, plain", "cpu, fused"] if engine == "auto" else [f"cpu, {engine}"])


def test_plain_and_fused_predict_the_same_labels_and_spans(loaded):
    plain, fused = (Predictor(*loaded, Machine("cpu", "fp32", 1), engine).predict(TEXTS * 3) for engine in ("plain", "fused"))
    for one, other in zip(plain, fused, strict=True):
        assert one.predictions["slots"].spans == other.predictions["slots"].spans
        assert list(one.predictions["intent"].probabilities) == list(other.predictions["intent"].probabilities)


def test_what_is_fast_draws_no_random_numbers_and_needs_no_gradients(tiny, make_model):
    model, state = for_inference(make_model(copy.deepcopy(tiny[0]))), torch.get_rng_state()
    fused = accelerate(model, "fused")[0]
    assert torch.equal(torch.get_rng_state(), state)
    assert not any(weight.requires_grad for weight in fused.parameters()) and not fused.training


def test_other_encoders_answer_plainly_and_cannot_be_asked_for_more(make_model):
    config = DistilBertConfig(vocab_size=50, dim=16, n_layers=1, n_heads=2, hidden_dim=16)
    model = for_inference(make_model(DistilBertModel(config)))
    assert accelerate(model)[0] is model and accelerate(model)[1] == "plain"
    with pytest.raises(MtlError, match="for BERT only"):
        accelerate(model, "fused")
    with pytest.raises(MtlError, match="no engine 'warp'"):
        accelerate(model, "warp")


@pytest.mark.parametrize("lengths", [[], [3], [900], [5, 5, 5, 5], [9, 2, 7, 7, 7, 1, 30, 30, 4]], ids=str)
def test_batches_by_tokens_hold_every_text_once_and_not_too_much_and_if_half_full_no_shorter_text(lengths):
    batches = by_tokens(lengths, 32)
    assert sorted(sum(batches, [])) == list(range(len(lengths)))
    assert all(len(batch) == 1 or len(batch) * max(lengths[index] for index in batch) <= 32 for batch in batches)
    assert by_tokens([4] * 4 + [3] * 4, 32) == [[0, 1, 2, 3], [4, 5, 6, 7]]


def test_many_texts_are_shared_among_threads_and_come_back_in_order(tiny, make_model):
    model, texts = for_inference(make_model()), [f"Fly from {place} to Rome" for place in "ABCDEFGHIJ"] * 30
    alone, shared = (Predictor(model, tiny[1], Machine("cpu", "fp32", threads), "plain").predict(texts) for threads in (1, 3))
    for one, other, text in zip(alone, shared, texts, strict=True):
        assert one.text == other.text == text and one.predictions["slots"].spans == other.predictions["slots"].spans
        assert other.predictions["intent"].probabilities == pytest.approx(one.predictions["intent"].probabilities, abs=1e-5)


def test_asking_leaves_the_threads_of_the_asker_as_they_were(tiny, make_model):
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        Predictor(for_inference(make_model()), tiny[1], Machine("cpu", "fp32", 2)).predict(TEXTS * 40)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
