"""LoRA (Hu et al., 2021, https://arxiv.org/abs/2106.09685): small adapters that learn beside the frozen weights of an encoder, and how they
become part of these weights for good. The only file that knows peft; knows no tasks and no heads."""

import hashlib

from torch import nn
from transformers import PreTrainedModel

ALPHA_PER_RANK = 2


def add_adapters(encoder: PreTrainedModel, rank: int, dropout: float) -> None:
    """Freeze `encoder` and put an adapter beside each of its linear layers; a pooler, which may be new, is trained whole, as a head is.

    An adapter adds alpha / rank x B A x. Alpha grows with the rank (section 4.1 of the paper), so that a learning rate that was good
    for one rank is good for the others; the factor 2 is the usual one. A is drawn at random, B is 0: what the
    encoder answers is unchanged at first.
    """
    from peft import LoraConfig, inject_adapter_in_model  # takes a while, and most runs want none

    linear = [name for name, layer in encoder.named_modules() if isinstance(layer, nn.Linear) and not name.startswith("pooler.")]
    config = LoraConfig(r=rank, lora_alpha=ALPHA_PER_RANK * rank, lora_dropout=dropout, target_modules=linear, bias="none")
    inject_adapter_in_model(config, encoder)
    if getattr(encoder, "pooler", None) is not None:
        encoder.pooler.requires_grad_(True)


def merge_adapters(encoder: PreTrainedModel) -> None:
    """Add the adapters to the weights that they are beside and take them away: what is left is as fast as an encoder without."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    for name, layer in list(encoder.named_modules()):
        if isinstance(layer, BaseTunerLayer):
            layer.merge()
            encoder.set_submodule(name, layer.get_base_layer())
    del encoder.peft_config


def frozen_sha256(model: nn.Module) -> str:
    """A digest of the weights that are not trained, by which an encoder is known again."""
    digest = hashlib.sha256()
    for name, weight in model.named_parameters():
        if not weight.requires_grad:
            digest.update(name.encode())
            digest.update(weight.detach().cpu().contiguous().numpy())
    return digest.hexdigest()
