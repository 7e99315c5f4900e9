"""Why?, for why.js: the words that count for an answer, asked by a plain route, and drawn as HTML. What a user wrote is escaped."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from pydantic.dataclasses import dataclass
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mtl.data.values import Value
from mtl.errors import MtlError
from mtl.jobs.models import why
from mtl.jobs.queue import Jobs
from mtl.text import isolate, shorten
from mtl.ui.charts import Markup
from mtl.ui.data_view import problem_html
from mtl.ui.messages import internal_error
from mtl.ui.questions import read_question
from mtl.ui.templates import render

if TYPE_CHECKING:
    from mtl.inference.why import Explained, Weighed

ADDRESS = "/mtl/why"
OFFERED = 30  # classes of very many that one can ask about on the page
LISTED, NAMED = 5, 3  # words in the list, and in the sentence
SHADED = 0.15  # share of the largest weight, below which a word is neither marked nor named


@dataclass
class Question:
    """Why `model` says `target`, a value of `task` as data files have it, of `text`."""

    text: str
    task: str
    model: str = ""
    target: Any = None


class Reasons:
    """Answers `POST /mtl/why` with a Question as JSON; one after another, since each takes a core for about half a second."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs, self._asking = jobs, asyncio.Lock()
        self.route = Route(ADDRESS, self.answer, methods=["POST"])

    async def answer(self, request: Request) -> Response:
        """What `reply` says."""
        if (question := await read_question(request, Question)) is None:
            return Response("This is no question.", 400)
        async with self._asking:
            if await request.is_disconnected():  # it was waited for too long
                return Response(status_code=204)
            made = await run_in_threadpool(reply, self._jobs, question)
        return Response(json.dumps(made), media_type="application/json", headers={"Cache-Control": "no-store"})


def reply(jobs: Jobs, question: Question) -> dict[str, str]:
    """For why.js: a sentence, which a screen reader reads out, and the HTML below it; or what is wrong."""
    try:
        made, about = why(jobs, question.model, question.text, question.task, question.target)
        return {"said": told(made), "html": why_html(made, about)}
    except MtlError as error:
        return {"said": "", "html": problem_html(str(error))}
    except Exception:
        return {"said": "", "html": problem_html(internal_error())}


def told(made: Explained) -> str:
    """Which words count most, in a sentence."""
    largest = max((abs(word.weight) for word in made.words), default=0.0)
    strong = [word for word in ranked(made) if abs(word.weight) >= SHADED * largest > 0]
    sides = [[word for word in strong if (word.weight > 0) == is_for][:NAMED] for is_for in (True, False)]
    verbs, name = (("raise", "lower"), "it") if not made.value.has_labels else (("speak for", "speak against"), name_of(made, made.value))
    said = [f"{_listed(made.text, words)} {_inflected(verb, len(words))} {name}" for verb, words in zip(verbs, sides, strict=True) if words]
    return "; ".join(said) + "." if said else "No word counts."


def ranked(made: Explained) -> list[Weighed]:
    """The words, the one that counts most first."""
    return sorted(made.words, key=lambda word: -abs(word.weight))


def name_of(made: Explained, value: Value) -> str:
    """A value in words, such as 'Rome = LOC'."""
    return isolate(shorten(", ".join(value.named(made.text)), 60))


def why_html(made: Explained, about: str) -> Markup:
    """The text with its words shaded, those that count most with bars, and how it was computed; `about` says by which model."""
    largest = max((abs(word.weight) for word in made.words), default=0.0) or 1.0
    pieces, end = [], 0
    for word in made.words:
        pieces += [(made.text[end:word.start], None, 0.0), (made.text[word.start:word.end], word.weight, abs(word.weight) / largest)]
        end = word.end
    said = {*made.answer.items()}
    asked = [(json.dumps(one.plain()), ("" if {*one.items()} <= said else "not ") + name_of(made, one), one == made.value)
             for one in made.questions[:OFFERED]]
    if not any(is_chosen for *_, is_chosen in asked):
        asked.append((json.dumps(made.value.plain()), f"not {name_of(made, made.value)}", True))
    bars = [(made.text[word.start:word.end], word.weight, 50 * abs(word.weight) / largest) for word in ranked(made)]
    return render("why.html", made=made, pieces=[*pieces, (made.text[end:], None, 0.0)], bars=bars, LISTED=LISTED, SHADED=SHADED,
                  asked=asked, value=name_of(made, made.value), about=about, signed=signed)


def signed(number: float) -> str:
    """A weight with its sign."""
    return f"{number:+.2f}".replace("-", "\N{MINUS SIGN}")


def _listed(text: str, words: list[Weighed]) -> str:
    names = [f"\N{LEFT SINGLE QUOTATION MARK}{isolate(text[word.start:word.end])}\N{RIGHT SINGLE QUOTATION MARK}" for word in words]
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def _inflected(verb: str, count: int) -> str:
    first, *rest = verb.split()
    return " ".join([first + "s" * (count == 1), *rest])
