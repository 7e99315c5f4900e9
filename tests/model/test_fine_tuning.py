"""Which parts of the model learn: only the heads (on the frozen features of mtl/model/split.py), only adapters (mtl/model/lora.py), or all
but the lowest layers or the embeddings."""

import copy
import shutil
from collections import namedtuple
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import AlbertConfig, AutoModel, XLMConfig

from mtl.data.dataset import load
from mtl.errors import MtlError
from mtl.inference.predictor import Predictor
from mtl.model.encoder import load_encoder
from mtl.model.loading import load_weights, put_weights
from mtl.model.machine import Machine
from mtl.model.multitask import MultiTaskModel, for_inference, freeze_lowest, learned_weights, parameter_groups
from mtl.model.split import FrozenFeatures, Split, compute_features, sample, sample_places
from mtl.runs.checkpoint import save_checkpoint
from mtl.runs.events import Evaluated, EventLog, LogReader, RunStarted, StatusChanged, StepDone, describe
from mtl.settings.config import make_config
from mtl.tasks.base import Encoding
from mtl.training.trainer import Trainer
from tests.model.test_multitask import FAMILIES, make_batch, make_labels

TEXT = "Anna flew from Oslo to Rome and was happy."
CPU = Machine("cpu", "fp32", 1)
LENGTHS = np.array([4, 9, 2, 7, 9, 3], np.int32)


def build(make_model, family: str = "distilbert", seed: int = 0, **changes) -> MultiTaskModel:
    torch.manual_seed(seed)
    return make_model(AutoModel.from_config(FAMILIES[family]), base="some/encoder", **changes)


def examples_of(lengths) -> list:
    numbers = torch.Generator().manual_seed(0)
    return [(Encoding(torch.randint(5, 90, (int(length),), generator=numbers).tolist(), [], []), {}) for length in lengths]


def batch_of(model, examples, indices) -> tuple[torch.Tensor, torch.Tensor]:
    rows = [torch.tensor(examples[index][0].ids) for index in indices]
    mask = nn.utils.rnn.pad_sequence([torch.ones_like(row) for row in rows], batch_first=True)
    return nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=model.config.encoder.pad_token_id or 0), mask


def one_step(model, ids, mask) -> None:
    optimizer = torch.optim.AdamW(parameter_groups(model, 1e-2, 1e-2, 0.1))
    sum(model.train()(ids, mask, labels=make_labels(ids, mask)).losses.values()).backward()
    optimizer.step()


# Freezing


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("layers", [0, 1, 2])
def test_the_lowest_layers_and_the_embeddings_keep_their_weights_and_make_no_noise(family, layers, make_model):
    model = build(make_model, family, encoder_dropout=0.5)
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    freeze_lowest(model, layers, embeddings=True)
    ids, mask = batch_of(model, examples_of([9, 5, 3]), [0, 1, 2])
    one_step(model, ids, mask)
    frozen = ("encoder.embeddings.", *(f"encoder.{place}.{index}." for index in range(layers) for place in
                                       ("transformer.layer", "encoder.layer", "layers")))
    moved = {name for name, weight in model.named_parameters() if not torch.equal(weight, before[name])}
    assert moved == {name for name, _ in model.named_parameters() if not name.startswith(frozen)}
    noisy = [name for name, part in model.named_modules() if isinstance(part, nn.Dropout) and part.training and part.p]
    assert noisy and not any(name.startswith(frozen) for name in noisy)
    assert model.num_parameters(only_trainable=True) == sum(before[name].numel() for name in moved)


def test_frozen_layers_take_the_embeddings_with_them_and_0_freezes_nothing(make_model):
    model = build(make_model)
    freeze_lowest(model, 0, embeddings=False)
    assert all(weight.requires_grad for weight in model.parameters())
    freeze_lowest(model, 1, embeddings=False)
    assert not any(weight.requires_grad for weight in model.encoder.embeddings.parameters())


def test_an_encoder_that_keeps_its_layers_in_several_lists_has_each_of_them_frozen(make_model):
    torch.manual_seed(0)
    model = make_model(AutoModel.from_config(XLMConfig(vocab_size=90, emb_dim=32, n_layers=2, n_heads=2)))
    freeze_lowest(model, 1, embeddings=False)
    encoder = model.encoder
    learning = {name for name, weight in encoder.named_parameters() if weight.requires_grad}
    assert learning == {name for name, _ in encoder.named_parameters() if ".1." in name}


def test_an_encoder_whose_layers_share_their_weights_is_refused(make_model):
    config = AlbertConfig(vocab_size=90, hidden_size=32, embedding_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=4)
    model = make_model(AutoModel.from_config(config), base="albert")
    with pytest.raises(MtlError, match="The layers of the encoder 'albert' cannot be identified. Set Frozen layers to 0"):
        freeze_lowest(model, 1, embeddings=False)
    freeze_lowest(model, 0, embeddings=True)


def test_a_checkpoint_of_a_partly_frozen_model_holds_every_weight(make_model, tmp_path):
    model = build(make_model)
    freeze_lowest(model, 1, embeddings=True)
    assert set(learned_weights(model)) == set(model.state_dict())
    save_checkpoint(tmp_path, "best", lambda folder: model.save_pretrained(folder, state_dict=learned_weights(model)), {"step": 1})
    ids, mask = make_batch()
    again = load_weights(tmp_path / "best", "cpu")
    assert all(torch.equal(logits, again(ids, mask).logits[task]) for task, logits in model.eval()(ids, mask).logits.items())


@pytest.mark.parametrize(("changes", "message"), [
    ({"fine_tuning": "lora", "frozen_layers": 2}, "Frozen layers: found 2, but Fine-tuning 'lora' freezes every layer anyway"),
    ({"fine_tuning": "heads", "frozen_layers": 1}, "Frozen layers: found 1, but Fine-tuning 'heads' freezes every layer anyway"),
    ({"fine_tuning": "heads", "pooling": "pooler"}, "Pooling: found 'pooler'.*use 'mean' or 'cls'"),
    ({"fine_tuning": "heads", "encoder": "tiny"}, "Fine-tuning: found 'heads', but the encoder 'tiny' has learned nothing that heads"),
    ({"fine_tuning": "lora", "encoder": "tiny"}, "Fine-tuning: found 'lora', but the encoder 'tiny' has learned nothing")])
def test_settings_that_do_not_go_together_are_refused(changes, message):
    with pytest.raises(MtlError, match=message):
        make_config(changes)


def test_frozen_embeddings_go_without_saying_where_the_encoder_is_frozen(make_model):
    assert make_config({"fine_tuning": "heads", "freeze_embeddings": True}).freeze_embeddings
    model = build(make_model, lora_rank=2)
    learning = [weight.requires_grad for weight in model.parameters()]
    freeze_lowest(model, 0, embeddings=True)
    assert [weight.requires_grad for weight in model.parameters()] == learning


# Frozen features


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("changes", [{}, {"pooling": "cls", "normalize": True}], ids=["mean", "cls-normalised"])
def test_frozen_features_give_the_logits_and_gradients_that_the_encoder_gives(family, changes, make_model, tmp_path):
    model = build(make_model, family, only_heads=True, dropout=0.0, **changes).train()
    examples, indices = examples_of(LENGTHS), [5, 0, 4]
    states = compute_features(model, examples, LENGTHS, CPU, tmp_path / "states")
    ids, mask = batch_of(model, examples, indices)
    model.train()
    found = []
    for known in (None, states.batch(indices)):
        model.zero_grad()
        out = model(ids, mask, labels=make_labels(ids, mask), hidden_states=known)
        sum(out.losses.values()).backward()
        real = [logits[mask == 1] if logits.ndim == 3 else logits for logits in out.logits.values()]
        found.append(real + [weight.grad for weight in model.heads.parameters()])
    assert all(torch.allclose(one, other, rtol=0, atol=1e-5) for one, other in zip(*found, strict=True))
    assert all(weight.grad is None for weight in model.encoder.parameters())


def test_the_frozen_encoder_makes_no_noise_while_the_heads_train(make_model):
    model = build(make_model, only_heads=True, encoder_dropout=0.5).train()
    assert model.training and model.dropout.training and not any(part.training for part in model.encoder.modules())
    assert set(learned_weights(model)) == {f"heads.{index}.{part}" for index in range(3) for part in ("weight", "bias")}


def test_features_in_a_file_are_those_in_memory(make_model, tmp_path, monkeypatch):
    model, examples = build(make_model, only_heads=True), examples_of(LENGTHS)
    heard = []
    in_memory = compute_features(model, examples, LENGTHS, CPU, tmp_path / "a/states", lambda *what: heard.append(what))
    assert not (tmp_path / "a").exists() and heard == [("Encoding", 0.0)]
    monkeypatch.setattr("mtl.model.split.KEPT_IN_MEMORY", 100)
    monkeypatch.setattr("mtl.model.split.BATCH", 2)
    in_file = compute_features(model, examples, LENGTHS, CPU, tmp_path / "b/states", lambda *what: heard.append(what))
    assert (tmp_path / "b/states").stat().st_size == 4 * LENGTHS.sum() * 32 and isinstance(in_file.vectors, np.memmap)
    assert heard[1:] == [("Encoding", 0.0), ("Encoding", 1 / 3), ("Encoding", 2 / 3)]
    for indices in ([0], [2, 1], [3, 4, 5], np.array([1, 1])):
        one, other = in_memory.batch(indices), in_file.batch(indices)
        assert one.shape == (len(indices), LENGTHS[indices].max(), 32) and torch.allclose(one, other, rtol=0, atol=1e-5)


def test_features_are_padded_with_zeros():
    features = FrozenFeatures(np.arange(12, dtype=np.float32).reshape(6, 2), np.array([4, 0]), np.array([2, 4], np.int32))
    assert features.batch([0, 1]).tolist() == [[[8, 9], [10, 11], [0, 0], [0, 0]], [[0, 1], [2, 3], [4, 5], [6, 7]]]


def test_a_sample_of_rows_keeps_the_hidden_states_of_just_these_rows():
    lengths = np.array([2, 1, 3, 2], np.int32)
    features = FrozenFeatures(np.arange(16, dtype=np.float32).reshape(8, 2), np.array([6, 0, 1, 4]), lengths)
    split = Split(list("abcd"), list("ABCD"), lengths, {"tone": lengths}, 0, features)
    few, places = sample(split, 2, seed=3), sample_places(4, 2, seed=3).tolist()
    assert few.rows == [split.rows[place] for place in places] and sample(split, 4, seed=3) is split
    assert torch.equal(few.features.batch([0, 1]), features.batch(places))


def test_a_disk_without_room_for_the_features_is_an_error_before_the_encoder_runs(make_model, tmp_path, monkeypatch):
    model = build(make_model, only_heads=True)
    model.encoder.forward = None
    monkeypatch.setattr("mtl.model.split.KEPT_IN_MEMORY", 100)
    monkeypatch.setattr("shutil.disk_usage", lambda path: namedtuple("Usage", "free")(3000))
    with pytest.raises(MtlError, match="of 6 rows take 0.0 GB, but the disk has 0.0 GB free. Free some space.*or set Fine-tuning"):
        compute_features(model, examples_of(LENGTHS), LENGTHS, CPU, tmp_path / "states")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no device that is always full")
def test_a_disk_that_becomes_full_is_an_error(make_model, monkeypatch):
    monkeypatch.setattr("mtl.model.split.KEPT_IN_MEMORY", 100)
    with pytest.raises(MtlError, match="The disk is full: the hidden states of the rows could not be kept. Free some space"):
        compute_features(build(make_model, only_heads=True), examples_of(LENGTHS), LENGTHS, CPU, Path("/dev/full"))


# A run of heads, and runs with frozen parts


@pytest.fixture(scope="module")
def heads_config(tiny_config):
    """A function that makes settings for a run of a few seconds: heads on the frozen bundled encoder."""
    def make(**changes):
        return tiny_config(**{"encoder": "bundled", "fine_tuning": "heads", "hypothetical_rows": 40, "batch_size": 8, "epochs": 3,
                              "head_learning_rate": 2e-2, "dropout": 0.0, "checkpoint_every": 7} | changes)

    return make


@pytest.fixture(scope="module")
def heads_run(heads_config, finish, tmp_path_factory):
    return watched_run(heads_config(), tmp_path_factory.mktemp("heads"), finish)


def watched_run(config, folder: Path, finish) -> tuple:
    """A finished run's folder, its events, its trainer as it was before the last step, and the names of what was prepared. After step 8 its
    folder is copied, as if it was killed then, with a checkpoint of step 7; and the page predicts with the model that is training."""
    trainers, heard = [], []

    def watch(trainer: Trainer) -> bool:
        trainers[:] = [trainer]
        if trainer.progress.step == 8:
            shutil.copytree(trainer.run, trainer.run.with_name(f"{trainer.run.name}-killed"))
            snapshot = Predictor(for_inference(copy.deepcopy(trainer.model)), trainer.tokenizer, trainer.machine)
            assert snapshot.predict([TEXT])[0].predictions.keys() == {"class", "sentiment", "entities"}
            assert not has_adapters(snapshot.model)
            if config.fine_tuning == "heads":
                trainer.model.encoder.register_forward_hook(lambda *_: heard.append("asked again"))
        return False

    events = finish(config, folder, between_steps=watch, progress=lambda what, share: heard.append(what))
    return folder, events, trainers[0], heard


def saved(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "last/model.safetensors")


def test_heads_learn_while_the_encoder_stays_as_it_was_and_is_asked_only_once(heads_run):
    _, events, trainer, heard = heads_run
    steps = [event for event in events if isinstance(event, StepDone)]
    assert sum(steps[-1].losses.values()) < 0.7 * sum(steps[0].losses.values())
    assert steps[0].learning_rate >= 1e-2 # that of the heads; nothing has the other one
    started = next(event for event in events if isinstance(event, RunStarted))
    assert (started.learning_rate, started.head_learning_rate) == (None, 2e-2) and "; rate 0.02 (heads);" in describe(started)
    base = load_encoder("bundled")[0].state_dict()
    assert all(torch.equal(weight, base[name]) for name, weight in trainer.model.encoder.state_dict().items())
    assert set(heard) == {"Encoding"} and len(heard) == 2  # train and validation, both short
    assert trainer.train_split.features and trainer.validation_split.features


def test_validation_is_scored_as_the_loaded_model_scores_it_without_features(heads_run):
    folder, events, trainer, _ = heads_run
    last = [event for event in events if isinstance(event, Evaluated)][-1]
    without = replace(trainer.validation_split, features=None)
    again = trainer.evaluate(without, load_weights(folder / "last", "cpu"))
    assert again.scores == last.scores and again.losses == pytest.approx(last.losses, abs=1e-5)


def test_features_in_a_file_and_accumulated_batches_train_the_same_heads(heads_config, heads_run, finish, tmp_path, monkeypatch):
    monkeypatch.setattr("mtl.model.split.KEPT_IN_MEMORY", 1000)
    finish(heads_config(batch_size=4, accumulation=2), tmp_path)
    assert sorted(path.name for path in tmp_path.glob("*/0/*-features")) == ["train-features", "validation-features"]
    assert all(torch.allclose(weight, saved(tmp_path)[name], rtol=0, atol=1e-4) for name, weight in saved(heads_run[0]).items())


def test_several_processes_pass_the_features_to_their_models(heads_config, finish, tmp_path):
    torch.distributed.init_process_group("gloo", init_method=(tmp_path / "meet").as_uri(), rank=0, world_size=1)
    try:
        assert any(isinstance(event, StepDone) for event in finish(heads_config(max_steps=1), tmp_path / "run"))
    finally:
        torch.distributed.destroy_process_group()


@pytest.mark.parametrize(("settings", "are_frozen"), [({"encoder": "bundled"}, True), ({"encoder": "tiny"}, False),
                                                      ({"encoder": "bundled", "freeze_embeddings": False}, False)],
                         ids=["as they came", "none came", "asked for"])
def test_word_embeddings_stay_as_they_came_unless_there_are_none_or_they_are_to_learn(settings, are_frozen, tmp_path):
    config = make_config({"source": "hypothetical", "hypothetical_rows": 20, "device": "cpu", "threads": 1} | settings)
    trainer = Trainer(config, tmp_path, load(config, tmp_path), Machine("cpu", "fp32", 1), tmp_path)
    assert trainer.model.encoder.get_input_embeddings().weight.requires_grad is not are_frozen


def test_a_run_with_frozen_parts_keeps_them_and_can_be_resumed(tiny_config, finish, tmp_path):
    config = tiny_config(frozen_layers=1)
    whole = finish(config, tmp_path / "whole")
    started = next(event for event in whole if isinstance(event, RunStarted))
    finish(config, tmp_path / "broken", between_steps=lambda trainer: trainer.progress.step == 5)
    finish(config, tmp_path / "broken", resume=True)
    one, other = saved(tmp_path / "whole"), saved(tmp_path / "broken")
    assert one.keys() == other.keys() and all(torch.equal(weight, other[name]) for name, weight in one.items())
    frozen = [weight.numel() for name, weight in one.items() if name.startswith(("encoder.embeddings.", "encoder.encoder.layer.0."))]
    assert started.parameters - started.trainable == sum(frozen) > 0


def test_a_run_with_every_layer_frozen_and_a_balancing_of_gradients_trains_what_is_left(tiny_config, finish, tmp_path):
    events = finish(tiny_config(frozen_layers=2, balancing="pcgrad", epochs=1), tmp_path)
    assert isinstance(events[-1], StatusChanged) and events[-1].status == "finished"


def test_a_run_with_more_frozen_layers_than_there_are_ends_before_it_begins(tiny_config, finish, tmp_path):
    with pytest.raises(MtlError, match="Frozen layers: found 3, but the encoder 'tiny' has 2 layers. Use 0 to 2"):
        finish(tiny_config(frozen_layers=3), tmp_path)


@pytest.fixture(scope="module")
def lora_config(tiny_config):
    """A function that makes settings for a run of a few seconds: adapters beside the bundled encoder."""
    def make(**changes):
        return tiny_config(**{"source": "hypothetical", "encoder": "bundled", "fine_tuning": "lora", "hypothetical_rows": 40,
                              "batch_size": 8, "checkpoint_every": 7} | changes)

    return make


@pytest.fixture(scope="module")
def lora_run(lora_config, finish, tmp_path_factory):
    return watched_run(lora_config(), tmp_path_factory.mktemp("lora"), finish)


def adapted(make_model, family: str = "roberta", **changes) -> MultiTaskModel:
    """A small model with adapters beside random weights; B is not 0, as if it had learned."""
    model = build(make_model, family, lora_rank=4, **changes)
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(weight, std=0.1)
    return model


def has_adapters(model: nn.Module) -> bool:
    return any("lora" in type(module).__module__ or "lora" in name for name, module in model.named_modules())


def rewrite(checkpoint: Path, change) -> Path:
    """The checkpoint with `change` done to its weights, and a manifest that says that this is how it was saved."""
    weights = load_file(checkpoint / "model.safetensors")
    change(weights)

    def write(folder):
        for file in ("config.json", "tokenizer.json", "tokenizer_config.json"):
            (folder / file).write_bytes((checkpoint / file).read_bytes())
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})

    save_checkpoint(checkpoint.parent, "changed", write, {"step": 1})
    return checkpoint.parent / "changed"


# A run of adapters


def test_the_loss_falls_while_the_encoder_s_own_weights_stay_as_they_were_bit_for_bit(lora_run):
    _, events, trainer, _ = lora_run
    steps = [event for event in events if isinstance(event, StepDone)]
    assert sum(steps[-1].losses.values()) < 0.8 * sum(steps[0].losses.values())
    now = {name.replace(".base_layer", ""): weight for name, weight in trainer.model.encoder.state_dict().items()}
    base = load_encoder("bundled")[0].state_dict()
    assert {name for name in base if name not in now} == {"pooler.dense.weight", "pooler.dense.bias"}
    assert all(torch.equal(weight, base[name]) for name, weight in now.items() if name in base)
    moved = [name for name, weight in now.items() if "lora_B" in name and weight.any()]
    assert len(moved) == 36  # 6 layers with 6 linear layers each


def test_an_older_log_without_the_number_of_trainable_parameters_is_still_read(tmp_path):
    log = EventLog(tmp_path / "events.jsonl")
    log.append(RunStarted(0, 9, 3, {}, 4, 2, 1_000_000, "cpu", "fp32", 1, 1, 7))
    log.path.write_text(log.path.read_text().replace(', "trainable": null', ""))
    assert "1.0M parameters; 9 steps" in describe(LogReader(log.path).read()[0].event)


def test_adapter_dropout_is_the_encoder_s(make_model):
    def rates(model):
        return {module.p for name, module in model.named_modules() if "lora_dropout" in name and isinstance(module, nn.Dropout)}

    assert (rates(adapted(make_model, encoder_dropout=0.25)), rates(adapted(make_model))) == ({0.25}, set())


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_of_encoders_has_an_adapter_at_each_linear_layer_and_trains_nothing_else(family, make_model, tmp_path):
    model = adapted(make_model, family)
    plain = make_model(AutoModel.from_config(FAMILIES[family]))
    linear = [name for name, layer in plain.encoder.named_modules() if isinstance(layer, nn.Linear)]
    with_adapter = [name.removesuffix(".lora_A") for name, _ in model.encoder.named_modules() if name.endswith(".lora_A")]
    assert with_adapter == linear
    ids, mask = make_batch()
    ids = torch.where(mask == 1, ids, model.config.encoder.pad_token_id or 0)
    sum(model(ids, mask, labels=make_labels(ids, mask)).losses.values()).backward()
    trained = {name for name, weight in model.named_parameters() if weight.grad is not None}
    assert trained == set(learned_weights(model)) == {name for name, _ in model.named_parameters() if "lora" in name or "heads" in name}
    groups = parameter_groups(model, 1e-3, 1e-2, 0.01)
    assert sum(len(group["params"]) for group in groups) == len(trained)
    model.save_pretrained(tmp_path, state_dict=learned_weights(model))
    put_weights(again := adapted(make_model, family), tmp_path)
    assert all(torch.equal(weight, again.state_dict()[name]) for name, weight in model.state_dict().items())


def test_a_pooler_which_may_be_new_is_trained_whole_and_saved(make_model):
    model = adapted(make_model, pooling="pooler")
    assert {name for name in learned_weights(model) if "pooler" in name} == {"encoder.pooler.dense.weight", "encoder.pooler.dense.bias"}
    assert not has_adapters(model.encoder.pooler)


def test_what_the_model_answers_is_unchanged_before_the_first_step(make_model):
    plain = make_model(AutoModel.from_config(FAMILIES["roberta"]))
    model = make_model(plain.encoder, lora_rank=4)
    model.heads.load_state_dict(plain.heads.state_dict())
    ids, mask = make_batch()
    assert all(torch.equal(logits, model(ids, mask).logits[task]) for task, logits in plain(ids, mask).logits.items())


# Predictions


@pytest.mark.parametrize("family", FAMILIES)
def test_merged_adapters_answer_as_unmerged_ones_and_leave_a_model_like_any_other(family, make_model, tmp_path):
    model = adapted(make_model, family, pooling="mean" if family == "distilbert" else "cls")
    ids, mask = make_batch()
    before, merged = model(ids, mask).logits, for_inference(model)
    after = merged(ids, mask).logits
    assert all(torch.allclose(logits, after[task], rtol=0, atol=1e-5) for task, logits in before.items())
    assert not has_adapters(merged) and type(merged.encoder).__name__ == type(AutoModel.from_config(FAMILIES[family])).__name__
    merged.save_pretrained(tmp_path)
    again = MultiTaskModel.from_pretrained(tmp_path).eval()
    assert all(torch.equal(logits, after[task]) for task, logits in again(ids, mask).logits.items())


# A run of adapters or of heads: what they have in common


@pytest.fixture(params=["lora", "heads"])
def partial(request):
    """The settings, folder, events and trainer of the finished run of adapters, and of the one of heads."""
    config, run = (request.getfixturevalue(f"{request.param}_{what}") for what in ("config", "run"))
    return config(), *run[:3]


def is_learned(name: str) -> bool:
    return "lora" in name or name.startswith("heads.")


def test_only_what_is_trained_is_in_the_optimizer_and_the_log_says_how_much_that_is(partial):
    config, _, events, trainer = partial
    started = next(event for event in events if isinstance(event, RunStarted))
    in_optimizer = sum(weight.numel() for group in trainer.optimizer.param_groups for weight in group["params"])
    assert started.trainable == in_optimizer == trainer.model.num_parameters(only_trainable=True) < 0.05 * started.parameters
    if config.fine_tuning == "heads":
        assert in_optimizer == sum(weight.numel() for weight in trainer.model.heads.parameters())
    wanted = "23.2M parameters, of which 0.67M" if config.fine_tuning == "lora" else f"22.6M parameters, of which {started.trainable:,}"
    assert f"{wanted} are trained" in describe(started)


def test_a_run_that_was_killed_and_resumed_ends_bit_for_bit_like_one_that_was_not(partial, finish, tmp_path):
    config, whole, events, _ = partial  # which answered the page after that checkpoint
    killed = shutil.copytree(whole.with_name(f"{whole.name}-killed"), tmp_path / "run")
    assert torch.load(killed / "last/optimizer.pt", weights_only=True)["state"][0]["step"] == 7
    resumed = finish(config, killed, resume=True)
    one, other = saved(whole), saved(killed)
    assert one.keys() == other.keys() and all(torch.equal(weight, other[name]) for name, weight in one.items())
    losses = [[event.losses for event in story if isinstance(event, Evaluated)][-1] for story in (events, resumed)]
    assert losses[0] == losses[1]


def test_a_checkpoint_is_small_and_has_no_weight_of_the_encoder(partial):
    config, folder, _, trainer = partial
    assert (folder / "best/model.safetensors").stat().st_size < (100_000 if config.fine_tuning == "heads" else 3e6)
    assert sum(file.stat().st_size for file in (folder / "best").iterdir()) < 5e6
    assert set(saved(folder)) == set(learned_weights(trainer.model)) and all(map(is_learned, saved(folder)))


def test_a_model_put_together_from_disk_answers_as_the_one_in_memory(partial):
    _, folder, _, trainer = partial
    model = copy.deepcopy(trainer.model)
    put_weights(model, folder / "last")
    alive = Predictor(for_inference(model), trainer.tokenizer, trainer.machine).predict([TEXT])
    state = torch.get_rng_state()
    loaded = Predictor.load(folder / "last", "cpu")
    assert loaded.predict([TEXT]) == alive and torch.equal(state, torch.get_rng_state())
    assert not has_adapters(loaded.model) and not any(weight.requires_grad for weight in loaded.model.parameters())
    assert not loaded.model.config.needs_base and len(learned_weights(loaded.model)) > 50  # whole: it could be saved by itself


@pytest.mark.parametrize(("kind", "change", "message"), [
    ("lora", lambda weights: weights.pop(min(weights)), r"lacks encoder\S+lora_A.default.weight\."),
    ("lora", lambda weights: [weights.pop(name) for name in list(weights) if "lora_B" in name], "lacks .*, and 35 more are wrong"),
    ("lora", lambda weights: weights.pop("heads.0.bias"), "lacks heads.0.bias"),
    ("lora", lambda weights: weights.update(extra=torch.zeros(2)), "has extra, which is unknown"),
    ("lora", lambda weights: weights.update({"heads.0.bias": torch.zeros(99)}), "has heads.0.bias in another shape"),
    ("heads", lambda weights: weights.pop("heads.1.weight"), "lacks heads.1.weight")])
def test_a_weight_that_is_missing_or_too_many_is_named(kind, change, message, request):
    changed = rewrite(request.getfixturevalue(f"{kind}_run")[0] / "best", change)
    with pytest.raises(MtlError, match=f"'changed' does not fit its own settings: it {message}"):
        load_weights(changed, "cpu")


@pytest.mark.parametrize("changes", [{"lora_rank": 4}, {"only_heads": True}], ids=str)
def test_learned_weights_are_not_put_on_another_encoder(changes, make_model, tmp_path):
    model = build(make_model, **changes)
    model.save_pretrained(tmp_path, state_dict=learned_weights(model))
    put_weights(build(make_model, **changes), tmp_path)
    with pytest.raises(MtlError, match="The encoder 'some/encoder' is not the one that checkpoint .* was trained with"):
        put_weights(build(make_model, seed=1, **changes), tmp_path)


def test_transformers_alone_does_not_make_up_the_missing_encoder(partial):
    what = "adapters and heads" if partial[0].fine_tuning == "lora" else "heads"
    with pytest.raises(MtlError, match=f"has {what}, but not the encoder that they belong to. Load it with mtl.model.loading.load_weights"):
        MultiTaskModel.from_pretrained(partial[1] / "best")
