"""mtl/model/lora.py, and a run of adapters from its first step to its predictions: what learns, is saved, and is put together again."""

import copy
import time
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import AutoModel

from mtl.errors import MtlError
from mtl.inference.predictor import Predictor
from mtl.jobs.queue import Jobs
from mtl.model.encoder import load_encoder
from mtl.model.loading import load_weights, put_weights
from mtl.model.multitask import MultiTaskModel, count_parameters, for_inference, learned_weights, parameter_groups
from mtl.runs.checkpoint import save_checkpoint
from mtl.runs.events import Evaluated, EventLog, RunStarted, StepDone, describe, read_events
from mtl.settings.config import make_config
from tests.model.test_multitask import FAMILIES, make_batch, make_labels

TEXT = "Anna flew from Oslo to Rome and was happy."


@pytest.fixture(scope="session")
def lora_config(tiny_config):
    """A function that makes settings for a run of a few seconds: adapters beside the bundled encoder."""
    def make(**changes):
        return tiny_config(**{"source": "hypothetical", "encoder": "bundled", "fine_tuning": "lora", "hypothetical_rows": 40,
                              "batch_size": 8} | changes)

    return make


@pytest.fixture(scope="session")
def lora_run(lora_config, finish, tmp_path_factory):
    """A finished run's folder, its events, and its trainer as it was before the last step."""
    trainers: list = []

    def look(trainer):
        trainers[:] = [trainer]
        return False

    folder = tmp_path_factory.mktemp("lora")
    return folder, finish(lora_config(), folder, between_steps=look), trainers[0]


def adapted(make_model, family: str = "roberta", **changes) -> MultiTaskModel:
    """A small model with adapters beside random weights; B is not 0, as if it had learned."""
    torch.manual_seed(0)
    model = make_model(AutoModel.from_config(FAMILIES[family]), lora_rank=4, base="some/encoder", **changes)
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


# Training


def test_the_loss_falls_while_the_encoder_s_own_weights_stay_as_they_were_bit_for_bit(lora_run):
    _, events, trainer = lora_run
    steps = [event for event in events if isinstance(event, StepDone)]
    assert sum(steps[-1].losses.values()) < 0.8 * sum(steps[0].losses.values())
    now = {name.replace(".base_layer", ""): weight for name, weight in trainer.model.encoder.state_dict().items()}
    base = load_encoder("bundled")[0].state_dict()
    assert {name for name in base if name not in now} == {"pooler.dense.weight", "pooler.dense.bias"}
    assert all(torch.equal(weight, base[name]) for name, weight in now.items() if name in base)
    moved = [name for name, weight in now.items() if "lora_B" in name and weight.any()]
    assert len(moved) == 36  # 6 layers with 6 linear layers each


def test_only_what_is_trained_is_in_the_optimizer_and_the_log_tells_how_much_that_is(lora_run):
    _, events, trainer = lora_run
    started = next(event for event in events if isinstance(event, RunStarted))
    in_optimizer = sum(weight.numel() for group in trainer.optimizer.param_groups for weight in group["params"])
    assert started.trainable == in_optimizer == count_parameters(trainer.model, only_trainable=True) < 0.05 * started.parameters
    assert "23.2M parameters, of which 0.67M are trained" in describe(started)


def test_a_log_from_before_trainable_parameters_were_told_is_still_read(tmp_path):
    log = EventLog(tmp_path / "events.jsonl")
    log.append(RunStarted(0, 9, 3, {}, 4, 2, 1_000_000, "cpu", "fp32", 1, 1, 7))
    log.path.write_text(log.path.read_text().replace(', "trainable": null', ""))
    assert "1.0M parameters; 9 steps" in describe(read_events(log.path)[0].event)


def test_a_run_that_was_stopped_in_the_middle_and_resumed_ends_bit_for_bit_like_one_that_was_not(lora_config, lora_run, finish, tmp_path):
    whole, events, _ = lora_run
    config = lora_config()
    assert config.dropout > 0
    finish(config, tmp_path, between_steps=lambda trainer: trainer.progress.step == 5)
    assert torch.load(tmp_path / "last/optimizer.pt", weights_only=True)["state"][0]["step"] == 5
    resumed = finish(config, tmp_path, resume=True)
    one, other = (load_file(folder / "last/model.safetensors") for folder in (whole, tmp_path))
    assert one.keys() == other.keys() and all(torch.equal(weight, other[name]) for name, weight in one.items())
    scores = [[event.losses for event in story if isinstance(event, Evaluated)] for story in (events, resumed)]
    assert scores[0][-1] == scores[1][-1]


def test_an_encoder_that_has_learned_nothing_is_refused():
    with pytest.raises(MtlError, match="Fine-tuning: found 'lora', but the encoder 'tiny' has learned nothing"):
        make_config({"encoder": "tiny", "fine_tuning": "lora"})


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


# Checkpoints


def test_a_checkpoint_is_small_and_has_no_weight_of_the_encoder(lora_run):
    folder, _, trainer = lora_run
    assert sum(file.stat().st_size for file in (folder / "best").iterdir()) < 5e6
    names = set(load_file(folder / "best/model.safetensors"))
    assert names == set(learned_weights(trainer.model)) and all("lora" in name or name.startswith("heads.") for name in names)


def test_a_model_put_together_from_disk_answers_as_the_one_in_memory(lora_run):
    folder, _, trainer = lora_run
    put_weights(trainer.model, folder / "last")
    alive = Predictor(for_inference(copy.deepcopy(trainer.model)), trainer.tokenizer, trainer.machine).predict([TEXT])
    state = torch.get_rng_state()
    loaded = Predictor.load(folder / "last", "cpu")
    assert loaded.predict([TEXT]) == alive
    assert torch.equal(state, torch.get_rng_state())
    assert not has_adapters(loaded.model) and not any(weight.requires_grad for weight in loaded.model.parameters())


@pytest.mark.parametrize(("change", "message"), [
    (lambda weights: weights.pop(min(weights)), r"lacks encoder\S+lora_A.default.weight\."),
    (lambda weights: [weights.pop(name) for name in list(weights) if "lora_B" in name], "lacks .*, and 35 more are wrong"),
    (lambda weights: weights.pop("heads.0.bias"), "lacks heads.0.bias"),
    (lambda weights: weights.update(extra=torch.zeros(2)), "has extra, which is unknown"),
    (lambda weights: weights.update({"heads.0.bias": torch.zeros(99)}), "has heads.0.bias in another shape")])
def test_an_adapter_weight_that_is_missing_or_too_many_is_told(lora_run, change, message):
    changed = rewrite(lora_run[0] / "best", change)
    with pytest.raises(MtlError, match=f"'changed' does not fit its own settings: it {message}"):
        load_weights(changed, "cpu")


def test_a_damaged_adapter_is_told(lora_run):
    changed = rewrite(lora_run[0] / "best", lambda weights: None)
    with open(changed / "model.safetensors", "r+b") as file:
        file.seek(-5, 2)
        file.write(b"\xff")
    with pytest.raises(MtlError, match="'changed' is damaged: model.safetensors is not what was saved"):
        load_weights(changed, "cpu")


def test_adapters_are_not_put_beside_another_encoder(make_model, tmp_path):
    model = adapted(make_model)
    model.save_pretrained(tmp_path, state_dict=learned_weights(model))
    torch.manual_seed(1)
    other = make_model(AutoModel.from_config(FAMILIES["roberta"]), lora_rank=4, base="some/encoder")
    with pytest.raises(MtlError, match="The encoder 'some/encoder' is not the one that checkpoint .* was trained with"):
        put_weights(other, tmp_path)


def test_transformers_alone_does_not_make_up_the_missing_encoder(lora_run):
    with pytest.raises(MtlError, match="not the encoder that they belong to. Load it with mtl.model.loading.load_weights"):
        MultiTaskModel.from_pretrained(lora_run[0] / "best")


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


def test_merged_adapters_of_the_bundled_encoder_answer_as_unmerged_ones(lora_run):
    model = copy.deepcopy(lora_run[2].model).eval()
    ids, mask = make_batch(rows=4, length=24)
    before, after = model(ids, mask).logits, for_inference(model)(ids, mask).logits
    assert all(torch.allclose(logits, after[task], rtol=0, atol=1e-5) for task, logits in before.items())


def test_a_live_run_answers_with_merged_weights_and_is_not_disturbed(lora_config, lora_run, tmp_path):
    jobs, asked = Jobs(tmp_path), []
    try:
        run = jobs.start(lora_config(), "key")
        while jobs.history(run.id).status != "finished":
            if 3 * len(asked) < jobs.history(run.id).step < 9:
                with suppress(MtlError):  # it ended meanwhile
                    asked.append(jobs.snapshot(run.id))
            time.sleep(0.02)
    finally:
        jobs.close()
    assert asked and not any(has_adapters(snapshot.predictor.model) for snapshot in asked)
    assert asked[0].predictor.predict([TEXT])[0].predictions.keys() == {"class", "sentiment", "entities"}
    one, other = (load_file(folder / "last/model.safetensors") for folder in (lora_run[0], run.folder))
    assert all(torch.equal(weight, other[name]) for name, weight in one.items())
