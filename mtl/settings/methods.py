"""The ways of balancing and sampling, as people choose between them: when to use each, its paper, its cost, and what excludes it. The
choices in config.py, the flags and the page are made from these cards; training/ has the code. Knows no torch."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Method:
    """One way of balancing. `cost` is the time of a step relative to 'equal' if every row has labels for all of three tasks, `cost_apart`
    if every row has labels for one task; tests/bench/methods.py measured both on two CPU cores."""

    title: str
    when: str
    paper: str
    cost: float
    cost_apart: float
    is_gradient: bool = False  # needs the gradient of each task by itself
    wants_whole_step: bool = False  # needs all losses of a step at once
    takes_weights: bool = False  # the user may say how much each task counts


METHODS: dict[str, Method] = {
    "even": Method("Even gradients", "For almost everything: each task moves the encoder alike, and a task that is learned makes room for "
                   "the others. The lengths of the gradients are those that GradNorm aims at. GradNorm trains weights to reach them; here "
                   "the weights are computed.", "Chen et al., 2018, https://arxiv.org/abs/1711.02257", 1.0, 1.0, takes_weights=True),
    "equal": Method("Equal", "The plain sum of the losses. A task with a small gradient learns late.",
                    "Kurin et al., 2022, https://arxiv.org/abs/2201.04122", 1.0, 1.0),
    "fixed": Method("Fixed weights", "For weights that you know to be good. With 'even', weights say the same and are easier to choose.",
                    "Royer et al., 2023, https://arxiv.org/abs/2310.08910", 1.0, 1.0, takes_weights=True),
    "uncertainty": Method("Uncertainty weighting", "For losses of different sizes, without time to try weights. The weights move slowly.",
                          "Kendall et al., 2018, https://arxiv.org/abs/1705.07115", 1.0, 1.0),
    "random": Method("Random weights", "For comparison: a method that does not beat it on your data has shown nothing.",
                     "Lin et al., 2021, https://arxiv.org/abs/2111.10603", 1.0, 1.0),
    "famo": Method("FAMO", "When all losses should fall at the same pace. It reads the rows of each step a second time.",
                   "Liu et al., 2023, https://arxiv.org/abs/2306.03792", 1.4, 1.3, wants_whole_step=True),
    "pcgrad": Method("PCGrad", "When the tasks' gradients often point against each other (see the heat map): it removes the part that "
                     "conflicts.", "Yu et al., 2020, https://arxiv.org/abs/2001.06782", 2.6, 1.7, is_gradient=True),
    "upgrad": Method("UPGrad", "Like PCGrad, with a guarantee: to first order, no step makes any task worse.",
                     "Quinton and Rey, 2024, https://arxiv.org/abs/2406.16232", 2.6, 1.8, is_gradient=True),
}

TAKE_WEIGHTS = ("equal", *(name for name, card in METHODS.items() if card.takes_weights))  # 'equal' becomes 'fixed' if weights are given


@dataclass(frozen=True)
class Sampling:
    """One way to choose the rows of each step: what it does (after its name, for the help of the setting), and when to use it."""

    does: str
    when: str
    one_task_per_step: bool = False


SAMPLINGS: dict[str, Sampling] = {
    "joint": Sampling("mixes all rows and uses every label on them",
                      "Each row trains every task that it has a label for: the most labels per second."),
    "alternating": Sampling("gives each step to one task, in turn",
                            "The tasks take turns, one per step, so all count alike and none is mixed with another.", True),
    "proportional": Sampling("draws each row for one task, in proportion to its number of labels",
                             "Every label is used once an epoch, so a task counts by its number of labels. A large task may drown a small "
                             "one."),
    "temperature": Sampling("draws small tasks more often than 'proportional' does",
                            "Between proportional and all tasks alike: a small task is drawn more often than its size, within limits."),
    "annealed": Sampling("begins as 'proportional' and ends with all tasks alike",
                         "Proportional at first, all tasks alike at the end (Stickland and Murray, 2019, "
                         "https://arxiv.org/abs/1902.02671): large tasks come first, and none is forgotten."),
}


def refusal(config: Any) -> str:
    """Why the balancing of `config` (a RunConfig) cannot be used with its other settings, as the end of a sentence; '' if it can."""
    balancing, method = config.balancing, METHODS[config.balancing]
    given = "Alpha is" if config.alpha is not None else "Loss weights are" if config.weights else ""
    if given and balancing == "equal":
        return f"but {given} given; leave them out, or use 'fixed'"
    if given and not method.takes_weights:
        return f"which finds weights by itself, but {given} given too; leave them out, or use 'fixed'"
    if balancing == "fixed" and not given:
        return "but there are no weights; give Loss weights such as intent=1,tags=2, or an Alpha, or use 'equal'"
    if SAMPLINGS[config.sampling].one_task_per_step and (method.is_gradient or balancing in ("famo", "random")):
        return f"but with Sampling '{config.sampling}' a step has one task only, and nothing to balance; use 'joint' or 'proportional'"
    if method.wants_whole_step and config.accumulation > 1:
        return f"which needs all losses of a step at once, but Accumulation is {config.accumulation}; set it to 1"
    if method.is_gradient and config.fine_tuning == "heads":
        return "but with Fine-tuning 'heads' nothing is trained that the tasks share; use 'equal'"
    return ""


def refusal_of_processes(balancing: str, processes: int) -> str:
    """Why `balancing` cannot run on so many processes, as a sentence; '' if it can."""
    method = METHODS[balancing]
    if processes > 1 and (method.is_gradient or method.wants_whole_step):
        return f"{method.title} needs a whole step in one process, but this run has {processes} processes. Use one, or another balancing."
    return ""
