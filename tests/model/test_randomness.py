"""mtl/model/randomness.py: what a run draws is its own, whatever other threads do with torch's global generator; and dropout on a CPU drops
the share asked for, changes nothing else, and is repeatable."""

import re
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import mtl
from mtl.model.encoder import load_encoder
from mtl.model.loading import load_weights
from mtl.model.randomness import FastDropout, OwnRandomness, seeded_dropout
from mtl.runs.events import StepDone
from mtl.runs.folder import starter_folder
from mtl.training.loop import train


@contextmanager
def others_draw() -> Iterator[None]:
    """Meanwhile other threads seed, draw from, save and restore torch's global generator, as fast as they can."""
    over = threading.Event()

    def disturb(number: int) -> None:
        while not over.is_set():
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(number)
                torch.randn(number)

    threads = [threading.Thread(target=disturb, args=(number,)) for number in (3, 5)]
    for thread in threads:
        thread.start()
    yield
    over.set()
    for thread in threads:
        thread.join()


RUNS = {"pcgrad": {"balancing": "pcgrad"}, "random weights": {"balancing": "random"}, "a new encoder": {},
        "adapters": {"encoder": "bundled", "fine_tuning": "lora"}}


@pytest.mark.parametrize("settings", RUNS.values(), ids=RUNS)
def test_a_run_draws_nothing_from_the_global_generator_and_the_same_whatever_other_threads_draw(tmp_path, tiny_config, finish, settings):
    config, before = tiny_config(max_steps=3, hypothetical_rows=30, **settings), torch.get_rng_state()
    alone = [event.losses for event in finish(config, tmp_path / "alone") if isinstance(event, StepDone)]
    assert torch.equal(torch.get_rng_state(), before)
    with others_draw(), closing(train(config, tmp_path / "disturbed")) as events:
        steps = (event for event in events if isinstance(event, StepDone))
        assert [event.losses for event in islice(steps, 3)] == alone


def test_loading_a_checkpoint_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    load_weights(starter_folder(), "cpu")
    load_encoder("bundled", seed=3)
    assert torch.equal(torch.get_rng_state(), before)


def test_no_code_seeds_saves_or_restores_the_global_generator():
    for file in Path(mtl.__file__).parent.rglob("*.py"):
        assert not re.search(r"torch\.manual_seed|fork_rng|[gs]et_rng_state|default_generator", file.read_text(encoding="utf-8")
                             .replace("`torch.manual_seed(seed)`", "")), file.name


def draw_all() -> list[torch.Tensor]:
    linear = nn.init.orthogonal_(nn.init.kaiming_normal_(nn.init.trunc_normal_(nn.Linear(5, 5).weight)))
    return [linear, torch.randperm(20), torch.rand(3), torch.randint(9, (3,)), torch.normal(torch.zeros(3), 1.0),
            torch.ones(9).bernoulli_(0.5), torch.bernoulli(torch.full((9,), 0.5)), torch.multinomial(torch.ones(9), 3),
            torch.empty(3).normal_(), torch.empty(3).uniform_()]


def test_it_draws_the_numbers_that_seeding_the_global_generator_would_give():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        wanted = draw_all()
    with OwnRandomness(7):
        assert all(torch.equal(one, other) for one, other in zip(draw_all(), wanted, strict=True))
        assert not all(torch.equal(one, other) for one, other in zip(draw_all(), wanted, strict=True))


# Dropout


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
