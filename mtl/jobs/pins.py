"""What the owner of a run may pin while it trains. Each request is checked here, and the training thread acts on it between two steps."""

from mtl.errors import MtlError
from mtl.jobs.queue import Jobs
from mtl.runs.events import LONGEST_PINNED, MOST_PINNED

OVER = "only a run in training answers new sentences. In the Predict tab one can ask its checkpoints"


def pin(jobs: Jobs, run_id: str, key: str, text: str) -> None:
    """Watch `text` from now on. Raises MtlError if it is empty or too long, pinned already or one too many, if `key` is not the owner's, or
    if the run is not in training here."""
    job, text = jobs.owned_job(run_id, key, OVER), text.strip().encode("utf-8", "replace").decode()
    pinned = [one["text"] for event in jobs.peek(run_id).pinned[-1:] for one in event.sentences]
    if not text:
        raise MtlError("There is no sentence to pin. Type one, then press Pin.")
    if len(text) > LONGEST_PINNED:
        raise MtlError(f"This sentence has {len(text):,} characters; at most {LONGEST_PINNED} can be pinned. Pin a part of it.")
    if text in pinned:
        raise MtlError("This sentence is pinned already.")
    if len(pinned) >= MOST_PINNED:
        raise MtlError(f"{MOST_PINNED} sentences are pinned already, which is all that can be. Take one away first.")
    job.control.ask(lambda trainer: trainer.pins.add(text))


def unpin(jobs: Jobs, run_id: str, key: str, number: int) -> None:
    """Watch the sentence with the id `number` no more; what was said of it stays in the log. Raises MtlError as `pin` does."""
    jobs.owned_job(run_id, key, OVER).control.ask(lambda trainer: trainer.pins.remove(number))
