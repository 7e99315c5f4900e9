"""Questions of the Predict tab, and what predict.js is told of their answers. While one types they come by a plain route, which takes a
fraction of the time of an event of Gradio."""

import asyncio
import json

from pydantic.dataclasses import dataclass
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mtl.data.formats.files import MAX_LINE
from mtl.errors import MtlError
from mtl.inference.pieces import split_sentences
from mtl.jobs.models import LIVE, Answered, ask
from mtl.jobs.queue import Jobs
from mtl.runs.folder import STARTER_NAME, on_zero_gpu, open_run
from mtl.text import many
from mtl.ui.answer_view import answer_html, python_lines, spoken
from mtl.ui.data_view import problem_html
from mtl.ui.many_view import SENTENCES, many_html, spoken_many
from mtl.ui.messages import internal_error
from mtl.ui.questions import read_question
from mtl.ui.status import computed_on, run_name

ADDRESS = "/mtl/answer"
AT_ONCE = 2  # questions that are answered at the same time, and so many more to live weights
EMPTY = "Type a sentence, or choose one of the examples. What the model finds in it appears here"
ON_ZERO_GPU = "Press Predict, or Enter, for an answer: it takes some seconds of your GPU quota"


@dataclass
class Question:
    """`text` for `model` and, if there is one, for `other`. `whole`: as one text, also if it has several sentences, of which else number
    `open` is shown in full. `how`: 'pressed' if somebody pressed something."""

    number: int = 0
    text: str = ""
    model: str | None = None
    device: str = "auto"
    other: str | None = None
    whole: bool = False
    open: int = -1
    how: str = ""

    @property
    def choices(self) -> list[str]:
        """The models that are asked."""
        return [self.model or STARTER_NAME, *filter(None, [self.other])]

    @property
    def live(self) -> list[bool]:
        """Of each model, whether it is in training."""
        return [choice.endswith(f"/{LIVE}") for choice in self.choices]

    @property
    def needs_gpu(self) -> bool:
        """Whether a GPU is to be lent for it, from the visitor's quota."""
        return on_zero_gpu() and self.device == "auto" and not all(self.live)


class Answers:
    """Answers `POST /mtl/answer` with a Question as JSON; what needs a GPU is only answered as an event of Gradio, which knows whose."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs
        # of a run that prepares, the first copy may be waited for: those who ask another model need not wait too
        self._turns = {is_live: asyncio.Semaphore(AT_ONCE) for is_live in (False, True)}
        self.route = Route(ADDRESS, self.answer, methods=["POST"])

    async def answer(self, request: Request) -> Response:
        """What `reply` says."""
        if (question := await read_question(request, Question)) is None:
            return Response("This is no question.", 400)
        question.how = ""
        try:
            async with self._turns[any(question.live)]:
                told, _ = await run_in_threadpool(reply, self._jobs, question)
        except Exception:
            said = internal_error()
            told = tell(question, said, problem_html(said))
        return Response(told, media_type="application/json", headers={"Cache-Control": "no-store"})


def reply(jobs: Jobs, question: Question) -> tuple[str, str]:
    """The answer for predict.js, and an error in words, which is shown in its place. No answer if there is no text, or if nobody pressed
    anything and the visitor's quota would pay for a GPU."""
    text = question.text
    if not text.strip():
        return tell(question, EMPTY), ""
    if question.needs_gpu and not question.how:
        if question.open < 0:
            return tell(question, ON_ZERO_GPU), ""
        question.device = "cpu"  # a sentence of an answer is unfolded, which costs nothing
    choices = question.choices
    try:
        if len(text) > MAX_LINE:
            raise MtlError(f"The text has {len(text):,} characters, the limit is {MAX_LINE:,}. Put it into a file.")
        sentences = split_sentences(text)
        is_one = question.whole or len(sentences) < 2
        texts = [text] if is_one else sentences[:SENTENCES]
        answers = [ask(jobs, choice, texts, question.device) for choice in choices]
        titles = [titled(jobs, *pair) for pair in zip(choices, answers, strict=True)] if question.other else []
    except MtlError as error:
        return tell(question, str(error), problem_html(str(error))), str(error)
    first, python = answers[0], python_lines(jobs.root, choices[0], text if is_one else texts)
    html = answer_html(choices, answers, titles, python) if is_one else many_html(
        choices, answers, titles, python, question.open, len(sentences) - len(texts))
    count = "" if is_one else f"{many(len(texts), 'sentence')} "
    about = f"{count}in {1000 * first.seconds:.0f} ms, all tasks in one pass ({first.model}; {computed_on(first.how)})"
    return tell(question, spoken(first) if is_one else spoken_many(first), html, about, len(sentences)), ""


def tell(question: Question, said: str, html: str = "", about: str = "", sentences: int = 0) -> str:
    """An answer for predict.js: the question's number, what a screen reader says, the answer itself, who gave it, and how many sentences
    the text has."""
    html = html or f'<p class="mtl-hint mtl-empty">{said}.</p>'
    return json.dumps({"number": question.number, "said": said, "html": html, "about": about, "sentences": sentences})


def titled(jobs: Jobs, choice: str, answered: Answered) -> str:
    """Which model answered, and how fast, over one of two answers."""
    run_id = (choice or STARTER_NAME).partition("/")[0]
    name = "" if run_id == STARTER_NAME else f"{run_name(open_run(jobs.root, run_id))}: "
    return f"{name}{answered.model}, in {1000 * answered.seconds:.0f} ms"
