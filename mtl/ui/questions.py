"""A question that a script of the page sends by a plain route, as JSON: read here, with a limit, since Gradio's own do not hold for it."""

from contextlib import suppress
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError
from starlette.requests import Request

from mtl.data.formats.files import MAX_LINE

Question = TypeVar("Question")
MOST = 13 * MAX_LINE  # bytes: JSON may write a character as two escapes, 12 bytes; with room for the rest


async def read_question(request: Request, kind: type[Question]) -> Question | None:
    """The question in the body of `request`, of a dataclass `kind`; None if there is none, or if it is longer than any text may be."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MOST:
            return None
    with suppress(ValidationError):
        return TypeAdapter(kind).validate_json(bytes(body))
    return None
