"""MTL Studio: one shared transformer encoder, one head per task, trained live on your own text.

`mtl.train(train_files=["train.jsonl"])` trains a run, `mtl.load(run.best)` loads its model: see mtl/api.py. Each name is imported when it
is first used, so that `import mtl` is instant."""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mtl.api import load, train
    from mtl.errors import MtlError
    from mtl.settings.config import RunConfig

__all__ = ["MtlError", "RunConfig", "load", "train"]
_HOMES = {"MtlError": "mtl.errors", "RunConfig": "mtl.settings.config", "load": "mtl.api", "train": "mtl.api"}

# Before torch is loaded: OpenMP's threads then sleep after microseconds of waiting for each other, not milliseconds. Alone, training is as
# fast; when the page, a prediction or another program wants one of two cores, it keeps 1.5 times as much of its speed.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "3000")


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'mtl' has no attribute '{name}'")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
