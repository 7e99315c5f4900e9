"""Teaching from the page: a run in the queue like any other, for anybody who may ask the model, and refused where it cannot be."""

import json

import pytest

from mtl.errors import MtlError
from mtl.jobs.queue import Jobs
from mtl.jobs.teach import find_to_label, learn
from mtl.runs.folder import Limits, Run, create_run, list_runs
from mtl.settings.steering import Steered
from mtl.training.execute import run_training
from mtl.training.teach import read_taught
from mtl.ui.run_files import make_file
from tests.watcher import wait, wait_for_step

KEY = "the owner's key"


@pytest.fixture
def source(jobs, tiny_config) -> Run:
    """A finished run of the owner."""
    run = create_run(jobs.root, tiny_config(steering=(Steered(1, rate=0.5),)), KEY)
    assert run_training(run, resume=False) == "finished"
    return run


def lines_of(run: Run) -> str:
    """A correction that the model can learn: whatever its first label of the first task is."""
    spec = json.loads((run.best / "config.json").read_text())["tasks"][0]
    return json.dumps({"text": "z\u00fclu now \U0001f600 Kyiv", spec["name"]: spec["labels"][0]}) + "\n"


def test_corrections_of_the_page_are_learned_in_the_queue_and_belong_to_who_made_them(jobs, source):
    run = learn(jobs, f"{source.id}/last", lines_of(source), "a visitor's key")
    wait(jobs, run.id, "finished")
    assert run.belongs_to("a visitor's key") and not run.belongs_to(KEY)
    taught = read_taught(run)
    assert (taught.choice, taught.corrections, taught.is_borrowed) == (f"{source.id}/last", 1, True)
    with pytest.raises(MtlError, match="began with a model of somebody else"):
        make_file(jobs, run.id, "a visitor's key", "checkpoint")
    again = learn(jobs, run.id, lines_of(run), "a visitor's key")
    wait(jobs, again.id, "finished")
    with pytest.raises(MtlError, match="began with a model of somebody else"):
        make_file(jobs, again.id, "a visitor's key", "checkpoint")
    mine = learn(jobs, source.id, lines_of(source), KEY)
    wait(jobs, mine.id, "finished")
    assert make_file(jobs, mine.id, KEY, "checkpoint").endswith("best.zip") and read_taught(mine).choice == f"{source.id}/best"
    assert not mine.config.steering, "changes in the middle were for the source's steps"


def test_one_visitor_learns_from_one_set_at_a_time_and_not_from_live_weights(jobs, source, tiny_config):
    other = jobs.start(tiny_config(epochs=2000), "another key")
    wait_for_step(jobs, other.id, 1)
    with pytest.raises(MtlError, match="Live weights change"):
        learn(jobs, f"{other.id}/live", lines_of(source), KEY)
    run = learn(jobs, source.id, lines_of(source), KEY)
    with pytest.raises(MtlError, match="is learning from your corrections already"):
        learn(jobs, source.id, lines_of(source), KEY)
    jobs.stop(run.id, KEY)
    jobs.stop(other.id, "another key")
    wait(jobs, other.id, "stopped")


def test_what_is_refused_leaves_no_run_behind(tmp_path, source, jobs):
    for choice, lines, sentence in ((source.id, "", "corrections.jsonl"), (source.id, "no json", "corrections.jsonl"),
                                    ("nowhere", "{}", "no such run"), (f"{source.id}/epoch-009", "{}", "no such checkpoint")):
        with pytest.raises(MtlError, match=sentence):
            learn(jobs, choice, lines, KEY)
    full = Jobs(jobs.root, Limits(runs=0))
    with pytest.raises(MtlError, match="0 runs"):
        learn(full, source.id, lines_of(source), KEY)
    full.close()
    assert list_runs(jobs.root) == [source]


def test_the_texts_of_a_file_to_label_next_are_found_and_it_is_said_how_many_were_read(jobs, source, tmp_path):
    file = tmp_path / "texts.txt"
    file.write_text("".join(f"A sentence about {word}.\n" for word in ("Rome", "Oslo", "tea", "tea")) + "\n")
    found = find_to_label(jobs, source.id, file)
    assert {one.text for one in found.found} == {f"A sentence about {word}." for word in ("Rome", "Oslo", "tea")}
    assert found.read == 4 <= found.count and all(one.why.count("%") for one in found.found)
    with pytest.raises(MtlError):
        find_to_label(jobs, source.id, tmp_path / "nowhere.txt")
