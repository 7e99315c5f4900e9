"""mtl/ui without a page: what is highlighted, which file is for what, what the status line says, which buttons can be pressed, and how
the form becomes settings. test_charts.py has the plots, test_page.py the page itself."""

import html
import json
import re
from pathlib import Path

import gradio as gr
import pytest
from hypothesis import given
from hypothesis import strategies as some

from mtl.config import RunConfig, TaskSpec, make_config
from mtl.data import load
from mtl.data.hypothetical import make_rows
from mtl.data.report import bundled_subwords, make_report
from mtl.data.rows import Row
from mtl.data.words import Span
from mtl.errors import MtlError
from mtl.events import Logged, Preparing, RunStarted, StatusChanged, StepDone
from mtl.jobs import Jobs
from mtl.runs import ACTIVE, RESUMABLE, YIELDED, History
from mtl.tasks.base import Tagged
from mtl.ui import build_app, form
from mtl.ui.charts import PALETTE, colours
from mtl.ui.data_view import assign_files, examples_html, problem_html, report_html, short_findings_html, task_table
from mtl.ui.messages import Said, let_all_tell, message_box
from mtl.ui.predict_tab import highlighted
from mtl.ui.status import Buttons, duration, status_html
from mtl.ui.train_tab import EARLY, REDRAWN, news


def tagged(*spans: Span) -> Tagged:
    return Tagged(spans, (0.9,) * len(spans))


def history(*events) -> History:
    made = History()
    for event in events:
        made.add(Logged(1.0, event))
    return made


TASK = {"kind": "tagging", "labels": ["LOC"], "main_score": "f1"}
STARTED = RunStarted(0, 1200, 100, {"slots": TASK}, 40, 10, 1000, "cpu", "fp32", 2, 1, 7)
STEP = StepDone(300, 3.0, {"slots": 0.5}, 1e-4, 1.0, 1234.5, 60.0)


# What is highlighted


@pytest.mark.parametrize(("spans", "expected"), [
    ((), [("Anna is  in Rome", None)]),
    ((Span(0, 4, "PER"),), [("Anna", "PER"), (" is  in Rome", None)]),
    ((Span(12, 16, "LOC"),), [("Anna is  in ", None), ("Rome", "LOC")]),
    ((Span(0, 16, "ALL"),), [("Anna is  in Rome", "ALL")]),
    ((Span(0, 4, "PER"), Span(4, 7, "X"), Span(9, 11, "X")),
     [("Anna", "PER"), (" is", "X"), ("  ", None), ("in", "X"), (" Rome", None)])])
def test_a_highlighted_sentence_is_cut_at_its_entities_and_nowhere_else(spans, expected):
    assert highlighted("Anna is  in Rome", tagged(*spans)) == expected


@given(some.text(max_size=30), some.data())
def test_the_pieces_of_any_sentence_are_the_sentence_and_its_entities(text, data):
    cuts = sorted(data.draw(some.sets(some.integers(0, len(text)), max_size=8)))
    spans = [Span(start, end, "X") for start, end in zip(cuts[::2], cuts[1::2], strict=False)]
    found = highlighted(text, tagged(*spans))
    assert "".join(piece for piece, _ in found) == text
    assert [piece for piece, label in found if label] == [text[span.start:span.end] for span in spans]
    assert all(piece for piece, _ in found)


def test_a_label_has_its_colour_whatever_the_sentence_and_colours_never_run_out():
    labels = tuple(f"L{number}" for number in range(25))
    assert list(colours(labels)) == list(labels) and set(colours(labels).values()) == set(PALETTE)
    assert colours(labels)["L3"] == colours(labels[:4])["L3"]


# The data


@pytest.mark.parametrize(("names", "expected"), [
    (["anything.csv"], {"train": ["anything.csv"]}),
    (["test.csv"], {"train": ["test.csv"]}),
    (["my_train.csv", "my_dev.csv"], {"train": ["my_train.csv"], "dev": ["my_dev.csv"]}),
    (["Train.JSONL", "VALID.jsonl", "Test.jsonl"], {"train": ["Train.JSONL"], "dev": ["VALID.jsonl"], "test": ["Test.jsonl"]}),
    (["a-validation.csv", "a-training.csv"], {"train": ["a-training.csv"], "dev": ["a-validation.csv"]}),
    (["corpus.csv", "corpus_val.csv"], {"train": ["corpus.csv"], "dev": ["corpus_val.csv"]}),
    (["dev1.csv", "train1.csv"], {"train": ["train1.csv"], "dev": ["dev1.csv"]}),
    (["latest.csv", "latest_dev.csv"], {"train": ["latest.csv"], "dev": ["latest_dev.csv"]}),  # 'test' within another word
    (["devices.csv", "devices_test.csv"], {"train": ["devices.csv"], "test": ["devices_test.csv"]}),
    (["values.csv", "test.csv"], {"train": ["values.csv"], "test": ["test.csv"]}),
    (["topic.csv", "ner.conll", "topic-dev.csv"], {"train": ["topic.csv", "ner.conll"], "dev": ["topic-dev.csv"]}),  # one file per task
    (["seq.in", "label", "seq.out"], {"train": ["seq.in", "label", "seq.out"]}),
    (["dev.seq.in", "dev.label", "dev.seq.out"], {"train": ["dev.seq.in", "dev.label", "dev.seq.out"]})])
def test_several_files_are_told_apart_by_the_words_in_their_names(names, expected):
    folder = "/uploads/test-of-dev-and-train/"  # says nothing
    assert assign_files([folder + name for name in names]) == {
        f"{split}_files": tuple(folder + name for name in names) for split, names in expected.items()}


@pytest.mark.parametrize(("names", "message"), [
    ([], "No file yet"), (["dev.csv", "test.csv"], "None of the files is for training")])
def test_files_of_which_none_is_for_training_are_refused(names, message):
    with pytest.raises(MtlError, match=message):
        assign_files(names)


def test_the_table_shows_every_task():
    table = make_rows(50, 1, "learnable")
    tasks = task_table(table, table.tasks)
    assert list(tasks["task"]) == ["class", "sentiment", "entities"] and list(tasks["labelled rows"]) == ["50 of 50"] * 3
    assert tasks["labels"][0].startswith("4: ")


def test_the_report_shows_every_split_task_label_and_finding():
    dataset = load(make_config({"source": "newsroom"}), Path())
    report = make_report(dataset, 32, bundled_subwords())
    shown = report_html(report, dataset.tasks)
    for label in ("culture", "positive", "MISC", "<bdi>1,867</bdi>", "<bdi>306</bdi>", "topic</bdi>: 6 labels",
                  "entities</bdi>: 4 entity types"):
        assert label in shown, label
    assert all(html.escape(finding.what) in shown for finding in report.findings)
    grave = [finding for finding in report.findings if finding.severity != "note"]
    assert grave and all(html.escape(finding.what) in short_findings_html(report) for finding in grave)


def test_rows_are_shown_with_entities_classes_and_what_is_not_labelled():
    specs = [TaskSpec(name="topic", kind="classification"), TaskSpec(name="ner", kind="tagging")]
    rows = [Row("Ann left Rome", {"topic": "travel", "ner": (Span(0, 3, "PER"), Span(9, 13, "LOC"))}),
            Row("Hi", {"topic": None, "ner": None})]
    shown = examples_html(rows, specs, {"ner": ("LOC", "PER")})
    assert re.search(r"<mark[^>]*>Ann<sub><bdi>PER</bdi></sub></mark> left <mark[^>]*>Rome<sub><bdi>LOC</bdi></sub></mark>", shown)
    for name, value in (("topic", "travel"), ("topic", "(not labelled)"), ("ner", "(not labelled)")):
        assert f"<bdi>{name}</bdi>: <b><bdi>{value}</bdi></b>" in shown


EVIL = "<img src=x onerror=alert(1)>"


def test_nothing_that_a_file_says_becomes_a_part_of_the_page(tmp_path):
    rows = [{"text": f"{EVIL} {index}", EVIL: f"{EVIL}{index % 2}", "ner": [{"start": 0, "end": 4, "label": EVIL}]} for index in range(40)]
    (tmp_path / "evil.jsonl").write_text("".join(json.dumps(row) + "\n" for row in [*rows, *rows]))
    dataset = load(make_config({"source": "files", "train_files": (str(tmp_path / "evil.jsonl"),)}), tmp_path)
    report = make_report(dataset, 8, bundled_subwords())
    labels = {spec.name: spec.labels for spec in dataset.tasks}
    shown = report_html(report, dataset.tasks) + short_findings_html(report) + examples_html(report.examples, dataset.tasks, labels)
    assert "<img" not in shown and "&lt;img" in shown
    assert "<img" not in problem_html(EVIL)


# The state


def test_the_status_escapes_what_a_user_wrote():
    made = history(STARTED, StatusChanged("failed", "<script>alert('message')</script> & more"))
    shown = status_html(made, 0, "<script>alert('name')</script>")
    assert "<script" not in shown and shown.count("&lt;script&gt;") == 2 and "&amp; more" in shown


@pytest.mark.parametrize(("events", "ahead", "there", "absent"), [
    ([], 2, ["mtl-queued", "2 runs ahead"], ["left"]),
    ([], 1, ["1 run ahead"], []),
    ([], 0, ["starting"], ["ahead"]),
    ([StatusChanged("queued"), Preparing("Reading <x>.csv", 0.4)], 0, ["Reading &lt;x&gt;.csv: 40%", 'value="0.4" max="1"'], []),
    ([Preparing("Tokenising", 0.9), STARTED, StatusChanged("running"), STEP], 0, ["step 300 of 1,200"], ["Tokenising"]),
    ([STARTED, StatusChanged("running")], 0, ["mtl-running", "step 0 of 1,200", "getting ready", "cpu, fp32, 2 threads"], ["left"]),
    ([STARTED, StatusChanged("running"), STEP], 0, ["step 300 of 1,200", "epoch 3.00", "1,234 sentences/s", "about 3 min 00 s left"],
     ["getting ready"]),
    ([STARTED, STEP, StatusChanged("paused")], 0, ["mtl-paused", "1 min 00 s of training", 'value="300" max="1200"'], ["left"]),
    ([STARTED, STEP, StatusChanged("stopped", "Stopped at step 300.")], 0, ["mtl-stopped", "Stopped at step 300."], ["sentences/s"])])
def test_the_status_says_what_matters_in_each_state(events, ahead, there, absent):
    shown = status_html(history(*events), ahead, "A run")
    assert all(part in shown for part in there) and not any(part in shown for part in absent)


def test_without_a_run_the_status_says_what_to_do():
    assert "No run yet" in status_html(None, 0, "")


@pytest.mark.parametrize(("seconds", "words"), [
    (None, "?"), (0, "0 s"), (59.4, "59 s"), (59.6, "1 min 00 s"), (3599.4, "59 min 59 s"), (3600, "1 h 00 min"), (90000, "25 h 00 min")])
def test_durations_are_told_in_two_units_at_most(seconds, words):
    assert duration(seconds) == words


@pytest.mark.parametrize(("status", "expected"), [
    ("queued", Buttons(stop=True)), ("running", Buttons(pause=True, stop=True)), ("paused", Buttons(resume=True, stop=True)),
    ("stopping", Buttons()), ("interrupted", Buttons(resume=True, delete=True)), ("stopped", Buttons(resume=True, delete=True)),
    ("failed", Buttons(resume=True, delete=True)), (YIELDED, Buttons(resume=True, delete=True)), ("finished", Buttons(delete=True))])
def test_the_buttons_follow_from_the_state_and_are_the_owners(status, expected):
    over = status in (*RESUMABLE, "finished")
    assert Buttons.of(History(status=status), is_owner=True, is_here=not over) == expected
    assert Buttons.of(History(status=status), is_owner=False, is_here=not over) == Buttons()
    elsewhere = Buttons.of(History(status=status), is_owner=True, is_here=False)
    assert elsewhere == (expected if over else Buttons())  # one from the terminal is stopped there
    assert over or status in ACTIVE


# What the page says


def test_every_event_of_the_page_but_those_of_the_clock_can_say_what_went_wrong(tmp_path):
    page = build_app(Jobs(tmp_path))
    box = next(part for part in page.blocks.values() if getattr(part, "elem_id", "") == "message")
    events = [event for event in page.fns.values() if event.fn is not None]
    mute = [event for event in events if box not in event.outputs]
    assert len(events) > 50 and all("tick" in [name for _, name in event.targets] for event in mute)
    assert not any(box in event.show_progress_on for event in events if event.show_progress_on)


def ask(*outputs: str, handle, event: str = "submit") -> list:
    """What a page with one event gives for it: the values of its outputs, and the message."""
    with gr.Blocks() as page:
        parts, box = [gr.Textbox(part) for part in outputs], message_box()
        getattr(gr.Textbox(), event)(handle, None, parts)
    let_all_tell(page, box)
    return page.fns[0].fn()


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
    assert ask("a", handle=lambda: "made", event="change") == ["made", gr.skip()]
    *values, message = ask("a", "b", handle=lambda: Said([1, 2], "Both are there."))
    assert values == [1, 2] and "Both are there." in message


# The form


def test_plots_are_drawn_anew_at_each_of_the_first_steps_then_every_few_seconds_and_at_the_end():
    made = history(RunStarted(0, 400, 10, {}, 10, 5, 1, "cpu", "fp32", 1, 1, 7), StatusChanged("running"))
    seen = [news("run", made)]
    for step in range(1, 401):
        made.add(Logged(1.0, StepDone(step, 0.0, {}, 0.0, 0.0, 1.0, step / 10)))
        seen.append(news("run", made))
    assert len(set(seen[:EARLY + 1])) == EARLY + 1 and 40 / REDRAWN <= len(set(seen[EARLY + 1:])) <= 40 / REDRAWN + 1
    made.add(Logged(1.0, StatusChanged("stopped")))
    assert news("run", made) not in seen and news("other", made) not in seen


def test_a_queue_with_nothing_to_do_leaves_the_cores_to_the_training(tmp_path):
    asleep = gr.Blocks().queue()._queue
    assert asleep.sleep_when_free > 0 and asleep.progress_update_sleep_when_free > 0  # gradio still calls them so
    made = build_app(Jobs(tmp_path))._queue
    assert made.sleep_when_free >= 0.02 and made.progress_update_sleep_when_free >= 0.1


def test_every_setting_is_on_the_page_once():
    shown = [*form.fields(basic=True), *form.fields(basic=False), *form.OWN_WAY]
    assert sorted(shown) == sorted(RunConfig.model_fields)


def test_an_untouched_form_is_the_default_settings():
    names = form.fields(basic=True) + form.fields(basic=False)
    assert form.make_run_config({name: form.make_widget(name).value for name in names}) == RunConfig()
    assert form.make_run_config({name: form.shown(name, getattr(RunConfig(), name)) for name in names}) == RunConfig()


@pytest.mark.parametrize(("values", "expected"), [
    ({"epochs": None, "learning_rate": None, "encoder_dropout": None}, {}),
    ({"epochs": 7.0, "seed": 3}, {"epochs": 7, "seed": 3}),
    ({"dropout": 0, "encoder_dropout": 0}, {"dropout": 0.0, "encoder_dropout": 0.0}),
    ({"encoder": " tiny \n", "name": " A run "}, {"encoder": "tiny", "name": "A run"}),
    ({"weights": ""}, {}), ({"weights": " intent = 2 , tags=0.5,"}, {"weights": {"intent": 2.0, "tags": 0.5}, "balancing": "fixed"})])
def test_what_stands_in_the_form_becomes_settings(values, expected):
    assert form.make_run_config(values) == RunConfig(**expected)


@pytest.mark.parametrize(("values", "message"), [
    ({"epochs": 0}, "epochs: found 0"), ({"epochs": 2.5}, "epochs: found 2.5"), ({"learning_rate": -1}, "learning_rate: found -1"),
    ({"learning_rate": float("nan")}, "learning_rate"), ({"dropout": 1}, "dropout: found 1"), ({"seed": -1}, "seed: found -1"),
    ({"weights": "intent"}, "'intent' is not of the form task=number"), ({"weights": "intent=much"}, "not of the form"),
    ({"weights": "intent=-1"}, "weight -1"), ({"weights": "intent=nan"}, "weight|finite"),
    ({"weights": "intent=inf"}, "weight|finite"), ({"name": "a\x07"}, "cannot be shown")])
def test_what_cannot_be_is_told_in_words(values, message):
    with pytest.raises(MtlError, match=message) as told:
        form.make_run_config(values)
    assert "pydantic" not in str(told.value) and "Traceback" not in str(told.value)


@given(some.dictionaries(some.sampled_from(["intent", "my tags", "a=b"]), some.floats(0, 1e6)))
def test_the_weights_of_a_run_come_back_into_the_form_as_they_were(weights):
    assert form.make_run_config({"weights": form.shown("weights", weights)}).weights == weights
