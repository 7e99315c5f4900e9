"""mtl/runs/events.py: the log that everything reads."""

import json
import math

import pytest

from mtl.runs import events
from mtl.runs.events import CheckpointSaved, Evaluated, EventLog, Logged, LogReader, Notice, Sampled, StatusChanged, StepDone, describe
from tests.watcher import started

STEP = StepDone(3, 0.75, {"intent": 1.5}, 1e-4, 2.0, 100.0, 1.0)
SEEN = Evaluated(4, 1.0, "validation", {"intent": 0.5}, {"intent": {"accuracy": 0.75, "macro_f1": 0.5}}, 0.25, 0.75, True, 0.1)
EVENTS = [StatusChanged("running", "größer 😀\nmit Zeile"), started(), STEP, SEEN, CheckpointSaved(4, "last", 0.1),
          Notice("Look.", "warning"), Sampled(6, 1.5, {"intent": 0.5}, {"intent": 0.7}, 0.25, 64, 0.2)]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "events.jsonl"


def events_in(path):
    return [logged.event for logged in LogReader(path).read()]


def test_every_kind_of_event_is_read_as_it_was_written(path):
    for event in EVENTS:
        EventLog(path).append(event)
    assert events_in(path) == EVENTS
    times = [logged.time for logged in LogReader(path).read()]
    assert times == sorted(times) and times[0] > 1.7e9
    assert len(path.read_bytes().splitlines()) == len(EVENTS)


def test_a_line_that_a_crash_cut_anywhere_even_within_a_letter_is_closed_and_passed_over(path):
    log = EventLog(path)
    log.append(STEP)
    first = path.stat().st_size
    log.append(EVENTS[0])
    whole = path.read_bytes()
    for end in range(first + 1, len(whole)):
        path.write_bytes(whole[:end])
        log.append(SEEN)
        assert events_in(path) == [STEP, *EVENTS[:end == len(whole) - 1], SEEN]  # complete, if only the end of the line was missing
        assert path.read_bytes().count(b"\n") == 3


@pytest.mark.parametrize("line", ["", "{}", "[]", "3", "null", '{"event": "Unknown", "time": 1}', '{"event": "Notice"}', "\x00\x00",
                                  "not json", '{"event": "Notice", "time": 1, "surprise": 2}', '{"event": [], "time": 1}'])
def test_a_line_that_is_no_event_is_passed_over(path, line):
    EventLog(path).append(STEP)
    with path.open("a") as file:
        file.write(line + "\n")
    EventLog(path).append(SEEN)
    assert events_in(path) == [STEP, SEEN]


def test_a_reader_reads_only_what_was_added(path):
    reader = LogReader(path)
    assert reader.read() == []  # there is no file yet
    EventLog(path).append(STEP)
    assert [logged.event for logged in reader.read()] == [STEP]
    assert reader.read() == []
    size = path.stat().st_size
    path.write_bytes(b"x" * (size - 1) + b"\n")  # what was read before is not looked at again
    EventLog(path).append(SEEN)
    EventLog(path).append(EVENTS[0])
    assert [logged.event for logged in reader.read()] == [SEEN, EVENTS[0]]
    assert reader.offset == path.stat().st_size


def test_a_reader_waits_for_the_end_of_a_line_that_is_being_written(path):
    EventLog(path).append(STEP)
    line = path.read_bytes()
    reader, got = LogReader(path), []
    path.write_bytes(b"")
    for byte in line:
        with path.open("ab") as file:
            file.write(bytes([byte]))
        got.append(len(reader.read()))
    assert got == [0] * (len(line) - 1) + [1]


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_a_number_that_json_does_not_have_becomes_null(path, number):
    EventLog(path).append(StepDone(1, 0.1, {"intent": number, "slots": 1.0}, 1e-4, number, 1.0, 1.0))
    values = json.loads(path.read_text(), parse_constant=pytest.fail)
    assert values["losses"] == {"intent": None, "slots": 1.0} and values["grad_norm"] is None
    assert events_in(path)[0].losses["intent"] is None


def test_a_gradient_conflict_is_read_from_an_older_log_which_called_it_diagnosed(path):
    path.write_text('{"event": "Diagnosed", "time": 1.0, "step": 3, "norms": {"a": 1.0}, "cosines": []}\n')
    assert LogReader(path).read() == [Logged(1.0, events.GradientConflict(3, {"a": 1.0}, []))]


def test_every_event_is_described_for_people_but_steps_looks_and_checkpoints(path):
    said = [describe(event) for event in EVENTS]
    assert said[0] == "größer 😀\nmit Zeile" and said[2] is None and said[4] is None and said[5] == "Warning: Look." and said[6] is None
    assert "intent (classification, 2 labels)" in said[1] and "40 training rows and 10 validation rows" in said[1]
    assert "step 4, validation: intent loss 0.500, accuracy 75.0%, macro f1 50.0%; everything right 25.0%" in said[3]
    assert said[3].endswith(" (best so far: mean of the main scores 75.0%)")
    assert describe(StatusChanged("paused")) == "The run is paused."


@pytest.mark.parametrize("losses", [{"intent": math.nan}, {}])  # {}: no gold label of validation was ever seen in training
def test_an_evaluation_without_a_loss_can_still_be_described(path, losses):
    EventLog(path).append(Evaluated(4, 1.0, "validation", losses, {"intent": {"accuracy": 0.75}}, 0.25, 0.75, False, 0.1))
    assert "accuracy 75.0%" in describe(*events_in(path))
