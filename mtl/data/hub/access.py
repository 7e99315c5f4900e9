"""How the Hub is asked, for models and for datasets: which names are asked for, how long, with which token, and without remarks."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from huggingface_hub import logging

HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,95}(/[\w.-]{1,96})?", re.ASCII)
HUB_TIMEOUT = 5.0  # seconds, for a question


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
