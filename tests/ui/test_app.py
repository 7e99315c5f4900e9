"""mtl/ui without a page: what is highlighted, which file is for what, what the status line says, which buttons can be pressed, and how
the form becomes settings. test_live.py has the feed, test_page.py the page itself."""

import html
import json
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import pytest
from datasets import Dataset, DatasetDict
from hypothesis import given
from hypothesis import strategies as some

from mtl.data.dataset import load
from mtl.data.formats.files import part_of, split_of
from mtl.data.report import bundled_subwords, make_report
from mtl.data.words import Span
from mtl.errors import MtlError
from mtl.jobs.queue import Jobs
from mtl.runs.events import Estimated, Preparing, RunStarted, StatusChanged, StepDone
from mtl.runs.folder import create_run, list_runs
from mtl.runs.history import ACTIVE, RESUMABLE
from mtl.settings.best import BESTS
from mtl.settings.config import RunConfig, TaskSpec, make_config
from mtl.settings.recipes import RECIPES
from mtl.text import duration
from mtl.ui import data_view as view
from mtl.ui import form
from mtl.ui.app import build_app
from mtl.ui.data_view import Choice, data_key
from mtl.ui.messages import WithMessage, show_messages
from mtl.ui.status import enabled_buttons, facts
from tests.plain import Row
from tests.ui.test_charts import history_of

TASK = {"kind": "tagging", "labels": ["LOC"], "main_score": "f1"}
STARTED = RunStarted(0, 1200, 100, {"slots": TASK}, 40, 10, 1000, "cpu", "fp32", 2, 1, 7)
STEP = StepDone(300, 3.0, {"slots": 0.5}, 1e-4, 1.0, 1234.5, 60.0)


@pytest.mark.parametrize(("names", "expected"), [
    (["anything.csv"], {"train": ["anything.csv"]}),
    (["test.csv"], {"train": ["test.csv"]}),
    (["my_train.csv", "my_dev.csv"], {"train": ["my_train.csv"], "validation": ["my_dev.csv"]}),
    (["Train.JSONL", "VALID.jsonl", "Test.jsonl"], {"train": ["Train.JSONL"], "validation": ["VALID.jsonl"], "test": ["Test.jsonl"]}),
    (["a-validation.csv", "a-training.csv"], {"train": ["a-training.csv"], "validation": ["a-validation.csv"]}),
    (["corpus.csv", "corpus_val.csv"], {"train": ["corpus.csv"], "validation": ["corpus_val.csv"]}),
    (["dev1.csv", "train1.csv"], {"train": ["train1.csv"], "validation": ["dev1.csv"]}),
    (["latest.csv", "latest_dev.csv"], {"train": ["latest.csv"], "validation": ["latest_dev.csv"]}),  # 'test' within another word
    (["devices.csv", "devices_test.csv"], {"train": ["devices.csv"], "test": ["devices_test.csv"]}),
    (["values.csv", "test.csv"], {"train": ["values.csv"], "test": ["test.csv"]}),
    (["topic.csv", "ner.conll", "topic-dev.csv"], {"train": ["topic.csv", "ner.conll"], "validation": ["topic-dev.csv"]}),  # one per task
    (["seq.in", "label", "seq.out"], {"train": ["seq.in", "label", "seq.out"]}),
    (["dev.seq.in", "dev.label", "dev.seq.out"], {"train": ["dev.seq.in", "dev.label", "dev.seq.out"]})])
def test_several_files_are_told_apart_by_the_words_in_their_names(names, expected):
    folder = "/uploads/test-of-dev-and-train/"  # says nothing
    assert view.assign_files([folder + name for name in names]) == {
        f"{split}_files": tuple(folder + name for name in names) for split, names in expected.items()}


@pytest.mark.parametrize(("names", "message"), [
    ([], "No file yet"), (["dev.csv", "test.csv"], "None of the files is for training")])
def test_files_of_which_none_is_for_training_are_refused(names, message):
    with pytest.raises(MtlError, match=message):
        view.assign_files(names)


def test_the_report_shows_every_split_task_label_and_finding():
    dataset = load(make_config({"source": "newsroom"}), Path())
    report = make_report(dataset, 32, bundled_subwords())
    shown = view.report_html(report, dataset.tasks)
    assert all(part in shown for part in ("culture", "positive", "MISC", "<bdi>1,867</bdi>", "<bdi>306</bdi>",
                                          "topic</bdi>, classification: 6 labels",
                                          "entities</bdi>, tagging: 4 entity types"))
    assert all(html.escape(finding.what) in shown for finding in report.findings)
    grave = [finding for finding in report.findings if finding.severity != "note"]
    assert grave and all(html.escape(finding.what) in view.short_findings_html(report) for finding in grave)


def test_rows_are_shown_with_entities_classes_and_what_is_not_labelled():
    specs = [TaskSpec(name="topic", kind="classification"), TaskSpec(name="ner", kind="tagging")]
    rows = [Row("Ann left Rome", {"topic": "travel", "ner": (Span(0, 3, "PER"), Span(9, 13, "LOC"))}),
            Row("Hi", {"topic": None, "ner": None})]
    shown = view.examples_html(rows, specs, {"ner": ("LOC", "PER")})
    assert re.search(r"<mark[^>]*>Ann<sub><bdi>PER</bdi></sub></mark> left <mark[^>]*>Rome<sub><bdi>LOC</bdi></sub></mark>", shown)
    for name, value in (("topic", "travel"), ("topic", "(not labelled)"), ("ner", "(not labelled)")):
        assert f"<bdi>{name}</bdi>: <b><bdi>{value}</bdi></b>" in shown


EVIL = "<img src=x onerror=alert(1)>"


def test_nothing_that_a_user_wrote_becomes_a_part_of_the_page(tmp_path):
    rows = [{"text": f"{EVIL} {index}", EVIL: f"{EVIL}{index % 2}", "ner": [{"start": 0, "end": 4, "label": EVIL}]} for index in range(40)]
    (tmp_path / "evil.jsonl").write_text("".join(json.dumps(row) + "\n" for row in [*rows, *rows]))
    dataset = load(make_config({"source": "files", "train_files": (str(tmp_path / "evil.jsonl"),)}), tmp_path)
    report = make_report(dataset, 8, bundled_subwords())
    labels = {spec.name: spec.labels for spec in dataset.tasks}
    shown = view.report_html(report, dataset.tasks) + view.short_findings_html(report)
    shown += view.examples_html(report.examples, dataset.tasks, labels)
    assert "<img" not in shown and "&lt;img" in shown
    assert "<img" not in view.problem_html(EVIL)


@pytest.mark.parametrize(("events", "ahead", "there", "absent"), [
    ([], 2, ["2 runs ahead"], ["left"]),
    ([], 1, ["1 run ahead"], []),
    ([], 0, ["starting"], ["ahead"]),
    ([StatusChanged("queued"), Preparing("Reading <x>.csv", 0.4)], 0, ["Reading <x>.csv: 40%"], []),
    ([Preparing("Tokenising", 0.9), STARTED, StatusChanged("running"), STEP], 0, ["step 300 of 1,200"], ["Tokenising"]),
    ([STARTED, StatusChanged("running")], 0, ["step 0 of 1,200", "getting ready"], ["left"]),
    ([STARTED, StatusChanged("running"), Estimated(100.0, 60.0)], 0, ["about 2 min 40 s left"], ["getting ready", "at most"]),
    ([STARTED, StatusChanged("running"), Estimated(100.0, 60.0, may_end_early=True)], 0, ["at most about 2 min 40 s left"], []),
    ([STARTED, StatusChanged("running"), Estimated(9.0, 60.0), STEP], 0, ["about 3 min 45 s left", "1,234 sentences/s"], ["getting ready"]),
    ([STARTED, StatusChanged("running"), STEP], 0, ["step 300 of 1,200", "epoch 3.00", "1,234 sentences/s", "about 3 min 00 s left"],
     ["getting ready"]),
    ([STARTED, StatusChanged("running"), replace(STEP, sentences_per_second=9e9), *[STEP] * 10], 0, ["1,234 sentences/s"], []),
    ([STARTED, STEP, StatusChanged("paused")], 0, ["step 300 of 1,200", "1 min 00 s of training"], ["left"]),
    ([STARTED, STEP, StatusChanged("stopped", "Stopped at step 300.")], 0, ["1 min 00 s of training"], ["sentences/s"])])
def test_the_facts_say_what_matters_in_each_state(events, ahead, there, absent):
    shown = " \u00b7 ".join(facts(history_of(*events), ahead))
    assert all(part in shown for part in there) and not any(part in shown for part in absent)


@pytest.mark.parametrize(("seconds", "words"), [
    (None, "?"), (0, "0 s"), (59.4, "59 s"), (59.6, "1 min 00 s"), (3599.4, "59 min 59 s"), (3600, "1 h 00 min"), (90000, "25 h 00 min")])
def test_durations_are_shown_in_two_units_at_most(seconds, words):
    assert duration(seconds) == words


@pytest.mark.parametrize(("status", "expected"), [
    ("queued", ["stop"]), ("running", ["pause", "stop"]), ("paused", ["resume", "stop"]), ("stopping", []),
    ("finished", ["delete"]), *((status, ["resume", "delete"]) for status in RESUMABLE)])
def test_the_buttons_follow_from_the_state_and_are_the_owners(status, expected):
    over = status in (*RESUMABLE, "finished")
    assert enabled_buttons(status, is_owner=True, is_here=not over) == expected
    assert enabled_buttons(status, is_owner=False, is_here=not over) == []
    assert enabled_buttons(status, is_owner=True, is_here=False) == (expected if over else [])  # one from the terminal is stopped there
    assert over or status in ACTIVE


def test_a_space_can_be_duplicated_and_a_page_elsewhere_cannot(tmp_path, monkeypatch):
    for space in ("", "ann/mtl-studio"):
        monkeypatch.setenv("SPACE_ID", space)
        shown = [part for part in build_app(Jobs(tmp_path)).blocks.values() if getattr(part, "elem_id", "") == "duplicate"]
        assert len(shown) == bool(space)


def test_every_event_of_the_page_but_those_of_the_clock_can_say_what_went_wrong(tmp_path):
    page = build_app(Jobs(tmp_path))
    box = next(part for part in page.blocks.values() if getattr(part, "elem_id", "") == "message")
    events = [event for event in page.fns.values() if event.fn is not None and event.api_visibility == "private"]  # api.py has the others
    mute = [event for event in events if box not in event.outputs]
    assert len(events) > 40 and all("tick" in [name for _, name in event.targets] for event in mute)
    assert not any(box in event.show_progress_on for event in events if event.show_progress_on)


def ask(*outputs: str, handle, event: str = "submit") -> list:
    """What a page with one event gives for it: the values of its outputs, and the message."""
    with gr.Blocks() as page:
        parts, box = [gr.Textbox(part) for part in outputs], gr.HTML()
        getattr(gr.Textbox(), event)(handle, None, parts)
    show_messages(page, box)
    made = page.fns[0].fn()
    return made if outputs else [made]  # of a lone output, Gradio takes a list for its value


def test_a_refusal_is_said_escaped_and_the_outputs_are_left_alone():
    def refuse():
        raise MtlError("<b>No</b>.")

    for parts in ((), ("a",), ("a", "b")):
        *values, message = ask(*parts, handle=refuse)
        assert values == [gr.skip()] * len(parts) and "&lt;b&gt;No&lt;/b&gt;." in message and 'role="alert"' in message
    assert ask(handle=refuse) != ask(handle=refuse), "the same refusal, dismissed, must come back"


def test_an_unforeseen_error_is_said_with_a_reference_under_which_its_traceback_is_in_the_terminal(capsys):
    *values, message = ask("a", "b", handle=lambda: 1 / 0)
    reference = re.search(r"Internal error ([0-9a-f]{8})", message)[1]
    told = capsys.readouterr().out
    assert values == [gr.skip()] * 2 and f"[{reference}] Traceback" in told and "ZeroDivisionError" in told and "division" not in message


def test_what_a_person_does_next_takes_the_old_message_away_and_other_events_leave_it():
    assert ask("a", handle=lambda: "made") == ["made", ""] and ask(handle=lambda: None) == [""]
    assert ask("a", handle=lambda: "made", event="change") == ["made", gr.skip()] and ask(handle=lambda: 0, event="change") == [gr.skip()]
    *values, message = ask("a", "b", handle=lambda: WithMessage([1, 2], "Both are there."))
    assert values == [1, 2] and "Both are there." in message


def test_a_queue_with_nothing_to_do_leaves_the_cores_to_the_training(tmp_path):
    asleep = gr.Blocks().queue()._queue
    assert asleep.sleep_when_free > 0 and asleep.progress_update_sleep_when_free > 0  # gradio still calls them so
    made = build_app(Jobs(tmp_path))._queue
    assert made.sleep_when_free >= 0.02 and made.progress_update_sleep_when_free >= 0.1


@pytest.mark.parametrize(("steps", "recipe"), [(RECIPES["quick"].settings["max_steps"], "quick"), (0, "balanced"), (7, "balanced")])
def test_a_run_in_the_form_chooses_the_recipe_that_it_followed(tabs, steps, recipe):
    run = create_run(tabs.jobs.root, make_config({"source": "hypothetical", "max_steps": steps}))
    assert tabs.form.fill(run.id)[tabs.form.recipes.recipe] == recipe


def test_no_handler_waits_for_another_one_of_its_event_or_can_make_gradio_begin_it_again_and_again(tmp_path):
    events = build_app(Jobs(tmp_path)).fns.values()
    handlers = Counter(target for event in events for target in event.targets)
    assert max(handlers.values()) > 4
    alone = [event.targets for event in events if event.trigger_mode == "always_last" and event.fn]
    assert [targets for targets in alone if any(handlers[place, name] > 1 for place, name in targets if place is not None)] == []


def test_a_choice_that_is_gone_by_the_time_it_arrives_is_for_the_handler_to_judge(tabs):
    shown = tabs.compare.price("", {"key": "k"}, tabs.compare.start_from.preprocess("gone"), "{}", "1", "0.5", "10")
    assert shown[tabs.compare.start_from]["choices"] == [("The Train tab\nits data and settings", "form")]
    assert tabs.form.data.tasks.preprocess(["gone"]) == ["gone"] and tabs.train.menu.widget.preprocess("gone") == "gone"


def test_every_setting_is_on_the_page_once():
    shown = [*sum(form.fields().values(), []), *form.OWN_WAY]
    assert sorted(shown) == sorted(RunConfig.model_fields)


def test_an_untouched_form_is_the_default_settings():
    names = sum(form.fields().values(), [])
    assert form.make_run_config({name: form.make_widget(name).value for name in names}) == RunConfig()
    assert form.make_run_config({name: form.shown(name, getattr(RunConfig(), name)) for name in names}) == RunConfig()


@pytest.mark.parametrize(("values", "expected"), [
    ({"epochs": "7.0", "seed": " 3 ", "batch_size": "1e2"}, {"epochs": 7, "seed": 3, "batch_size": 100}),
    ({"learning_rate": "1e-3", "dropout": "0", "encoder_dropout": "0"}, {"learning_rate": 1e-3, "dropout": 0.0, "encoder_dropout": 0.0}),
    ({"encoder_dropout": ""}, {}), ({"encoder": " tiny \n", "name": " A run "}, {"encoder": "tiny", "name": "A run"}),
    ({"weights": ""}, {}), ({"weights": " intent = 2 , tags=0.5,"}, {"weights": {"intent": 2.0, "tags": 0.5}})])
def test_what_stands_in_the_form_becomes_settings(values, expected):
    assert form.make_run_config(values) == RunConfig(**expected)


@pytest.mark.parametrize(("values", "message"), [
    ({"epochs": "2.5"}, "Epochs: found 2.5"), ({"epochs": "1e400"}, "Epochs: found infinity"), ({"learning_rate": "0,5"}, "found '0,5'"),
    ({"learning_rate": "nan"}, "Learning rate: found NaN"), ({"encoder_dropout": "odd"}, "Encoder dropout: found 'odd'"),
    ({"weights": "intent"}, "'intent' is not of the form task=number"), ({"weights": "intent=much"}, "not of the form"),
    ({"weights": "intent=-1"}, "Loss weights, intent: found -1"), ({"weights": "intent=nan"}, "Loss weights, intent: found NaN"),
    ({"encoder": " "}, "Encoder: found an empty text"), ({"name": "a\x07"}, "cannot be shown")])
def test_a_wrong_setting_is_refused_in_words(values, message):
    with pytest.raises(MtlError, match=message):
        form.make_run_config(values)


def other_values(name: str) -> list:
    """Values of a setting that are not its default."""
    schema = RunConfig.model_json_schema()["properties"][name]
    schema = next((part for part in schema.get("anyOf", ()) if part["type"] != "null"), schema)
    plain = {"boolean": [True, False], "string": ["another"], "object": [{"intent": 0.1 + 0.2, "my tags": 2.0}]}
    if "enum" in schema or schema["type"] in plain:
        return schema.get("enum") or plain[schema["type"]]
    low, high = schema.get("minimum", 0), schema.get("maximum", schema.get("exclusiveMaximum", 1))
    return [low + 1, high - 1] if schema["type"] == "integer" else [low + (high - low) / 3, low + (high - low) * 1e-5]


ALL_FIELDS = sum(form.fields().values(), []) + ["alpha", "hypothetical_rows"]


@pytest.mark.parametrize("name", ALL_FIELDS)
def test_what_a_widget_shows_is_what_a_run_gets(name):
    for value in other_values(name):
        with gr.Blocks():
            widget = form.make_widget(name)
            seen = widget.preprocess(widget.postprocess(form.shown(name, value)))
        settings = {"balancing": "fixed", "weights": {"a": 1.0}} if name == "balancing" and value == "fixed" else {}
        assert getattr(form.make_run_config(settings | {name: seen}), name) == value
        assert widget.label == RunConfig.model_fields[name].title


@pytest.mark.parametrize("name", ALL_FIELDS)
def test_a_field_that_was_emptied_is_refused_by_its_label_or_nothing_is_a_value_of_it(name):
    field, with_nothing = RunConfig.model_fields[name], {"name": "", "weights": {}} | dict.fromkeys(
        ("alpha", "encoder_dropout", "learning_rate", "head_learning_rate", "epochs"))
    if name in with_nothing:
        assert getattr(form.make_run_config({name: ""}), name) == with_nothing[name]
        return
    for empty in ("", None):
        with pytest.raises(MtlError, match=f"^{field.title}: found (nothing|''|an empty text), wanted "):
            form.make_run_config({name: empty})


@pytest.mark.parametrize(("alpha", "weights", "balancing", "tasks", "expected"), [
    ("0.5", "", "even", 2, {}), ("0.3", "", "even", 2, {"alpha": 0.3}),
    ("0.5", "", "equal", 2, {"balancing": "equal"}), ("0.5", "", "fixed", 2, {"alpha": 0.5, "balancing": "fixed"}),
    ("0.3", "", "equal", 2, {"alpha": 0.3, "balancing": "fixed"}), ("0.3", "", "famo", 2, {"balancing": "famo"}),
    ("0.3", "a=2", "fixed", 2, {"weights": {"a": 2.0}, "balancing": "fixed"}), ("0.3", "", "even", 3, {}), ("", "", "even", 2, {}),
    ("7", "", "equal", 2, "Alpha: found 7, wanted a number from 0 to 1"), ("odd", "", "fixed", 2, "Alpha: found 'odd'"),
    ("", "", "fixed", 2, "Balancing: found 'fixed', but there are no weights"), ("0.5", "", "fixed", 3, "Balancing: found 'fixed'")])
def test_alpha_is_used_where_it_is_shown_or_it_is_said_that_it_is_not(alpha, weights, balancing, tasks, expected, tabs):
    values = {"weights": weights, "balancing": balancing}
    names = tuple("abc"[:tasks])
    widget = tabs.form.show_alpha(str(Choice("data", names, names[::-1])), weights, balancing)
    if isinstance(expected, str):
        with pytest.raises(MtlError, match=expected):
            form.make_run_config(values | form.weighing(alpha, values, tasks))
        return
    config = form.make_run_config(values | form.weighing(alpha, values, tasks))
    assert config == RunConfig(**expected)
    assert widget["visible"] == (tasks == 2)
    if tasks == 2:
        assert widget["label"] == "Alpha: a against b"  # in the order of the data, however they were ticked
        assert widget["interactive"] != widget["info"].startswith("Not used: ")
        assert widget["interactive"] or config.alpha is None
        assert balancing == "fixed" or tabs.form.show_fixed(alpha, weights, balancing) == config.balancing  # what the menu shows then


def test_the_menu_of_what_is_best_lists_the_tasks_that_are_ticked(tabs):
    assert tabs.form.show_bests(str(Choice("data", ("a", "b", "c"), ("c", "a"))))["choices"] == [*BESTS, "a", "c"]
    assert tabs.form.show_bests("")["choices"] == [*BESTS]  # before the data are read


@pytest.mark.parametrize(("before", "data", "found", "expected"), [
    (Choice(), "new", ("a", "b"), ("a", "b")),
    (Choice("old", ("a", "b", "c"), ("a",)), "new", ("a", "b"), ("a", "b")),  # what was ticked in other data is no wish for these
    (Choice("same", ("a", "b", "c"), ("a", "c")), "same", ("a", "b", "c"), ("a", "c")),
    (Choice("same", ("a", "b", "c"), ("a",)), "same", ("a", "b", "renamed"), ("a", "renamed")),
    (Choice("same", ("a", "b"), ()), "same", ("a", "b"), ()),
    (Choice("same", None, ("a", "c")), "same", ("a", "b", "c"), ("a", "c")),  # of a run that was put into the form
    (Choice("same", None, ("gone",)), "same", ("a", "b"), ("a", "b")),
    (Choice("same", (), ()), "same", ("a", "b"), ("a", "b")),  # a file that could not be read, put right
    (Choice(), "new", tuple("abcdefghij"), tuple("abcdefgh"))])
def test_a_choice_of_tasks_belongs_to_its_data(before, data, found, expected):
    assert Choice.read(str(before)) == before
    assert before.among(data, found) == Choice(data, found, expected)


def test_data_are_the_same_as_long_as_the_widgets_name_the_same():
    assert data_key("newsroom", ["a"], "hub", "run") == data_key("newsroom", None, "", "")
    assert data_key("files", ["a"], "", "run") == data_key("files", ["a"], "hub", "")
    assert len({data_key("files", ["a"], "", ""), data_key("files", ["a", "b"], "", ""), data_key("files", None, "", "run"),
                data_key("hub", None, "", "run"), data_key("hub", None, "x", "run"), data_key("hypothetical", None, "", "")}) == 6


def test_start_takes_all_tasks_before_the_data_were_read_and_then_those_that_are_ticked(tabs, filled, write_rows, easy_rows, tmp_path):
    file = write_rows(tmp_path / "own.jsonl", easy_rows(40))
    key = data_key("files", [file], "", "")

    def asked(choice: Choice, file: str = file, **settings: str) -> RunConfig:
        return tabs.form.config(filled(files=[file], choice=str(choice), settings=settings))

    for choice, expected in [(Choice("other data", ("x",), ("x",)), ["answer", "place"]), (Choice(), ["answer", "place"]),
                             (Choice(key, ("answer", "place"), ("place",)), ["place"])]:
        assert [task.name for task in asked(choice).tasks] == expected
    with pytest.raises(MtlError, match="No task is chosen"):
        asked(Choice(key, ("answer", "place"), ()))
    with pytest.raises(MtlError, match="^Batch size: found nothing, wanted a whole number from 1 to 4,096, such as 16.$"):
        asked(Choice(), str(tmp_path / "not read.jsonl"), batch_size="")  # an error in a setting is reported before the data are read
    fixed = asked(Choice(), balancing="fixed")  # with the alpha that is in its field at first
    assert (fixed.alpha, fixed.balancing, [task.name for task in fixed.tasks]) == (0.5, "fixed", ["answer", "place"])


def understand(tabs, values: dict, progress=lambda share, desc: None) -> dict:
    """What the page shows of the data that `values` name, by the names of the widgets in the panel."""
    names = {widget: name for name, widget in vars(tabs.form.data).items() if isinstance(widget, gr.blocks.Block)}
    return {names[widget]: shown for widget, shown in tabs.form.data.understand(values, progress=progress).items()}


def test_every_long_part_of_looking_at_data_is_named(tabs, filled, write_rows, easy_rows, tmp_path):
    file, told = write_rows(tmp_path / "own.jsonl", easy_rows(2500)), []
    values = filled(files=[file])
    understand(tabs, values, progress=lambda share, desc: told.append(desc))
    assert list(dict.fromkeys(told)) == ["Looking at own.jsonl", "Reading own.jsonl", "Setting rows aside to measure on",
                                         "Looking at the rows", "Measuring the texts"]
    told.clear()
    tabs.form.config(values, progress=lambda what, share: told.append(what))
    assert told == []  # nothing is read again


def test_more_tasks_than_can_be_trained_are_said_and_ticking_them_all_is_refused_in_words(tabs, filled, tmp_path):
    names, file = [f"task{letter}" for letter in "abcdefghijkl"], tmp_path / "many.csv"
    file.write_text(",".join(["text", *names]) + "\n" + "".join(f"row {at} is here{f',label {at % 2}' * 12}\n" for at in range(50)))
    values = filled(files=[str(file)])
    shown = understand(tabs, values)
    assert "12 tasks were found. At most 8 can be trained together" in shown["summary"]
    assert shown["tasks"]["choices"] == names and Choice.read(shown["choice"]).ticked == tuple(names[:8])
    all_ticked = Choice(data_key("files", [str(file)], "", ""), tuple(names), tuple(names))
    with pytest.raises(MtlError, match="^Tasks: found 12, wanted at most 8. Leave some out.$"):
        tabs.form.config(values | {tabs.form.data.choice: str(all_ticked)})


@pytest.mark.parametrize(("name", "text", "message"), [
    ("empty.jsonl", "", "empty.jsonl: is empty."), ("words.csv", "Just one sentence\nand another one\n", "words.csv"),
    ("lengths.jsonl", '{"tokens": ["Anna", "came"], "tags": ["B-PER", "O"]}\n{"tokens": ["Anna", "left"], "tags": ["B-PER"]}\n',
     "lengths.jsonl, line 2: 2 tokens but 1 tag")])
def test_a_file_that_cannot_be_read_has_no_tasks_and_its_error_in_the_place_of_its_summary(tabs, filled, tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    shown = understand(tabs, filled(files=[str(tmp_path / name)]))
    assert shown["summary"].startswith(message) and shown["tasks"]["choices"] == []


def test_too_many_files_are_refused_in_words_without_a_path(tabs, filled, tmp_path):
    files = [tmp_path / f"part{index}.csv" for index in range(40)]
    for file in files:
        file.write_text("text,one\nrow 1,a\nrow 2,b\n")
    assert understand(tabs, filled(files=list(map(str, files))))["summary"] == (
        "Training files: found 40, wanted at most 32. Leave some out.")


@pytest.mark.parametrize(("kind", "text", "message"), [
    ("alone", "2.5", "Seeds: found 2.5, wanted a whole number from 1 to 10."),
    ("alone", "", "Seeds: found nothing, wanted a whole number from 1 to 10."),
    ("search", "soon", "Minutes: found 'soon', wanted a number from 0")])
def test_the_fields_of_the_compare_tab_refuse_what_cannot_be(tabs, filled, kind, text, message):
    with pytest.raises(MtlError, match=message):
        tabs.compare.start(kind, filled("newsroom") | {tabs.compare.start_from: "form", tabs.compare.times[kind]: text})
    assert not list_runs(tabs.jobs.root / "comparisons")


def test_the_table_of_columns_shows_what_each_is_for_and_brings_what_the_user_says(tabs, filled, tmp_path):
    file = tmp_path / "own.csv"
    file.write_text("Text,<b>Mood</b>\n" + "".join(f"row {index} here,{('sad', 'glad')[index % 2]}\n" for index in range(40)))

    def columns(source: str = "files", **changes: str) -> str:
        return understand(tabs, filled(source, files=[str(file)], **changes))["columns"]

    def set_columns(known: str, rows: list[dict]) -> str:
        return tabs.form.data.set_columns(known, SimpleNamespace(rows=json.dumps(rows)))

    shown = columns()
    assert "<b>Mood" not in shown and 'value="class" selected' in shown and "sad | glad" in html.unescape(shown)
    rows = [{"group": "", "column": "Text", "role": "text", "task": "forgotten"},
            {"group": "", "column": "<b>Mood</b>", "role": "class", "task": " mood "}]
    known = set_columns("", rows)
    assert [(spec["role"], spec["task"]) for spec in json.loads(known)] == [("text", ""), ("class", "mood")]
    assert 'value="mood"' in columns(specs=known)
    assert [task.name for task in tabs.form.config(filled(files=[str(file)], specs=known)).tasks] == ["mood"]
    assert [spec["role"] for spec in json.loads(set_columns(known, [rows[1] | {"role": "ignore"}]))] == ["text", "ignore"]
    assert columns("newsroom") == ""


def test_the_files_of_a_run_are_not_taken_for_data_of_another_kind(tabs, filled, write_rows, easy_rows, tmp_path):
    config = make_config({"source": "files", "train_files": (write_rows(tmp_path / "own.jsonl", easy_rows(40)),)})
    run, data = create_run(tabs.jobs.root, config), tabs.form.data
    assert [Path(name).name for name in data.values(filled(data_run=run.id))["train_files"]] == ["own.jsonl"]
    with pytest.raises(MtlError, match="Look the dataset up, then download it"):
        data.values(filled("hub", data_run=run.id))


def test_the_files_of_validation_and_test_are_named_also_those_of_a_saved_dataset(tabs, filled, write_rows, easy_rows, tmp_path):
    files = [write_rows(tmp_path / f"{split}.jsonl", easy_rows(20)) for split in ("train", "dev", "test")]
    DatasetDict({split: Dataset.from_dict({"text": [f"{split} {index}" for index in range(20)], "mood": ["sad", "glad"] * 10})
                 for split in ("train", "dev", "test")}).save_to_disk(tmp_path / "moods")
    for paths, names in ((files, ("dev.jsonl", "test.jsonl")), ([str(tmp_path / "moods")], ("moods_dev", "moods_test"))):
        shown = understand(tabs, filled(files=paths))["summary"]
        assert f"20 training rows. validation: {names[0]}. test: {names[1]}." in shown and "no validation file" not in shown


def test_files_of_one_name_get_names_of_their_own(tmp_path):
    paths = []
    for folder, name in [("a", "own.csv"), ("b", "own.csv"), ("c", "Own.csv"), ("a", "seq.in"), ("b", "seq.in"), ("a", "train.csv")]:
        (tmp_path / folder).mkdir(exist_ok=True)
        paths.append(str(tmp_path / folder / name))
        Path(paths[-1]).write_text(folder + name)
    apart = view.name_apart([*paths, paths[0]])
    assert [Path(path).name for path in apart] == ["own.csv", "own-2.csv", "Own-3.csv", "seq.in", "2-seq.in", "train.csv"]
    assert [Path(path).read_text() for path in apart] == [Path(path).read_text() for path in paths]
    assert view.name_apart(apart) == apart and split_of(Path("train-2.csv")) == "train" and part_of(Path("2-seq.in")) == "seq.in"


@given(some.dictionaries(some.sampled_from(["intent", "my tags", "a=b"]), some.floats(0, 1e6)))
def test_the_weights_of_a_run_come_back_into_the_form_as_they_were(weights):
    assert form.make_run_config({"weights": form.shown("weights", weights)}).weights == weights
