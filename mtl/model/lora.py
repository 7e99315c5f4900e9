"""LoRA (Hu et al., 2021, https://arxiv.org/abs/2106.09685): small trainable adapters beside the frozen weights of an encoder, by peft."""

import hashlib

from torch import nn
from transformers import PreTrainedModel


def add_adapters(encoder: PreTrainedModel, rank: int, dropout: float) -> None:
    """Freeze `encoder`, put an adapter beside each linear layer, and train a pooler, which may be new, whole. An adapter adds alpha / rank
    x B A x. Alpha grows with rank (section 4.1), so that a learning rate is good for all. A is random, B 0: nothing changes first."""
    from peft import LoraConfig, inject_adapter_in_model  # slow to import, and most runs have no adapters

    linear = [name for name, layer in encoder.named_modules() if isinstance(layer, nn.Linear) and not name.startswith("pooler.")]
    config = LoraConfig(r=rank, lora_alpha=2 * rank, lora_dropout=dropout, target_modules=linear, bias="none")
    inject_adapter_in_model(config, encoder)
    if getattr(encoder, "pooler", None) is not None:
        encoder.pooler.requires_grad_(True)


def merge_adapters(encoder: PreTrainedModel) -> None:
    """Add the adapters to the frozen weights and remove them, so that the encoder is as fast as one without adapters."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    for name, layer in list(encoder.named_modules()):
        if isinstance(layer, BaseTunerLayer):
            layer.merge()
            encoder.set_submodule(name, layer.get_base_layer())
    del encoder.peft_config


def frozen_sha256(model: nn.Module) -> str:
    """A digest of the weights that are not trained. It identifies the encoder that adapters or heads were trained with."""
    digest = hashlib.sha256()
    for name, weight in model.named_parameters():
        if not weight.requires_grad:
            digest.update(name.encode())
            digest.update(weight.detach().cpu().contiguous().numpy())
    return digest.hexdigest()
