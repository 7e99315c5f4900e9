"""Datasets of the Hub, played by fake_hub.py: names, what a dataset has, what is fetched of it, and everything that goes wrong."""

import json
import os
import re
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from huggingface_hub import close_session, constants, file_download

from mtl.data.dataset import load
from mtl.data.hub.access import check_hub_name
from mtl.data.hub.datasets import HubDataset, HubFile, download, look_up
from mtl.data.hub.presets import PRESETS, preset_config
from mtl.data.resolve import _folder, hub_group, local_files, settle
from mtl.errors import MtlError
from mtl.runs.folder import create_run
from mtl.settings.config import HubSpec, make_config
from mtl.settings.shorthand import parse_columns, parse_hub
from tests.fake_hub import FakeHub
from tests.legible import is_legible

REPO = Path(__file__).parents[3]
TOO_LONG = "a" * 97
SPLITS = json.loads(Path(__file__).with_name("splits.json").read_text(encoding="utf-8"))  # files, or an entry of a card, and the splits
CARD = "---\nconfigs:\n{}---\n# A dataset\n"
PATHS = ["deep/4.csv", "deep/a/b/3.csv", "more/1.csv", "more/2.csv", "other/validation.csv", "other/train.csv", "rows.csv", "rows.py",
         "rows.zip"]


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A Hub without repositories, and an empty cache; huggingface_hub knows no other."""
    fake = FakeHub(tmp_path / "hub")
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "SPACE_ID", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"ENDPOINT": fake.url, "HUGGINGFACE_CO_URL_TEMPLATE": fake.url + "/{repo_id}/resolve/{revision}/{filename}",
                        "HF_HUB_CACHE": str(tmp_path / "cache"), "HF_TOKEN_PATH": str(tmp_path / "token"), "HF_HUB_OFFLINE": False,
                        "HF_HUB_DISABLE_XET": True, "DOWNLOAD_CHUNK_SIZE": 256}.items():
        monkeypatch.setattr(constants, name, value)
    monkeypatch.setattr(file_download, "time", SimpleNamespace(sleep=lambda seconds: None))  # no waiting before it tries again
    monkeypatch.chdir(tmp_path)
    close_session()
    yield fake
    fake.close()
    close_session()


@pytest.fixture
def put(hub):
    """A function that puts files, {path: content}, into a dataset of the hub."""
    def write(name: str, files: dict[str, bytes | str]) -> None:
        for path, content in files.items():
            file = hub.root / "datasets" / name / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content.encode() if isinstance(content, str) else content)

    return write


@pytest.fixture
def found(put) -> HubDataset:
    """A dataset with a file for training and one for test."""
    put("o/x", {"train.csv": "1", "test.csv": "22"})
    return look_up("o/x")


def fetch(dataset: HubDataset, *splits: str) -> tuple[dict[str, list[bytes]], list[tuple[str, float]]]:
    """The content of each file of `splits`, and what was told of the progress."""
    told = []
    paths = download(dataset, splits, lambda name, share: told.append((name, share)))
    return {split: [path.read_bytes() for path in files] for split, files in paths.items()}, told


def names(dataset: HubDataset) -> dict[str, list[str]]:
    """The paths of each split."""
    return {split: [file.path for file in files] for split, files in dataset.splits.items()}


def bytes_like(path: str, count: int = 3000) -> bytes:
    """Bytes that are other ones for another path."""
    return (path.encode() * count)[:count]


# Names


@pytest.mark.parametrize("name", [
    "/etc", "/etc/passwd", "../x", ".", "..", "./x", "~/x", "C:\\x", "a\\b", "\\\\host\\share", "file:///etc/passwd", "http://127.0.0.1",
    "https://evil/x", "hf://a/b", "s3://b/k", "zip://a::http://b", "a/b@main", "a/b/c", "a//b", "a/../b", "a..b", "a--b", "-x", "x.git",
    "x.ipynb", "o/x.ipynb", "", " ", TOO_LONG, "a b", "é/b", "aé", "a\u202eb", "a\n", "a\nb", "a\0", "a/", "/a", "csv", "json", "text",
    "pandas", "parquet", "local/ds", "datasets/o/x",
])
def test_a_name_that_cannot_be_a_hub_dataset_is_refused_without_asking_anybody(name, hub, tmp_path):
    (tmp_path / "local" / "ds").mkdir(parents=True)
    with pytest.raises(MtlError, match="is not the id of a Hub dataset. Wanted a name such as") as caught:
        look_up(name)
    assert hub.asked == [] and len(str(caught.value)) < 200 and "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["imdb", "stanfordnlp/sst2", "a", "a" * 96, "o_o/m.1", "AmazonScience/massive"])
def test_an_ordinary_dataset_name_passes(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    check_hub_name(name, "dataset")


# What a dataset has


@pytest.mark.parametrize(("files", "wanted"), SPLITS["by name"], ids=lambda value: value[0] if isinstance(value, list) else "")
def test_splits_are_found_by_the_conventions_for_names(files, wanted, hub, put):
    put("o/x", {path: bytes_like(path, 10) for path in files})
    found = look_up("o/x")
    assert names(found) == wanted
    assert (found.id, found.config, found.revision) == ("o/x", "default", hub.sha("o/x"))


def test_folders_are_configs(put):
    put("o/x", {"en/train-00000-of-00001.parquet": "1", "en/test-00000-of-00001.parquet": "22", "data/de/validation.jsonl": "333",
                "fr/train/0000.parquet": "4", "fr/other/0000.parquet": "5", "labels.json": "6"})
    assert names(look_up("o/x", "en")) == {"train": ["en/train-00000-of-00001.parquet"], "test": ["en/test-00000-of-00001.parquet"]}
    assert names(look_up("o/x", "de")) == {"validation": ["data/de/validation.jsonl"]}
    assert names(look_up("o/x", "fr")) == {"train": ["fr/train/0000.parquet"], "other": ["fr/other/0000.parquet"]}


@pytest.mark.parametrize(("entry", "wanted"), SPLITS["by card"])
def test_the_dataset_card_says_which_files_are_which_split(entry, wanted, hub, put):
    put("o/x", {path: bytes_like(path, 10) for path in PATHS} | {"README.md": CARD.format("- config_name: own\n" + entry)})
    found = look_up("o/x")
    assert found.config == "own"
    assert {split: sorted(paths) for split, paths in names(found).items()} == {split: sorted(paths) for split, paths in wanted.items()}


@pytest.mark.parametrize("configs", [
    "", "5", "word", "[1, [2]]", "[{}]", "[{config_name: 7, data_files: 7}]", "[{data_files: [{path: 3}, 4]}]",
    "[{data_files: {train: x}}]", "[{data_dir: [1], data_files: ../../etc/*}]", "{a: b}",
    "[{data_files: [{split: train, path: https://evil/x.csv}, /etc/passwd.csv]}]",
])
def test_a_card_of_another_shape_is_as_good_as_none(configs, put):
    for card in (f"license: mit\nconfigs: {configs}\n", configs + "\n"):
        put("o/x", {"train.csv": "1", "README.md": f"---\n{card}---\n"})
        assert names(look_up("o/x")) == {"train": ["train.csv"]}


def test_no_pattern_of_a_stranger_takes_long(put):
    pattern = "/".join(["**", "a*a*a*a*a*a*a*a*"] * 20)
    put("o/x", {"a" * 100 + "/" + "/".join(["a"] * 20) + "/train.csv": "1", "README.md": CARD.format(f"- data_files: '{pattern}'\n")})
    assert names(look_up("o/x")) == {"train": ["a" * 100 + "/" + "/".join(["a"] * 20) + "/train.csv"]}


def test_of_several_configs_one_must_be_chosen(hub, put):
    entries = "".join(f"- config_name: {name}\n  data_files: {name}.csv\n" for name in ("small", "large"))
    put("o/x", {"small.csv": "1", "large.csv": "22", "README.md": CARD.format(entries)})
    with pytest.raises(MtlError, match=r"^'o/x' has several configs: small, large\. Choose one\.$"):
        look_up("o/x")
    assert names(look_up("o/x", "large")) == {"train": ["large.csv"]}
    with pytest.raises(MtlError, match=r"^'o/x' has no config 'huge'\. Its configs are: small, large\.$"):
        look_up("o/x", "huge")


def test_config_names_of_a_stranger_keep_a_message_short_and_on_one_line(put):
    entries = "".join(f'- config_name: "{number}\\n\\u202e{"x" * 500}"\n  data_files: a.csv\n' for number in range(100))
    put("o/x", {"a.csv": "1", "README.md": CARD.format(entries)})
    with pytest.raises(MtlError, match="has several configs: 0xxx.*x, 1x.* and 80 more. Choose one.$") as caught:
        look_up("o/x")
    assert len(str(caught.value)) < 1500 and is_legible(str(caught.value))


@pytest.mark.parametrize(("configs", "chosen"), [
    (["b", "c: default"], "c"), (["b", "default"], "default"), (["plain_text", "z"], "plain_text"), (["default", "c: default"], "c"),
])
def test_the_default_config_is_taken_where_there_is_one(configs, chosen, put):
    entries = ""
    for config in configs:
        name, _, marked = config.partition(": ")
        entries += f"- config_name: {name}\n  data_files: {name}.csv\n" + ("  default: true\n" if marked else "")
        put("o/x", {f"{name}.csv": name})
    put("o/x", {"README.md": CARD.format(entries)})
    assert look_up("o/x").config == chosen


def test_a_dataset_made_by_a_script_comes_from_the_branch_where_the_hub_converted_it(hub, put):
    put("o/x", {"x.py": "raise SystemExit('ran')", "dataset_infos.json": "{}", "labels.json": "{}", "README.md": "---\nlicense: x\n---\n"})
    put("o/x@parquet", {"en/train/0000.parquet": "1", "en/train/0001.parquet": "22", "en/partial-test/0000.parquet": "333",
                        "en/other/0000.parquet": "4"})
    found = look_up("o/x")
    assert found.revision == hub.sha("o/x", "refs/convert/parquet") != hub.sha("o/x") and (found.id, found.config) == ("o/x", "en")
    assert names(found) == {"train": ["en/train/0000.parquet", "en/train/0001.parquet"], "test": ["en/partial-test/0000.parquet"],
                            "other": ["en/other/0000.parquet"]}
    assert hub.asked == ["/api/datasets/o/x", "/api/datasets/o/x/revision/refs%2Fconvert%2Fparquet"]
    assert fetch(found, "train", "test")[0] == {"train": [b"1", b"22"], "test": [b"333"]}
    assert look_up("o/x", "en", found.revision) == found  # as a run asks that is to be repeated
    with pytest.raises(MtlError, match="has no data files that can be read here"):
        look_up("o/x", revision="main")  # other rows than those asked for would be no answer


@pytest.mark.parametrize("files", [
    {}, {"x.py": "1"}, {"x.py": "1", "labels.json": "[]", "data.zip": "PK"}, {"train.arrow": "1", "a.pkl": "2"}, {"config.json": "{}"},
])
def test_a_dataset_without_files_of_rows_is_refused_and_its_code_never_asked_for(files, hub, put):
    put("o/x", files | {"README.md": "# x"})
    with pytest.raises(MtlError, match=r"^'o/x' has no data files that can be read here \(.parquet, .*Code of a dataset never runs here"):
        look_up("o/x")
    assert not [path for path in hub.asked if "/resolve/" in path]


def test_only_files_of_rows_are_ever_asked_for(hub, put):
    put("o/x", {"x.py": "raise SystemExit('ran')", "data/train-00000-of-00001.parquet": "1", "data/test-00000-of-00001.parquet": "22",
                "train.csv.gz": "3", "README.md": "# x"})
    assert fetch(look_up("o/x"), "train")[0] == {"train": [b"1"]}
    assert {path for path in hub.asked if "/resolve/" in path} == {
        f"/datasets/o/x/resolve/{hub.sha('o/x')}/data/train-00000-of-00001.parquet"}


def test_sizes_are_known_before_any_file_is_fetched_and_a_dataset_that_moved_is_known_by_its_new_name(hub, put):
    put("o/x", {"train-1.csv": bytes(1000), "train-2.csv": bytes(500), "test.csv": bytes(30)})
    found = look_up("o/x")
    assert found.splits == {"train": (HubFile("train-1.csv", 1000), HubFile("train-2.csv", 500)), "test": (HubFile("test.csv", 30),)}
    assert [found.bytes_of(splits) for splits in (["train", "test"], ["train"], ["test", "test"], [])] == [1530, 1500, 30, 0]
    assert hub.asked == ["/api/datasets/o/x"]
    hub.moved["x"] = "o/x"
    assert look_up("x").id == "o/x"
    assert fetch(look_up("x"), "test")[0] == {"test": [bytes(30)]}


# What is refused


def test_a_dataset_that_is_not_there_is_told_from_one_without_that_revision(hub, put):
    put("o/x", {"train.csv": "1"})
    hub.hidden.add("o/private")
    for name in ("o/none", "o/private", "none"):
        with pytest.raises(MtlError, match=rf"^'{name}' is not on the Hub, or it is private. Check the name.$"):
            look_up(name)
    with pytest.raises(MtlError, match=r"^'o/x' has no revision 'v9'"):
        look_up("o/x", revision="v9")
    assert look_up("o/x", revision="main") == look_up("o/x", revision=hub.sha("o/x")) == look_up("o/x")


def test_a_gated_dataset_says_so_before_anything_is_fetched(hub, put, monkeypatch):
    for name in ("o/shut", "o/terms"):
        put(name, {"train.csv": "1"})
    hub.gated.add("o/shut")
    hub.gated_files.add("o/terms")
    for name in ("o/shut", "o/terms"):
        with pytest.raises(MtlError, match=f"^'{name}' is gated: its owner must let you in first"):
            look_up(name)
    monkeypatch.setenv("HF_TOKEN", "hf_of_somebody_else")
    found = look_up("o/terms")
    with pytest.raises(MtlError, match="^'o/terms' is gated"):
        fetch(found, "train")


def test_a_token_is_sent_from_a_machine_of_one_s_own_but_never_from_a_space(hub, found, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_mine")
    monkeypatch.setenv("SPACE_ID", "owner/space")
    fetch(look_up("o/x"), "train")
    assert hub.tokens == set()
    monkeypatch.delenv("SPACE_ID")
    look_up("o/x")
    assert hub.tokens == {"Bearer hf_mine"}


def test_too_many_bytes_and_splits_that_are_not_there_are_refused_before_the_first_byte_is_fetched(hub, found):
    with pytest.raises(MtlError, match=r"^'o/x' has no split 'validation'. Its splits are: train, test.$"):
        fetch(found, "train", "validation")
    hub.sizes["o/x/train.csv"] = 3 * 10**9
    found = look_up("o/x")
    with pytest.raises(MtlError, match=r"^'o/x' has 3.0 GB in train, test; the limit is 2 GB. Pick a smaller dataset, or fewer splits.$"):
        fetch(found, "train", "test")
    assert not [path for path in hub.asked if "/resolve/" in path]
    assert fetch(found, "test")[0] == {"test": [b"22"]}


def test_an_answer_that_is_not_the_hub_s_is_told(hub, monkeypatch):
    monkeypatch.setattr(hub, "answer", lambda path: (200, {"Content-Type": "text/html"}, b"<html>Log in to the hotel"))
    with pytest.raises(MtlError, match="The Hub's answer about 'o/x' cannot be read. Check the connection."):
        look_up("o/x")
    monkeypatch.setattr(hub, "answer", lambda path: (200, {}, json.dumps({"id": "o/x", "sha": "../../x", "siblings": []}).encode()))
    with pytest.raises(MtlError, match="names no commit"):
        look_up("o/x")


@pytest.mark.parametrize(("status", "headers", "message"), [
    (503, {}, "cannot be had now: the Hub is busy \\(status 503\\)"), (429, {}, "the Hub is busy \\(status 429\\)"),
    (403, {}, "is refused by the Hub \\(status 403\\)"), (451, {}, "is refused by the Hub \\(status 451\\)"),
    (401, {"X-Error-Message": "Invalid credentials in Authorization header"}, "does not accept this machine's access token"),
])
def test_what_the_hub_answers_instead_is_told_in_one_sentence(status, headers, message, hub, found, monkeypatch):
    monkeypatch.setattr(hub, "answer", lambda path: (status, headers, b"{}"))
    for ask in (lambda: look_up("o/x"), lambda: fetch(found, "train")):
        with pytest.raises(MtlError, match=f"^'o/x' .*{message}") as caught:
            ask()
        assert "\n" not in str(caught.value)


# What is fetched


def test_progress_never_falls_and_ends_at_1(put):
    content = {path: bytes_like(path) for path in ("train-1.csv", "train-2.csv", "test.csv")}
    put("o/x", content)
    found, told = fetch(look_up("o/x"), "train", "test")
    assert found == {"train": [content["train-1.csv"], content["train-2.csv"]], "test": [content["test.csv"]]}
    shares = [share for _, share in told]
    assert shares == sorted(shares) and 0 < shares[0] < 0.2 and shares[-1] == 1 and len(set(shares)) > 20  # also within a file
    assert list(dict.fromkeys(name for name, _ in told)) == ["train-1.csv", "train-2.csv", "test.csv"]
    assert ("train-1.csv", 1 / 3) in told and ("train-2.csv", 2 / 3) in told


def test_empty_files_and_no_splits_are_no_trouble(put):
    put("o/x", {"train.csv": b""})
    assert fetch(look_up("o/x"), "train") == ({"train": [b""]}, [("train.csv", 1.0)])
    assert fetch(look_up("o/x")) == ({}, [])


@pytest.mark.parametrize("whole", [False, True])  # whether the server sends the file from its beginning again
def test_a_connection_that_breaks_once_is_taken_up_and_the_progress_never_falls(whole, hub, put):
    put("o/x", {"train.csv": bytes_like("train.csv")})
    hub.hiccups["o/x/train.csv"], hub.whole = 1024, whole
    found, told = fetch(look_up("o/x"), "train")
    assert found == {"train": [bytes_like("train.csv")]} and hub.ranges == ["bytes=1024-"]
    assert [share for _, share in told] == sorted(share for _, share in told) and told[-1][1] == 1


def test_half_a_download_is_told_and_the_next_call_completes_it(hub, put):
    content = {path: bytes_like(path, 20480) for path in ("train-1.csv", "train-2.csv")}
    put("o/x", content)
    hub.cuts["o/x/train-2.csv"] = 1024
    found = look_up("o/x")
    told = "^'o/x' is not complete: 'train-2.csv' ended after 1,024 of 20,480 bytes. Try again: complete files are kept.$"
    with pytest.raises(MtlError, match=told):
        fetch(found, "train")
    hub.cuts.clear()
    hub.asked.clear()
    assert fetch(found, "train")[0] == {"train": [content["train-1.csv"], content["train-2.csv"]]}
    assert hub.asked and all(path.endswith("train-2.csv") for path in hub.asked)


def test_a_hub_that_goes_away_in_the_middle_is_told_the_same_way(hub, put, monkeypatch):
    put("o/x", {"train.csv": bytes_like("train.csv")})
    found = look_up("o/x")
    monkeypatch.setattr(hub, "breaks_off", lambda path, size: hub.server.socket.close() or 512)
    with pytest.raises(MtlError, match="'train.csv' ended after 512 of 3,000 bytes"):
        fetch(found, "train")


def test_with_everything_in_the_cache_nobody_is_asked(hub, found):
    fetch(found, "train", "test")
    hub.close()
    hub.asked.clear()
    assert fetch(found, "test", "train") == ({"test": [b"22"], "train": [b"1"]}, [("test.csv", 2 / 3), ("train.csv", 1.0)])
    assert hub.asked == []


@pytest.mark.parametrize("by_choice", [False, True])
def test_without_network_or_offline_by_choice_what_is_not_in_the_cache_is_missed(hub, found, monkeypatch, by_choice):
    fetch(found, "train")
    hub.asked.clear()
    if by_choice:
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
        close_session()
    else:
        hub.close()
    assert fetch(found, "train")[0] == {"train": [b"1"]}
    asks = {"cannot be looked up": lambda: look_up("o/x"), "is not wholly on this machine": lambda: fetch(found, "train", "test")}
    for what, ask in asks.items():
        with pytest.raises(MtlError, match=f"^'o/x' {what}: the Hub cannot be reached. Check the connection.$"):
            ask()
    assert hub.asked == []


def test_a_file_that_was_renamed_since_the_look_up_is_named(hub, found):
    folder = hub.root / "datasets/o/x"
    (folder / "train.csv").rename(folder / "training.csv")
    with pytest.raises(MtlError, match=r"^'o/x' has no 'train.csv' any more at the commit that was looked up. Look the dataset up again.$"):
        fetch(found, "train")
    assert fetch(look_up("o/x"), "train")[0] == {"train": [b"1"]}


def test_a_file_of_another_size_than_told_is_not_taken(hub, found):
    hub.sizes["o/x/train.csv"] = 5000
    with pytest.raises(MtlError, match="'train.csv' of 'o/x' has 1 bytes, not the 5,000 that were looked up. Look the dataset up again."):
        fetch(look_up("o/x"), "train")


@pytest.mark.parametrize("spoil", [lambda file, cache: file.write_bytes(b"who"), lambda file, cache: shutil.rmtree(cache)])
def test_a_file_that_was_damaged_or_deleted_in_the_cache_is_fetched_again(spoil, put, tmp_path):
    put("o/x", {"train.csv": "whole"})
    found = look_up("o/x")
    spoil(download(found, ["train"], lambda name, share: None)["train"][0], tmp_path / "cache")
    assert fetch(found, "train")[0] == {"train": [b"whole"]}


def test_a_full_disk_is_told(hub, put, tmp_path):
    put("o/x", {"train.csv": bytes_like("train.csv", 100_000)})
    found = look_up("o/x")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, before[1]))
    try:
        with pytest.raises(MtlError, match="^'o/x' does not fit on this disk, which is full. Make room and try again"):
            fetch(found, "train")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert fetch(found, "train")[0] == {"train": [bytes_like("train.csv", 100_000)]}


def test_a_cache_that_cannot_be_written_is_told(found, tmp_path):
    (tmp_path / "cache").write_text("not a folder")
    with pytest.raises(MtlError, match="^'o/x' cannot be kept here: huggingface_hub's cache folder cannot be written to. Set HF_HOME"):
        fetch(found, "train")


# Without the tests' own settings: a new process, with nothing but HF_ENDPOINT

SCRIPT = """
import os, sys
from pathlib import Path
from types import SimpleNamespace
from tests.fake_hub import FakeHub
hub = FakeHub(Path(sys.argv[1]))
os.environ["HF_ENDPOINT"] = hub.url
from huggingface_hub import file_download
from mtl.data.hub.access import check_hub_name
from mtl.data.hub.datasets import download, look_up
file_download.time = SimpleNamespace(sleep=lambda seconds: None)
paths = download(look_up("o/x"), ["train"], lambda name, share: None)
hub.cuts["o/x/test.csv"] = 10
try:
    download(look_up("o/x"), ["test"], lambda name, share: None)
except Exception as error:
    print(error)
print(paths["train"][0].read_text(), [name for name in ("torch", "pandas", "datasets", "transformers", "gradio") if name in sys.modules])
"""


def test_nothing_is_written_to_the_terminal_and_no_big_library_is_loaded(hub, put, tmp_path):
    put("o/x", {"train.csv": "here", "test.csv": bytes(20)})
    environment = {**os.environ, "PYTHONPATH": str(REPO), "HF_HOME": str(tmp_path / "home"), "HF_HUB_DISABLE_XET": "1",
                   "no_proxy": "127.0.0.1"}
    for name in ("HF_ENDPOINT", "HF_HUB_CACHE", "HF_HUB_OFFLINE"):
        environment.pop(name, None)
    done = subprocess.run([sys.executable, "-c", SCRIPT, str(hub.root)], cwd=tmp_path, env=environment, capture_output=True, text=True,
                          timeout=60, stdin=subprocess.DEVNULL)
    assert done.stderr == "" and done.returncode == 0
    assert done.stdout.splitlines()[1:] == ["here []"] and "'test.csv' ended after 0 of 20 bytes" in done.stdout


# Presets


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_becomes_settings_with_valid_names_roles_and_splits_and_two_tasks(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = make_config(preset_config(name))
    assert PRESETS[name].title and PRESETS[name].about.endswith(".") and config.source == "hub"
    for spec in config.hub:
        check_hub_name(spec.id, "dataset")
        assert spec.train == "train" and {spec.validation, spec.test} <= {"validation", "test", "none"}
    groups = {spec.group for spec in config.columns}
    assert groups == ({""} if len(config.hub) == 1 else {hub_group(spec) for spec in config.hub})
    for group in groups:
        assert sum(spec.role in ("text", "tokens", "marked") for spec in config.columns if spec.group == group) == 1
    tasks = [spec.task or spec.column for spec in config.columns if spec.role in ("class", "tags", "spans", "marked")]
    assert len(tasks) == len(set(tasks)) == 2 and all(re.fullmatch(r"[a-z_]+", task) for task in tasks)


def test_the_file_lists_of_known_datasets_give_the_splits_that_the_presets_name(put):
    with pytest.raises(MtlError, match="There is no preset 'list'. The presets are: snips, atis"):
        preset_config("list")
    lists = {"bkonkle/snips-joint-intent": ["train.csv", "test.csv", "intent_labels.txt", "slot_labels.txt"],
             "tuetschek/atis": ["atis_train.csv", "atis_test.csv"],
             "stanfordnlp/sst2": [f"data/{split}-00000-of-00001.parquet" for split in ("train", "validation", "test")],
             "stanfordnlp/imdb": [f"plain_text/{split}-00000-of-00001.parquet" for split in ("train", "test", "unsupervised")],
             "fancyzhx/ag_news": [f"data/{split}-00000-of-00001.parquet" for split in ("train", "test")],
             "DFKI-SLT/few-nerd": [f"{config}/{split}-00000-of-00001.parquet" for config in ("inter", "intra", "supervised")
                                   for split in ("train", "validation", "test")],
             "eriktks/conll2003": ["conll2003.py"], "leondz/wnut_17": ["wnut_17.py"], "AmazonScience/massive": ["massive.py"]}
    for name, config in {"eriktks/conll2003": "conll2003", "leondz/wnut_17": "wnut_17", "AmazonScience/massive": "en-US"}.items():
        put(f"{name}@parquet", {f"{config}/{split}/0000.parquet": "1" for split in ("train", "validation", "test")})
    put("AmazonScience/massive@parquet", {"de-DE/train/0000.parquet": "1"})
    for name, paths in lists.items():
        put(name, dict.fromkeys(paths, "1"))
    for preset in PRESETS:
        for spec in preset_config(preset)["hub"]:
            assert {spec.train, spec.validation, spec.test} - {"none"} <= set(look_up(spec.id, spec.config).splits), spec.id


# From a name to settings that leave nothing open


def rows_of(*labels: str) -> str:
    return "sentence,label\n" + "".join(f"a {label} sentence number {index},{label}\n" for index in range(12) for label in labels)


@pytest.fixture
def two_datasets(put):
    """A dataset for sentiment and one for topics, with a column of the same name; the second one's test rows are not labelled."""
    put("ann/mood", {"data/train.csv": rows_of("good", "bad"), "data/validation.csv": rows_of("bad", "good"), "data/test.csv":
                     "sentence,label\nwhat is it,\n"})
    put("bob/topics", {"train.jsonl": "".join(json.dumps({"text": f"about {label} {index}", "label": label}) + "\n"
                                              for index in range(9) for label in ("war", "sport"))})


def test_datasets_are_pinned_fetched_and_made_tasks_of(hub, two_datasets, tmp_path):
    config = settle(make_config({"source": "hub", "hub": parse_hub("ann/mood, bob/topics")}), tmp_path / "store")
    assert [(spec.id, spec.train, spec.validation, spec.test) for spec in config.hub] == [
        ("ann/mood", "train", "validation", "test"), ("bob/topics", "train", "none", "none")]
    assert all(re.fullmatch("[0-9a-f]{40}", spec.revision) for spec in config.hub)
    assert [Path(name).name for name in config.train_files] == ["mood.train-00000-of-00001.csv", "topics.train-00000-of-00001.jsonl"]
    assert [(spec.group, spec.column, spec.role, spec.task) for spec in config.columns] == [
        ("mood", "sentence", "text", ""), ("mood", "label", "class", "mood"),
        ("topics", "text", "text", ""), ("topics", "label", "class", "topics")]
    dataset = load(config, tmp_path)
    assert [task.name for task in dataset.tasks] == ["mood", "topics"]
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (24 + 18, 24, 0)
    assert any("no row is labelled" in notice for notice in dataset.notices)


def test_what_was_fetched_once_is_found_again_without_the_hub(hub, two_datasets, tmp_path):
    config = settle(make_config({"source": "hub", "hub": parse_hub("ann/mood")}), tmp_path / "store")
    hub.close()
    assert local_files(config, tmp_path / "store" / "hub") == {"train_files": config.train_files,
                                                               "validation_files": config.validation_files,
                                                       "test_files": config.test_files}
    with pytest.raises(MtlError, match=r"'ann/mood' is not \(wholly\) on this machine. Look it up and download it again"):
        local_files(config, tmp_path / "elsewhere")
    Path(config.train_files[0]).unlink()
    with pytest.raises(MtlError, match="Look it up and download it again"):
        local_files(config, tmp_path / "store" / "hub")


def test_a_run_of_hub_data_has_its_own_copy_and_says_where_it_came_from(hub, two_datasets, tmp_path):
    config = settle(make_config({"source": "hub", "hub": parse_hub("ann/mood")}), tmp_path / "store")
    run = create_run(tmp_path / "runs", config)
    shutil.rmtree(tmp_path / "store")
    shutil.rmtree(tmp_path / "cache")
    assert len(load(run.config, run.folder).train) == 24 and run.config.hub == config.hub


def test_a_column_that_was_renamed_is_told_with_those_that_are_there(hub, two_datasets, tmp_path):
    with pytest.raises(MtlError, match=r"there is no column 'stars'. The columns are: sentence, label"):
        settle(make_config({"source": "hub", "hub": parse_hub("ann/mood"), "columns": parse_columns("stars=class")}), tmp_path / "store")


def test_the_name_of_a_dataset_leads_to_no_other_folder(tmp_path):
    spec = HubSpec(id="../../x", config="../..", revision="../../../etc", train="train")
    with pytest.raises(MtlError, match="is not"):
        local_files(make_config({"source": "hub", "hub": (spec,)}), tmp_path / "store" / "hub")
    assert _folder(spec, tmp_path).parent == tmp_path
