"""mtl/jobs/pins.py: the owner of a run in training pins and takes away sentences, also in a pause; all else is refused in words."""

import time

import pytest
from safetensors.torch import load_file

from mtl.errors import MtlError
from mtl.jobs.pins import pin, unpin
from mtl.jobs.queue import Jobs
from mtl.jobs.zero_gpu import BurstControl
from mtl.runs.events import LONGEST_PINNED, MOST_PINNED
from mtl.runs.folder import Limits, Run, create_run
from mtl.settings.config import make_config
from tests.watcher import wait, wait_for_step

KEY = "the owner's key"


def texts(jobs: Jobs, run: Run) -> list[str]:
    """The sentences that are pinned, and were answered."""
    history = jobs.history(run.id)
    answered = {number for look in history.watched for number, _ in look.answers}
    return [one["text"] for event in history.pinned[-1:] for one in event.sentences if one["id"] in answered]


def wait_for_texts(jobs: Jobs, run: Run, *wanted: str) -> None:
    """Wait until these are pinned."""
    end = time.monotonic() + 60
    while texts(jobs, run) != [*wanted]:
        assert time.monotonic() < end, texts(jobs, run)
        time.sleep(0.01)


def test_the_owner_pins_while_the_run_trains_and_while_it_is_paused_and_it_ends_as_if_nobody_had(jobs, tiny_config):
    config = tiny_config(epochs=30, eval_every=10_000)
    run = jobs.start(config, KEY)
    wait_for_step(jobs, run.id, 3)
    jobs.pause(run.id, KEY)
    wait(jobs, run.id, "paused")
    pin(jobs, run.id, KEY, " In a pause. ")
    wait_for_texts(jobs, run, "In a pause.")
    jobs.resume(run.id, KEY)
    pin(jobs, run.id, KEY, "Lone surrogates \ud800 become question marks.")
    wait_for_texts(jobs, run, "In a pause.", "Lone surrogates ? become question marks.")
    unpin(jobs, run.id, KEY, 1)
    wait_for_texts(jobs, run, "Lone surrogates ? become question marks.")
    wait(jobs, run.id, "finished")
    with pytest.raises(MtlError, match="This run is finished and not in training any more: only a run in training answers new sentences"):
        pin(jobs, run.id, KEY, "Too late.")
    calm = jobs.start(config, "somebody else")
    wait(jobs, calm.id, "finished")
    one, two = (load_file(each.folder / "last" / "model.safetensors") for each in (run, calm))
    assert all((weight == two[name]).all() for name, weight in one.items())


def test_what_cannot_be_pinned_is_refused_in_words(jobs, tiny_config):
    run = jobs.start(tiny_config(epochs=2000, eval_every=10_000), KEY)
    with pytest.raises(MtlError, match="was not started in this browser"):
        pin(jobs, run.id, "another key", "Mine?")
    for text, why in ((" ", "no sentence to pin"), ("x" * (LONGEST_PINNED + 1), "has 301 characters; at most 300")):
        with pytest.raises(MtlError, match=why):
            pin(jobs, run.id, KEY, text)
    for number in range(MOST_PINNED):
        pin(jobs, run.id, KEY, f"Sentence {number}")
    wait_for_texts(jobs, run, *(f"Sentence {number}" for number in range(MOST_PINNED)))
    for text, why in (("Sentence 0", "pinned already"), ("Another", "5 sentences are pinned already")):
        with pytest.raises(MtlError, match=why):
            pin(jobs, run.id, KEY, text)
    jobs.stop(run.id, KEY)
    wait(jobs, run.id, "stopped")


def test_a_run_on_a_lent_gpu_cannot_be_asked_and_says_why(tmp_path):
    with pytest.raises(MtlError, match="in a process that this page cannot reach.*Continue on the CPU"):
        BurstControl(create_run(tmp_path, make_config({})), Limits()).ask(lambda trainer: [])
