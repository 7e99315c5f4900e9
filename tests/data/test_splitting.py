"""mtl/data/splitting.py: which rows are kept aside as validation."""

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtl.data import splitting
from mtl.data.splitting import split_rows, text_keys
from mtl.data.words import Span
from mtl.settings.config import TaskSpec
from tests.plain import Row

INTENT, TONE, SLOTS = (TaskSpec(name=name, kind=kind) for name, kind in (("intent", "classification"), ("tone", "classification"),
                                                                        ("slots", "tagging")))
WORDS = [f"{start}{end}" for start in ("ba", "do", "fi", "gu", "le", "mo", "ra", "su", "ti") for end in ("bel", "dan", "fit", "gor", "lim")]
SEEDS = range(21)


def sentences(count: int, seed: int = 0) -> list[str]:
    """`count` different sentences."""
    draws = random.Random(seed)
    found: dict[str, None] = {}
    while len(found) < count:
        found[" ".join(draws.choices(WORDS, k=6))] = None
    return list(found)


def labels_of(rows) -> Counter:
    """How many rows have each label of each task."""
    found: Counter = Counter()
    for row in rows:
        for task, value in row.values.items():
            if value is not None:
                found.update((task, label) for label in ([value] if isinstance(value, str) else {span.label for span in value} or [""]))
    return found


def keys(rows, which: int = 0) -> set[str]:
    return {text_keys(row.text)[which] for row in rows}


def two_intents(texts, **more) -> list[Row]:
    """A row for each text, with intents in turn."""
    return [Row(text, {"intent": "ab"[place % 2]} | more) for place, text in enumerate(texts)]


def splits(rows, share: float, *tasks: TaskSpec, seeds=SEEDS):
    """The rows split with every seed."""
    return [split_rows(rows, share, tasks, seed) for seed in seeds]


# Four sets of rows that were split badly


def test_a_memoriser_of_training_texts_is_at_chance_on_validation():
    draws = random.Random(3)
    texts = sentences(200)
    rows = [Row(text, {"intent": label}) for text in texts for label in [draws.choice("ab")] for _ in range(5)]
    draws.shuffle(rows)
    for train, validation, notices in splits(rows, 0.1, INTENT):
        learned = {row.text: row.values["intent"] for row in train}
        assert not [row for row in validation if row.text in learned]
        assert len(validation) == 100 and notices == []


def test_validation_has_both_tones_of_twenty_intents_for_every_seed():
    texts = iter(sentences(200))
    rows = [Row(next(texts), {"intent": f"intent {intent}", "tone": tone}) for intent in range(20) for tone in ("cold", "warm")
            for _ in range(5)]
    for _, validation, _ in splits(rows, 0.1, INTENT, TONE):
        tones, intents = (Counter(row.values[task] for row in validation) for task in ("tone", "intent"))
        assert set(intents.values()) == {1} and len(intents) == 20
        assert 8 <= tones["warm"] <= 12


def test_a_labels_only_row_stays_in_train_for_every_seed():
    texts = iter(sentences(220))
    rows = [Row(next(texts), {"intent": "ab"[place % 2], "slots": (Span(0, 5, "X"),)}) for place in range(200)]
    rows += [Row(next(texts), {"intent": f"once {place}", "slots": (Span(0, 5, f"Y{place}"),)}) for place in range(20)]
    for train, validation, _ in splits(rows, 0.3, INTENT, SLOTS):
        assert all(row.values["intent"] in "ab" for row in validation) and len(validation) == 66
        assert labels_of(train).keys() == labels_of(rows).keys()


def test_a_task_that_few_rows_are_labelled_for_has_a_validation_row_for_every_seed():
    rows = [Row(text, {"intent": "ab"[place % 2], "tone": ("cold", "warm")[place % 3 % 2] if place % 50 == 0 else None})
            for place, text in enumerate(sentences(400))]
    assert sum(row.values["tone"] is not None for row in rows) == 8
    for train, validation, _ in splits(rows, 0.1, INTENT, TONE):
        assert any(row.values["tone"] for row in validation) and len(validation) == 40
        assert {row.values["tone"] for row in train} == {"cold", "warm", None}


# What is equal


@pytest.mark.parametrize(("one", "other"), [
    ("Book a table.", "book  A table!"), ("Straße", "STRASSE"), ("ﬁne ｗｉｄｅ", "fine wide"), ("e-mail", "email"), ("it’s", "it's"),
    (" a\u00a0b\n", "A b"), ("na\u0308h", "n\u00e4h")])
def test_case_width_blanks_and_punctuation_make_no_other_text(one, other):
    assert text_keys(one) == text_keys(other)


@settings(deadline=None)
@given(st.text())
def test_what_the_report_calls_the_same_text_is_the_same_to_the_split(text):
    assert text_keys(" ".join(text.casefold().split())) == text_keys(text)  # as findings.scan_rows compares them


@pytest.mark.parametrize(("one", "other"), [("\u0915\u093f", "\u0915\u093e"), ("\U0001f600", "\U0001f621"), ("!!!", "???"), ("C+", "C"),
                                            ("1984", "2001")])
def test_other_letters_marks_symbols_and_lone_numbers_make_another_text(one, other):
    assert text_keys(one)[0] != text_keys(other)[0] and text_keys(one)[1] != text_keys(other)[1]


def test_numbers_make_another_text_that_is_nearly_equal():
    (one, near), (other, near_too) = text_keys("Wake me at 7:30"), text_keys("wake me at 11")
    assert one != other and near == "wakemeat0" == near_too


def test_texts_that_differ_only_in_numbers_are_on_one_side():
    rows = [Row(f"{text} {number}, please", {"intent": "ab"[place % 2]}) for place, text in enumerate(sentences(60))
            for number in (7, 12, 300)]
    for train, validation, notices in splits(rows, 0.2, INTENT):
        assert not keys(train, 1) & keys(validation, 1)
        assert len(validation) == 36 and notices == []


def test_so_many_nearly_equal_texts_that_validation_would_lack_a_label_are_parted_and_that_is_told():
    rows = [Row(f"go {place} now" if place % 2 else f"stay {place}", {"intent": ("stay", "go")[place % 2]}) for place in range(100)]
    train, validation, notices = split_rows(rows, 0.2, [INTENT], 1)
    assert labels_of(validation) == {("intent", "go"): 10, ("intent", "stay"): 10}
    assert len(notices) == 1 and notices[0].startswith("20 validation rows differ from training rows only in numbers, case or punctuation.")


def test_a_text_of_very_many_rows_stays_in_train():
    rows = [Row("ok", {"intent": "a"})] * 80 + two_intents(sentences(920))
    for _, validation, _ in splits(rows, 0.1, INTENT):
        assert len(validation) == 100 and not [row for row in validation if row.text == "ok"]


# Little data


def test_rows_of_one_text_are_split_and_that_is_told():
    train, validation, notices = split_rows([Row("Go!", {"intent": "a"}), Row("go", {"intent": "b"})] * 5, 0.2, [INTENT], 1)
    assert (len(train), len(validation)) == (8, 2)
    assert notices == ["all 10 rows have the same text, so validation has it too and its scores say "
                       "nothing. Add rows with other texts."]


def test_two_texts_of_many_rows_are_one_side_each():
    for train, validation, _ in splits([Row("go", {"intent": "a"})] * 6 + [Row("stay", {"intent": "b"})] * 9, 0.1, INTENT):
        assert (len(train), len(validation)) == (9, 6)


def test_each_of_two_tasks_apart_has_a_validation_row_though_one_row_is_due():
    rows = [Row(text, {"intent": "a", "tone": None} if place % 2 else {"intent": None, "tone": "b"})
            for place, text in enumerate(sentences(10))]
    for _, validation, _ in splits(rows, 0.1, INTENT, TONE):
        assert labels_of(validation) == {("intent", "a"): 1, ("tone", "b"): 1}


def test_a_task_with_one_labelled_text_has_no_validation_row():
    rows = two_intents(sentences(30), tone=None)
    rows += [Row("lone", {"intent": "a", "tone": "warm"}), Row("Lone!", {"intent": "b", "tone": "cold"})]
    for _, validation, _ in splits(rows, 0.5, INTENT, TONE):
        assert not [row for row in validation if row.values["tone"]]


# Shares


def test_every_label_of_every_task_has_its_share_in_validation():
    draws = random.Random(1)
    rows = [Row(text, {"intent": draws.choices([*"abcdefgh"], [50, 20, 10, 8, 5, 4, 2, 1])[0], "tone": draws.choice(["cold", "warm", None]),
                       "slots": tuple(Span(5 * number, 5 * number + 5, label) for number, label in
                                      enumerate(draws.sample(["X", "Y", "Z"], draws.randrange(4))))})
            for text in sentences(2000)]
    for _, validation, _ in splits(rows, 0.1, INTENT, TONE, SLOTS, seeds=range(5)):
        assert all(abs(labels_of(validation)[label] - 0.1 * count) <= 3 for label, count in labels_of(rows).items())


def test_every_combination_of_labels_has_its_share_in_validation():
    draws = random.Random(0)
    rows = [Row(f"text {index}", {"intent": draws.choices(["book", "fly", "stay", None], [70, 20, 3, 7])[0], "slots": draws.choice(
        [None, (), (Span(0, 4, "LOC"),), (Span(0, 4, "PER"), Span(5, 6, "LOC"))])}) for index in range(600)]
    rows = [row for row in rows if any(value is not None for value in row.values.values())]
    whole, validation = (Counter((row.values["intent"], row.values["slots"]) for row in part)
                         for part in (rows, split_rows(rows, 0.2, [INTENT, SLOTS], seed=3)[1]))
    assert len(whole) >= 12 and all(abs(validation[kind] - 0.2 * count) <= 1 for kind, count in whole.items())


def test_rare_labels_have_validation_rows_but_do_not_crowd_out_the_common_ones():
    texts = iter(sentences(1450))
    rows = [Row(next(texts), {"intent": f"common {place % 2}"}) for place in range(1000)]
    rows += [Row(next(texts), {"intent": f"rare {place}"}) for place in range(150) for _ in range(3)]
    for train, validation, _ in splits(rows, 0.1, INTENT, seeds=range(5)):
        of_train, of_validation = labels_of(train), labels_of(validation)
        assert of_validation["intent", "common 0"] in (49, 50, 51) and of_validation["intent", "common 1"] in (49, 50, 51)
        assert all(of_train["intent", f"rare {place}"] >= 2 for place in range(150)) and len(validation) == 145


def test_validation_stays_short_however_many_rows_there_are(monkeypatch):
    monkeypatch.setattr(splitting, "MAX_VALIDATION", 100)
    train, validation, _ = split_rows(two_intents(sentences(300)), 0.5, [INTENT], 1)
    assert (len(train), len(validation)) == (200, 100)


# What holds for all rows

VALUES = st.fixed_dictionaries({
    "intent": st.sampled_from([None, "a", "b", "c"]),
    "slots": st.sampled_from([None, (), (Span(0, 1, "X"),), (Span(0, 1, "X"), Span(1, 2, "Y"))])})
TEXTS = st.sampled_from(["Go", "go!", "go 1", "Go 2", "stay", "stay 1", "a b", "b a", "c", "d", "e", "f", "!", "?"])
ROWS = st.lists(st.builds(Row, TEXTS, VALUES), min_size=2, max_size=40)


@settings(deadline=None)
@given(ROWS, st.floats(0.01, 0.5), st.integers(0, 9))
def test_train_and_validation_are_all_rows_in_their_order_and_share_no_text(rows, share, seed):
    rows = [Row(row.text, row.values, ((place, place),)) for place, row in enumerate(rows)]  # so that each is another
    train, validation, notices = split_rows(rows, share, [INTENT, SLOTS], seed)
    places = {row.words: place for place, row in enumerate(rows)}
    assert train and validation and sorted([*train, *validation], key=lambda row: places[row.words]) == rows
    for part in (train, validation):
        assert part == sorted(part, key=lambda row: places[row.words])
    assert len(keys(rows)) == 1 or not keys(train) & keys(validation)
    assert split_rows(rows, share, [INTENT, SLOTS], seed) == (train, validation, notices)


@settings(deadline=None)
@given(st.lists(st.builds(Row, st.sampled_from("abcdefghijkl"), VALUES), min_size=2, max_size=40), st.floats(0.01, 0.5),
       st.integers(0, 9))
def test_train_keeps_every_label_and_a_task_has_validation_rows_if_train_can_spare_a_text(rows, share, seed):
    train, validation, _ = split_rows(rows, share, [INTENT, SLOTS], seed)
    having = Counter(label for text in keys(train) for label in labels_of(row for row in train if row.text == text))
    if labels_of(rows).keys() != having.keys():
        assert len(keys(validation)) == 1  # train could spare none, and validation has to have a row
        having.update(labels_of(validation).keys())
    measured = {task for task, _ in labels_of(validation)}
    for text in keys(train) if len(keys(train)) > 1 else ():
        of_text = labels_of(row for row in train if row.text == text)
        can_be_spared = all(having[label] > 1 for label in of_text)
        assert not can_be_spared or {task for task, _ in of_text} <= measured


@settings(deadline=None)
@given(st.lists(st.integers(1, 5), min_size=10, max_size=60), st.floats(0.1, 0.5), st.integers(0, 9))
def test_validation_has_the_share_that_was_asked_but_for_less_than_a_text(sizes, share, seed):
    rows = [row for row, size in zip(two_intents(sentences(60)), sizes, strict=False) for _ in range(size)]
    validation = split_rows(rows, share, [INTENT], seed)[1]
    due = max(1, round(share * len(rows)))
    assert due - max(sizes) < len(validation) <= max(due, min(sizes))


def test_every_seed_gives_another_split_and_a_tiny_share_of_a_few_rows_is_still_one_row():
    rows = two_intents(sentences(100))
    assert len(split_rows(rows[:5], 0.01, [INTENT], 1)[1]) == 1
    assert len({tuple(row.text for row in split_rows(rows, 0.1, [INTENT], seed)[1]) for seed in range(50)}) == 50
