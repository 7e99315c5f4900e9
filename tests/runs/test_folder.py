"""mtl/runs/folder.py: folders of runs, who may do what with them, and what their logs tell."""

import re
import subprocess
import sys
from pathlib import Path
from tempfile import NamedTemporaryFile

import pytest

from mtl.errors import MtlError
from mtl.runs.events import CheckpointSaved, Evaluated, Notice, StatusChanged, StepDone
from mtl.runs.folder import create_run, delete_run, hash_key, list_runs, open_run
from mtl.runs.history import History, RunReader, read_history
from mtl.settings.config import make_config
from tests.watcher import started

CONFIG = make_config({"source": "hypothetical", "hypothetical_rows": 20, "name": "mine"})


def step_done(step: int, seconds: float = 0.0) -> StepDone:
    return StepDone(step, step / 10, {"intent": 1.0}, 1e-4, 1.0, 10.0, seconds or float(step))


def seen(step: int, split: str = "validation") -> Evaluated:
    return Evaluated(step, step / 10, split, {"intent": 1.0}, {"intent": {"accuracy": 0.5}}, 0.5, 0.5, False, 0.1)


def history_of(run, *events) -> History:
    for event in events:
        run.log.append(event)
    return read_history(run)


# Making and finding


def test_a_new_run_is_a_folder_with_its_settings_and_is_queued(tmp_path):
    run = create_run(tmp_path / "runs", CONFIG)
    assert re.fullmatch(r"\d{8}-\d{6}-[0-9a-f]{32}", run.id) and run.config == CONFIG
    assert open_run(tmp_path / "runs", run.id) == run
    assert create_run(tmp_path / "runs", CONFIG).id != run.id


def test_a_run_copies_its_data_files_and_trains_from_the_copies(tmp_path):
    files = {}
    for name in ("train", "validation", "test"):
        files[name] = tmp_path / name / "data.csv"
        files[name].parent.mkdir()
        files[name].write_text(f"text,intent\n{name} a,x\n{name} b,y\n")
    config = make_config({"source": "files", **{f"{name}_files": (str(file),) for name, file in files.items()}})
    run = create_run(tmp_path / "runs", config)
    for name, file in files.items():
        text = file.read_text()
        file.unlink()
        [copy] = getattr(run.config, f"{name}_files")
        assert not Path(copy).is_absolute() and (run.folder / copy).read_text() == text and Path(copy).name == "data.csv"


@pytest.mark.parametrize("name", ["x.csv", "./x.csv", "data/x.csv", "p/data/raw/x.csv"])
def test_a_file_is_copied_whatever_its_name_and_whatever_lies_above_it(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = Path(name)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("text,mood\nfine,good\n")
    for folder in ("p", "."):  # of no run, though there is such a file
        Path(folder).mkdir(exist_ok=True)
        (Path(folder) / "config.json").write_text("{}")
    run = create_run(Path("runs"), make_config({"source": "files", "train_files": (name,)}))
    assert (run.folder / run.config.train_files[0]).read_text() == file.read_text() and file.stat().st_nlink == 1


def test_a_file_near_the_root_of_the_disk_is_copied(tmp_path):
    with NamedTemporaryFile("w", suffix=".csv") as file:  # near the root of the disk: not even three folders are above it
        file.write("text,mood\nfine,good\n")
        file.flush()
        run = create_run(tmp_path, make_config({"source": "files", "train_files": (file.name,)}))
    assert (run.folder / run.config.train_files[0]).read_text() == "text,mood\nfine,good\n"


def test_a_run_whose_file_is_missing_or_whose_root_cannot_be_written_is_not_made(tmp_path):
    with pytest.raises(MtlError, match="none.csv: there is no such file"):
        create_run(tmp_path, make_config({"source": "files", "train_files": (str(tmp_path / "none.csv"),)}))
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("")
    with pytest.raises(MtlError, match="cannot be made .* set MTL_RUNS"):
        create_run(tmp_path / "file", CONFIG)


@pytest.mark.parametrize("run_id", ["../x", "", ".", "..", "/etc", "x", "20260101-000000-" + "0" * 32,
                                    "20260101-000000-" + "0" * 32 + "/..", "20260101-000000-" + "g" * 32,
                                    "\x00", "20260101-000000-" + "0" * 32 + "\n"])
def test_an_id_that_is_no_run_s_is_refused_before_it_becomes_a_path(tmp_path, run_id):
    root = tmp_path / "runs"
    create_run(root, CONFIG)
    for outside in ("x", "runs/x"):
        (tmp_path / outside).mkdir(exist_ok=True)
        (tmp_path / outside / "config.json").write_text("{}")
    with pytest.raises(MtlError, match="There is no such run"):
        open_run(root, run_id)


def test_runs_are_listed_newest_first_even_of_the_same_second_and_nothing_else_is(tmp_path):
    runs = [create_run(tmp_path, CONFIG).id for _ in range(12)]
    (tmp_path / "starter").mkdir()
    (tmp_path / "20260101-000000-half").mkdir()
    assert [run.id for run in list_runs(tmp_path)] == runs[::-1]
    assert list_runs(tmp_path, most=2) == list_runs(tmp_path)[:2] and list_runs(tmp_path, "anybody", 2) == list_runs(tmp_path)[:2]
    assert list_runs(tmp_path / "none") == []


# Owners


def test_a_run_belongs_to_those_who_have_its_key(tmp_path, monkeypatch):
    mine, theirs = create_run(tmp_path, CONFIG, "secret"), create_run(tmp_path, CONFIG, "other")
    for space in (False, True):
        if space:
            monkeypatch.setenv("SPACE_ID", "owner/space")
        assert mine.belongs_to("secret") and not mine.belongs_to("other") and not mine.belongs_to("") and not mine.belongs_to("größer")
        assert list_runs(tmp_path, "secret") == [mine] and list_runs(tmp_path, "other") == [theirs]
    # only the hash of the key is stored
    assert not any(b"secret" in path.read_bytes() for path in mine.folder.rglob("*") if path.is_file())
    assert (mine.folder / "owner").read_text() == hash_key("secret") and not mine.belongs_to(hash_key("secret"))


def test_a_run_from_the_terminal_is_everyone_s_but_on_a_public_host(tmp_path, monkeypatch):
    monkeypatch.delenv("SPACE_ID", raising=False)
    run = create_run(tmp_path, CONFIG)
    assert run.belongs_to("anybody") and run.belongs_to("") and list_runs(tmp_path, "anybody") == [run]
    monkeypatch.setenv("SPACE_ID", "owner/space")
    assert not run.belongs_to("anybody") and not run.belongs_to("") and list_runs(tmp_path, "anybody") == []


# Alive or not


@pytest.mark.parametrize("status", ["queued", "running", "paused", "stopping"])
def test_a_run_that_nobody_holds_is_interrupted_and_one_that_is_held_is_not(tmp_path, status):
    run = create_run(tmp_path, CONFIG)
    with run.lock():
        assert run.is_alive() and history_of(run, StatusChanged(status)).status == status
    assert not run.is_alive()
    history = read_history(run)
    assert history.status == "interrupted" and "Resume" in history.message


@pytest.mark.parametrize(("saved", "told"), [
    ([CheckpointSaved(1200, "best", 0.1), CheckpointSaved(1200, "last", 0.1)], "Resume goes on from its last checkpoint, of step 1,200."),
    ([], "Resume begins anew, as no checkpoint was saved."), ([CheckpointSaved(3, "best", 0.1)], "Resume begins anew")])
def test_resume_is_said_to_go_on_from_a_checkpoint_only_where_there_is_one(tmp_path, saved, told):
    assert told in history_of(create_run(tmp_path, CONFIG), StatusChanged("running"), *saved).message


@pytest.mark.parametrize(("status", "asked_too_late"), [("finished", []), ("stopped", []), ("failed", []), ("finished", ["stopping"])])
def test_a_run_that_has_ended_is_not_interrupted_and_cannot_be_stopped_any_more(tmp_path, status, asked_too_late):
    events = [StatusChanged("running"), StatusChanged(status, "Done."), *map(StatusChanged, asked_too_late)]
    history = history_of(create_run(tmp_path, CONFIG), *events)
    assert (history.status, history.message) == (status, "Done.")


def test_a_process_that_dies_lets_go_of_its_run(tmp_path):
    run = create_run(tmp_path, CONFIG)
    script = ("import sys\nfrom filelock import FileLock\nlock = FileLock(sys.argv[1])\nlock.acquire()\nprint('held', flush=True)\n"
              "sys.stdin.read()")
    with subprocess.Popen([sys.executable, "-c", script, run.folder / "run.lock"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          text=True) as holder:
        assert holder.stdout.readline() == "held\n" and run.is_alive()
        holder.kill()
    assert not run.is_alive()


def test_a_run_that_goes_on_after_it_was_interrupted_is_running_and_can_be_deleted_when_it_rests(tmp_path):
    run = create_run(tmp_path, CONFIG)
    reader = RunReader(run)
    assert reader.refresh().status == "interrupted"
    with run.lock():
        run.log.append(StatusChanged("running"))
        assert reader.refresh().status == "running"
        with pytest.raises(MtlError, match="still going. Stop it first"):
            delete_run(run)
    delete_run(run)
    assert not run.folder.exists()


# History


def test_a_history_forgets_the_steps_that_a_crash_undid(tmp_path):
    run = create_run(tmp_path, CONFIG)
    before = [started(), StatusChanged("running"), *map(step_done, (1, 2, 3, 4, 5)), seen(2), seen(4), CheckpointSaved(3, "last", 0.1)]
    assert history_of(run, *before).step == 5
    history = history_of(run, started(3), StatusChanged("running"))
    assert [step.step for step in history.steps] == [1, 2, 3] and [found.step for found in history.evaluations] == [2]
    assert history.step == 3
    history = history_of(run, step_done(4), seen(4))
    assert [step.step for step in history.steps] == [1, 2, 3, 4] and [found.step for found in history.evaluations] == [2, 4]
    assert history.checkpoints == {"last": 3}


def test_a_history_lists_all_but_steps_and_checkpoints_and_forgets_the_test_scores_when_the_run_goes_on(tmp_path):
    run = create_run(tmp_path, CONFIG)
    history = history_of(run, started(), Notice("Look."), step_done(4), CheckpointSaved(4, "last", 0.1), seen(4), seen(4, "test"))
    assert [logged.event for logged in history.entries] == [StatusChanged("queued"), started(), Notice("Look."), seen(4), seen(4, "test")]
    assert history.evaluations == [seen(4), seen(4, "test")]
    assert history_of(run, started(4)).evaluations == [seen(4)]


def test_the_time_left_follows_from_the_pace_so_far(tmp_path):
    run = create_run(tmp_path, CONFIG)
    assert read_history(run).seconds_left is None and history_of(run, started()).seconds_left is None
    assert history_of(run, step_done(25, seconds=50.0)).seconds_left == pytest.approx(150)
    assert history_of(run, step_done(100, seconds=200.0)).seconds_left == 0


def test_its_owner_names_a_run_and_notes_something_and_what_was_asked_stays(tmp_path):
    run = create_run(tmp_path, CONFIG)
    assert (run.name, run.note) == ("mine", "")
    run.describe(name="  first\n<b>try</b>\u200f ")
    run.describe(note="rates too high")
    assert (run.name, run.note, run.config.name) == ("first <b>try</b>", "rates too high", "mine")
    with pytest.raises(MtlError, match="201 characters, and may have 200"):
        run.describe(note="x" * 201)
    run.describe(name="")
    assert (run.name, run.note) == ("mine", "rates too high")
    (run.folder / "about.json").write_text("{")
    assert run.name == "mine"
