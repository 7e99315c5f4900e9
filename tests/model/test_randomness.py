"""mtl/model/randomness.py: what a run draws is its own, whatever other threads do with torch's global generator."""

import re
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path

import pytest
import torch
from torch import nn

import mtl
from mtl.model.encoder import load_encoder
from mtl.model.loading import load_weights
from mtl.model.randomness import OwnRandomness
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
