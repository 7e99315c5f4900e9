"""mtl/data/rows.py and mtl/data/dataset.py: the labels of tasks, and what a run's settings become."""

import contextlib
from collections import Counter

import pytest

from mtl.data import store
from mtl.data.dataset import SPLIT, choose_tasks, load
from mtl.data.rows import Table, count_all, learn_labels
from mtl.data.words import Span
from mtl.errors import MtlError
from mtl.model.batching import make_examples
from mtl.settings.config import MAX_LABELS, TaskSpec, make_config
from mtl.settings.shorthand import parse_columns
from mtl.tasks import make_task
from tests.plain import Row

INTENT, SLOTS = TaskSpec(name="intent", kind="classification"), TaskSpec(name="slots", kind="tagging")


@pytest.fixture
def ask(tmp_path, write_rows):
    """A function that writes the files' rows and loads them with the settings."""
    def load_files(train, validation=None, test=None, **settings):
        files = {f"{name}_files": (write_rows(tmp_path / f"{name}.jsonl", rows),)
                 for name, rows in (("train", train), ("validation", validation), ("test", test)) if rows}
        return load(make_config({"source": "files", **files, **settings}), tmp_path)

    return load_files


def plain_rows(count: int = 20, **more) -> list[dict]:
    return [{"text": f"go {index} now", "intent": ("book", "fly")[index % 2], **more} for index in range(count)]


# Labels


def test_labels_are_learned_sorted():
    rows = [Row("a", {"intent": "fly", "slots": (Span(0, 1, "PER"), Span(2, 3, "LOC"))}), Row("b", {"intent": "book", "slots": None})]
    counts = count_all(rows, ["intent", "slots"])
    assert counts == {"intent": {"fly": 1, "book": 1}, "slots": {"PER": 1, "LOC": 1}}
    assert learn_labels(counts["intent"], INTENT, "x").labels == ("book", "fly")
    assert learn_labels(counts["slots"], SLOTS, "x").labels == ("LOC", "PER")


@pytest.mark.parametrize(("spec", "labels", "message"), [
    (INTENT, [], "x.csv: task 'intent' has no label in any row"), (SLOTS, [], "x.csv: task 'slots' has no entity in any row"),
    (INTENT, ["book", "book"], "x.csv: task 'intent' has one label, 'book'; at least 2"), (SLOTS, ["X"], ""),
    (INTENT, map(str, range(MAX_LABELS + 1)), f"has {MAX_LABELS + 1:,} different labels, the limit is {MAX_LABELS:,}"),
    (INTENT, map(str, range(MAX_LABELS)), "")])
def test_labels_that_cannot_be_learned_from_are_an_error_with_the_file(spec, labels, message):
    counts = Counter(labels)
    with pytest.raises(MtlError, match=message) if message else contextlib.nullcontext():
        assert len(learn_labels(counts, spec, "x.csv").labels) == len(counts)


# From settings to rows


def test_validation_is_a_share_of_the_training_file_unless_it_has_a_file(ask):
    dataset = ask(plain_rows(40), validation_share=0.25)
    assert (len(dataset.train), len(dataset.validation), dataset.test) == (30, 10, [])
    assert not {row.text for row in dataset.train} & {row.text for row in dataset.validation}
    assert dataset.tasks == [TaskSpec(name="intent", kind="classification", labels=("book", "fly"))]
    dataset = ask(plain_rows(20), validation=plain_rows(6), test=plain_rows(4))
    assert (len(dataset.train), len(dataset.validation), len(dataset.test), dataset.notices) == (20, 6, 4, [])
    dataset = ask(plain_rows(2))
    assert (len(dataset.train), len(dataset.validation)) == (1, 1)


def test_a_validation_label_that_training_never_saw_is_told(ask):
    dataset = ask(plain_rows(), validation=[*plain_rows(4), {"text": "swim", "intent": "swim"}])
    assert dataset.tasks[0].labels == ("book", "fly")
    assert any("validation.jsonl" in notice and "never occurs in training" in notice and "swim" in notice for notice in dataset.notices)


def test_a_validation_file_without_any_of_the_tasks_is_an_error(ask):
    with pytest.raises(MtlError, match="validation.jsonl: has none of the training file's tasks \\(intent\\)"):
        ask(plain_rows(), validation=[{"text": "a b", "mood": "good"}, {"text": "b c", "mood": "bad"}])


def test_validation_and_test_are_read_with_the_columns_of_the_training_file(ask):
    def rows(count):
        return [{"title": f"news {index}", "stars": index % 2, "text": f"go {index} now"} for index in range(count)]

    dataset = ask(rows(20), validation=rows(4), test=rows(3), columns=parse_columns("title=text,stars=class:score,text=ignore"))
    assert [row.text for row in dataset.validation] == ["news 0", "news 1", "news 2", "news 3"]
    assert dataset.test[1].values == {"score": "1"}
    with pytest.raises(MtlError, match="validation.jsonl: there is no column 'title'. The columns are: text, stars"):
        ask(rows(20), validation=[{"text": "a b", "stars": 1}], columns=parse_columns("title=text,stars=class:score,text=ignore"))


def test_several_training_files_and_a_validation_file_for_one_of_them(tmp_path, write_rows):
    slots = [{"start": 0, "end": 2, "label": "X"}]
    intents = [{"text": f"go {index}", "label": ("in", "out")[index % 2]} for index in range(10)]
    train = (write_rows(tmp_path / "intents.train.jsonl", intents),
             write_rows(tmp_path / "slots.train.jsonl", [{"text": f"to {index}", "entities": slots} for index in range(10)]))
    validation = (write_rows(tmp_path / "intents.validation.jsonl", [{"text": "go", "label": "in"}]),)
    dataset = load(make_config({"source": "files", "train_files": train, "validation_files": validation}), tmp_path)
    assert [(spec.name, spec.kind, spec.labels) for spec in dataset.tasks] == [
        ("intents", "classification", ("in", "out")), ("slots", "tagging", ("X",))]
    assert len(dataset.train) == 20 and dataset.train[0].values == {"intents": "in", "slots": None}
    assert [row.values for row in dataset.validation] == [{"intents": "in", "slots": None}]
    assert dataset.notices == ["Validation has no row labelled for 'slots': its score cannot be shown."]


def test_labels_that_differ_only_by_case_are_told(ask):
    dataset = ask([*plain_rows(10), {"text": "go", "intent": "Book"}], validation=plain_rows(4))
    assert dataset.notices == ["train.jsonl: the labels 'book' and 'Book' of 'intent' differ only by case or accents; they are kept apart."]


def test_only_the_tasks_asked_for_are_kept_and_rows_without_their_labels_left_out(ask):
    rows = [*plain_rows(10, mood="good"), {"text": "no intent", "mood": "bad"}, {"text": "nothing"}]
    dataset = ask(rows, tasks=(INTENT,))
    kept = [*dataset.train, *dataset.validation]
    assert len(kept) == 10 and all(set(row.values) == {"intent"} for row in kept)
    assert any("2 of 12 rows have no label for any task and are left out" in notice for notice in dataset.notices)


def test_an_unknown_task_another_kind_or_no_task_is_an_error(ask):
    for spec, message in ((SLOTS, "there is no task 'slots'. The tasks found are: intent"),
                          (TaskSpec(name="intent", kind="tagging"), "'intent' holds classification labels, but tagging was asked for")):
        with pytest.raises(MtlError, match=message):
            ask(plain_rows(), tasks=(spec,))
    with pytest.raises(MtlError, match="x: has texts but no labels"):
        choose_tasks(Table([Row("a", {})], []), (), "x")


def test_too_many_tasks_are_an_error_until_some_are_chosen(ask):
    columns = {f"task{number}": None for number in range(9)}
    rows = [row | {column: row["intent"] for column in columns} for row in plain_rows()]
    with pytest.raises(MtlError, match="10 tasks were found .* the limit is 8. Choose some"):
        ask(rows)
    assert len(ask(rows, tasks=(INTENT,)).tasks) == 1


def test_one_row_cannot_be_learned_from_and_measured_on(ask):
    one = [{"text": "Rome", "slots": [{"start": 0, "end": 4, "label": "LOC"}]}]
    with pytest.raises(MtlError, match="train.jsonl: has 1 labelled row; at least 2 are needed"):
        ask(one)
    dataset = ask(one, validation=one)
    assert (len(dataset.train), len(dataset.validation)) == (1, 1)


def test_hypothetical_data_follow_from_the_seed(tmp_path):
    asked = {"source": "hypothetical", "hypothetical_rows": 40}
    first, again, other = (load(make_config(asked | {"seed": seed}), tmp_path) for seed in (1, 1, 2))
    assert first == again and first.train != other.train
    assert [spec.name for spec in first.tasks] == ["class", "sentiment", "entities"]


# Labels that the user gave


LOC_ONLY = TaskSpec(name="slots", kind="tagging", labels=("LOC",))
WORDS = ("left", "came", "sang", "slept", "wrote")


def marked_rows(count: int) -> list[dict]:
    """Rows of which each has a LOC and a PER; the intent is book, fly or stay in turn."""
    spans = [{"start": 0, "end": 4, "label": "LOC"}, {"start": 5, "end": 9, "label": "PER"}]
    return [{"text": f"Rome Anna {WORDS[index % 5]} {WORDS[index // 5]}", "slots": spans, "intent": ("book", "fly", "stay")[index % 3]}
            for index in range(count)]


def test_entities_of_types_that_were_not_asked_for_are_no_entities_in_any_split(ask):
    dataset = ask(marked_rows(20), validation=marked_rows(6), test=marked_rows(4), tasks=(LOC_ONLY,))
    for rows in (dataset.train, dataset.validation, dataset.test):
        assert {row.values["slots"] for row in rows} == {(Span(0, 4, "LOC"),)}
    assert dataset.tasks == [LOC_ONLY]
    assert dataset.notices == [f"{name}: {count} of {2 * count} entities of 'slots' have another label than the given ones (PER {count}); "
                               "they count as no entities, in training and in scores."
                               for name, count in (("train.jsonl", 20), ("test.jsonl", 4), ("validation.jsonl", 6))]


def test_words_of_entities_that_were_not_asked_for_are_taught_as_o(ask, tiny):
    dataset = ask(marked_rows(20), tasks=(LOC_ONLY,))
    task = make_task(dataset.tasks[0])
    (encoding, labels), = make_examples(tiny[1], [task], dataset.train[:1], 32)
    taught = [task.tags[labels["slots"][first]] for first in encoding.firsts]
    assert taught == ["B-LOC", "O", "O", "O"]


def test_rows_of_classes_that_were_not_asked_for_are_not_labelled_for_the_task(ask):
    intent = INTENT.model_copy(update={"labels": ("book", "fly")})
    dataset = ask(marked_rows(24), tasks=(intent, SLOTS))
    kept = [*dataset.train, *dataset.validation]
    assert Counter(row.values["intent"] for row in kept) == {"book": 8, "fly": 8, None: 8}
    assert dataset.notices == ["train.jsonl: 8 of 24 labelled rows of 'intent' have another label than the given ones (stay 8); "
                               "they count as rows that are not labelled for it."]
    alone = ask(marked_rows(24), tasks=(intent,))
    assert len([*alone.train, *alone.validation]) == 16 and "8 of 24 rows have no label for any task and are left out" in alone.notices[1]


def test_labels_given_change_rows_in_a_file_as_they_change_rows_in_a_list(tmp_path, write_rows, monkeypatch):
    config = make_config({"source": "files", "train_files": (write_rows(tmp_path / "train.jsonl", marked_rows(24)),), "tasks": (LOC_ONLY,)})
    of_list = load(config, tmp_path)
    monkeypatch.setattr(store, "KEPT_IN_MEMORY", 5)
    of_file = load(config, tmp_path, tmp_path / "rows")
    assert isinstance(of_file.train, store.Stored)
    assert (list(of_file.train), list(of_file.validation), of_file.notices) == (of_list.train, of_list.validation, of_list.notices)


def test_runs_that_are_compared_share_the_labels_given_and_the_split(tmp_path, write_rows):
    file = write_rows(tmp_path / "train.jsonl", marked_rows(24))
    intent = INTENT.model_copy(update={"labels": ("book", "fly")})
    whole = make_config({"source": "files", "train_files": (file,), "tasks": (intent, LOC_ONLY), "validation_share": 0.3})
    (tmp_path / "member").mkdir()
    (tmp_path / "member" / SPLIT).write_text(whole.model_dump_json(), encoding="utf-8")
    one = load(whole.model_copy(update={"tasks": (INTENT,), "seed": 9}), tmp_path / "member")
    both = load(whole, tmp_path)
    for part, of_both in ((one.train, both.train), (one.validation, both.validation)):
        assert part == [row for row in of_both if row.values["intent"]]
    assert one.tasks == [intent]


def test_a_task_that_train_can_spare_no_row_of_is_told_with_what_to_do(ask):
    rows = [*plain_rows(20), {"text": "one text", "mood": "good"}, {"text": "One text!", "mood": "bad"}]
    assert ask(rows).notices[-1].startswith("Validation has no row labelled for 'mood': its score cannot be shown. Train can spare none of "
                                            "its rows: label at least two ")


def test_labels_that_are_only_in_validation_since_there_are_too_few_texts_are_told(ask):
    dataset = ask([{"text": "go now", "intent": "go"}, {"text": "stay here", "intent": "stay"}])
    assert dataset.notices == ["train.jsonl: there are too few different texts to spare one from train. The labels that only validation "
                               "has (1) never occur in training and will count as mistakes. Add rows."]
