"""What the page may ask of a run in training: other weights, rates, a frozen encoder, an evaluation, a checkpoint, the end of the epoch."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from mtl.errors import MtlError
from mtl.jobs.queue import Jobs
from mtl.runs.events import Notice
from mtl.runs.folder import on_zero_gpu, open_run
from mtl.runs.history import ACTIVE
from mtl.settings.config import make_config
from mtl.settings.steering import Steered, check, in_force


def why_not(jobs: Jobs, run_id: str, key: str) -> str:
    """Why the run cannot be steered now by the owner of `key`, as a sentence; empty if it can. Raises MtlError if there is no such run."""
    run, history, job = open_run(jobs.root, run_id), jobs.history(run_id), jobs.in_training(run_id)
    if history.status not in ACTIVE or jobs.ahead(run_id):
        return f"Only a run in training can be steered, and this one is {history.state}."
    if not run.belongs_to(key):
        return "This run was not started in this browser. It can be steered only where it was started."
    if job is None and on_zero_gpu():
        return ("On ZeroGPU a run trains in another process, for some seconds at a time, and cannot be steered there. Press Pause, then "
                "Continue on the CPU.")
    if job is None:
        return "Another program trains this run, so it cannot be steered here."
    if job.comparison:
        return "This run is part of a comparison, which would no longer be fair if one of its runs were steered."
    return "" if history.started else "It can be steered once training begins."


def steer(jobs: Jobs, run_id: str, key: str, wanted: dict[str, Any]) -> None:
    """Ask for what is `wanted`, before the next step: `weights`, `rate`, `frozen`, `evaluate` as in Steered; `save`: a checkpoint; `stop`:
    whether the run stops at the end of the epoch; paused just there, it stops when it goes on. Raises MtlError if that cannot be, or `key`
    is not its owner's."""
    if (why := why_not(jobs, run_id, key)) or not (job := jobs.in_training(run_id)):
        raise MtlError(why or "This run has just ended.")
    history = jobs.history(run_id)
    change = make_config({"steering": ({"step": history.step} | {name: wanted[name] for name in _CHANGES if name in wanted},)}).steering[0]
    weights = {task: facts["weight"] for task, facts in history.started.tasks.items()}
    check([change], weights)
    factors = dict.fromkeys((task for task, weight in weights.items() if weight), 1.0)
    if change.weights and not any((factors | in_force([*history.steered, change], history.step).weights).values()):
        raise MtlError("Every task would have weight 0, so nothing would be learned. Leave one above 0.")
    if change.frozen is not None and history.started.learning_rate is None:
        raise MtlError("Only the last layers of this run are trained (Fine-tuning 'heads'): its encoder is frozen anyway.")
    if replace(change, step=0) != Steered(0):
        job.control.ask(lambda trainer: trainer.steering.ask(change))
    if wanted.get("save"):
        job.control.ask(lambda trainer: setattr(trainer.steering, "wants_checkpoint", True))
    if "stop" in wanted:
        job.control.ends_epoch = bool(wanted["stop"])
        per_epoch, total = history.started.steps_per_epoch, history.started.total_steps
        end = min(total, per_epoch * max(1, math.ceil(history.step / per_epoch)))
        job.run.log.append(Notice(f"The run stops at the end of this epoch, after step {end:,}." if wanted["stop"] else
                                  "The run no longer stops at the end of this epoch."))


_CHANGES = ("weights", "rate", "frozen", "evaluate")
