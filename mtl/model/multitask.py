"""MultiTaskModel: one shared encoder and one linear head per task, as a transformers model. Knows no data and no optimizer."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, PreTrainedConfig, PreTrainedModel
from transformers.configuration_utils import SubConfigSpec
from transformers.modeling_outputs import BaseModelOutput
from transformers.utils import ModelOutput

from mtl.errors import MtlError
from mtl.model.lora import add_adapters, frozen_sha256, merge_adapters
from mtl.model.packing import Packing, encode_packed
from mtl.model.randomness import OwnRandomness
from mtl.settings.config import TaskSpec
from mtl.tasks import make_task
from mtl.tasks.calibration import UNCALIBRATED, Calibration


class MultiTaskConfig(PreTrainedConfig):
    """The encoder's config, the tasks (TaskSpecs as plain values), the input of the heads, and what is known about the weights. With
    `only_heads`, or a `lora_rank` above 0, a checkpoint holds only heads and adapters."""

    model_type = "mtl-studio"
    sub_configs_defaults = {"encoder": SubConfigSpec(config_class=AutoConfig, model_type="bert")}

    encoder: dict | PreTrainedConfig | None = None
    tasks: list = field(default_factory=list)
    hints: list = field(default_factory=list)  # labels that never occur together in the training rows: Hints as plain values
    thresholds: dict = field(default_factory=dict)  # those that Task.tune chose, for tasks that have some
    calibration: dict = field(default_factory=dict)  # for each task the temperature and shift that it chose; older models have none
    pooling: str = "mean"
    normalize: bool = False
    dropout: float = 0.1
    max_length: int = 128
    # an upper bound (95 % confidence) on how far a main score falls in 8 bits; None: not measured (an older `int8_cost` was no bound)
    int8_cost_bound: float | None = None
    base: str = ""  # the encoder's name
    base_sha256: str = ""  # shows whether the encoder of that name still has the same weights
    lora_rank: int = 0
    only_heads: bool = False

    @property
    def needs_base(self) -> bool:
        """Whether a checkpoint lacks the encoder's own weights."""
        return self.only_heads or self.lora_rank > 0


@dataclass
class MultiTaskOutput(ModelOutput):
    """logits: for each task (B, labels), (B, T, tags) or (B, 1). losses: for each task with labels given, the sum over its labels."""

    logits: dict[str, Tensor] | None = None
    losses: dict[str, Tensor] | None = None


class MultiTaskModel(PreTrainedModel):
    """Encoder, pooling, shared dropout, one linear head per task."""

    config_class = MultiTaskConfig
    base_model_prefix = "encoder"
    _supports_sdpa = True
    _supports_flash_attn = True

    def __init__(self, config: MultiTaskConfig) -> None:
        super().__init__(config)
        if config.needs_base and torch.get_default_device().type == "meta":  # in from_pretrained, which would invent the frozen weights
            raise MtlError(f"This checkpoint has {'adapters and ' * bool(config.lora_rank)}heads, but not the encoder that they belong to. "
                           "Load it with mtl.model.loading.load_weights.")
        self.encoder = AutoModel.from_config(config.encoder)
        has_pooler = getattr(self.encoder, "pooler", None) is not None
        if config.pooling == "pooler" and not has_pooler:
            raise MtlError(f"This encoder ({config.encoder.model_type}) has no pooler of its own. Choose mean or cls pooling.")
        if config.pooling != "pooler" and has_pooler:
            self.encoder.pooler = None  # so that nothing unused is trained, saved, or waited for by several processes
        self.tasks = {task["name"]: make_task(TaskSpec.model_validate_json(json.dumps(task))) for task in config.tasks}
        self.set_tuned(config.thresholds, config.calibration)
        self.dropout = nn.Dropout(config.dropout)
        # a list, because a task's name may have a dot, which a module's name may not
        self.heads = nn.ModuleList(nn.Linear(config.encoder.hidden_size, task.outputs) for task in self.tasks.values())
        self.frozen: list[nn.Module] = [self.encoder] if config.only_heads else []  # always in eval mode, so without dropout
        self.post_init()

    def set_tuned(self, thresholds: dict[str, Sequence[float]], calibration: dict[str, Sequence[float]]) -> None:
        """Set these tasks' thresholds, temperature and shift, also in the config; tasks that are not in `calibration` lose theirs."""
        self.config.thresholds = {name: list(values) for name, values in thresholds.items()}
        self.config.calibration = {name: list(values) for name, values in calibration.items()}
        for name, task in self.tasks.items():
            task.thresholds = tuple(thresholds.get(name, task.thresholds))
            task.calibration = Calibration(*calibration.get(name, UNCALIBRATED))

    def train(self, mode: bool = True) -> "MultiTaskModel":
        """As nn.Module.train, but frozen parts stay in eval mode."""
        super().train(mode)
        for part in self.frozen:
            part.eval()
        return self

    def forward(self, input_ids: Tensor | None, attention_mask: Tensor, labels: dict[str, Tensor] | None = None,
                tasks: Sequence[str] | None = None, hidden_states: Tensor | None = None, packing: Packing | None = None,
                inputs_embeds: Tensor | None = None) -> MultiTaskOutput:
        """One encoder pass and the heads of `tasks` (default: the tasks of `labels`, or all). input_ids, attention_mask (B, T); labels: for
        each task (B), (B, T) or (B, labels), -100 where there is none; hidden_states (B, T, H): the encoder's last hidden states, if they
        are computed already; packing: how to pack the texts for the encoder; inputs_embeds (B, T, H): subwords as vectors, in place of
        their ids."""
        if inputs_embeds is not None:
            encoded = self.encoder(inputs_embeds=inputs_embeds, attention_mask=attention_mask)
        elif hidden_states is None and packing is None:
            encoded = self.encoder(input_ids=input_ids, attention_mask=attention_mask)
        else:
            encoded = BaseModelOutput(encode_packed(self.encoder, input_ids, packing) if hidden_states is None else hidden_states)
        tokens = self.dropout(encoded.last_hidden_state)  # (B, T, H)
        sentence = self.dropout(self._pool(encoded, attention_mask))  # (B, H)
        wanted = tasks or labels or self.tasks
        logits = {name: head(sentence if task.reads == "sentence" else tokens)
                  for (name, task), head in zip(self.tasks.items(), self.heads, strict=True) if name in wanted}
        losses = {name: self.tasks[name].loss(logits[name], ids) for name, ids in (labels or {}).items()}
        return MultiTaskOutput(logits=logits, losses=losses)

    def _pool(self, encoded: ModelOutput, attention_mask: Tensor) -> Tensor:
        if self.config.pooling == "pooler":
            sentence = encoded.pooler_output
        elif self.config.pooling == "cls":
            sentence = encoded.last_hidden_state[:, 0]
        else:
            real = attention_mask[..., None].to(encoded.last_hidden_state.dtype)
            sentence = (encoded.last_hidden_state * real).sum(1) / real.sum(1)
        return nn.functional.normalize(sentence, dim=-1) if self.config.normalize else sentence


AutoConfig.register(MultiTaskConfig.model_type, MultiTaskConfig)
AutoModel.register(MultiTaskConfig, MultiTaskModel)


def build_model(encoder: PreTrainedModel, config: MultiTaskConfig, encoder_dropout: float | None = None, seed: int = 0) -> MultiTaskModel:
    """The model of `config`, which gets the encoder's own, with the weights of `encoder` and new heads, drawn by `seed`. With a `lora_rank`
    the weights are frozen and get new adapters of that rank; with `only_heads` they are frozen."""
    if encoder_dropout is not None:
        for name in vars(encoder.config):
            if name.endswith(("dropout", "dropout_prob")) and "classifier" not in name:
                setattr(encoder.config, name, encoder_dropout)
    encoder.config._name_or_path = ""  # a folder on this machine, which checkpoints must not name
    config.encoder = encoder.config
    with OwnRandomness(seed):
        model = MultiTaskModel(config)
        wanted = model.encoder.state_dict()
        model.encoder.load_state_dict({name: weight for name, weight in encoder.state_dict().items() if name in wanted})
        if config.lora_rank:
            add_adapters(model.encoder, config.lora_rank, encoder_dropout or 0.0)
    if config.only_heads:
        model.encoder.requires_grad_(False)
    if config.needs_base:
        config.base_sha256 = frozen_sha256(model)
    return model


def layer_lists(encoder: nn.Module) -> list[nn.ModuleList]:
    """The encoder's layers: one list, or several lists that each hold a part of every layer; none if layers cannot be identified."""
    count = getattr(encoder.config, "num_hidden_layers", 0)
    return [part for name, part in encoder.named_modules()  # modules inside a layer have a number in their name
            if isinstance(part, nn.ModuleList) and len(part) == count and not any(word.isdigit() for word in name.split("."))]


def freeze_lowest(model: MultiTaskModel, layers: int, embeddings: bool) -> None:
    """Freeze the lowest `layers` and the embeddings, or these alone. Raises MtlError if there are fewer layers or none to be identified."""
    encoder, count = model.encoder, model.config.encoder.num_hidden_layers
    if model.config.needs_base or not (layers or embeddings):
        return  # the whole encoder is frozen already, or nothing is to be frozen
    if layers > count:
        raise MtlError(f"Frozen layers: found {layers}, but the encoder '{model.config.base}' has {count} layers. Use 0 to {count}.")
    lists = layer_lists(encoder)
    if layers and not lists:
        raise MtlError(f"The layers of the encoder '{model.config.base}' cannot be identified. Set Frozen layers to 0.")
    before = [part for name, part in encoder.named_children() if "emb" in name] or [encoder.get_input_embeddings()]
    model.frozen = before + [layer for parts in lists for layer in parts[:layers]]
    for part in model.frozen:
        part.requires_grad_(False)


def learned_weights(model: MultiTaskModel) -> dict[str, Tensor]:
    """The weights for a checkpoint of `model`: all, or all but the encoder's own if these are loaded by its name."""
    unsaved = {name for name, weight in model.named_parameters() if model.config.needs_base and not weight.requires_grad}
    return {name: weight for name, weight in model.state_dict().items() if name not in unsaved}


def for_inference(model: MultiTaskModel) -> MultiTaskModel:
    """`model` itself, changed for inference: in eval mode, without gradients, its adapters merged into the encoder's weights."""
    if model.config.lora_rank:
        merge_adapters(model.encoder)
    model.config.lora_rank, model.config.only_heads, model.config.base_sha256 = 0, False, ""  # from now on it holds all its weights
    return model.eval().requires_grad_(False)


def parameter_groups(model: MultiTaskModel, learning_rate: float, head_learning_rate: float, weight_decay: float) -> list[dict]:
    """The trainable parameters for AdamW: encoder and heads with their own rates; biases and norms (all but matrices) without decay."""
    groups = []
    for rate, parameters in ((learning_rate, list(model.encoder.parameters())), (head_learning_rate, list(model.heads.parameters()))):
        for decay, matrices in ((weight_decay, True), (0.0, False)):
            chosen = [weight for weight in parameters if weight.requires_grad and (weight.ndim >= 2) == matrices]
            groups.append({"params": chosen, "lr": rate, "base_lr": rate, "weight_decay": decay})
    return [group for group in groups if group["params"]]
