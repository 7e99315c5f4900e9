"""mtl/publishing/space.py and `python -m mtl space`: what is sent to the Hub, played by fake_hub.py, and what is refused."""

import re
import shutil
from importlib.metadata import metadata, version
from pathlib import Path

import pytest
import yaml
from huggingface_hub import close_session, constants
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from mtl.cli.main import main
from mtl.inference.predictor import Predictor
from mtl.runs.checkpoint import read_facts
from mtl.runs.folder import Run, create_run
from mtl.scoring.measure import measure_test
from mtl.training.execute import run_training
from tests.fake_hub import FakeHub
from tests.test_house import ROOT

SPACE = "ann/mtl-studio"
TOP = {"app.py", "mtl", "checkpoints", "requirements.txt", "README.md", "LICENSE"}


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A Hub without repositories, where this machine's token may write."""
    fake = FakeHub(tmp_path / "hub")
    for name in ("SPACE_ID", "HUGGING_FACE_HUB_TOKEN", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_TOKEN", "hf_mine")
    for name, value in {"ENDPOINT": fake.url, "HF_TOKEN_PATH": str(tmp_path / "token"), "HF_HUB_OFFLINE": False,
                        "HF_HUB_DISABLE_XET": True}.items():
        monkeypatch.setattr(constants, name, value)
    close_session()
    yield fake
    fake.close()
    close_session()


@pytest.fixture
def checkout(tmp_path, monkeypatch) -> Path:
    """A copy of what belongs on a Space, and of what does not, that may be changed; the command sends it."""
    folder = tmp_path / "checkout"
    for part in ("mtl", "checkpoints/starter"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("app.py", "requirements.txt", "README.md", "LICENSE", "pyproject.toml"):
        shutil.copyfile(ROOT / name, folder / name)
    for name in (".git/config", "tests/test_it.py", "checkpoints/20260101-000000-0/config.json", "mtl/__pycache__/errors.pyc",
                 "mtl/.DS_Store"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("This stays here.")
    monkeypatch.setattr("mtl.publishing.space.CHECKOUT", folder)
    return folder


@pytest.fixture
def space(checkout, capsys):
    """Runs `python -m mtl space` with these arguments; what it printed, or the message that it ended with."""
    def run(*arguments: str) -> str:
        with pytest.raises(SystemExit) as ended:
            main(["space", *arguments])
        return capsys.readouterr().out if ended.value.code == 0 else ended.value.code

    return run


@pytest.fixture
def own_run(tmp_path, tiny_config, write_rows, easy_rows, monkeypatch) -> Run:
    """A finished run on a person's own files, its test rows measured; the terminal finds it as 'last'."""
    files = {role: write_rows(tmp_path / f"{role}.jsonl", easy_rows(48)) for role in ("train", "test")}
    config = tiny_config(name="Answers", source="files", train_files=(files["train"],), test_files=(files["test"],))
    run = create_run(tmp_path / "runs", config)
    assert run_training(run, resume=False) == "finished"
    measure_test(run, device="cpu")
    monkeypatch.setenv("MTL_RUNS", str(tmp_path / "runs"))
    return run


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below `folder`."""
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def arrived(hub: FakeHub) -> dict[str, bytes]:
    """Every file of the Space, but the one that the Hub made."""
    return {path: body for path, body in contents(hub.root / "spaces" / SPACE).items() if path != ".gitattributes"}


def change(file: Path, before: str, after: str) -> None:
    """Replace a text in a file, which must be there."""
    text = file.read_text(encoding="utf-8")
    assert before in text
    file.write_text(text.replace(before, after), encoding="utf-8")


# What is sent


def test_everything_that_belongs_on_a_space_arrives_byte_for_byte_in_one_commit_and_nothing_else_does(hub, space, checkout):
    told = space(SPACE)
    assert told.endswith(f"The Hub builds it now: {hub.url}/spaces/{SPACE}\n") and hub.tokens == {"Bearer hf_mine"}
    wanted = {path: body for path, body in contents(checkout).items() if b"This stays here." not in body and path != "pyproject.toml"}
    assert arrived(hub) == wanted and {path.split("/")[0] for path in wanted} == TOP
    assert len(hub.commits) == 1
    kinds = {line["value"].get("path"): line["key"] for line in hub.commits[0][1:]}
    assert [path for path, kind in kinds.items() if kind == "lfsFile"] == ["checkpoints/starter/model.safetensors"]


def test_the_checkout_of_this_program_is_what_is_sent_unless_told_otherwise():
    from mtl.publishing.space import CHECKOUT

    assert CHECKOUT == ROOT


def test_a_second_time_only_what_changed_is_sent_and_what_is_gone_is_removed(hub, space, checkout):
    space(SPACE)
    (checkout / "mtl/ui/link.js").unlink()
    change(checkout / "mtl/text.py", '"""', '""" ')
    space(SPACE)
    sent = {line["value"]["path"]: line["key"] for line in hub.commits[1][1:]}
    assert sent == {"mtl/ui/link.js": "deletedFile", "mtl/text.py": "file"}
    assert "mtl/ui/link.js" not in arrived(hub) and (hub.root / "spaces" / SPACE / ".gitattributes").is_file()
    space(SPACE)
    assert len(hub.commits) == 2, "there was nothing to change"


def test_a_dry_run_lists_every_file_with_its_size_and_asks_nobody(hub, space, checkout):
    told = space(SPACE, "--dry-run")
    listed = {path: int(size.replace(",", "")) for size, path in re.findall(r"^ *([\d,]+)  (\S+)$", told, re.M)}
    total = sum(listed.values())
    assert listed["app.py"] == (checkout / "app.py").stat().st_size and "checkpoints/starter/model.safetensors" in listed
    assert told.endswith(f"{len(listed)} files, {total / 1e6:.1f} MB would be sent.\n") and hub.asked == []
    space(SPACE)
    assert listed.keys() == arrived(hub).keys()


def test_a_private_space_is_asked_for_and_one_that_everybody_sees_gets_nothing_private(hub, space):
    space(SPACE, "--private")
    assert hub.private == {SPACE} and len(hub.commits) == 1
    space("ann/open")
    assert hub.private == {SPACE} and len(hub.commits) == 2
    assert "Everybody can see 'ann/open', which is there already. Make it private" in space("ann/open", "--private")
    assert len(hub.commits) == 2


def test_the_best_checkpoint_of_a_run_takes_the_place_of_the_starter_model_with_a_card_of_its_own(hub, space, own_run):
    space(SPACE, "--with", "last")
    folder = hub.root / "spaces" / SPACE / "checkpoints/starter"
    assert {file.name for file in folder.iterdir()} == {file.name for file in own_run.best.iterdir()} - {"tallies.npz"} | {"README.md"}
    assert (folder / "model.safetensors").read_bytes() == (own_run.best / "model.safetensors").read_bytes()
    assert read_facts(folder)["step"] == read_facts(own_run.best)["step"]
    assert Predictor.load(folder, "cpu").predict(["yes please go now Rome"])[0].predictions.keys() == {"answer", "place"}
    card = (folder / "README.md").read_text()
    assert card.startswith("# Answers\n") and "train.jsonl: 44 training and 4 validation rows." in card
    assert re.search(r"^\| answer \| accuracy \| [\d.]+% \| [\d.]+% \|$", card, re.M), "both splits were measured"
    assert "newsroom" not in card and not any(b"please go" in body for body in contents(folder).values()), "rows of the person were sent"


def test_a_run_without_a_checkpoint_or_in_training_is_refused_before_anything_is_sent(hub, space, own_run):
    with own_run.hold():
        assert "Another process is training this run" in space(SPACE, "--with", "last")
    shutil.rmtree(own_run.best)
    assert "Checkpoint 'best' is damaged: manifest.json is missing" in space(SPACE, "--with", own_run.id)
    assert "There is no such run" in space(SPACE, "--with", "nothing")
    assert hub.asked == []


# What is refused


@pytest.mark.parametrize(("before", "after", "told"), [
    ("sdk: gradio", "sdk: docker", "'sdk' in its front matter is 'docker'. Wanted: gradio."),
    ("sdk_version: 6.31.0", "sdk_version: 6.30.0", "'sdk_version' in its front matter is '6.30.0'. Wanted: 6.31.0, as in requirements"),
    ('python_version: "3.12"', "python_version: 3.12", "'python_version' in its front matter is 3.12. Wanted: \"3.11\" or newer, in quo"),
    ('python_version: "3.12"', 'python_version: "3.10"', "'python_version' in its front matter is '3.10'."),
    ("app_file: app.py\n", "", "'app_file' in its front matter is None. Wanted: app.py."),
    ("title: MTL Studio\n", "", "'title' in its front matter is None. Wanted: the name that the Space shows."),
    ("short_description: ", "short_description: Much more than anybody wants to read, ", "Wanted: at most 60 characters long."),
    ("sdk: gradio", "sdk: [gradio", "its front matter is not YAML (while parsing"),
    ("---\ntitle", "title", "'title' in its front matter is None.")])
def test_a_front_matter_that_the_hub_cannot_start_is_refused_with_what_to_mend(hub, space, checkout, before, after, told):
    change(checkout / "README.md", before, after)
    assert space(SPACE).startswith("mtl: README.md: ") and told in space(SPACE) and "Mend it" in space(SPACE)
    assert hub.asked == []


def test_a_part_that_is_missing_is_named(hub, space, checkout):
    shutil.rmtree(checkout / "checkpoints/starter")
    assert f"checkpoints/starter is missing in {checkout}. Bring it back" in space(SPACE) and hub.asked == []


@pytest.mark.parametrize("name", ["mtl-studio", "ann/", "ann/a/b", "https://huggingface.co/spaces/ann/x", "ann/a b", "../x"])
def test_a_name_that_is_no_owner_and_name_is_refused(hub, space, name):
    assert "is not the name of a Space. Wanted your name on the Hub and the Space's, such as ann/mtl-studio." in space(name)
    assert hub.asked == []


def test_without_a_token_it_says_how_to_log_in(hub, space, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    assert space(SPACE) == ("mtl: This machine has no access token of the Hub. Log in: hf auth login. Or set HF_TOKEN to a token that may "
                            "write.")
    assert hub.asked == []


@pytest.mark.parametrize(("status", "told"), [
    (401, "the Hub does not accept this machine's access token. Log in again: hf auth login."), (402, "the Hub wants a paid plan"),
    (403, "this access token has no right to write there."), (404, "there is no such owner on the Hub"),
    (500, "the Hub answers with status 500.")])
def test_what_the_hub_refuses_is_told_in_a_sentence(hub, space, status, told):
    hub.refuses["create"] = status
    assert f"mtl: '{SPACE}' was not brought up to date: {told}" in space(SPACE)
    assert hub.commits == [] and not (hub.root / "spaces").exists()


def test_a_space_that_is_there_is_brought_up_to_date_by_those_who_may_not_make_one_and_not_by_those_who_may_not_write(hub, space, checkout):
    space(SPACE)
    change(checkout / "mtl/text.py", '"""', '""" ')
    hub.refuses |= {"create": 402, "main": 403}
    assert "this access token has no right to write there" in space(SPACE) and len(hub.commits) == 1
    del hub.refuses["main"]
    assert f"The Hub builds it now: {hub.url}/spaces/{SPACE}" in space(SPACE) and len(hub.commits) == 2


def test_a_hub_that_cannot_be_reached_is_told(hub, space):
    hub.close()
    assert f"'{SPACE}' was not brought up to date: the Hub cannot be reached." in space(SPACE)


def test_a_space_of_something_else_is_left_alone(hub, space):
    folder = hub.root / "spaces" / SPACE
    folder.mkdir(parents=True)
    (folder / "cats.py").write_text("Cats.")
    assert f"'{SPACE}' holds something else, which would be removed. Choose another name" in space(SPACE)
    assert contents(folder) == {"cats.py": b"Cats."}


# What the Hub does with it


def test_what_is_installed_here_is_what_a_space_would_install_and_runs_on_its_python():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    python = yaml.safe_load(readme.split("---\n")[1])["python_version"]
    wanted = [Requirement(line) for line in (ROOT / "requirements.txt").read_text().splitlines() if line and not line.startswith("#")]
    assert [str(want) for want in wanted if version(want.name) not in want.specifier] == []
    assert [want.name for want in wanted if python not in SpecifierSet(metadata(want.name)["Requires-Python"] or "")] == []
    from mtl.publishing.space import OLDEST_PYTHON

    assert f"Python 3.{OLDEST_PYTHON} or newer" in readme
