"""The kinds of task. To add one: a file that answers the five questions of base.py, a line here, and its name in config.Kind."""

from mtl.settings.config import TaskSpec
from mtl.tasks.base import Task
from mtl.tasks.classification import Classification
from mtl.tasks.tagging import Tagging

TASKS: dict[str, type[Task]] = {"classification": Classification, "tagging": Tagging}


def make_task(spec: TaskSpec) -> Task:
    """The task that `spec` describes."""
    return TASKS[spec.kind](spec)
