"""mtl/runs/checkpoint.py: a checkpoint is there whole or not at all, and damage is seen before anything is loaded."""

import errno
import json
import resource
import shutil
import subprocess
import sys
from contextlib import nullcontext, suppress
from pathlib import Path

import pytest

from mtl.errors import MtlError, is_disk_full
from mtl.runs.checkpoint import LAST, MANIFEST, PREVIOUS, newest_checkpoint, read_facts, save_checkpoint, sweep
from mtl.runs.events import CheckpointSaved
from mtl.training.loop import train

REPO = Path(__file__).parents[2]


class Crash(BaseException):
    """The power goes: nothing may catch it."""


def put(step: int, crash: bool = False):
    """A `write` that fills a folder with two files that belong to `step`."""
    def write(folder: Path) -> None:
        (folder / "weights").write_bytes(str(step).encode() * 1000)
        if crash:
            raise Crash
        (folder / "optimizer").write_bytes(b"-" + str(step).encode() * 500)

    return write


def save(run: Path, step: int, name: str = LAST) -> None:
    save_checkpoint(run, name, put(step), {"step": step})


def is_whole(checkpoint: Path) -> bool:
    """Whether manifest and files are of one step."""
    step = str(read_facts(checkpoint)["step"]).encode()
    return (checkpoint / "weights").read_bytes() == step * 1000 and (checkpoint / "optimizer").read_bytes() == b"-" + step * 500


# Saving


def test_the_last_checkpoint_becomes_the_previous_one_and_others_are_replaced(tmp_path):
    for step, name in ((1, LAST), (2, LAST), (3, LAST), (4, "best"), (5, "best")):
        save(tmp_path, step, name)
    assert {path.name: read_facts(path)["step"] for path in tmp_path.iterdir()} == {LAST: 3, PREVIOUS: 2, "best": 5}
    assert all(map(is_whole, tmp_path.iterdir()))


def test_what_a_crash_left_behind_is_swept_and_a_best_that_was_moved_away_without_a_new_one_comes_back(tmp_path):
    for step, name in enumerate((LAST, LAST, "best")):
        save(tmp_path, step, name)
    (tmp_path / "best").rename(tmp_path / ".del-best-7")
    for left in (".tmp-last-7", ".del-previous-7"):
        (tmp_path / left).mkdir()
        (tmp_path / left / "weights").write_text("half")
    sweep(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {LAST, PREVIOUS, "best"} and all(map(is_whole, tmp_path.iterdir()))


def test_training_sweeps_a_run_s_folder_when_it_begins(tiny_config, finish, tmp_path):
    (tmp_path / ".tmp-last-7").mkdir()
    (tmp_path / ".tmp-best-7").mkdir()
    finish(tiny_config(max_steps=1, hypothetical_rows=20), tmp_path, between_steps=lambda training: not list(tmp_path.glob(".*")))
    assert {path.name for path in tmp_path.iterdir()} == {LAST, "rows"}


@pytest.mark.parametrize("name", [LAST, "best"])
@pytest.mark.parametrize("before", [0, 1, 2])
def test_a_crash_while_writing_leaves_the_old_checkpoint(tmp_path, name, before):
    for step in range(1, before + 1):
        save(tmp_path, step, name)
    with pytest.raises(Crash):
        save_checkpoint(tmp_path, name, put(9, crash=True), {"step": 9})
    if before:
        assert is_whole(tmp_path / name) and read_facts(tmp_path / name) == {"step": before}
    else:
        assert not (tmp_path / name).exists()
    save(tmp_path, 10, name)
    assert is_whole(tmp_path / name) and not list(tmp_path.glob(".*"))


def crash_at_rename(monkeypatch, nth: int) -> None:
    """Let `nth` - 1 renames happen and crash at the next one."""
    done, rename = [], Path.rename

    def counted(self, target):
        done.append(target)
        if len(done) == nth:
            raise Crash
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", counted)


@pytest.mark.parametrize("before", [0, 1, 2, 3])
@pytest.mark.parametrize("nth", [1, 2, 3])
def test_a_crash_at_any_rename_leaves_a_whole_checkpoint_the_old_one_or_the_new_one(tmp_path, monkeypatch, before, nth):
    for step in range(1, before + 1):
        save(tmp_path, step)
    with monkeypatch.context() as patched:
        crash_at_rename(patched, nth)
        crashed = nth <= min(before + 1, 3)
        with pytest.raises(Crash) if crashed else nullcontext():
            save(tmp_path, before + 1)
    path, facts, complaints = newest_checkpoint(tmp_path)
    assert complaints == []
    if before or not crashed:
        assert facts["step"] == (before if crashed else before + 1) and is_whole(path)
    else:
        assert path is None
    save(tmp_path, before + 2)
    assert newest_checkpoint(tmp_path)[1] == {"step": before + 2} and not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("nth", [1, 2, 3])
def test_a_second_crash_before_the_next_save_is_done_leaves_a_whole_checkpoint_too(tmp_path, monkeypatch, nth):
    save(tmp_path, 1)
    save(tmp_path, 2)
    for step, at in ((3, 3), (4, nth)):
        with monkeypatch.context() as patched, suppress(Crash):
            crash_at_rename(patched, at)
            save(tmp_path, step)
        path, facts, complaints = newest_checkpoint(tmp_path)
        assert facts["step"] >= 2 and is_whole(path) and complaints == []


@pytest.mark.parametrize("nth", [1, 2, 3])
def test_a_crash_at_any_rename_after_a_damaged_last_was_passed_over_leaves_a_whole_checkpoint_too(trained, tiny_config, finish, monkeypatch,
                                                                                                 tmp_path, nth):
    run = shutil.copytree(trained, tmp_path / "run")
    flip(run / LAST / "optimizer.pt")
    with monkeypatch.context() as patched:
        crash_at_rename(patched, nth)
        with suppress(Crash):
            finish(tiny_config(max_steps=4, eval_every=2), run, resume=True)
    path, facts, _ = newest_checkpoint(run)
    assert facts["step"] in (2, 4)
    assert finish(tiny_config(max_steps=4, eval_every=2), run, resume=True)[-1].status == "finished"
    assert newest_checkpoint(run)[1]["step"] == 4


# A full disk


@pytest.mark.parametrize("error", [
    OSError(errno.ENOSPC, "No space left on device"), OSError(errno.EDQUOT, "Disk quota exceeded"),
    RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 64 vs 0"),
    Exception("Error while serializing: I/O error: No space left on device (os error 28)"),  # safetensors has an error of its own
])
def test_a_full_disk_is_told_and_the_old_checkpoint_is_kept(tmp_path, error):
    save(tmp_path, 1)

    def fail(folder: Path) -> None:
        put(2)(folder)
        raise error

    with pytest.raises(MtlError, match="The disk is full: checkpoint 'last' of step 2 was not saved; the one before it is kept"):
        save_checkpoint(tmp_path, LAST, fail, {"step": 2})
    assert newest_checkpoint(tmp_path)[1:] == ({"step": 1}, []) and is_whole(tmp_path / LAST)
    assert {path.name for path in tmp_path.iterdir()} == {LAST}


@pytest.mark.parametrize("error", [RuntimeError("shapes differ"), OSError(errno.EACCES, "no"), ValueError("(os error 2)")])
def test_any_other_error_while_writing_stays_what_it_is(tmp_path, error):
    def fail(folder: Path) -> None:
        raise error

    assert not is_disk_full(error)
    with pytest.raises(type(error)) as raised:
        save_checkpoint(tmp_path, LAST, fail, {"step": 2})
    assert raised.value is error and not list(tmp_path.iterdir())


@pytest.mark.skipif(not hasattr(resource, "RLIMIT_FSIZE"), reason="needs the limits of a Unix system")
@pytest.mark.parametrize("limit", [300, 100_000, 500_000])  # no file fits; the weights do not; torch.save's optimizer does not
def test_training_goes_on_when_no_file_can_grow_any_more(tiny_config, tmp_path, limit):
    usual, told = resource.getrlimit(resource.RLIMIT_FSIZE), []
    try:
        for event in train(tiny_config(max_steps=6, eval_every=2), tmp_path):
            told.append(getattr(event, "message", ""))
            if event == CheckpointSaved(2, LAST, getattr(event, "seconds", 0.0)):
                resource.setrlimit(resource.RLIMIT_FSIZE, (limit, usual[1]))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)
    assert event.status == "finished"
    assert any("The disk is full: checkpoint 'last' of step 4 was not saved" in message for message in told)
    path, facts, complaints = newest_checkpoint(tmp_path)
    assert (path.name, facts["step"], complaints) == (LAST, 2, [])
    assert not list(tmp_path.glob(".*"))


# Damage


@pytest.fixture(scope="module")
def trained(tiny_config, finish, tmp_path_factory):
    """A run with last (step 4) and previous (step 2)."""
    run = tmp_path_factory.mktemp("run")
    finish(tiny_config(max_steps=4, eval_every=2), run)
    return run


def change_bytes(change):
    """Damage to a file: `change` makes other bytes of those in it."""
    return lambda path: path.write_bytes(change(path.read_bytes()))


def link(path: Path) -> None:
    path.rename(path.parent.parent / "elsewhere")
    path.symlink_to(path.parent.parent / "elsewhere")


cut = change_bytes(lambda data: data[:-1])
flip = change_bytes(lambda data: data[:len(data) // 2] + bytes([data[len(data) // 2] ^ 1]) + data[len(data) // 2 + 1:])
zeros = change_bytes(lambda data: bytes(len(data)))
empty = change_bytes(lambda data: b"")
FILES = ("model.safetensors", "optimizer.pt", "balancer.pt", "config.json", "tokenizer.json", "tokenizer_config.json")


@pytest.mark.parametrize("damage", [cut, flip, zeros, empty, Path.unlink, link])
@pytest.mark.parametrize("name", FILES)
def test_damage_to_any_file_is_seen_and_the_previous_checkpoint_is_used(trained, tmp_path, damage, name):
    run = shutil.copytree(trained, tmp_path / "run")
    assert {path.name for path in (run / LAST).iterdir()} == {*FILES, MANIFEST}
    damage(run / LAST / name)
    path, facts, [complaint] = newest_checkpoint(run)
    assert (path.name, facts["step"]) == (PREVIOUS, 2)
    what = "missing" if damage is Path.unlink else "not what was saved"
    assert complaint == f"Checkpoint 'last' is damaged: {name} is {what}. The one of step 2 is used instead."


def change(**values):
    """Damage to the manifest: `values` replace those in it."""
    def edit(path: Path) -> None:
        path.write_text(json.dumps(json.loads(path.read_text()) | values))

    return edit


@pytest.mark.parametrize("damage", [
    cut, zeros, empty, Path.unlink, change(files=3), change(files={"model.safetensors": {}}), change(facts=None), change(facts={}),
    change(files={"model.safetensors": {"sha256": "0" * 64, "bytes": 509016}}), lambda path: path.write_text("[]"),
    lambda path: path.write_bytes(b"\xff\xfe"), lambda path: path.write_text("[" * 100_000),
], ids=[f"damage {number}" for number in range(12)])
def test_damage_to_the_manifest_is_seen_and_the_previous_checkpoint_is_used(trained, tmp_path, damage):
    run = shutil.copytree(trained, tmp_path / "run")
    damage(run / LAST / MANIFEST)
    path, facts, [complaint] = newest_checkpoint(run)
    assert (path.name, facts["step"]) == (PREVIOUS, 2) and complaint.startswith("Checkpoint 'last' is damaged: ")


def test_damage_to_both_means_starting_again_as_without_checkpoints_and_says_so(trained, tmp_path):
    run = shutil.copytree(trained, tmp_path / "run")
    for name in (LAST, PREVIOUS):
        flip(run / name / "optimizer.pt")
    path, facts, complaints = newest_checkpoint(run)
    assert (path, facts, len(complaints)) == (None, {}, 2)
    assert all("There is no older one: training starts again from step 0." in complaint for complaint in complaints)
    assert newest_checkpoint(tmp_path) == (None, {}, [])
    with pytest.raises(MtlError, match=f"{MANIFEST} is missing"):
        read_facts(tmp_path / LAST)


def test_runs_killed_with_sigkill_at_random_moments_end_bit_for_bit_like_unbroken_ones():
    script = REPO / "tests" / "bench" / "kill_and_resume.py"
    result = subprocess.run([sys.executable, script, "--kills", "2", "--epochs", "1"], capture_output=True, text=True, cwd=REPO)
    summary = json.loads(result.stdout.strip().splitlines()[-1])
    assert summary["runs"] == summary["identical"] == 2, result.stdout + result.stderr[-2000:]
