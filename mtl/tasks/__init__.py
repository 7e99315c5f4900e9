"""The kinds of task. To add one: a file as base.py says, a line here, its name in config.Kind, its value in data/values.py."""

from mtl.settings.config import TaskSpec
from mtl.tasks.base import Task
from mtl.tasks.classification import Classification
from mtl.tasks.multilabel import MultiLabel
from mtl.tasks.number import Regression
from mtl.tasks.tagging import Tagging

TASKS: dict[str, type[Task]] = {"classification": Classification, "tagging": Tagging, "multilabel": MultiLabel, "number": Regression}


def make_task(spec: TaskSpec) -> Task:
    """The task that `spec` describes."""
    return TASKS[spec.kind](spec)
