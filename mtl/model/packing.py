"""Sequence packing: several short texts in one row of a batch, with attention kept inside each (Krell et al., 2021,
https://arxiv.org/abs/2107.02027). Half of a random batch is padding, of a packed one 5 % at most, without sorting texts by length."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

MAX_WIDTH = 1.5  # widest row, relative to the longest text; the cost of attention grows with the square of the width
ENOUGH = 0.97  # share of real subwords at which no wider row is tried
LONGEST_TRIED = 512  # subwords of the longest text that `can_pack` tries
TOLERANCE = 1e-4  # largest difference allowed between packed and unpacked hidden states, relative to the largest of them


class Packing(NamedTuple):
    """The map between the subwords of a padded batch (B, T) and packed rows (P, L)."""

    sources: Tensor  # (P, L): index of each packed subword in the flattened batch
    texts: Tensor  # (P, L): the text it belongs to, -1 for padding
    positions: Tensor  # (P, L): its position in that text
    places: Tensor  # (B, T): index of each subword of the batch in the flattened packed rows

    def to(self, device: str) -> "Packing":
        return Packing(*(tensor.to(device) for tensor in self))


def pack(lengths: Sequence[int]) -> Packing:
    """A packing of texts of these `lengths` (B) in subwords, at the row width with the least padding; of equal widths at the narrowest."""
    longest, real = max(lengths), sum(lengths)
    rows, least = [], 0
    for width in range(longest, int(MAX_WIDTH * longest) + 1, max(1, longest // 16)):
        tried = _fill(lengths, width)
        area = len(tried) * max(sum(lengths[text] for text in row) for row in tried)  # rows may all be shorter than `width`
        if not rows or area < least:
            rows, least = tried, area
        if real >= ENOUGH * least:
            break
    shape = len(rows), least // len(rows)
    # padding needs some source, and any will do: attention skips it (its text is -1) and `places` never points to it
    sources, texts, positions = np.zeros(shape, np.int64), np.full(shape, -1, np.int64), np.zeros(shape, np.int64)
    places = np.zeros((len(lengths), longest), np.int64)
    for number, row in enumerate(rows):
        start = 0
        for text in row:
            length, end = lengths[text], start + lengths[text]
            texts[number, start:end] = text
            positions[number, start:end] = np.arange(length)
            sources[number, start:end] = text * longest + np.arange(length)
            places[text, :length] = number * shape[1] + np.arange(start, end)
            start = end
    return Packing(*map(torch.from_numpy, (sources, texts, positions, places)))


def _fill(lengths: Sequence[int], width: int) -> list[list[int]]:
    """Texts, by index, in rows of at most `width` subwords; best fit decreasing: the longest first, each where it leaves least room."""
    rows: list[list[int]] = []
    room: list[int] = []  # free subwords of each row
    for text in sorted(range(len(lengths)), key=lambda text: -lengths[text]):
        fits = [(space - lengths[text], row) for row, space in enumerate(room) if space >= lengths[text]]
        if not fits:
            rows.append([])
            room.append(width)
        _, row = min(fits, default=(0, len(rows) - 1))
        rows[row].append(text)
        room[row] -= lengths[text]
    return rows


def encode_packed(encoder: PreTrainedModel, input_ids: Tensor, packing: Packing) -> Tensor:
    """Run `encoder` on `input_ids` (B, T) in packed form; returns last hidden states (B, T, H). Values at padding are undefined."""
    # (P, 1, L, L): a subword attends only to its own text, and padding to padding: a row of the mask without True would give NaN
    same_text = packing.texts[:, None, :, None] == packing.texts[:, None, None, :]
    states = encoder(input_ids=input_ids.flatten()[packing.sources], attention_mask=same_text,
                     position_ids=packing.positions + first_position(encoder)).last_hidden_state
    return states.flatten(0, 1)[packing.places]


def first_position(encoder: PreTrainedModel) -> int:
    """The position id of a text's first subword: 0, but RoBERTa and its relatives count from their padding id + 1."""
    padding = getattr(getattr(encoder, "embeddings", None), "padding_idx", None)
    return 0 if padding is None else padding + 1


@torch.no_grad()
def can_pack(encoder: PreTrainedModel, longest: int) -> bool:
    """Whether `encoder`, in eval mode, gives packed texts of up to `longest` subwords the hidden states that each has alone. No property of
    an encoder shows this, so it is tried. One text is long, because some encoders attend only within a window, which the mask replaces."""
    longest = min(longest, LONGEST_TRIED)
    lengths = [longest, *(max(1, longest // part) for part in (2, 4, 8))]
    # any ids but those of special tokens, which tokenizers put first
    ids = 5 + torch.arange(len(lengths) * longest).view(len(lengths), -1) % max(1, encoder.config.vocab_size - 5)
    real = torch.arange(longest) < torch.tensor(lengths)[:, None]
    try:
        alone = encoder(input_ids=ids, attention_mask=real.long()).last_hidden_state[real]
        packed = encode_packed(encoder, ids, pack(lengths))[real]
    except Exception:  # an encoder without position ids, or without masks of this shape, may raise anything
        return False
    return bool((packed - alone).abs().max() <= TOLERANCE * alone.abs().max())
