"""mtl/scoring/error_analysis.py and the entity scores of mtl/tasks/tagging.py: equal to what seqeval, scikit-learn and conlleval make of
the same sequences, and every number adds up to the others.

Where the conventions differ: an I- that continues nothing (after O, at the beginning, after another type) begins an entity for conlleval,
for seqeval in its default mode and here; seqeval's strict IOB2 knows no such entity. Predictions here are always legal, and files with
other schemes become legal tags when they are read, so that for all that is scored the three agree.
"""

import random
from collections import Counter

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter
from seqeval.metrics import accuracy_score, classification_report, f1_score, precision_score, recall_score
from seqeval.scheme import IOB2
from sklearn.metrics import classification_report as sklearn_report
from sklearn.metrics import confusion_matrix

from mtl.data.formats.schemes import to_spans
from mtl.data.values import Spans
from mtl.data.words import Span, find_words, spans_to_tags, tags_to_spans
from mtl.inference.predictor import Answers
from mtl.model.split import Split
from mtl.scoring.error_analysis import TEXT, WORST, LabelScores, Report, TaskReport, analyse
from mtl.scoring.scores import score
from mtl.settings.config import TaskSpec
from mtl.tasks import make_task
from mtl.tasks.base import Encoding
from mtl.tasks.classification import Classified
from mtl.tasks.tagging import Tagged
from tests.conlleval import Counts, conlleval
from tests.plain import Row

TYPES = ("LOC", "ORG", "PER")
TAGS = ["O", "O", "O", *(f"{prefix}-{kind}" for kind in TYPES for prefix in "BI")]
CLASSES = ("bad", "good", "so so", "fair")
SLOTS = make_task(TaskSpec(name="slots", kind="tagging", labels=TYPES))
MOOD = make_task(TaskSpec(name="mood", kind="classification", labels=CLASSES))


def words_of(count: int) -> list[tuple[int, int]]:
    return [(3 * place, 3 * place + 2) for place in range(count)]


def legal(length: int, draw: random.Random) -> list[str]:
    """A random sequence of BIO tags in which every I- continues an entity."""
    tags: list[str] = []
    for tag in draw.choices(TAGS, k=length):
        before = tags[-1][1:] if tags else ""
        tags.append("B" + tag[1:] if tag[0] == "I" and tag[1:] != before else tag)
    return tags


def disturbed(tags: list[str], draw: random.Random) -> list[str]:
    """The tags with some changed, and legal again: a prediction that is often right."""
    changed = [draw.choice(TAGS) if draw.random() < 0.15 else tag for tag in tags]
    return spans_to_tags(words_of(len(tags)), tags_to_spans(words_of(len(tags)), changed))


def sequences(count: int) -> list[tuple[list[str], list[str]]]:
    """Pairs of gold and predicted tags of `count` sentences of 1 to 20 words."""
    draw = random.Random(7)
    golds = [legal(draw.randint(1, 20), draw) for _ in range(count)]
    return [(gold, disturbed(gold, draw)) for gold in golds]


def sure_of(label: str, confidence: float = 0.9) -> Classified:
    """A prediction of `label`; the other classes share the rest."""
    return Classified({label: confidence} | {other: (1 - confidence) / 3 for other in CLASSES if other != label})


def analyse_rows(rows: list[Row], made: list[dict], tasks: list) -> Report:
    examples = [(Encoding([], row.word_ranges(), []), {}) for row in rows]
    split = Split(rows, examples, np.zeros(len(rows)), {task.name: np.zeros(len(rows)) for task in tasks}, 0)
    return analyse(rows, tasks, made, score(tasks, split, Answers(dict(enumerate(made)), {})))


def report_of_tags(pairs: list[tuple[list[str], list[str]]]) -> TaskReport:
    """The report of a tagging task with these gold and predicted tags."""
    rows, made = [], []
    for gold, guess in pairs:
        words = words_of(len(gold))
        rows.append(Row("xx " * len(gold), {"slots": tuple(tags_to_spans(words, gold))}, tuple(words)))
        spans = tuple(tags_to_spans(words, guess))
        made.append({"slots": Tagged(spans, tuple(0.5 + 0.01 * (span.start % 40) for span in spans))})
    return analyse_rows(rows, made, [SLOTS]).tasks[0]


def report_of_classes(pairs: list[tuple[str | None, str]], confidence: float = 0.7) -> TaskReport:
    """The report of a classification with these gold and predicted labels."""
    rows = [Row(f"text {index}", {"mood": gold}) for index, (gold, _) in enumerate(pairs)]
    return analyse_rows(rows, [{"mood": sure_of(label, confidence)} for _, label in pairs], [MOOD]).tasks[0]


@pytest.fixture(scope="module")
def tagged() -> tuple[list[tuple[list[str], list[str]]], TaskReport]:
    """A thousand sentences, as gold and predicted tags, and their report."""
    pairs = sequences(1000)
    return pairs, report_of_tags(pairs)


def random_classes(count: int) -> list[tuple[str, str]]:
    draw = random.Random(3)
    golds = draw.choices([*CLASSES, "never trained on"], [5, 5, 3, 1, 1], k=count)
    return [(gold, gold if gold in CLASSES and draw.random() < 0.7 else draw.choice(CLASSES[:3])) for gold in golds]


# Entity scores


def test_entity_scores_equal_those_of_seqeval_and_conlleval_on_random_sequences(tagged):
    pairs, report = tagged
    golds, guesses = [gold for gold, _ in pairs], [guess for _, guess in pairs]
    ours = report.scores["precision"], report.scores["recall"], report.scores["f1"]
    assert 0.5 < ours[2] < 0.9 and report.main.value == pytest.approx(ours[2])
    assert ours == pytest.approx(conlleval(pairs).scores)
    for how in ({}, {"mode": "strict", "scheme": IOB2}):
        theirs = [measure(golds, guesses, zero_division=0, **how) for measure in (precision_score, recall_score, f1_score)]
        assert ours == pytest.approx(theirs)
    assert report.scores["accuracy"] == pytest.approx(accuracy_score(golds, guesses))
    assert report.wrong == sum(gold != guess for gold, guess in pairs)
    for gold, guess in pairs:  # and in every single sequence
        words = words_of(len(gold))
        true, made = tags_to_spans(words, gold), tags_to_spans(words, guess)
        assert conlleval([(gold, guess)]) == Counts(len(true), len(made), len(set(true) & set(made))), (gold, guess)


def test_illegal_tags_of_a_file_are_read_as_conlleval_and_seqeval_s_default_read_them():
    draw = random.Random(11)
    for _ in range(300):
        gold, guess = (draw.choices(TAGS, k=12) for _ in range(2))
        words = words_of(12)
        true, made = to_spans(words, gold, "IOB2"), to_spans(words, guess, "IOB2")
        counts = conlleval([(gold, guess)])
        assert counts == Counts(len(true), len(made), len(set(true) & set(made))), (gold, guess)
        assert f1_score([gold], [guess], zero_division=0) == pytest.approx(counts.scores[2]), (gold, guess)
    gold, guess = ["B-PER", "I-PER", "O"], ["I-PER", "I-PER", "O"]  # an I- that continues nothing is no entity only in strict mode
    assert tags_to_spans(words_of(3), guess) == tags_to_spans(words_of(3), gold)
    assert conlleval([(gold, guess)]) == Counts(1, 1, 1) and f1_score([gold], [guess]) == 1
    assert f1_score([gold], [guess], mode="strict", scheme=IOB2, zero_division=0) == 0


def test_a_type_that_changes_within_an_entity_makes_two_entities_neither_of_them_right():
    gold, guess = ["B-PER", "I-PER"], ["B-PER", "I-LOC"]  # no prediction of ours is so, but a file may be
    made = to_spans(words_of(2), guess, "IOB2")
    assert made == [Span(0, 2, "PER"), Span(3, 5, "LOC")] and conlleval([(gold, guess)]) == Counts(1, 2, 0)
    report = report_of_tags([(gold, guess)])
    assert report.scores["f1"] == 0 and report.errors == dict.fromkeys(Spans.sorts, 0) | {"wrong_boundary": 1, "invented": 1}


def test_a_word_of_three_subwords_is_one_entity_whatever_the_later_subwords_say():
    encoding = Encoding([0, 1, 2, 3, 4, 9], [(0, 9), (10, 12)], [1, 4])  # [CLS] a b c d [SEP]
    gold = (Span(0, 9, "PER"),)
    assert SLOTS.label_ids(gold, encoding) == [-100, SLOTS.tags.index("B-PER"), -100, -100, 0, -100]
    logits = torch.zeros(1, 6, SLOTS.outputs)
    logits[0, 1:4, SLOTS.tags.index("B-PER")] = 9.0  # B- on every subword
    logits[0, 4, 0] = 9.0
    made = SLOTS.decode(logits, [encoding])
    assert made[0].spans == gold and SLOTS.score([gold], made, [encoding])["f1"] == 1


# Tables


def compare_table(report: TaskReport, theirs: dict) -> None:
    """The table per label is `theirs`, of seqeval or scikit-learn, which has averages besides."""
    averages = {"accuracy", "micro avg", "macro avg", "weighted avg"}
    assert {line.label for line in report.labels} == set(theirs) - averages
    for line in report.labels:
        wanted = theirs[line.label]
        assert (line.precision, line.recall, line.f1, line.support) == pytest.approx(
            (wanted["precision"], wanted["recall"], wanted["f1-score"], wanted["support"]))


def test_the_table_per_type_is_seqeval_s_and_its_sums_are_the_scores(tagged):
    pairs, report = tagged
    compare_table(report, classification_report(*zip(*pairs, strict=True), output_dict=True, zero_division=0))
    assert {line.label for line in report.labels} == set(TYPES)
    assert [line.support for line in report.labels] == sorted((line.support for line in report.labels), reverse=True)


def test_the_table_per_class_and_the_confusion_matrix_are_scikit_learn_s():
    pairs = random_classes(500)
    report = report_of_classes(pairs)
    golds, guesses = zip(*pairs, strict=True)
    theirs = sklearn_report(golds, guesses, output_dict=True, zero_division=0)
    compare_table(report, theirs)
    assert report.scores["accuracy"] == pytest.approx(theirs["accuracy"])
    assert report.scores["macro_f1"] == pytest.approx(theirs["macro avg"]["f1-score"])
    labels = sorted({*golds, *guesses})
    matrix = [[report.confusion.get(gold, {}).get(guess, 0) for guess in labels] for gold in labels]
    assert matrix == confusion_matrix(golds, guesses, labels=labels).tolist()
    assert sum(map(sum, matrix)) == report.rows == 500 and report.wrong == 500 - sum(matrix[place][place] for place in range(len(labels)))


# Errors sorted apart

GOLD = Span(10, 20, "LOC")


@pytest.mark.parametrize(("gold", "made", "found"), [
    ([GOLD], [GOLD], ["right"]), ([GOLD], [Span(10, 20, "PER")], ["wrong_type"]), ([GOLD], [Span(10, 15, "LOC")], ["wrong_boundary"]),
    ([GOLD], [Span(5, 25, "LOC")], ["wrong_boundary"]), ([GOLD], [Span(15, 30, "PER")], ["wrong_both"]), ([GOLD], [], ["missed"]),
    ([], [GOLD], ["invented"]), ([GOLD], [Span(20, 30, "LOC")], ["missed", "invented"]),
    ([GOLD, Span(21, 30, "LOC")], [Span(10, 30, "LOC")], ["wrong_boundary", "missed"]),  # one covers two
    ([GOLD], [Span(10, 15, "LOC"), Span(16, 20, "LOC")], ["wrong_boundary", "invented"]),  # two share one
    ([GOLD], [Span(10, 12, "PER"), Span(13, 20, "LOC")], ["wrong_boundary", "invented"]),  # the better partner counts
], ids=["right", "type", "shorter", "longer", "both", "missed", "invented", "beside", "one for two", "two for one", "better partner"])
def test_every_error_has_its_sort(gold, made, found):
    assert Counter(sort for _, sort in Spans(gold).compared(Spans(made))) == Counter(found)


def test_the_sorts_of_errors_add_up_to_the_entities(tagged):
    pairs, report = tagged
    errors, counts = report.errors, conlleval(pairs)
    paired = errors["right"] + errors["wrong_type"] + errors["wrong_boundary"] + errors["wrong_both"]
    assert errors["right"] == counts.right
    assert paired + errors["missed"] == counts.gold == sum(line.support for line in report.labels)
    assert paired + errors["invented"] == counts.predicted == sum(line.predicted for line in report.labels)
    assert min(errors.values()) > 10, "all sorts are tried"
    for line in report.labels:
        of = report.errors_of[line.label]
        assert sum(of.values()) - of["invented"] == line.support and of["right"] == round(line.recall * line.support)


# Intervals, mistakes, the report as a file


def test_intervals_contain_their_scores_and_share_of_rows_right_is_over_all_tasks():
    rows = [Row(f"ab cd {index}", {"mood": "good" if index % 3 else None, "slots": (Span(0, 2, "LOC"),) if index % 2 else None})
            for index in range(60)]
    guess = Tagged((Span(0, 2, "LOC"),), (0.8,))
    made = [{"mood": sure_of("good" if index % 4 else "bad"), "slots": guess if index % 5 else Tagged((), ())}
            for index in range(60)]
    report = analyse_rows(rows, made, [MOOD, SLOTS])
    for task in report.tasks:
        assert task.main.low <= task.main.value <= task.main.high and task.main.low < task.main.high
        assert task.main.value == pytest.approx(task.scores[task.main_score])
    right = [(not index % 3 or index % 4 > 0) and (not index % 2 or index % 5 > 0) for index in range(60)]
    whole = report.everything_right
    assert whole.value == pytest.approx(sum(right) / 60) and whole.low <= whole.value <= whole.high
    assert [task.rows for task in report.tasks] == [40, 30]


def test_a_task_without_labelled_rows_has_no_score():
    report = report_of_classes([(None, "good")] * 5)
    assert (report.main, report.scores, report.labels, report.mistakes, report.rows) == (None, {}, (), (), 0)


def test_the_worst_mistakes_are_those_of_the_highest_confidence_and_missed_entities_come_last():
    rows = [Row("Oslo and Rome", {"slots": gold}, tuple(find_words("Oslo and Rome"))) for gold in (
        (Span(0, 4, "LOC"),), (Span(0, 4, "LOC"), Span(9, 13, "LOC")), (Span(0, 4, "LOC"),), (), ())]
    nothing = Tagged((), ())
    made = [nothing, nothing, Tagged((Span(0, 4, "PER"), Span(9, 13, "LOC")), (0.6, 0.7)), Tagged((Span(9, 13, "LOC"),), (0.9,)), nothing]
    report = analyse_rows(rows, [{"slots": tagged} for tagged in made], [SLOTS]).tasks[0]
    assert [(mistake.row, mistake.confidence) for mistake in report.mistakes] == [(3, 0.9), (2, 0.7), (1, 0.0), (0, 0.0)]
    assert report.mistakes[1].gold == Spans([Span(0, 4, "LOC")]).plain() and report.wrong == 4
    assert report.mistakes[1].predicted == made[2].value.plain()


def test_a_report_stays_small_and_shows_a_long_text_around_its_mistake():
    assert len(report_of_classes([("good", "bad")] * 200).mistakes) == WORST
    text = "ab " * 2000
    gold, guess = Span(3000, 3002, "LOC"), Span(3003, 3005, "PER")
    row = Row(text, {"slots": (Span(0, 2, "ORG"), gold)}, tuple(words_of(2000)))
    mistake = analyse_rows([row], [{"slots": Tagged((Span(0, 2, "ORG"), guess), (1.0, 0.5))}], [SLOTS]).tasks[0].mistakes[0]
    assert len(mistake.text) == TEXT and len(mistake.gold) == len(mistake.predicted) == 1
    (shown,), (made,) = Spans.of_plain(mistake.gold), Spans.of_plain(mistake.predicted)
    assert (mistake.text[shown.start:shown.end], shown.label, mistake.text[made.start:made.end], made.label) == ("ab", "LOC", "ab", "PER")


def test_reliability_counts_how_often_a_model_is_right_of_how_sure_it_is():
    guesses = [("good", 0.9, 8), ("bad", 0.9, 2), ("good", 0.65, 3), ("bad", 0.65, 2)]  # what is true, how sure of "good", rows
    rows = [Row("x", {"mood": gold}, ((0, 1),)) for gold, _, count in guesses for _ in range(count)]
    made = [{"mood": sure_of("good", confidence)} for _, confidence, count in guesses for _ in range(count)]
    found = analyse_rows(rows, made, [MOOD]).tasks[0].reliability
    assert found.bins == (pytest.approx((5, 3.25, 3)), pytest.approx((10, 9, 8))) and found.raw_bins == found.bins
    assert found.ece == found.raw_ece == pytest.approx((0.25 + 1) / 15)
    assert found.chance == pytest.approx(((2 / np.pi * 5 * 0.65 * 0.35) ** 0.5 + (2 / np.pi * 10 * 0.9 * 0.1) ** 0.5) / 15)
    assert found.sentence == ("When it says 90%, it is right 80% of the time. Calibration error 8.3% (before calibration 8.3%; a perfect "
                              "model's on as few answers: about 10.7%).")
    assert analyse_rows(rows[:1], [{"slots": Tagged((), ())}], [SLOTS]).tasks[0].reliability is None  # nothing was predicted


def test_reliability_tells_what_it_was_before_calibration():
    task = make_task(MOOD.spec)
    rows = [Row("x", {"mood": "good" if index % 4 else "bad"}, ((0, 1),)) for index in range(400)]
    made = task.tune([row.values["mood"] for row in rows], [sure_of("good", 0.98)] * 400)
    found = analyse_rows(rows, [{"mood": guess} for guess in made], [task]).tasks[0].reliability
    assert found.raw_ece == pytest.approx(0.23) and found.ece < 0.01 and "before calibration 23.0%" in found.sentence


def test_a_report_goes_to_json_and_back_and_one_of_an_earlier_version_is_read():
    rows = [Row("Oslo is bad", {"mood": gold, "slots": (Span(0, 4, "LOC"),)}, tuple(find_words("Oslo is bad"))) for gold in ("bad", None)]
    report = analyse_rows(rows, [{"mood": sure_of("good", 0.6), "slots": Tagged((), ())}] * 2, [MOOD, SLOTS])
    reports = TypeAdapter(Report)
    assert reports.validate_json(reports.dump_json(report)) == report
    assert reports.validate_json(reports.dump_json(report).replace(b'"confidence"', b'"sure"')) == report
    assert reports.validate_json(reports.dump_json(report).replace(b'"reliability"', b'"other"')).tasks[0].reliability is None


def test_of_a_thousand_labels_a_table_shows_the_worst_and_says_so():
    lines = tuple(LabelScores(f"label {index}", 1.0, index / 999, index / 999, 1 + index % 3, 1) for index in range(1000))
    report = TaskReport("mood", "classification", 1000, 0, "accuracy", None, {}, lines, ())
    assert [line.label for line in report.shown_labels] == [f"label {index}" for index in range(30)]
    assert report.labels_left_out == "These are the 30 labels with the lowest F1; 970 others are not shown."
    few = TaskReport("mood", "classification", 1000, 0, "accuracy", None, {}, lines[:30], ())
    assert few.shown_labels == lines[:30] and not few.labels_left_out
