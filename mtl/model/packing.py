"""Packing: several short texts in one row of a batch, so that little of it is padding although its texts are drawn at random (Krell et al.,
2021, https://arxiv.org/abs/2107.02027). Each is read as if it stood alone. Knows no tasks and no training."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

WIDEST = 1.5  # of the longest text: what attention computes grows with the width of a row
FULL = 0.97  # the share of real subwords at which no wider row is tried
LONGEST_TRIED = 512  # subwords
SAME = 1e-4  # of its largest number, what it may say else about packed texts


class Packing(NamedTuple):
    """Where the subwords of a batch (B, T) stand in packed rows (P, L), and where they are found again.

    `sources` (P, L): the place in the flattened batch; `texts` (P, L): which text it is of, -1 for padding; `positions` (P, L): its
    position in that text; `places` (B, T): the place in the flattened packed rows, 0 for padding.
    """

    sources: Tensor
    texts: Tensor
    positions: Tensor
    places: Tensor

    def to(self, device: str) -> "Packing":
        """The same on `device`."""
        return Packing(*(tensor.to(device) for tensor in self))


def pack(lengths: Sequence[int]) -> Packing:
    """How texts of these `lengths` (B) in subwords are packed: of some widths, the narrowest that leaves next to no padding."""
    longest, real = max(lengths), sum(lengths)
    rows, least = [], 0
    for width in range(longest, int(WIDEST * longest) + 1, max(1, longest // 16)):
        tried = _fill(lengths, width)
        area = len(tried) * max(sum(lengths[text] for text in row) for row in tried)
        if not rows or area < least:
            rows, least = tried, area
        if real >= FULL * least:
            break
    shape = len(rows), least // len(rows)
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
    """The texts in rows of at most `width` subwords: the longest first, each where it leaves the least room (best fit, decreasing)."""
    rows: list[list[int]] = []
    room: list[int] = []
    for text in sorted(range(len(lengths)), key=lambda text: -lengths[text]):
        left, row = min(((space - lengths[text], row) for row, space in enumerate(room) if space >= lengths[text]), default=(0, len(rows)))
        if row == len(rows):
            rows.append([])
            room.append(width)
            left = width - lengths[text]
        rows[row].append(text)
        room[row] = left
    return rows


def read_packed(encoder: PreTrainedModel, input_ids: Tensor, packing: Packing) -> Tensor:
    """What `encoder` says about `input_ids` (B, T), packed on the way: its last hidden states (B, T, H), those of padding meaningless."""
    alike = packing.texts[:, None, :, None] == packing.texts[:, None, None, :]  # (P, 1, L, L): only a text's own subwords are seen
    states = encoder(input_ids=input_ids.flatten()[packing.sources], attention_mask=alike,
                     position_ids=packing.positions + first_position(encoder)).last_hidden_state
    return states.flatten(0, 1)[packing.places]


def first_position(encoder: PreTrainedModel) -> int:
    """The number of a text's first position: 0, but RoBERTa and its kin count from their padding id."""
    padding = getattr(getattr(encoder, "embeddings", None), "padding_idx", None)
    return 0 if padding is None else padding + 1


@torch.no_grad()
def can_pack(encoder: PreTrainedModel, longest: int) -> bool:
    """Whether `encoder`, in eval mode, says the same about packed texts of up to `longest` subwords as about each alone.

    It is tried, because no interface tells; with a long text too, because some encoders look no further than a window, which the mask of
    packed texts would lift.
    """
    longest = min(longest, LONGEST_TRIED)
    lengths = [longest, *(max(1, longest // part) for part in (2, 4, 8))]
    ids = 5 + torch.arange(len(lengths) * longest).view(len(lengths), -1) % max(1, encoder.config.vocab_size - 5)
    real = torch.arange(longest) < torch.tensor(lengths)[:, None]
    try:
        alone = encoder(input_ids=ids, attention_mask=real.long()).last_hidden_state[real]
        packed = read_packed(encoder, ids, pack(lengths))[real]
    except Exception:  # whatever an encoder that knows no positions, or no such mask, does with them
        return False
    return bool((packed - alone).abs().max() <= SAME * alone.abs().max())
