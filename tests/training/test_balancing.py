"""mtl/training/balancing.py: every method does what its name says, on gradients small enough to follow by hand."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torchjd.aggregation import PCGrad, UPGrad
from torchjd.autojac import jac_to_grad, mtl_backward
from torchjd.scalarization import FAMO

from mtl.errors import MtlError
from mtl.settings.config import make_config
from mtl.settings.methods import METHODS, refusal_of_processes
from mtl.training.balancing import chance_loss, make_balancer


class Toy:
    """One shared vector; the loss of each task is its inner product with a direction, which so is the task's gradient."""

    def __init__(self, directions: dict[str, list[float]], balancing: str, weights: dict[str, float] | None = None,
                 chance: dict[str, float] | None = None) -> None:
        self.directions = {task: torch.tensor(direction) for task, direction in directions.items()}
        self.shared, self.head = nn.Parameter(torch.ones(len(next(iter(directions.values()))))), nn.Parameter(torch.ones(1))
        self.balancer = make_balancer(balancing, weights or dict.fromkeys(directions, 1.0), [self.shared], [self.head], "cpu",
                                      chance or dict.fromkeys(directions, 1.0))

    def losses(self) -> dict[str, torch.Tensor]:
        return {task: direction @ self.shared for task, direction in self.directions.items()}

    def step(self, seed: int = 1, shares: dict[str, float] | None = None) -> tuple[torch.Tensor, dict[str, float]]:
        """The gradient of the shared vector, and the weights in effect."""
        self.shared.grad = None
        self.balancer.begin(seed, batches=1, shares=shares)
        self.balancer.backward(self.losses())
        weights = self.balancer.finish()
        return self.shared.grad, weights

    def learn(self, rate: float, losses: dict[str, torch.Tensor]) -> None:
        """What follows a step: the method's own parameters are trained, or it gets the `losses` after the step."""
        for weight in self.balancer.parameters():
            weight.data -= rate * weight.grad
            weight.grad = None
        if self.balancer.needs_second_pass:
            self.balancer.update(losses)


AGAINST = {"a": [3.0, 0.0], "b": [-1.0, 2.0]}  # inner product -3
ALONG = {"a": [3.0, 0.0], "b": [1.0, 2.0]}


@pytest.mark.parametrize("balancing", METHODS)
def test_with_one_task_every_method_is_the_plain_gradient(balancing):
    gradient, weights = Toy({"a": [3.0, -1.0]}, balancing).step()
    assert torch.equal(gradient, torch.tensor([3.0, -1.0])) and weights == {"a": 1.0}


@pytest.mark.parametrize(("weights", "wanted"), [(None, [2.0, 2.0]), ({"a": 0.5, "b": 2.0}, [1.5 - 2.0, 4.0])])
def test_equal_adds_and_fixed_weighs(weights, wanted):
    gradient, told = Toy(AGAINST, "fixed" if weights else "equal", weights).step()
    assert gradient.tolist() == wanted and told == (weights or {"a": 1.0, "b": 1.0})


@pytest.mark.parametrize(("balancing", "error"), [("pcgrad", 1e-6), ("upgrad", 1e-3)])
def test_a_gradient_method_takes_out_of_each_gradient_what_is_against_the_other_and_without_a_conflict_nothing(balancing, error):
    # a - (a.b / b.b) b = [3, 0] + 3/5 [-1, 2] = [2.4, 1.2];  b - (b.a / a.a) a = [-1, 2] + 3/9 [3, 0] = [0, 2]
    gradient, weights = Toy(AGAINST, balancing).step()
    assert gradient.tolist() == pytest.approx([2.4, 3.2], abs=error)
    assert weights == pytest.approx({"a": 1 + 1 / 3, "b": 1 + 3 / 5}, abs=error)
    gradient, weights = Toy(ALONG, balancing).step()
    assert gradient.tolist() == pytest.approx([4.0, 2.0], abs=1e-4) and weights == pytest.approx({"a": 1, "b": 1}, abs=1e-4)


@pytest.mark.parametrize(("balancing", "count", "holds"), [("pcgrad", 2, True), ("pcgrad", 3, False), ("upgrad", 2, True),
                                                           ("upgrad", 3, True), ("upgrad", 5, True)])
def test_the_result_is_against_no_task(balancing, count, holds):
    """PCGrad promises it for two tasks only (Yu et al., theorem 1 and after it), UPGrad for any number, but for the little that its
    quadratic program is regularised by."""
    random, cosines = np.random.default_rng(3), []
    for _ in range(100):
        toy = Toy({f"task{index}": random.normal(size=3 if not holds else 12).tolist() for index in range(count)}, balancing)
        gradient, _ = toy.step()
        cosines += [float(direction @ gradient / (direction.norm() * gradient.norm())) for direction in toy.directions.values()]
    assert (min(cosines) >= -1e-2) == holds


def lengths_in(toy: Toy, weights: dict[str, float]) -> dict[str, float]:
    """The length of each task's gradient in the step."""
    return {task: weight * toy.directions[task].norm().item() for task, weight in weights.items()}


def test_even_makes_the_gradients_equally_long_and_that_of_a_task_that_has_learned_more_shorter():
    toy, norms = Toy({"a": [30.0, 0.0], "b": [0.0, 0.2]}, "even"), {"a": 30.0, "b": 0.2}
    assert toy.step()[1] == {"a": 1.0, "b": 1.0}  # nothing is measured yet
    toy.balancer.learn(norms, {"a": 0.7, "b": 0.7})
    gradient, weights = toy.step()
    assert lengths_in(toy, weights) == pytest.approx({"a": 1.0, "b": 1.0}) and gradient.tolist() == pytest.approx([1.0, 1.0])
    for _ in range(60):  # until what was measured before is forgotten; the loss of chance is 1
        toy.balancer.learn(norms, {"a": 0.64, "b": 0.01})
    assert lengths_in(toy, toy.step()[1]) == pytest.approx({"a": 1.0, "b": (0.01 / 0.64) ** 0.5})


def test_with_even_a_loss_weight_says_how_much_longer_a_gradient_is():
    toy = Toy({"a": [30.0, 0.0], "b": [0.0, 0.2]}, "even", {"a": 1.0, "b": 4.0})
    toy.balancer.learn({"a": 30.0, "b": 0.2}, {"a": 0.5, "b": 0.5})
    assert lengths_in(toy, toy.step()[1]) == pytest.approx({"a": 0.25, "b": 1.0})


def test_even_is_the_plain_sum_where_no_layer_of_the_encoder_is_trained():
    balancer = make_balancer("even", {"a": 1.0, "b": 2.0}, [], [nn.Parameter(torch.ones(1))], "cpu", {"a": 1.0, "b": 1.0})
    assert not balancer.wants_norms(0, ["a", "b"]) and balancer.state() == {}


@pytest.mark.parametrize("count", range(2, 9))
def test_even_looks_at_every_task_again_and_again_although_they_take_turns(count):
    balancer, tasks = Toy({f"task{index}": [1.0] for index in range(count)}, "even").balancer, [f"task{index}" for index in range(count)]
    seen = []
    for step in range(1100):
        task = tasks[step % count]
        if balancer.wants_norms(step, [task]):
            balancer.learn({task: 1.0}, {task: 1.0})
            seen.append(task)
    assert len(seen) < 1100 / 8 and min(map(seen.count, tasks)) >= 100 // count


def test_a_measurement_that_is_no_number_teaches_even_nothing_and_a_task_without_gradient_gets_no_endless_weight():
    toy = Toy({"a": [1.0, 0.0], "b": [0.0, 1.0]}, "even")
    toy.balancer.learn({"a": math.nan, "b": math.inf}, {"a": 1.0, "b": 1.0})
    assert toy.balancer.state() == {"norms": {}, "losses": {}}
    toy.balancer.learn({"a": 1.0, "b": 0.0}, {"a": 1.0, "b": 0.0})
    assert all(0 < weight <= 1e4 for weight in toy.step()[1].values())


def test_the_loss_of_chance_is_the_entropy_of_the_labels():
    assert chance_loss([0, 1, 0, 1, -100], 4) == pytest.approx(math.log(2))  # one target per label
    assert chance_loss([0, 0, 0, 1] * 3, 6) == pytest.approx(2 * -(0.75 * math.log(0.75) + 0.25 * math.log(0.25)))  # two labels per target
    assert chance_loss([3, 3, 3], 3) == chance_loss([], 0) == 1.0  # nothing to be learned


def test_with_even_a_task_of_rare_labels_that_is_far_worse_than_chance_at_first_does_not_push_the_others_aside():
    toy = Toy({"a": [30.0, 0.0], "rare": [0.0, 0.2]}, "even", chance={"a": 0.7, "rare": 0.01})
    toy.balancer.learn({"a": 30.0, "rare": 0.2}, {"a": 0.7, "rare": 0.7})
    assert lengths_in(toy, toy.step()[1]) == pytest.approx({"a": 0.5, "rare": 1.0})


def test_uncertainty_begins_as_the_plain_sum_and_moves_towards_one_over_the_loss():
    toy = Toy({"a": [3.0, 0.0], "b": [0.0, 0.5]}, "uncertainty")
    gradient, weights = toy.step()
    assert gradient.tolist() == [3.0, 0.5] and weights == {"a": 1.0, "b": 1.0}
    # d/ds (e^-s L + s) = 1 - L at s = 0
    assert [weight.grad.item() for weight in toy.balancer.parameters()] == pytest.approx([1 - 3.0, 1 - 0.5])
    for weight in toy.balancer.parameters():
        weight.data.fill_(math.log(2))
    assert toy.step()[1] == pytest.approx({"a": 0.5, "b": 0.5})


def test_what_uncertainty_adds_to_the_losses_counts_once_a_step_however_many_batches():
    whole, halves = (Toy(AGAINST, "uncertainty") for _ in range(2))
    whole.step()
    halves.balancer.begin(1, batches=2)
    for _ in range(2):
        halves.balancer.backward({task: loss / 2 for task, loss in halves.losses().items()})
    halves.balancer.finish()
    assert torch.allclose(whole.shared.grad, halves.shared.grad)
    for one, two in zip(whole.balancer.parameters(), halves.balancer.parameters(), strict=True):
        assert torch.allclose(one.grad, two.grad)


def test_random_weights_are_new_in_every_step_the_same_for_all_its_batches_and_1_on_average():
    toy, state = Toy(AGAINST, "random"), torch.get_rng_state()
    drawn = [toy.step(seed)[1] for seed in range(400)]
    assert all(sum(weights.values()) == pytest.approx(2) for weights in drawn)
    assert drawn[0] != drawn[1] and toy.step(0)[1] == drawn[0]
    assert np.mean([weights["a"] for weights in drawn]) == pytest.approx(1, abs=0.1)
    assert torch.equal(torch.get_rng_state(), state)  # the random numbers of dropout stay the same


def test_famo_gives_the_gradients_and_weights_of_torchjd_s_own_class():
    toy, theirs, shared = Toy({"a": [4.0, -1.0], "b": [-1.0, 3.0]}, "famo"), FAMO(2), torch.ones(2, requires_grad=True)
    # at first in proportion to 1 / loss (3 and 2), adding up to the number of tasks: 2 x [1/3, 1/2] / (5/6)
    assert toy.step()[1] == pytest.approx({"a": 0.8, "b": 1.2}, rel=1e-4)
    for _ in range(5):
        gradient, _ = toy.step()
        losses = torch.stack([direction @ shared for direction in toy.directions.values()])
        wanted, = torch.autograd.grad(2 * theirs(losses), shared)
        assert torch.equal(gradient, wanted)
        with torch.no_grad():
            for weight in (toy.shared, shared):
                weight -= 0.01 * wanted
        toy.balancer.update(toy.losses())
        theirs.update(torch.stack([direction @ shared for direction in toy.directions.values()]))


def test_famo_on_a_step_that_lacks_a_task_is_the_plain_sum_and_learns_nothing():
    toy = Toy({"a": [4.0, 0.0], "b": [0.0, 1.0]}, "famo")
    before = {name: value.clone() for name, value in toy.balancer.state()["famo"].items()}
    toy.balancer.begin(1, batches=1)
    toy.balancer.backward({"b": toy.losses()["b"]})
    assert toy.balancer.finish() == {"b": 1.0}
    toy.balancer.update({"b": torch.tensor(0.5)})
    assert all(torch.equal(value, before[name]) for name, value in toy.balancer.state()["famo"].items())


SHARED = {"a": 0.75, "b": 0.25}


@pytest.mark.parametrize("balancing", ["equal", "uncertainty", "famo", "random", "pcgrad", "upgrad"])
def test_a_task_s_share_of_the_rows_counts_besides_the_weight_that_the_method_gives(balancing):
    plain, shared = (Toy({"a": [4.0, 0.0], "b": [0.0, 1.0]}, balancing) for _ in range(2))
    for _ in range(20):  # until a method that evens out losses has done so
        for toy, shares in ((plain, None), (shared, SHARED)):
            toy.step(shares=shares)
            toy.learn(0.3, {task: 0.9 * loss.detach() for task, loss in toy.losses().items()})
    wanted = plain.shared.grad * torch.tensor([SHARED["a"], SHARED["b"]])  # the first coordinate is only a's, the second only b's
    assert torch.allclose(shared.shared.grad, wanted, rtol=1e-3)


# The path through autograd, against torchjd's own


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.trunk, self.heads = nn.Sequential(nn.Linear(5, 8), nn.Tanh()), nn.ModuleList([nn.Linear(8, 3), nn.Linear(8, 2)])

    def losses(self, inputs: torch.Tensor, labels: list[torch.Tensor]) -> dict[str, torch.Tensor]:
        features = self.trunk(inputs)
        return {f"task{index}": nn.functional.cross_entropy(head(features), of_task, reduction="sum") / (of_task >= 0).sum()
                for index, (head, of_task) in enumerate(zip(self.heads, labels, strict=True)) if (of_task >= 0).any()}


def data(separate: bool) -> tuple[torch.Tensor, list[torch.Tensor]]:
    torch.manual_seed(1)
    inputs, labels = torch.randn(12, 5), [torch.randint(3, (12,)), torch.randint(2, (12,))]
    if separate:
        labels[0][6:], labels[1][:6] = -100, -100
    return inputs, labels


@pytest.mark.parametrize("separate", [True, False], ids=["separate rows", "joint rows"])
@pytest.mark.parametrize(("balancing", "aggregator"), [("pcgrad", PCGrad), ("upgrad", lambda: UPGrad(pref_vector=torch.ones(2)))])
def test_gradients_and_weights_are_those_of_torchjd_s_own_path(balancing, aggregator, separate):
    inputs, labels = data(separate)
    ours, theirs = Net(), Net()
    balancer = make_balancer(balancing, {"task0": 1.0, "task1": 1.0}, list(ours.trunk.parameters()),
                             list(ours.heads.parameters()), "cpu", {})
    balancer.begin(1, batches=1)
    if separate:  # the cheap way: a batch for the rows of each task
        for index, rows in enumerate((slice(0, 6), slice(6, 12))):
            balancer.backward({f"task{index}": ours.losses(inputs[rows], [of_task[rows] for of_task in labels])[f"task{index}"]})
    else:
        balancer.backward(ours.losses(inputs, labels))
    weights = balancer.finish()

    features = theirs.trunk(inputs)
    losses = [nn.functional.cross_entropy(head(features), of_task, ignore_index=-100)
              for head, of_task in zip(theirs.heads, labels, strict=True)]
    mtl_backward(losses, features, tasks_params=[list(head.parameters()) for head in theirs.heads],
                 shared_params=list(theirs.trunk.parameters()))
    their_weights = jac_to_grad(list(theirs.trunk.parameters()), aggregator())
    for one, two in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.allclose(one.grad, two.grad, atol=1e-6)
    assert their_weights.tolist() == pytest.approx(list(weights.values()), abs=1e-5)


def test_accumulated_batches_give_the_gradient_of_one_large_one():
    inputs, labels = data(separate=False)
    grads = []
    for parts in ([slice(0, 12)], [slice(0, 4), slice(4, 12)]):
        net = Net()
        balancer = make_balancer("pcgrad", {"task0": 1.0, "task1": 1.0}, list(net.trunk.parameters()),
                                 list(net.heads.parameters()), "cpu", {})
        balancer.begin(1, batches=len(parts))
        for rows in parts:
            losses = net.losses(inputs[rows], [of_task[rows] for of_task in labels])
            balancer.backward({task: loss * (rows.stop - rows.start) / 12 for task, loss in losses.items()})
        balancer.finish()
        grads.append([weight.grad for weight in net.parameters()])
    assert all(torch.allclose(one, two, atol=1e-6) for one, two in zip(*grads, strict=True))


def test_a_gradient_that_is_no_number_comes_through_so_that_the_loop_sees_it():
    toy = Toy({"a": [float("nan"), 1.0], "b": [1.0, 1.0]}, "upgrad")
    assert toy.step()[0].isnan().any()


# What cannot be, is said before the run


@pytest.mark.parametrize(("settings", "words"), [
    ({"balancing": "fixed"}, "no weights"),
    ({"balancing": "pcgrad", "weights": {"a": 1.0}}, "finds weights by itself"),
    ({"balancing": "upgrad", "alpha": 0.3}, "finds weights by itself"),
    ({"balancing": "famo", "accumulation": 2}, "Accumulation is 2"),
    ({"balancing": "pcgrad", "sampling": "alternating"}, "one task only"),
    ({"balancing": "pcgrad", "fine_tuning": "heads"}, "nothing is trained that the tasks share"),
])
def test_a_method_that_cannot_run_with_the_other_settings_says_why(settings, words):
    with pytest.raises(MtlError, match=words):
        make_config(settings)


@pytest.mark.parametrize("balancing", METHODS)
def test_methods_that_need_the_whole_step_refuse_several_processes(balancing):
    assert bool(refusal_of_processes(balancing, 2)) == (balancing in ("famo", "pcgrad", "upgrad"))
    assert not refusal_of_processes(balancing, 1)


def test_weights_with_equal_mean_fixed_and_with_even_they_say_how_far_each_task_moves_the_encoder():
    assert make_config({"balancing": "equal", "alpha": 0.3}).balancing == "fixed"
    assert make_config({"balancing": "equal", "weights": {"a": 2.0}}).balancing == "fixed"
    assert make_config({"weights": {"a": 2.0}}).balancing == make_config({}).balancing == "even"
