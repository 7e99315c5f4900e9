"""Small parts that many tabs show: colours of labels, a table, the log, a user's text as HTML. Knows no Gradio."""

import html
import time
from collections.abc import Iterable, Sequence

from mtl.runs.events import Evaluated, describe
from mtl.runs.history import History
from mtl.text import isolate

LOG_BYTES = 12_000  # at most so much of the log is sent at once
# colours of entity types: names, because Gradio draws these as pastels that are legible in both themes, and hex colours it does not
PALETTE = ("red", "green", "blue", "yellow", "purple", "teal", "orange", "cyan", "lime", "pink")


def colours(names: Iterable[str], palette: Sequence[str] = PALETTE) -> dict[str, str]:
    """A colour of the palette for each name. That of a label does not depend on the sentence."""
    return {name: palette[index % len(palette)] for index, name in enumerate(names)}


def main_score(evaluated: Evaluated, task: str, facts: dict) -> float | None:
    """The score that counts for `task`, whose `facts` are those of RunStarted; None where it was not measured."""
    return evaluated.scores.get(task, {}).get(facts["main_score"])


def log_lines(history: History, most: int = 200) -> str:
    """The last events, one per line, newest first; not more than LOG_BYTES."""
    lines, size = [], 0
    for at in reversed(history.entries[-most:]):
        lines.append(f"{time.strftime('%H:%M:%S', time.localtime(at.time))}  {describe(at.event)}")
        size += len(lines[-1].encode()) + 1
        if size > LOG_BYTES:
            return "\n".join(lines[:-1] or lines)
    return "\n".join(lines)


def plain(text: str) -> str:
    """A user's text as a label in a plot, whose renderer takes '<' for markup."""
    return isolate(text.replace("<", "\u2039").replace(">", "\u203a"))


def apart(text: str) -> str:
    """A user's text as HTML: escaped, and isolated, because right-to-left text would reorder its neighbours."""
    return f"<bdi>{html.escape(text)}</bdi>"


class Markup(str):
    """A text that is HTML already, with what the user wrote escaped."""

    def __html__(self) -> str:
        """For templates, which escape all other texts."""
        return self


def table_html(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table that scrolls sideways if it is too wide. Cells are plain text, or Markup."""
    def line(cells: Sequence[str], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{cell if isinstance(cell, Markup) else apart(cell)}</{tag}>" for cell in cells) + "</tr>"

    body = "".join(line(row, "td") for row in rows)
    return f'<div class="mtl-scroll"><table><thead>{line(head, "th")}</thead><tbody>{body}</tbody></table></div>'
