"""HTML from the templates in this folder. Whatever is put into one is escaped, unless it is Markup."""

import json
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from mtl.settings.best import shown_score
from mtl.text import isolate, many, shorten
from mtl.ui.charts import Markup, apart
from mtl.ui.page import text_of

WORDS: dict[str, str] = json.loads(text_of("words.json"))  # a sentence or two about each word that the page uses

def words(name: str) -> str:
    """The name of a score, or of a sort of error, for people."""
    return name.replace("_", " ").replace("f1", "F1").replace("pearson", "Pearson").replace("spearman", "Spearman")


_TEMPLATES = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True, lstrip_blocks=True,
                         undefined=StrictUndefined)
_TEMPLATES.globals |= {"isolate": isolate, "many": many, "shorten": shorten, "shown_score": shown_score}
_TEMPLATES.filters |= {"count": lambda number: f"{number:,}", "percent": lambda share, digits=1: f"{share:.{digits}%}",
                       "share": lambda share: f"{100 * share:.0f} %", "words": words}


def explained(word: str, place: str) -> Markup:
    """`word` as a button that opens what it means, if WORDS has it. `place` is part of an id, which no other place on the page may have."""
    if (about := WORDS.get(word.lower())) is None:
        return Markup(apart(word))
    name = f"word-{place}-{word.lower().translate({32: '-', 37: None})}"
    return Markup(f'<button type="button" class="mtl-word" popovertarget="{name}">{word}</button>'
                  f'<span popover id="{name}" class="mtl-about" role="note">{about}</span>')


_TEMPLATES.globals["explained"] = explained


def render(name: str, **values: Any) -> Markup:
    """The template `name`, filled with `values`."""
    return Markup(_TEMPLATES.get_template(name).render(values))
