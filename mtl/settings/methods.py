"""What the ways of balancing and of sampling are for: when to use each, where it is from, what it costs, and what it cannot be used with.
For people and for the check of a run's settings; how they work is in balancing.py and sampling.py. Knows no torch."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Method:
    """One way of balancing. `cost`: time of a step relative to the plain sum of the losses, on jointly labelled rows of three tasks, and
    `cost_apart`, on rows of one task each, as tests/bench/methods.py measured them on two CPU cores."""

    title: str
    when: str
    paper: str
    cost: float
    cost_apart: float
    is_gradient: bool = False  # looks at each task's gradient by itself
    wants_whole_step: bool = False  # has to see the losses of a step at once


METHODS: dict[str, Method] = {
    "equal": Method("Equal", "The first thing to try, and hard to beat when the tasks' scores are all that counts.",
                    "Kurin et al., 2022, https://arxiv.org/abs/2201.04122", 1.0, 1.0),
    "fixed": Method("Fixed weights", "When one task matters more, or lags behind: a few values, compared by validation score, work well.",
                    "Royer et al., 2023, https://arxiv.org/abs/2310.08910", 1.0, 1.0),
    "uncertainty": Method("Uncertainty weighting", "When losses differ in scale and there is no time to try weights; slow to move.",
                          "Kendall et al., 2018, https://arxiv.org/abs/1705.07115", 1.0, 1.0),
    "random": Method("Random weights", "The litmus test: a method that does not beat it on your data has shown nothing.",
                     "Lin et al., 2021, https://arxiv.org/abs/2111.10603", 1.0, 1.0),
    "famo": Method("FAMO", "When all losses should fall at the same pace; it looks at each step's rows a second time.",
                   "Liu et al., 2023, https://arxiv.org/abs/2306.03792", 1.4, 1.3, wants_whole_step=True),
    "pcgrad": Method("PCGrad", "When the tasks' gradients often point against each other (see the heat map): the conflicting part is taken "
                     "out.", "Yu et al., 2020, https://arxiv.org/abs/2001.06782", 2.6, 1.7, is_gradient=True),
    "upgrad": Method("UPGrad", "As PCGrad, and with a promise: no step is, to first order, against any task.",
                     "Quinton and Rey, 2024, https://arxiv.org/abs/2406.16232", 2.6, 1.8, is_gradient=True),
}

SAMPLINGS_FOR: dict[str, str] = {
    "joint": "One pass of the encoder teaches every task that a row is labelled for: the most labels per second.",
    "alternating": "The tasks take turns, one a step: all count alike, and none is mixed with another.",
    "proportional": "Every label once an epoch, and a task weighs as much as it has labels: a large one may drown a small one.",
    "temperature": "Between proportional and all alike: a small task is seen more often than it is large, but not without end.",
    "annealed": "Proportional at first, all alike at the end (Stickland and Murray, 2019, https://arxiv.org/abs/1902.02671): large tasks "
                "lay the ground, and none is forgotten.",
}


def refusal(balancing: str, config: Any) -> str:
    """Why `balancing` cannot be used with the other settings of `config` (a RunConfig), as the end of a sentence; '' if it can."""
    method = METHODS[balancing]
    given = "Alpha is" if config.alpha is not None else "Loss weights are" if config.weights else ""
    if given and balancing == "equal":
        return f"but {given} given; leave them out, or use 'fixed'"
    if given and balancing != "fixed":
        return f"which finds weights by itself, but {given} given too; leave them out, or use 'fixed'"
    if balancing == "fixed" and not given:
        return "but there are no weights; give Loss weights such as intent=1,tags=2, or an Alpha, or use 'equal'"
    if config.sampling == "alternating" and (method.is_gradient or balancing in ("famo", "random")):
        return "but with Sampling 'alternating' a step has one task only, so there is nothing to balance; use 'joint' or 'proportional'"
    if method.wants_whole_step and config.accumulation > 1:
        return f"which has to see a step at once, but Accumulation is {config.accumulation}; set it to 1"
    if method.is_gradient and config.fine_tuning == "heads":
        return "but with Fine-tuning 'heads' nothing is trained that the tasks share; use 'equal'"
    return ""


def refusal_of_processes(balancing: str, processes: int) -> str:
    """Why `balancing` cannot run on so many processes, as a sentence; '' if it can."""
    method = METHODS[balancing]
    if processes > 1 and (method.is_gradient or method.wants_whole_step):
        return f"{method.title} has to see a step at once, but this run has {processes} processes. Use one, or another balancing."
    return ""
