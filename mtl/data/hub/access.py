"""How the Hub is asked, for models and for datasets: which names are asked for, how long, with which token, and without remarks."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

from huggingface_hub import logging

HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,95}(/[\w.-]{1,96})?", re.ASCII)
HUB_TIMEOUT = 5.0  # seconds, for a question


@contextmanager
def quiet() -> Iterator[bool | None]:
    """No remarks of huggingface_hub in the terminal. Gives the token to use."""
    before = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield False if os.environ.get("SPACE_ID") else None  # on a Space the token is its owner's, and the name a visitor's
    finally:
        logging.set_verbosity(before)
