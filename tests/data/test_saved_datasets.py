"""Folders that `datasets` saved: as training data, one split or several, as what `convert` writes, and what can be wrong with them."""

import json
import shutil
from pathlib import Path

import datasets
import pyarrow.parquet
import pytest

from mtl.cli.main import main
from mtl.data.dataset import load, read_table, split_paths
from mtl.data.formats import files
from mtl.data.parsed import read_parsed
from mtl.data.readers import read_files
from mtl.data.resolve import settle
from mtl.data.words import Span
from mtl.data.writers import write_rows
from mtl.errors import MtlError
from mtl.runs.folder import create_run
from mtl.settings.config import TaskSpec, make_config
from tests.plain import Row

MOOD, PLACE = TaskSpec(name="mood", kind="classification"), TaskSpec(name="place", kind="tagging")
TOPICS = TaskSpec(name="topics", kind="multilabel")
ROWS = [Row("Ann left Rome.", {"mood": "good", "place": (Span(9, 13, "LOC"),), "topics": ["a", "b"]}),
        Row("Nobody came.", {"mood": None, "place": (), "topics": []}),
        Row("It rains in Oslo!", {"mood": "bad", "place": None, "topics": None})]


def dataset(mark: str = "", count: int = 12) -> datasets.Dataset:
    features = datasets.Features({"text": datasets.Value("string"), "mood": datasets.ClassLabel(names=["bad", "good"])})
    return datasets.Dataset.from_dict({"text": [f"text {mark}{index}" for index in range(count)],
                                       "mood": [-1, *[index % 2 for index in range(1, count)]]}, features=features)


@pytest.fixture
def split_folder(tmp_path) -> Path:
    """A saved DatasetDict; one of its splits has the name of none of ours."""
    datasets.DatasetDict({"train": dataset("train "), "dev": dataset("dev "), "test": dataset("test ", 3),
                          "rest": dataset()}).save_to_disk(tmp_path / "moods")
    return tmp_path / "moods"


def config_of(*folders: Path, **more):
    return make_config({"source": "files", "train_files": tuple(map(str, folders)), **more})


def test_class_numbers_of_a_saved_dataset_become_names_and_minus_one_is_no_label(tmp_path):
    spans = [{"start": datasets.Value("int32"), "end": datasets.Value("int32"), "label": datasets.ClassLabel(names=["LOC", "PER"])}]
    features = datasets.Features({"tokens": datasets.List(datasets.Value("string")), "mood": datasets.ClassLabel(names=["bad", "good"]),
                                  "ner_tags": datasets.List(datasets.ClassLabel(names=["O", "B-LOC"])), "spans": spans})
    datasets.Dataset.from_dict({"tokens": [["Rome", "is", "far"], ["Come"]], "mood": [1, -1], "ner_tags": [[1, 0, 0], [0]],
                                "spans": [[{"start": 0, "end": 4, "label": 1}], []]}, features=features).save_to_disk(tmp_path / "own")
    table = read_files([tmp_path / "own"])
    assert [row.values for row in table.rows] == [
        {"mood": "good", "ner_tags": (Span(0, 4, "LOC"),), "spans": (Span(0, 4, "PER"),)}, {"mood": None, "ner_tags": (), "spans": ()}]


def test_parquet_whose_schema_datasets_cannot_read_keeps_its_numbers_and_says_so(tmp_path):
    features = {"label": {"names": ["a", "b"], "_type": "ClassLabel"}, "film": {"_type": "Hologram"}}
    table = pyarrow.table({"text": ["x", "y"], "label": [0, 1], "film": ["", ""]})
    pyarrow.parquet.write_table(table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})}),
                                tmp_path / "x.parquet")
    found = read_files([tmp_path / "x.parquet"])
    assert [row.values for row in found.rows] == [{"label": "0"}, {"label": "1"}]
    assert "x.parquet: what it says of its columns cannot be understood; numbers of classes stay numbers." in found.notices


def test_the_splits_of_a_saved_folder_are_training_validation_and_test_rows(split_folder, tmp_path):
    found = load(config_of(split_folder), tmp_path)
    assert [[row.text for row in rows][-1] for rows in (found.train, found.validation, found.test)] == [
        "text train 11", "text dev 11", "text test 2"]
    assert len(found.train) == 11  # one has no label
    assert found.tasks == [TaskSpec(name="mood", kind="classification", labels=("bad", "good"))]


def test_files_that_are_named_for_a_split_go_before_those_in_the_folder(split_folder):
    other = str(split_folder / "rest")
    paths = split_paths(config_of(split_folder, validation_files=(other,)), Path())
    assert paths == {"train": [split_folder / "train"], "validation": [Path(other)], "test": [split_folder / "test"]}
    assert split_paths(config_of(split_folder / "rest", test_files=(str(split_folder),)), Path()) == {
        "train": [split_folder / "rest"], "validation": [], "test": [split_folder / "test"]}


def test_one_split_of_a_folder_can_be_named_and_two_datasets_keep_their_tasks_apart(split_folder, tmp_path):
    assert [spec.name for spec in read_table(config_of(split_folder / "train"), tmp_path).tasks] == ["mood"]
    datasets.DatasetDict({"train": dataset("train ").rename_column("mood", "label").cast_column(
        "label", datasets.ClassLabel(names=["low", "high"]))}).save_to_disk(tmp_path / "prices")
    table = read_table(config_of(split_folder, tmp_path / "prices"), tmp_path)
    assert [(spec.group, spec.column, spec.task) for spec in table.columns if spec.task] == [("moods", "mood", "mood"),
                                                                                            ("prices", "label", "prices")]


def test_a_run_keeps_a_copy_of_a_saved_folder_with_all_its_splits(split_folder, tmp_path):
    run = create_run(tmp_path / "runs", settle(config_of(split_folder, split_folder / "rest"), tmp_path / "runs"),
                     parsed=tmp_path / "runs" / "parsed")
    again = create_run(tmp_path / "runs", run.config.model_copy(
        update={"train_files": tuple(str(run.folder / name) for name in run.config.train_files)}))
    shutil.rmtree(split_folder)
    for each in (run, again):
        found = load(each.config, each.folder)
        assert (len(found.train), len(found.validation), len(found.test)) == (22, 11, 2)
    assert run.config.train_files == ("data/train/moods", "data/train/moods_rest")


def test_what_was_parsed_of_a_folder_is_parsed_anew_when_a_file_in_it_changed(tmp_path):
    for names in (["bad", "good"], ["low", "high"]):
        shutil.rmtree(tmp_path / "own", ignore_errors=True)
        dataset().cast_column("mood", datasets.ClassLabel(names=names)).save_to_disk(tmp_path / "own")
        for _ in range(2):
            assert read_parsed([tmp_path / "own"], (), (), tmp_path / "parsed", tmp_path).rows[1].values == {"mood": names[1]}


def test_the_commands_data_and_convert_take_a_saved_folder(split_folder, tmp_path, capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["data", str(split_folder)])
    assert "moods: 12 rows." in (told := capsys.readouterr().out) and "mood: class, task 'mood'" in told
    with pytest.raises(SystemExit, match="0"):
        main(["convert", str(split_folder / "train"), "--to", str(tmp_path / "out")])
    assert datasets.load_from_disk(tmp_path / "out")["mood"] == [None, *[index % 2 for index in range(1, 12)]]


def test_rows_are_written_to_a_folder_that_datasets_opens_with_the_names_of_its_classes(tmp_path):
    write_rows(tmp_path / "out", ROWS, [MOOD, PLACE, TOPICS])
    found = datasets.load_from_disk(tmp_path / "out")
    assert found.features["mood"] == datasets.ClassLabel(names=["bad", "good"]) and found["mood"] == [1, None, 0]
    assert found[0] == {"text": "Ann left Rome.", "mood": 1, "place": [{"start": 9, "end": 13, "label": "LOC"}], "topics": ["a", "b"]}
    assert read_files([tmp_path / "out"]).rows == ROWS


def test_a_saved_folder_is_replaced_and_nothing_else_is(tmp_path):
    for rows in (ROWS, ROWS[:2]):
        write_rows(tmp_path / "out", rows, [MOOD])
    assert len(read_files([tmp_path / "out"]).rows) == 2
    (tmp_path / "photos").mkdir()
    with pytest.raises(MtlError, match=r"^photos: this name is taken, and not by a folder of `datasets`, .* Choose another name.$"):
        write_rows(tmp_path / "photos", ROWS, [MOOD])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "photos"]


@pytest.mark.parametrize(("spoil", "message"), [
    (lambda folder: (folder / "state.json").unlink(), "own: is a folder, but not one that `datasets` saved: it has no state.json. Name a"),
    (lambda folder: (folder / "state.json").write_text("{}"), r"own: cannot be read as a saved dataset \('_data_files'\). Is it whole\?"),
    (lambda folder: (folder / "state.json").write_text("[]"), "own: cannot be read as a saved dataset"),
    (lambda folder: (folder / "dataset_info.json").unlink(), "own: cannot be read as a saved dataset"),
    (lambda folder: (folder / "data-00000-of-00001.arrow").write_bytes(b"x" * 99), "own: cannot be read as a saved dataset"),
    (lambda folder: dataset().select([]).save_to_disk(folder), "own: has columns but no rows"),
])
def test_a_folder_that_cannot_be_read_is_named_with_the_reason(spoil, message, tmp_path):
    dataset().save_to_disk(tmp_path / "own")
    spoil(tmp_path / "own")
    with pytest.raises(MtlError, match=f"^{message}") as caught:
        read_files([tmp_path / "own"])
    assert str(tmp_path) not in str(caught.value)


def test_splits_that_are_not_there_and_folders_that_are_too_large_are_refused(split_folder, tmp_path, monkeypatch):
    with pytest.raises(MtlError, match="^moods: holds several splits, and one is wanted. Name the folder of that split"):
        read_files([split_folder])
    shutil.rmtree(split_folder / "train")
    with pytest.raises(MtlError, match="^moods: has no split that is called train. Name the folder of one of its splits.$"):
        split_paths(config_of(split_folder), Path())
    monkeypatch.setattr(files, "MAX_BYTES", 100)
    with pytest.raises(MtlError, match=r"^moods_rest: has 0.0 MB, the limit is 0 MB"):
        read_files([split_folder / "rest"])
