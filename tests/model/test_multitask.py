"""mtl/model/multitask.py: one shared encoder, one head per task, saved and loaded like any transformers model."""

import pytest
import torch
from torch import nn
from transformers import AutoModel, DistilBertConfig, ModernBertConfig, RobertaConfig, XLMRobertaConfig

from mtl.errors import MtlError
from mtl.model.loading import load_weights
from mtl.model.multitask import MultiTaskModel, parameter_groups
from mtl.runs.checkpoint import save_checkpoint
from mtl.tasks.base import IGNORED

SMALL = {"vocab_size": 90, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48}
FAMILIES = {
    "distilbert": DistilBertConfig(vocab_size=90, dim=32, hidden_dim=48, n_layers=2, n_heads=2, max_position_embeddings=40),
    "roberta": RobertaConfig(**SMALL, max_position_embeddings=42, pad_token_id=1),
    "xlm-r": XLMRobertaConfig(**SMALL, max_position_embeddings=42, pad_token_id=1),
    "modernbert": ModernBertConfig(**SMALL, max_position_embeddings=40, pad_token_id=0, bos_token_id=1, eos_token_id=2, cls_token_id=1,
                                   sep_token_id=2, local_attention=8),
}


def make_batch(rows: int = 3, length: int = 10, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Random ids, each row shorter than the one before, and their mask."""
    ids = torch.randint(5, 90, (rows, length), generator=torch.Generator().manual_seed(seed))
    mask = (torch.arange(length) < length - 2 * torch.arange(rows)[:, None]).long()
    return ids * mask, mask


def make_labels(ids: torch.Tensor, mask: torch.Tensor) -> dict[str, torch.Tensor]:
    return {"intent": torch.arange(len(ids)) % 3, "mood": torch.arange(len(ids)) % 2, "slots": torch.where(mask == 1, ids % 5, IGNORED)}


def head_inputs(model: MultiTaskModel, ids: torch.Tensor, mask: torch.Tensor) -> tuple[list[torch.Tensor], torch.Tensor]:
    """What each head reads, and the encoder's states."""
    seen, states = [], []
    hooks = [head.register_forward_pre_hook(lambda _, args: seen.append(args[0])) for head in model.heads]
    hooks.append(model.encoder.register_forward_hook(lambda _, args, out: states.append(out)))
    with torch.no_grad():
        model(ids, mask)
    for hook in hooks:
        hook.remove()
    return seen, states[0]


# Save and load


@pytest.mark.parametrize("pooling", ["mean", "cls", "pooler"])
def test_a_saved_model_gives_the_same_logits_bit_for_bit(make_model, tmp_path, pooling):
    model = make_model(pooling=pooling, normalize=pooling == "cls")
    save_checkpoint(tmp_path, "best", model.save_pretrained, {"step": 1})
    ids, mask = make_batch()
    before, again = model(ids, mask).logits, load_weights(tmp_path / "best", "cpu")
    assert list(before) == ["intent", "mood", "slots"]
    assert all(torch.equal(logits, again(ids, mask).logits[task]) for task, logits in before.items())
    assert not again.training and not any(weight.requires_grad for weight in again.parameters())
    assert again.config.tasks == model.config.tasks
    assert (again.config.pooling, again.config.normalize, again.config.dropout, again.config.max_length) == (
        pooling, pooling == "cls", 0.1, 32)
    with_auto_model = AutoModel.from_pretrained(tmp_path / "best").eval()
    assert type(with_auto_model) is MultiTaskModel and torch.equal(before["slots"], with_auto_model(ids, mask).logits["slots"])


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_of_encoders_trains_saves_and_loads(family, make_model, tmp_path):
    torch.manual_seed(0)
    model = make_model(AutoModel.from_config(FAMILIES[family]))
    ids, mask = make_batch()
    ids = torch.where(mask == 1, ids, model.config.encoder.pad_token_id or 0)
    out = model(ids, mask, labels=make_labels(ids, mask))
    sum(out.losses.values()).backward()
    silent = [name for name, weight in model.named_parameters() if weight.grad is None]
    assert not silent
    save_checkpoint(tmp_path, "best", model.save_pretrained, {"step": 1})
    again = load_weights(tmp_path / "best", "cpu")(ids, mask).logits
    assert all(torch.equal(logits, again[task]) for task, logits in out.logits.items())


def test_building_keeps_the_encoder_s_weights_and_its_seed_decides_the_heads(tiny, make_model):
    first, again, other = make_model(seed=1), make_model(seed=1), make_model(seed=2)
    weights = tiny[0].state_dict()
    assert all(torch.equal(weight, weights[name]) for name, weight in first.encoder.state_dict().items())
    assert all(torch.equal(one, two) for one, two in zip(first.heads.parameters(), again.heads.parameters(), strict=True))
    assert not torch.equal(first.heads[0].weight, other.heads[0].weight)


# One pass, all heads


def test_one_encoder_pass_serves_all_tasks_and_only_the_heads_of_those_asked_for_are_computed(make_model):
    model, passes, used = make_model(), [], []
    model.encoder.register_forward_hook(lambda *_: passes.append(1))
    ids, mask = make_batch()
    labels = make_labels(ids, mask)
    out = model(ids, mask, labels=labels)
    assert len(passes) == 1 and list(out.losses) == ["intent", "mood", "slots"]
    assert {task: tuple(logits.shape) for task, logits in out.logits.items()} == {"intent": (3, 3), "mood": (3, 2), "slots": (3, 10, 5)}
    for place, head in enumerate(model.heads):
        head.register_forward_hook(lambda *_, place=place: used.append(place))
    assert list(model(ids, mask, tasks=["slots"]).logits) == ["slots"] and used == [2]
    out = model(ids, mask, labels={"mood": labels["mood"]})
    assert list(out.logits) == list(out.losses) == ["mood"] and used == [2, 1]
    assert list(model(ids, mask, tasks=["intent", "mood"], labels={"mood": labels["mood"]}).losses) == ["mood"]


def test_a_row_that_is_not_labelled_adds_nothing_to_the_loss_or_the_gradient(make_model):
    model = make_model()
    ids, mask = make_batch()
    labels = {task: given.clone() for task, given in make_labels(ids, mask).items()}
    for given in labels.values():
        given[1] = IGNORED
    seen = []
    for filler in (7, 8):  # what stands in the row makes no difference
        others = torch.where(torch.isin(ids, torch.tensor([7, 8])), 9, ids)
        changed = torch.where((torch.arange(3) == 1)[:, None] & (mask == 1), filler, others)
        model.zero_grad()
        losses = model(changed, mask, labels=labels).losses
        sum(losses.values()).backward()
        assert not model.encoder.get_input_embeddings().weight.grad[filler].any()
        seen.append([*(loss.detach() for loss in losses.values()), *(head.weight.grad.clone() for head in model.heads)])
    assert all(torch.equal(one, two) for one, two in zip(*seen, strict=True))


def test_a_batch_without_any_label_has_loss_0_and_gradient_0(make_model):
    model = make_model()
    ids, mask = make_batch()
    labels = {task: torch.full_like(given, IGNORED) for task, given in make_labels(ids, mask).items()}
    losses = model(ids, mask, labels=labels).losses
    sum(losses.values()).backward()
    assert [loss.item() for loss in losses.values()] == [0, 0, 0]
    assert not any(weight.grad.any() for weight in model.parameters() if weight.grad is not None)


# Pooling


@pytest.mark.parametrize("pooling", ["mean", "cls", "pooler"])
def test_pooling_takes_the_first_token_or_the_mean_of_all_but_padding_or_the_encoder_s_own_pooler(make_model, pooling):
    ids, mask = make_batch()
    (sentence, _, tokens), out = head_inputs(make_model(pooling=pooling), ids, mask)
    states = out.last_hidden_state
    wanted = {"cls": states[:, 0], "pooler": out.pooler_output,
              "mean": torch.stack([row[:n].mean(0) for row, n in zip(states, mask.sum(1), strict=True)])}[pooling]
    assert torch.allclose(sentence, wanted, atol=1e-6) and torch.equal(tokens, states)


@pytest.mark.parametrize("pooling", ["mean", "cls", "pooler"])
def test_padding_changes_no_prediction_and_a_pooler_is_only_kept_where_it_is_used(make_model, pooling):
    model = make_model(pooling=pooling)
    assert len([name for name, _ in model.named_parameters() if "pooler" in name]) == 2 * (pooling == "pooler")
    ids, mask = make_batch()
    longer = [torch.cat([tensor, torch.zeros(3, 15, dtype=torch.long)], 1) for tensor in (ids, mask)]
    short, padded = head_inputs(model, ids, mask)[0][0], head_inputs(model, *longer)[0][0]
    assert torch.allclose(short, padded, atol=1e-5)


def test_an_encoder_without_a_pooler_says_so(make_model):
    with pytest.raises(MtlError, match="distilbert.* has no pooler of its own. Choose mean or cls"):
        make_model(AutoModel.from_config(FAMILIES["distilbert"]), pooling="pooler")


def test_normalised_sentence_vectors_have_length_1_and_tokens_stay_as_they_are(make_model):
    (sentence, _, tokens), out = head_inputs(make_model(normalize=True), *make_batch())
    assert torch.allclose(sentence.norm(dim=-1), torch.ones(3))
    assert torch.equal(tokens, out.last_hidden_state)
    assert not torch.allclose(head_inputs(make_model(), *make_batch())[0][0].norm(dim=-1), torch.ones(3), atol=0.1)


# Dropout


def test_dropout_of_heads_and_encoder_are_set_apart(tiny, make_model):
    def rates(model):
        return {module.p for module in model.encoder.modules() if isinstance(module, nn.Dropout)}

    encoder = type(tiny[0])(type(tiny[0].config)(**tiny[0].config.to_dict()))  # its config is changed
    model = make_model(encoder, dropout=0.3, encoder_dropout=0.25)
    assert model.dropout.p == 0.3 and rates(model) == {0.25} and rates(make_model()) == {0.1}


@pytest.mark.parametrize("family", FAMILIES)
def test_encoder_dropout_0_silences_every_family(family, make_model):
    encoder = AutoModel.from_config(type(FAMILIES[family])(**FAMILIES[family].to_dict()))
    model = make_model(encoder, dropout=0.0, encoder_dropout=0.0).train()
    ids, mask = make_batch()
    assert torch.equal(model(ids, mask).logits["slots"], model(ids, mask).logits["slots"])


# Parameter groups


@pytest.mark.parametrize("family", [None, *FAMILIES])
def test_no_bias_and_no_norm_decays_and_heads_have_their_own_rate(family, make_model):
    model = make_model(AutoModel.from_config(FAMILIES[family]) if family else None)
    assert model.num_parameters() == 10 * (model.config.encoder.hidden_size + 1) + model.encoder.num_parameters()
    groups = parameter_groups(model, 1e-4, 1e-3, 0.01)
    at = {weight: group for group in groups for weight in group["params"]}
    assert len(at) == sum(len(group["params"]) for group in groups) == len(list(model.parameters()))
    norms = {weight for module in model.modules() if "Norm" in type(module).__name__ for weight in module.parameters()}
    assert norms
    for name, weight in model.named_parameters():
        rate, decay = at[weight]["lr"], at[weight]["weight_decay"]
        assert rate == at[weight]["base_lr"] == (1e-3 if name.startswith("heads.") else 1e-4)
        assert decay == (0 if name.endswith("bias") or weight in norms else 0.01), name
