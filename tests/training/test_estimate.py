from dataclasses import replace

import pytest
import safetensors.torch
import torch

from mtl.runs.checkpoint import LAST
from mtl.runs.events import Estimated, Evaluated, RunStarted, StatusChanged, StepDone
from mtl.training import estimate as estimate_module
from mtl.training import loop
from mtl.training.loop import train


def of(kind: type, events: list) -> list:
    return [event for event in events if isinstance(event, kind)]


def curves(events: list) -> list:
    """What the steps and evaluations gave, without what the clock decides."""
    return [replace(event, seconds=0.0, **{"sentences_per_second": 0.0} if isinstance(event, StepDone) else {})
            for event in events if isinstance(event, (StepDone, Evaluated))]


@pytest.mark.parametrize("changes", [
    {}, {"balancing": "uncertainty"}, {"balancing": "famo"}, {"balancing": "pcgrad"}, {"accumulation": 2, "patience": 9},
    {"balancing": "random", "sampling": "proportional"}, {"sampling": "alternating", "max_steps": 24},
    {"encoder": "bundled", "fine_tuning": "heads"}], ids=str)
def test_a_run_is_bit_for_bit_the_same_with_and_without_the_look(changes, tiny_config, finish, monkeypatch, tmp_path):
    config = tiny_config(epochs=12, eval_every=12, **changes)
    looked = finish(config, tmp_path / "looked")
    monkeypatch.setattr(loop, "estimate", lambda trainer: None)
    not_looked = finish(config, tmp_path / "not")
    assert len(of(Estimated, looked)) == 1 and not of(Estimated, not_looked)
    assert curves(looked) == curves(not_looked)
    kept = [safetensors.torch.load_file(tmp_path / run / LAST / "model.safetensors") for run in ("looked", "not")]
    assert all(torch.equal(weight, kept[1][name]) for name, weight in kept[0].items())
    for name in ("optimizer.pt", "balancer.pt"):
        files = [tmp_path / run / LAST / name for run in ("looked", "not")]
        assert files[0].exists() == files[1].exists() and (not files[0].exists() or files[0].read_bytes() == files[1].read_bytes())


def test_the_look_leaves_numbers_gradients_balancer_and_conflicts_as_they_were(tiny_config, tmp_path):
    seen = {}

    def look(trainer) -> bool:
        if not seen:
            before = torch.random.get_rng_state(), trainer.balancer, trainer.wrapped, vars(trainer.conflicts).copy()
            state = {name: weight.clone() for name, weight in trainer.model.state_dict().items()}
            seen["guess"] = estimate_module.estimate(trainer)
            assert torch.equal(before[0], torch.random.get_rng_state())
            assert (trainer.balancer, trainer.wrapped, vars(trainer.conflicts)) == before[1:]
            assert all(weight.grad is None for weight in trainer.model.parameters())
            assert all(torch.equal(weight, state[name]) for name, weight in trainer.model.state_dict().items())
            assert not trainer.optimizer.state_dict()["state"] and not trainer.log._rows
        return True

    list(train(tiny_config(epochs=12), tmp_path, between_steps=look))
    assert seen["guess"].training > 0 and seen["guess"].besides > 0


def test_a_run_of_few_batches_is_not_delayed_by_a_look(tiny_config, finish, tmp_path):
    assert not of(Estimated, finish(tiny_config(epochs=1), tmp_path))


def test_the_estimate_comes_before_the_first_step_and_the_end_says_how_long_it_took(tiny_config, finish, tmp_path):
    events = finish(tiny_config(epochs=12, patience=50), tmp_path)
    kinds = [type(event) for event in events[:5]]
    assert kinds == [RunStarted, StatusChanged, Evaluated, Estimated, StepDone]
    guess = events[3]
    assert guess.may_end_early and guess.words.startswith("at most about ")
    assert f"It took {events[-1].message.split('It took ')[1]}" in events[-1].message
    assert events[-1].message.endswith(f" (estimated: {guess.words}).")


def test_after_a_resume_only_the_rest_is_estimated(tiny_config, finish, monkeypatch, tmp_path):
    monkeypatch.setattr(estimate_module, "_seconds_per_token", lambda trainer, planned: 1.0)
    config = tiny_config(epochs=20, diagnose_every=0)
    whole, = of(Estimated, finish(config, tmp_path, between_steps=lambda trainer: trainer.progress.step == 40))
    rest, = of(Estimated, finish(config, tmp_path, resume=True, between_steps=lambda trainer: True))
    assert rest.training == pytest.approx(whole.training / 2)


def test_rows_that_are_gathered_into_one_step_count_once_and_comparing_gradients_costs_time(tiny_config, finish, monkeypatch, tmp_path):
    monkeypatch.setattr(estimate_module, "_seconds_per_token", lambda trainer, planned: 1.0)

    def seconds(name: str, **changes) -> float:
        return of(Estimated, finish(tiny_config(epochs=20, **changes), tmp_path / name, between_steps=lambda trainer: True))[0].training

    plain = seconds("plain", diagnose_every=0)
    assert seconds("gathered", diagnose_every=0, batch_size=8, accumulation=2) == pytest.approx(plain)
    assert plain < seconds("compared", diagnose_every=10) < seconds("often", diagnose_every=1) < 1.5 * plain


def test_a_look_at_a_large_batch_on_a_cpu_is_cut_to_its_first_rows(tiny_config, monkeypatch, tmp_path):
    sizes = []
    monkeypatch.setattr(estimate_module, "LEAST_TOKENS", 30)
    monkeypatch.setattr(estimate_module, "CPU_WORK", 0)

    def look(trainer) -> bool:
        forward = trainer.forward
        trainer.forward = lambda batch: sizes.append(int(trainer.train_split.lengths[batch.rows].sum())) or forward(batch)
        estimate_module.estimate(trainer)
        return True

    list(train(tiny_config(epochs=12), tmp_path, between_steps=look))
    assert len(sizes) >= 2 and max(sizes) <= 30
