"""A model from its checkpoint."""

from pathlib import Path

import safetensors.torch
from torch import Tensor
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from mtl.errors import MtlError
from mtl.model.encoder import load_encoder, plain_text_tokenizer
from mtl.model.multitask import MultiTaskConfig, MultiTaskModel, build_model, for_inference, learned_weights
from mtl.runs.checkpoint import read_facts


def load_weights(checkpoint: Path, device: str) -> MultiTaskModel:
    """The model in `checkpoint`, checked against its manifest, ready for inference; with its encoder, if that is not in it."""
    return for_inference(load_model(checkpoint).to(device))


def load_model(checkpoint: Path, encoder_dropout: float | None = None) -> MultiTaskModel:
    """The same on the CPU, as it was trained, with its adapters; their dropout is `encoder_dropout`."""
    read_facts(checkpoint)
    config = MultiTaskConfig.from_pretrained(checkpoint, local_files_only=True)
    if not config.needs_base:
        return MultiTaskModel.from_pretrained(checkpoint, local_files_only=True, use_safetensors=True)
    model = build_model(load_encoder(config.base)[0], config, encoder_dropout)
    put_weights(model, checkpoint)
    return model


def load_tokenizer(checkpoint: Path) -> PreTrainedTokenizerFast:
    """The tokenizer in `checkpoint`."""
    return plain_text_tokenizer(AutoTokenizer.from_pretrained(checkpoint, local_files_only=True))


def read_weights(checkpoint: Path) -> dict[str, Tensor]:
    """The weights in `checkpoint`, by name."""
    return safetensors.torch.load_file(checkpoint / "model.safetensors", backend="pread")


def put_weights(model: MultiTaskModel, checkpoint: Path) -> None:
    """Load the weights in `checkpoint` into `model`, built with the same settings. Raises MtlError unless they and its frozen ones fit."""
    saved, wanted = read_weights(checkpoint), learned_weights(model)
    wrong = [f"lacks {name}" for name in wanted if name not in saved]
    wrong += [f"has {name}, which is unknown" for name in saved if name not in wanted]
    wrong += [f"has {name} in another shape" for name in saved if name in wanted and saved[name].shape != wanted[name].shape]
    if wrong:
        raise MtlError(f"Checkpoint '{checkpoint.name}' does not fit its own settings: it {wrong[0]}"
                       + (f", and {len(wrong) - 1} more are wrong" if len(wrong) > 1 else "") + ".")
    config = MultiTaskConfig.from_pretrained(checkpoint, local_files_only=True)
    if config.base_sha256 != model.config.base_sha256:
        raise MtlError(f"The encoder '{model.config.base}' is not the one that checkpoint '{checkpoint.name}' was trained with: its "
                       "weights have changed since. Train again.")
    model.load_state_dict(saved, strict=False)
    model.set_tuned(config.thresholds, config.calibration)
