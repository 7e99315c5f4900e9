"""Dropout on a CPU: the share asked for, nothing else changed, and repeatable."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mtl.training.dropout import FastDropout, seeded_dropout


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_the_share_asked_for_is_dropped_and_the_mean_stays(share):
    ones = torch.ones(500, 401)
    with FastDropout(1):
        out = F.dropout(ones, share)
    spread = 5 * (share * (1 - share) / ones.numel()) ** 0.5
    assert (out == 0).float().mean().item() == pytest.approx(share, abs=spread)
    assert out.mean().item() == pytest.approx(1, abs=spread / (1 - share))
    assert out.unique().numel() == 2


def test_a_dropped_feature_has_no_gradient_and_a_kept_one_is_scaled():
    features = torch.randn(40, 30, requires_grad=True)
    with FastDropout(1):
        out = nn.Dropout(0.3)(features)
    out.sum().backward()
    assert torch.equal(features.grad == 0, out == 0)
    assert torch.allclose(features.grad[out != 0] * features[out != 0], out[out != 0])


@pytest.mark.parametrize("case", ["scaled", "boolean mask", "added mask", "shared heads"])
def test_attention_is_torchs_own_but_for_what_is_dropped(case):
    query, key, value = torch.randn(3, 2, 4, 5, 8)
    mask = torch.rand(2, 1, 5, 5) > 0.3
    mask[..., 0] = True
    how = {"scaled": {"scale": 0.3}, "boolean mask": {"attn_mask": mask}, "shared heads": {"enable_gqa": True},
           "added mask": {"attn_mask": torch.zeros(2, 1, 5, 5).masked_fill(~mask, -1e30), "scale": 0.3}}[case]
    if case == "shared heads":
        key, value = key[:, :2], value[:, :2]
    with FastDropout(1):
        out = F.scaled_dot_product_attention(query, key, value, dropout_p=2**-16, **how)
    assert torch.allclose(out, F.scaled_dot_product_attention(query, key, value, **how), atol=1e-3)


def test_attention_drops_weights_and_not_features():
    value = torch.eye(50)[None, None]
    same = torch.zeros(1, 1, 50, 8)
    with FastDropout(1):
        weights = F.scaled_dot_product_attention(same, same, value, dropout_p=0.4)[0, 0]  # with such values the weights themselves
    assert (weights == 0).float().mean().item() == pytest.approx(0.4, abs=0.05)
    assert weights.max().item() == pytest.approx(1 / 50 / 0.6, rel=1e-3)


def test_what_is_dropped_follows_from_the_seed_alone():
    def draw(seed: int) -> torch.Tensor:
        with seeded_dropout(seed, "cpu"):
            return torch.stack([F.dropout(torch.ones(64, 64)) for _ in range(2)])

    first = draw(7)
    torch.manual_seed(99)
    torch.rand(5)
    assert torch.equal(first, draw(7))
    assert not torch.equal(first, draw(8))
    assert not torch.equal(*first)


@pytest.mark.parametrize("p, training", [(0.0, True), (0.5, False)])
def test_nothing_is_dropped_where_nothing_should_be(p, training):
    features = torch.randn(9, 9)
    with FastDropout(1):
        assert torch.equal(F.dropout(features, p, training), features)

