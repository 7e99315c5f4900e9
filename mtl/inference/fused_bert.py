"""Faster inference for BERT encoders: the same computation in fewer, larger operations, or in 8 bits; which is fastest is measured here."""

import copy
import math
import time
import warnings

import torch
from torch import Tensor, nn
from torch.ao.quantization import per_channel_dynamic_qconfig, quantize_dynamic
from transformers import BertModel
from transformers.modeling_outputs import BaseModelOutputWithPooling

from mtl.errors import MtlError
from mtl.model.multitask import MultiTaskModel

ENGINES = ("auto", "plain", "fused", "int8")
TRIED = 16  # subwords of the sentence that the engines are timed with
PATIENCE, MAX_TURNS = 0.2, 12  # the timing ends after so many seconds or turns
OUTLYING = 4.0  # a feature that exceeds the median feature's maximum by this factor is never rounded
MAX_INT8_COST = 0.01  # 1 point: 8 bits are used if they cost less of every task's main validation score, with 95 % confidence
HAS_INT8 = "fbgemm" in torch.backends.quantized.supported_engines  # the engine of x86; 8 bits are untested elsewhere
_fastest: dict[tuple, str] = {}  # the fastest engine for a device and an encoder's sizes, so that it is measured once per process


class FusedBert(nn.Module):
    """The computation of a BertModel in eval mode, with query, key and value in one product and no mask without padding. It shares the
    weights of `bert`, but for copies in the fused products. With `int8`, matrices but their outlier features are rounded to 8 bits."""

    def __init__(self, bert: BertModel, int8: bool = False) -> None:
        super().__init__()
        self.embeddings, self.pooler = bert.embeddings, bert.pooler
        self.layers = nn.ModuleList(_FusedLayer(layer) for layer in bert.encoder.layer)
        self.eval().requires_grad_(False)
        if int8:
            for (layer, name), largest in self._largest_inputs().items():
                setattr(layer, name, _Int8(getattr(layer, name), largest))

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> BaseModelOutputWithPooling:
        """input_ids, attention_mask (B, T) -> last_hidden_state (B, T, H)."""
        padded = (attention_mask == 0)[:, None, None]  # (B, 1, 1, T)
        states = self.embeddings(input_ids=input_ids)
        for layer in self.layers:
            states = layer(states, padded if padded.any() else None)
        return BaseModelOutputWithPooling(last_hidden_state=states, pooler_output=self.pooler and self.pooler(states))

    @torch.inference_mode()
    def _largest_inputs(self) -> dict[tuple[nn.Module, str], Tensor]:
        """For each matrix, by layer and name, the largest absolute value of every input feature (I), which depends little on the text."""
        found: dict[tuple[nn.Module, str], Tensor] = {}

        def record(key: tuple[nn.Module, str], features: Tensor) -> None:
            found[key] = features.abs().flatten(0, -2).amax(0)

        hooks = [getattr(layer, name).register_forward_pre_hook(lambda _, inputs, key=(layer, name): record(key, inputs[0]))
                 for layer in self.layers for name in ("projections", "mix", "up", "down")]
        words, positions = self.embeddings.word_embeddings.num_embeddings, self.embeddings.position_embeddings.num_embeddings
        ids = torch.linspace(0, words - 1, 8 * min(TRIED, positions)).long().view(8, -1)
        self(ids, torch.ones_like(ids))
        for hook in hooks:
            hook.remove()
        return found


class _Int8(nn.Module):
    """`linear` in 8 bits, except for the few input features whose `largest` value (I) is an outlier: these stay in fp32, because they would
    leave the others few of the 256 levels (LLM.int8(), Dettmers et al., 2022, https://arxiv.org/abs/2208.07339)."""

    def __init__(self, linear: nn.Linear, largest: Tensor) -> None:
        super().__init__()
        self.outliers = (largest > OUTLYING * largest.median()).nonzero().flatten()
        self.rounds = torch.ones_like(largest).index_fill_(0, self.outliers, 0)
        self.weights = linear.weight[:, self.outliers].t().contiguous()
        with warnings.catch_warnings():  # torch announces that this will move to another library
            warnings.simplefilter("ignore")
            self.rounded = quantize_dynamic(nn.Sequential(linear), {nn.Linear: per_channel_dynamic_qconfig})[0]

    def forward(self, features: Tensor) -> Tensor:
        if not len(self.outliers):
            return self.rounded(features)
        out = self.rounded(features * self.rounds)
        out.flatten(0, -2).addmm_(features.index_select(-1, self.outliers).flatten(0, -2), self.weights)
        return out


class _FusedLayer(nn.Module):
    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        attention = layer.attention.self
        self.heads, self.size = attention.num_attention_heads, attention.attention_head_size
        parts = (attention.query, attention.key, attention.value)
        self.projections = nn.utils.skip_init(nn.Linear, parts[0].in_features, 3 * parts[0].out_features)
        self.projections.weight.data = torch.cat([part.weight for part in parts])
        self.projections.bias.data = torch.cat([part.bias for part in parts])
        self.mix, self.mix_norm = layer.attention.output.dense, layer.attention.output.LayerNorm
        self.up, self.activation = layer.intermediate.dense, layer.intermediate.intermediate_act_fn
        self.down, self.norm = layer.output.dense, layer.output.LayerNorm

    def forward(self, states: Tensor, padded: Tensor | None) -> Tensor:
        batch, length, _ = states.shape
        # (B, T, 3 H) -> three times (B, heads, T, size)
        query, key, value = self.projections(states).view(batch, length, 3, self.heads, self.size).permute(2, 0, 3, 1, 4)
        scores = (query @ key.transpose(2, 3)).mul_(self.size**-0.5)  # (B, heads, T, T): for sentences faster than torch's fused attention
        if padded is not None:
            scores.masked_fill_(padded, -torch.inf)
        read = (scores.softmax(-1) @ value).transpose(1, 2).reshape(batch, length, -1)
        states = self.mix_norm(self.mix(read).add_(states))
        return self.norm(self.down(self.activation(self.up(states))).add_(states))


def is_known(model: MultiTaskModel) -> bool:
    """Whether there is a faster engine for the encoder of `model`."""
    return type(model.encoder) is BertModel and not model.config.encoder.is_decoder


def accelerate(model: MultiTaskModel, engine: str = "auto") -> tuple[MultiTaskModel, str]:
    """`model` (made by `for_inference`) computed with `engine`, sharing its weights; and the engine's name. 'auto' is the fastest here of
    'plain', 'fused' (equal but for rounding), and 'int8' if each task's cost is below MAX_INT8_COST. Raises MtlError if it does not fit."""
    if engine not in ENGINES:
        raise MtlError(f"There is no engine '{engine}'. Choose one of: {', '.join(ENGINES)}.")
    if engine == "plain" or (engine == "auto" and not is_known(model)):
        return model, "plain"
    if not is_known(model):
        raise MtlError(f"The engine '{engine}' is for BERT only, and this encoder is of type {model.config.encoder.model_type}. Choose "
                       "auto or plain.")
    if engine == "int8" and model.device.type != "cpu":
        raise MtlError(f"The engine 'int8' is for the CPU only, and the model is on {model.device}. Choose auto, or the device cpu.")
    if engine != "auto":
        return _with_encoder(model, FusedBert(model.encoder, int8=engine == "int8")), engine
    cost, encoder = model.config.int8_cost_bound, model.config.encoder
    models = {"plain": model, "fused": _with_encoder(model, FusedBert(model.encoder))}
    if HAS_INT8 and cost is not None and cost < MAX_INT8_COST and model.device.type == "cpu":
        models["int8"] = _with_encoder(model, FusedBert(model.encoder, int8=True))
    key = (*models, str(model.device), encoder.hidden_size, encoder.intermediate_size, encoder.num_hidden_layers)
    if key not in _fastest:
        _fastest[key] = min(zip(_seconds(*models.values()), models, strict=True))[1]
    return models[_fastest[key]], _fastest[key]


def _with_encoder(model: MultiTaskModel, encoder: FusedBert) -> MultiTaskModel:
    """A copy of `model` with `encoder`; only the heads are copied."""
    return copy.deepcopy(model, {id(model.encoder): encoder})


@torch.inference_mode()
def _seconds(*models: MultiTaskModel) -> list[float]:
    """The time of each of `models` for one sentence: the minimum over several turns, because other work on the machine only adds to it."""
    ids = torch.ones(1, TRIED, dtype=torch.long, device=models[0].device)
    least = [math.inf] * len(models)
    until = time.perf_counter() + PATIENCE
    for turn in range(MAX_TURNS):
        for place, model in enumerate(models):
            start = time.perf_counter()
            logits = model(ids, torch.ones_like(ids)).logits
            next(iter(logits.values())).sum().item()  # waits for a GPU to finish
            if turn:  # the first turn is a warm-up
                least[place] = min(least[place], time.perf_counter() - start)
        if turn > 1 and time.perf_counter() > until:
            break
    return least
