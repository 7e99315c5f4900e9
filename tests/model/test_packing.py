"""mtl/model/packing.py: packed texts are read as if each stood alone, and next to nothing of them is padding."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoConfig, AutoModel

from mtl.data.dataset import load
from mtl.data.words import Span
from mtl.model.batching import collate, encode
from mtl.model.encoder import load_encoder
from mtl.model.machine import Machine
from mtl.model.packing import MAX_WIDTH, can_pack, encode_packed, pack
from mtl.settings.config import make_config
from mtl.training.trainer import Trainer
from tests.plain import Row

SMALL = {"vocab_size": 99, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48,
         "max_position_embeddings": 16, "pad_token_id": 1}
DISTILBERT = {"dim": 32, "n_layers": 2, "n_heads": 2, "hidden_dim": 48}
LENGTHS = [3, 12, 7, 7, 4, 10]


def make_encoder(kind: str, **settings: int):
    """An encoder of that kind with weights as large as trained ones."""
    torch.manual_seed(0)
    encoder = AutoModel.from_config(AutoConfig.for_model(kind, **(SMALL | settings))).eval()
    for weight in encoder.parameters():
        weight.data.normal_(0, 0.2)
    return encoder


@given(st.lists(st.integers(1, 70), min_size=1, max_size=40))
def test_every_subword_has_one_place_and_is_found_again(lengths):
    packing = pack(lengths)
    real = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    assert (packing.texts >= 0).sum() == sum(lengths)
    there = packing.places[real]
    assert len(set(there.tolist())) == sum(lengths)
    assert (packing.sources.flatten()[there] == torch.arange(real.numel()).view(real.shape)[real]).all()
    assert (packing.texts.flatten()[there] == torch.arange(len(lengths))[:, None].expand_as(real)[real]).all()
    assert (packing.positions.flatten()[there] == torch.arange(max(lengths)).expand_as(real)[real]).all()
    assert max(lengths) <= packing.texts.shape[1] <= max(MAX_WIDTH * max(lengths), max(lengths))


@pytest.mark.parametrize(("kind", "settings"), [("bert", {}), ("distilbert", DISTILBERT), ("roberta", {}), ("xlm-roberta", {}),
                                                ("electra", {"embedding_size": 32}), ("albert", {"embedding_size": 32})])
@torch.no_grad()
def test_a_packed_text_is_read_as_if_it_stood_alone(kind, settings):
    encoder = make_encoder(kind, **settings)
    weights, state = copy.deepcopy(encoder.state_dict()), torch.get_rng_state()
    assert can_pack(encoder, max(LENGTHS)) and not encoder.training  # it draws nothing and changes nothing
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(weight, weights[name]) for name, weight in encoder.state_dict().items())
    ids = torch.randint(5, 99, (len(LENGTHS), max(LENGTHS)))
    packed = encode_packed(encoder, ids, pack(LENGTHS))  # rows wider than the encoder has positions
    for text, length in enumerate(LENGTHS):
        alone = encoder(input_ids=ids[text:text + 1, :length], attention_mask=torch.ones(1, length, dtype=torch.long)).last_hidden_state[0]
        assert torch.allclose(packed[text, :length], alone, atol=1e-5)


@pytest.mark.parametrize("kind", ["mpnet", "deberta-v2", "modernbert", "fnet"])
def test_an_encoder_that_would_read_packed_texts_otherwise_is_found_out(kind):
    ends = {"bos_token_id": 2, "cls_token_id": 2, "eos_token_id": 3, "sep_token_id": 3, "local_attention": 8}
    assert not can_pack(make_encoder(kind, **(ends if kind == "modernbert" else {})), 12)


def test_losses_and_gradients_are_those_of_the_padded_batch(tiny, make_model):
    model = make_model(copy.deepcopy(tiny[0]))
    rows = [Row("Book a table in Rome for two.", {"intent": "book", "mood": "good", "slots": (Span(16, 20, "LOC"),)}),
            Row("Fly to Paris", {"intent": "fly", "mood": None, "slots": (Span(7, 12, "LOC"),)}),
            Row("It is far from good", {"intent": None, "mood": "bad", "slots": None})]
    encodings = encode(tiny[1], [row.text for row in rows], 32)
    labels = [{name: task.label_ids(row.values[name], encoding) for name, task in model.tasks.items()}
              for row, encoding in zip(rows, encodings, strict=True)]
    batch = collate(encodings, tiny[1].pad_token_id, labels, list(model.tasks.values()))
    found = []
    for packing in (None, pack([len(encoding.ids) for encoding in encodings])):
        model.zero_grad()
        losses = model(**batch, packing=packing).losses
        sum(losses.values()).backward()
        found.append(([loss.item() for loss in losses.values()], [weight.grad.clone() for weight in model.parameters()]))
    assert found[1][0] == pytest.approx(found[0][0], rel=1e-5)
    assert all(torch.allclose(packed, padded, atol=1e-5) for padded, packed in zip(found[0][1], found[1][1], strict=True))


def test_of_the_bundled_corpus_at_least_95_percent_of_the_subwords_are_real(tmp_path):
    tokenizer = load_encoder("bundled")[1]
    rows = load(make_config({}), tmp_path).train
    lengths = np.array([len(encoding.ids) for encoding in encode(tokenizer, [row.text for row in rows], 128)])
    batches = np.array_split(np.random.default_rng(1).permutation(lengths), len(lengths) // 32)
    assert lengths.sum() / sum(pack(batch.tolist()).texts.numel() for batch in batches) >= 0.95


@pytest.mark.parametrize("pooling", ["mean", "pooler"])
def test_only_a_run_that_cannot_pack_has_rows_of_about_one_length_in_a_step(pooling, tmp_path, tiny_config):
    config = tiny_config(pooling=pooling)  # a pooler reads the first subword of a row
    trainer = Trainer(config, tmp_path, load(config, tmp_path), Machine("cpu", "fp32", 1), tmp_path)
    assert (trainer.pool.lengths is None) == (pooling == "mean")
