"""The live feed: what is new of a run, as JSON, the same for every page that shows it, so that fifty pages cost little more than one. A
plain route, not an event of Gradio. It knows no owner: who has the id of a run may read it. All of it is data, none of it HTML."""

import asyncio
import os
import re
import secrets
import time
from collections.abc import Callable, Sequence
from typing import Any
from zlib import crc32

import numpy as np
import orjson
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mtl.errors import MtlError
from mtl.jobs.queue import Jobs
from mtl.runs.events import StatusChanged, StepDone, describe
from mtl.runs.folder import Run, open_run
from mtl.runs.history import ACTIVE, History
from mtl.runs.story import tell
from mtl.scoring.measure import measured_at
from mtl.text import isolate, shorten
from mtl.ui.pins import tell_pins
from mtl.ui.status import facts, run_name
from mtl.ui.steer import in_force_now

ADDRESS = "/mtl/live"
BOOT = secrets.token_hex(4)  # of this process: a page of an older one has to be loaded anew
FRESH = 0.25  # seconds for which all pages get the same answer
RUNS, CURSORS = 64, 64  # runs that are kept ready, and answers for each
POINTS, NUMBERS = 300, 2500  # at most so many points of a curve at once, and so many numbers for all of one kind
DIGITS = 5  # significant digits of a number
MARKS, LONGEST = 100, 200  # marks at once, and characters of one
GROWING = ("steps", "evaluations", "sampled", "diagnoses", "marks", "pinned", "watched")  # what a cursor counts; only a resume takes back
_CURSOR = re.compile(rf"{BOOT}(\.\d{{1,10}}){{{len(GROWING) + 2}}}")


class Feed:
    """Answers `GET /mtl/live?run=ID&cursor=CURSOR` with what is new since the cursor, or 204 if nothing is."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs, self._looks, self._reading = jobs, {}, asyncio.Lock()
        self.route = Route(ADDRESS, self.answer)

    async def answer(self, request: Request) -> Response:
        """Told from what was read at most FRESH seconds ago: then no thread has to be waited for, which takes long beside a training."""
        run_id, cursor = (request.query_params.get(name, "") for name in ("run", "cursor"))
        try:
            made = (await self._look(run_id)).after(cursor)
        except MtlError as error:
            return _json(orjson.dumps({"boot": BOOT, "error": str(error)}))  # not a 404, which a browser would log as an error
        return _json(made) if made else Response(status_code=204, headers={"Cache-Control": "no-store"})

    async def _look(self, run_id: str) -> "Look":
        if not (look := self._looks.get(run_id)) or look.is_old():
            async with self._reading:  # whoever waited here finds what the first one read
                if not (look := self._looks.get(run_id)) or look.is_old():
                    try:
                        look = await run_in_threadpool(Look, self._jobs, run_id, look)
                    except MtlError:
                        self._looks.pop(run_id, None)
                        raise
                    self._looks[run_id] = look
                    if len(self._looks) > RUNS:
                        del self._looks[min(self._looks, key=lambda one: self._looks[one].read_at)]
        return look


def _json(content: bytes) -> Response:
    return Response(content, 200, {"Cache-Control": "no-store"}, "application/json")


class Look:
    """A run as it was at one moment, and the answers made of that. `before` is the look before this one."""

    def __init__(self, jobs: Jobs, run_id: str, before: "Look | None") -> None:
        run = open_run(jobs.root, run_id)
        self.history = history = jobs.peek(run_id)
        self.counts = [history.begun, *(len(getattr(history, name, ())) for name in GROWING)]
        self._told_by = (history.begun, history.status, len(history.entries), self.counts[3])
        self.story = before.story if before and before._told_by == self._told_by else tell(history)
        state = state_of(run, history, jobs) | {"story": self.story}
        self.is_over, self._state = state["over"], orjson.dumps(state)
        self.cursor = ".".join(map(str, [BOOT, *self.counts, crc32(self._state)]))
        self.news = f"{run_id}/{history.status}/{len(history.entries)}/{measured_at(run)}"
        self._answers: dict[str, bytes] = {}
        self.read_at = time.monotonic()

    def is_old(self) -> bool:
        """Whether the run has to be looked at again."""
        return time.monotonic() - self.read_at > FRESH

    def after(self, cursor: str) -> bytes:
        """What is new since `cursor`, as JSON; empty if nothing is. Any other text than a cursor of this process gives all there is."""
        if cursor == self.cursor:
            return b""
        if (made := self._answers.get(cursor)) is None:
            made = self._after(cursor)
            if len(self._answers) < CURSORS:
                self._answers[cursor] = made
        return made

    def _after(self, cursor: str) -> bytes:
        begun, *had, state = map(int, cursor.split(".")[1:]) if _CURSOR.fullmatch(cursor) else (-1, 0)
        is_reset = begun != self.counts[0] or any(one > now for one, now in zip(had, self.counts[1:], strict=True))
        answer = {"boot": BOOT, "cursor": self.cursor, "news": self.news, "again": again(self.is_over)}
        if is_reset or state != int(self.cursor.rpartition(".")[2]):
            answer["state"] = orjson.Fragment(self._state)
        if is_reset or had != self.counts[1:]:
            pieces = {name: slice(0 if is_reset else had[place], self.counts[place + 1]) for place, name in enumerate(GROWING)}
            answer["curves"] = curves(self.history, pieces, is_reset)
        return orjson.dumps(answer)


def again(is_over: bool) -> int:
    """The milliseconds after which a page asks again."""
    return 5000 if is_over else 2500 if os.environ.get("SPACE_ID") else 1000


def state_of(run: Run, history: History, jobs: Jobs) -> dict[str, Any]:
    """What is said of the run now, for people; names of users are isolated in it, but not escaped."""
    total, ahead = history.started.total_steps if history.started else 0, jobs.ahead(run.id)
    done = history.preparing.share if history.preparing and not total else history.step / total if total else 0.0
    told = facts(history, ahead, jobs.yields_in(), jobs.seconds_left() if ahead else None)
    return {"state": history.state, "name": run_name(run), "step": history.step, "total": total, "share": round(done, 4), "facts": told,
            "message": history.message, "best": history.best.step if history.best else None, "over": history.status not in ACTIVE,
            "steering": in_force_now(history)}


def curves(history: History, pieces: dict[str, slice], is_reset: bool) -> dict[str, Any]:
    """The `pieces` of the lists of `history` as columns; a value for each task in each, null where there is none."""
    names = list(history.started.tasks) if history.started else []
    mains = [task["main_score"] for task in history.started.tasks.values()] if names else []

    def of(field: str) -> Callable[[Any], list]:
        return lambda event: list(map(getattr(event, field).get, names))

    def scores(event: Any) -> list:
        found = [event.scores.get(name) for name in names]  # of a sampled look the main score alone
        return [one.get(main) if isinstance(one, dict) else one for one, main in zip(found, mains, strict=True)]

    steps, seen, sampled, compared, marks, pinned, watched = (getattr(history, name, [])[pieces[name]] for name in GROWING)
    full = [event for event in seen if event.split == "validation"]
    looks = {"loss": of("losses"), "score": scores, "right": lambda event: [event.everything_right]}
    made = {"train": columns(steps, {"loss": of("losses"), "weight": of("weights")}), "gradient": columns(compared, {"norm": of("norms")}),
            "full": columns(full, looks), "sampled": columns(sampled, looks),
            "marks": [[step, _sort(event), shorten(describe(event) or "", LONGEST)] for step, event in marks[-MARKS:]],
            "pins": tell_pins(history, pinned, watched)}
    made = {name: piece for name, piece in made.items() if piece}
    if is_reset:
        made |= {"reset": True, "tasks": [[isolate(name), score.replace("_", " ")] for name, score in zip(names, mains, strict=True)]}
    return made


def _sort(event: Any) -> str:
    sorts = {"RunStarted": "resumed", "Steered": "steered"}
    return event.status if isinstance(event, StatusChanged) else sorts.get(type(event).__name__, "notice")


def columns(events: Sequence, fields: dict[str, Callable[[Any], list]]) -> dict[str, list]:
    """The steps of `events` and, for each of `fields`, a column for each value; not more than a chart can show. A StepDone is the mean
    since the last one, and so is what stands for several of them; of evaluations some are left out."""
    if not events:
        return {}
    table = np.array([[event.step, *(value for field in fields.values() for value in field(event))] for event in events], np.float64)
    most = min(POINTS, NUMBERS // table.shape[1])
    if len(table) > most:
        table = _means(table, most) if isinstance(events[0], StepDone) else table[np.linspace(0, len(table) - 1, most).round().astype(int)]
    steps, *rest = table.T
    widths = [len(field(events[0])) for field in fields.values()]
    ends = np.cumsum(widths)
    values = [[None if value != value else float(f"{value:.{DIGITS}g}") for value in column] for column in rest]
    return {"step": steps.astype(int).tolist()} | {name: values[end - width:end]
                                                   for name, width, end in zip(fields, widths, ends, strict=True)}


def _means(table: np.ndarray, most: int) -> np.ndarray:
    """`most` rows that are the means of so many neighbours, NaN left out; the step, in the first column, is that of the last one."""
    edges = np.linspace(0, len(table), most + 1).round().astype(int)
    known = ~np.isnan(table)
    with np.errstate(invalid="ignore"):
        means = np.add.reduceat(np.where(known, table, 0.0), edges[:-1]) / np.add.reduceat(known, edges[:-1])
    means[:, 0] = table[edges[1:] - 1, 0]
    return means
