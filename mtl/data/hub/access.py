"""How the Hub is asked, for models and for datasets: which names are asked for, how long, with which token, and without remarks."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import ModuleType

from huggingface_hub import logging
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id

from mtl.errors import MtlError

HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,95}(/[\w.-]{1,96})?", re.ASCII)
HUB_TIMEOUT = 5.0  # seconds, for a question
NAMED_SO = {"model": "distilbert-base-uncased or owner/model", "dataset": "stanfordnlp/sst2"}
# Elsewhere these words name a reader of local files, so whoever writes one does not mean the Hub.
READERS = {"csv", "json", "text", "pandas", "parquet", "arrow", "sql", "xml", "generator", "imagefolder", "audiofolder", "webdataset"}


def check_hub_name(name: str, kind: str) -> None:
    """Raises MtlError unless `name` can be the id of a Hub 'model' or 'dataset' (`kind`), and is no file or folder here; asks nobody."""
    with suppress(HFValidationError):
        validate_repo_id(name)  # which allows no '..'
        if HUB_NAME.fullmatch(name) and name not in READERS and not name.endswith(".ipynb") and not os.path.exists(name):
            return
    raise MtlError(f"{name[:100] + '...' * (len(name) > 100)!r} is not the id of a Hub {kind}. Wanted a name such as {NAMED_SO[kind]}.")


@contextmanager
def quiet(*loggers: ModuleType) -> Iterator[bool | None]:
    """No remarks of huggingface_hub in the terminal, nor of those with `loggers` like its own. Gives the token to use."""
    before = {logger: logger.get_verbosity() for logger in (logging, *loggers)}
    for logger in before:
        logger.set_verbosity_error()
    try:
        yield False if os.environ.get("SPACE_ID") else None  # on a Space the token is its owner's, and the name a visitor's
    finally:
        for logger, verbosity in before.items():
            logger.set_verbosity(verbosity)
