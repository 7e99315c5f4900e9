"""mtl/data/cooccurrence.py: labels of two tasks that never stand together are found, chance is not taken for a rule, and
predictions are held to it."""

import copy
import json
import math
from dataclasses import asdict, replace

import numpy as np
import pytest

from mtl.data.cooccurrence import FALSE_ALARM, MAX_SHOWN, Hint, contradictions, find_hints
from mtl.data.rows import row_shape
from mtl.data.store import keep
from mtl.data.values import Label, Spans
from mtl.data.words import Span
from mtl.inference.predictor import Predicted, Predictor
from mtl.model.encoder import load_encoder
from mtl.model.loading import load_weights
from mtl.model.machine import find_machine
from mtl.model.multitask import MultiTaskConfig, build_model, for_inference, learned_weights
from mtl.runs.checkpoint import MANIFEST, save_checkpoint
from mtl.settings.config import TaskSpec
from mtl.tasks.classification import Classified
from tests.legible import is_legible
from tests.plain import Row

INTENT = TaskSpec(name="intent", kind="classification", labels=("book", "play"))
MOOD = TaskSpec(name="mood", kind="classification", labels=("bad", "good"))
SLOTS = TaskSpec(name="slots", kind="tagging", labels=("artist", "place"))
PARTS = TaskSpec(name="parts", kind="tagging", labels=("noun", "verb"))
HINT = Hint("intent", "book", "slots", "artist", 13084, 55.0)
SENTENCE = ("intent 'book' and entity 'artist' (\"Mozart\") never stand together in the 13,084 training rows labelled for both: "
            "one of them is probably wrong.")


def spans(*labels: str) -> tuple[Span, ...]:
    return tuple(Span(index, index + 1, label) for index, label in enumerate(labels))


def pairs(hints: tuple[Hint, ...]) -> set[tuple[str, ...]]:
    return {(hint.task, hint.label, hint.other_task, hint.other_label) for hint in hints}


# Finding


def test_labels_that_have_nothing_to_do_with_each_other_give_a_hint_in_one_data_set_of_a_hundred():
    labels = tuple("abcdefghijklmnopqrst")
    specs = [TaskSpec(name=name, kind="classification", labels=labels) for name in ("one", "two")]
    random, false_alarms, chances = np.random.default_rng(1), 0, 0
    for _ in range(30):
        ones, others = random.choice(list(labels), (2, 2400))  # 6 of each pair are expected: without correction, 0.0025 each is rare
        chances += len({*zip(ones, others, strict=True)}) < 400
        false_alarms += bool(find_hints([Row("x", {"one": one, "two": two}) for one, two in zip(ones, others, strict=True)], specs))
    assert chances > 10  # pairs were absent by chance, and were not taken for a rule
    assert false_alarms <= 1


def test_a_pair_that_cannot_be_is_found_whatever_the_kinds_of_the_tasks_and_nothing_else_is():
    rows = [Row("x", {"intent": intent, "mood": mood, "slots": slots, "parts": parts})
            for intent, slots in (("book", spans("place", "place")), ("play", spans("artist", "place")), ("play", spans()))
            for mood, parts in (("bad", spans("noun")), ("good", spans("verb")), ("good", spans("verb"))) for _ in range(10)]
    hints = find_hints(iter(rows), [INTENT, MOOD, SLOTS, PARTS])
    assert pairs(hints) == {("intent", "book", "slots", "artist"), ("mood", "bad", "parts", "verb"), ("mood", "good", "parts", "noun")}
    assert [hint.expected for hint in hints] == [20.0, 20.0, 10.0]
    assert {hint.rows for hint in hints} == {90}  # 'place', twice in a row, is counted once: 30 x 30 / 90
    rows = [Row("x", {"intent": ("book", "play")[index % 2], "mood": ("bad", "good")[index % 2],
                      "slots": spans(("artist", "place")[index // 2 % 2]), "parts": spans(("noun", "verb")[index // 2 % 2])})
            for index in range(80)]
    assert pairs(find_hints(rows, [INTENT, MOOD, SLOTS, PARTS])) == {  # of two tasks with classes, of two with entities
        ("intent", "book", "mood", "good"), ("intent", "play", "mood", "bad"),
        ("slots", "artist", "parts", "verb"), ("slots", "place", "parts", "noun")}


def test_a_missing_label_is_no_evidence_and_an_empty_list_of_entities_is():
    apart = [Row("x", {"intent": "book", "slots": None})] * 100 + [Row("x", {"slots": spans("artist")})] * 100
    assert find_hints(apart, [INTENT, SLOTS]) == ()
    both = [Row("x", {"intent": "book", "slots": ()}), Row("x", {"intent": "play", "slots": spans("artist")})] * 50
    assert find_hints(apart + both, [INTENT, SLOTS]) == (Hint("intent", "book", "slots", "artist", 100, 25.0),)


def test_what_is_too_rare_to_tell_from_chance_gives_no_hint():
    def hints(rows: int) -> tuple[Hint, ...]:
        return find_hints([Row("x", {"intent": label, "mood": mood}) for label, mood in (("book", "bad"), ("play", "good"))] * rows,
                          [INTENT, MOOD])

    enough = math.ceil(2 * math.log(4 / FALSE_ALARM))  # of 2 n rows, n / 2 are expected for each of the 4 pairs
    assert len(hints(enough)) == 2 and hints(enough - 1) == ()


def test_rows_in_a_file_give_the_same_hints_as_rows_in_memory(tmp_path):
    stored = keep(planted(), row_shape([INTENT, SLOTS]), tmp_path / "rows.arrow", limit=10)
    assert not isinstance(stored, list) and find_hints(stored, [INTENT, SLOTS]) == find_hints(planted(), [INTENT, SLOTS]) != ()


def test_only_the_surest_hints_are_kept_and_a_single_task_has_none():
    rows = [Row("x", {"intent": intent, "mood": mood}) for intent, mood in [("book", "bad")] * 60 + [("play", "good")] * 40]
    more = rows + [Row("x", {"intent": "book", "slots": spans("place")}), Row("x", {"intent": "play", "slots": spans("artist")})] * 500
    hints = find_hints(more, [INTENT, MOOD, SLOTS])
    assert [hint.expected for hint in hints] == [250.0, 250.0, 24.0, 24.0]
    assert find_hints(more, [INTENT, MOOD, SLOTS], at_most=3) == hints[:3]
    assert find_hints(rows, [INTENT]) == ()


def test_many_tasks_with_many_labels_are_counted_in_bounded_memory():
    labels = tuple(f"label {index}" for index in range(200))
    specs = [TaskSpec(name=f"task {place}", kind="classification", labels=labels) for place in range(8)]
    rows = (Row("x", {spec.name: labels[index % 2 * (place + 1)] for place, spec in enumerate(specs)}) for index in range(1000))
    hints = find_hints(rows, specs, at_most=10)
    assert len(hints) == 10 and {hint.expected for hint in hints} == {250.0}


# Predictions


@pytest.mark.parametrize(("values", "told"), [
    ({"intent": "book", "slots": (Span(5, 11, "artist"), Span(0, 4, "artist"))}, (SENTENCE,)),
    ({"intent": "play", "slots": (Span(5, 11, "artist"),)}, ()), ({"intent": "book", "slots": (Span(5, 11, "place"),)}, ()),
    ({"intent": "book", "slots": ()}, ()), ({"intent": "book", "slots": None}, ()), ({"slots": (Span(5, 11, "artist"),)}, ()), ({}, ())],
    ids=["both", "another class", "another type", "no entity", "not labelled", "not asked", "nothing"])
def test_values_that_never_stood_together_are_told_in_a_sentence(values, told):
    assert contradictions([HINT], "book Mozart", Row("", values).values) == told


def test_a_sentence_is_of_bounded_length_and_there_are_not_too_many():
    hints = [Hint("intent", "book", "slots", str(index), 100, 50.0) for index in range(30)]
    text = "a\n\x07 " * 5000
    told = contradictions(hints, text, {"intent": Label("book"), "slots": Spans(Span(0, len(text), str(index)) for index in range(30))})
    assert len(told) == MAX_SHOWN and max(map(len, told)) < 300 and all(map(is_legible, told))


def test_a_predictor_tells_contradictions_between_the_tasks_that_it_was_asked_for(tiny, make_model):
    model, text = make_model(), "Book a table in Rome for two."
    predictor = Predictor(for_inference(model), tiny[1], find_machine("cpu", "fp32", 1))
    plain = predictor.predict([text])[0]
    one, other = plain.predictions["intent"].label, plain.predictions["mood"].label
    model.config.hints = [asdict(Hint("intent", one, "mood", label, 40, 20.0)) for label in (other, "no such label")]
    told = (f"intent '{one}' and mood '{other}' never stand together in the 40 training rows labelled for both: one of them is probably "
            "wrong.")
    predictor = replace(predictor)
    assert plain.contradictions == () and predictor.predict([text])[0] == replace(plain, contradictions=(told,))
    assert predictor.predict([text], ["intent", "slots"])[0].contradictions == ()


def test_the_terminal_has_a_key_for_contradictions_only_if_there_are_any():
    answers = {"intent": Classified({"book": 1.0})}
    assert "contradictions" not in Predicted("x", answers, None).plain()
    assert json.loads(json.dumps(Predicted("x", answers, None, (SENTENCE,)).plain()))["contradictions"] == [SENTENCE]
    named_so = Predicted("x", {"contradictions": Classified({"book": 1.0})}, None, (SENTENCE,))
    assert named_so.plain()["contradictions"]["label"] == "book"  # what was asked for is not replaced


# Through training and checkpoints


def planted(count: int = 120) -> list[Row]:
    """Rows of which one half books places and the other plays artists."""
    rows = []
    for index in range(count):
        intent, words, label = (("book", ("Rome", "Oslo"), "place"), ("play", ("Mozart", "Abba"), "artist"))[index % 2]
        text = f"{intent} {words[index // 2 % 2]} for {index}"
        rows.append(Row(text, {"intent": intent, "slots": (Span(5, text.index(" for"), label),)}))
    return rows


@pytest.fixture(scope="module")
def planted_run(finish, tiny_config, write_rows, tmp_path_factory):
    """The folder of a run on such rows, and the live model as it was between two steps."""
    folder, live = tmp_path_factory.mktemp("run"), []
    rows = [{"text": row.text, **row.values} for row in planted()]
    config = tiny_config(source="files", train_files=(write_rows(folder / "train.jsonl", rows),),
                         validation_files=(write_rows(folder / "validation.jsonl", rows[:8]),), epochs=1, batch_size=64)
    finish(config, folder, between_steps=lambda learner: live.append(for_inference(copy.deepcopy(learner.model))))
    return folder, live


def test_hints_are_learned_with_the_run_kept_in_its_checkpoints_and_known_to_the_live_model(planted_run):
    folder, live = planted_run
    hints = find_hints(planted(), [INTENT, SLOTS])
    assert pairs(hints) == {("intent", "book", "slots", "artist"), ("intent", "play", "slots", "place")}
    for model in (live[0], load_weights(folder / "best", "cpu"), load_weights(folder / "last", "cpu")):
        assert tuple(Hint(**hint) for hint in model.config.hints) == hints


def test_a_checkpoint_from_before_there_were_hints_answers_without(planted_run):
    folder, _ = planted_run

    def write(building):
        for file in (folder / "best").iterdir():
            if file.name != MANIFEST:
                (building / file.name).write_bytes(file.read_bytes())
        values = json.loads((building / "config.json").read_text())
        assert values.pop("hints")
        (building / "config.json").write_text(json.dumps(values))

    save_checkpoint(folder, "old", write, {"step": 1})
    assert Predictor.load(folder / "old", "cpu").predict(["book Mozart"])[0].contradictions == ()


def test_a_checkpoint_of_adapters_keeps_its_hints(tmp_path):
    encoder, tokenizer = load_encoder("bundled")
    model = build_model(encoder, MultiTaskConfig(tasks=[spec.model_dump(mode="json") for spec in (INTENT, SLOTS)], max_length=32,
                                                 base="bundled", lora_rank=1, hints=[asdict(HINT)]))
    save_checkpoint(tmp_path, "best", lambda folder: model.save_pretrained(folder, state_dict=learned_weights(model)), {"step": 1})
    assert load_weights(tmp_path / "best", "cpu").config.hints == [asdict(HINT)]
