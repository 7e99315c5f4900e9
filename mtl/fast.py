"""Fast: what a model at rest computes, in fewer and larger operations. Only BERT's encoder is known here; every other one answers as it is.
Which way is the fastest is measured on the machine itself. Knows no texts and no training."""

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
from mtl.model import MultiTaskModel

ENGINES = ("auto", "plain", "fused", "int8")
TRIED = 16  # subwords of the one sentence that is asked to see which way is the fastest
PATIENCE, MAX_TURNS = 0.2, 12  # seconds, or turns, to try them
_fastest: dict[tuple, str] = {}  # what was found out for a device and an encoder's sizes, so that it is tried once a process


class FusedBert(nn.Module):
    """What a BertModel at rest computes: query, key and value in one product, no mask where nothing is padded, no bookkeeping.

    It has the weights of `bert`, not copies, but for those of the fused products. With `int8` all matrices are kept and multiplied in 8
    bits: rounded, so no longer the same.
    """

    def __init__(self, bert: BertModel, int8: bool = False) -> None:
        super().__init__()
        self.embeddings, self.pooler = bert.embeddings, bert.pooler
        self.layers = nn.ModuleList(_FusedLayer(layer) for layer in bert.encoder.layer)
        if int8:
            with warnings.catch_warnings():  # torch will move this to a library of its own
                warnings.simplefilter("ignore")
                quantize_dynamic(self.layers, {nn.Linear: per_channel_dynamic_qconfig}, inplace=True)
        self.eval().requires_grad_(False)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> BaseModelOutputWithPooling:
        """input_ids, attention_mask (B, T) -> last_hidden_state (B, T, H)."""
        padded = (attention_mask == 0)[:, None, None]  # (B, 1, 1, T)
        states = self.embeddings(input_ids=input_ids)
        for layer in self.layers:
            states = layer(states, padded if padded.any() else None)
        return BaseModelOutputWithPooling(last_hidden_state=states, pooler_output=self.pooler and self.pooler(states))


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


def accelerate(model: MultiTaskModel, engine: str = "auto") -> tuple[MultiTaskModel, str]:
    """`model`, which is at rest, or one that answers alike and shares its weights; and by which of ENGINES it does.

    'auto' is the faster of 'plain' and 'fused' on this machine, which are the same but for rounding in the last digits; 'int8' has to be
    asked for. Raises MtlError if the engine is not known, or not for this encoder.
    """
    if engine not in ENGINES:
        raise MtlError(f"There is no engine '{engine}'. Choose one of: {', '.join(ENGINES)}.")
    known = type(model.encoder) is BertModel and not model.config.encoder.is_decoder
    if engine == "plain" or (engine == "auto" and not known):
        return model, "plain"
    if not known:
        raise MtlError(f"The engine '{engine}' is for BERT only, and this encoder is of type {model.config.encoder.model_type}. Choose "
                       "auto or plain.")
    if engine == "int8" and model.device.type != "cpu":
        raise MtlError(f"The engine 'int8' is for the CPU only, and the model is on {model.device}. Choose auto, or the device cpu.")
    fast = copy.deepcopy(model, {id(model.encoder): FusedBert(model.encoder, int8=engine == "int8")})  # all but the encoder is small
    if engine == "auto":
        encoder = model.config.encoder
        key = (str(model.device), encoder.hidden_size, encoder.intermediate_size, encoder.num_hidden_layers)
        if key not in _fastest:
            plain, fused = _seconds(model, fast)
            _fastest[key] = "fused" if fused < plain else "plain"
        engine = _fastest[key]
    return (fast, engine) if engine != "plain" else (model, engine)


@torch.inference_mode()
def _seconds(*models: MultiTaskModel) -> list[float]:
    """What one sentence takes each of `models`, in turn: the least of some, because other work on the machine only adds to it."""
    ids = torch.ones(1, TRIED, dtype=torch.long, device=models[0].device)
    least = [math.inf] * len(models)
    until = time.perf_counter() + PATIENCE
    for turn in range(MAX_TURNS):
        for place, model in enumerate(models):
            start = time.perf_counter()
            logits = model(ids, torch.ones_like(ids)).logits
            next(iter(logits.values())).sum().item()  # a GPU is done only when it is asked for a number
            if turn:  # the first turn warms up
                least[place] = min(least[place], time.perf_counter() - start)
        if turn > 1 and time.perf_counter() > until:
            break
    return least
