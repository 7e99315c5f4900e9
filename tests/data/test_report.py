"""mtl/data/report.py and mtl/data/findings.py: what is told about data before training, and that nothing is told without reason."""

import random
import subprocess
import sys
from pathlib import Path

import pytest

from mtl.data.dataset import load
from mtl.data.findings import SEVERITIES
from mtl.data.report import LabelCount, bundled_subwords, make_report, measure_lengths, report_lines
from mtl.data.rows import Dataset, row_shape
from mtl.data.store import Stored, keep
from mtl.data.words import Span, find_words
from mtl.model.batching import encode
from mtl.settings.config import TaskSpec, make_config
from tests.legible import is_legible
from tests.plain import Row

TASKS = [TaskSpec(name="topic", kind="classification", labels=("food", "travel")),
         TaskSpec(name="entities", kind="tagging", labels=("LOC", "PER"))]


def row(text: str, topic: str | None = "food", *entities: tuple[str, str], **values) -> Row:
    """A row whose entities are the first occurrences of the words given."""
    spans = tuple(sorted(Span(text.index(words), text.index(words) + len(words), label) for words, label in entities))
    return Row(text, {"topic": topic, "entities": spans, **values})


def plain_rows(count: int, name: str) -> list[Row]:
    """Rows of which there is nothing to tell."""
    return [row(f"{name} {index} saw Oslo{index} with Ann{index}", ("food", "travel")[index % 2], (f"Oslo{index}", "LOC"),
                (f"Ann{index}", "PER")) if index % 3 else row(f"{name} {index} is quiet", ("food", "travel")[index % 2])
            for index in range(count)]


def dataset(train=(), validation=(), test=(), tasks=TASKS, notices=()) -> Dataset:
    """Data without a flaw, and these rows besides."""
    splits = {"train": train, "validation": validation, "test": test}
    return Dataset(*([*plain_rows(120, name), *rows] for name, rows in splits.items()), list(tasks), list(notices))


def small(train, validation=None, tasks=TASKS) -> Dataset:
    """Exactly these training rows, without test rows; by default with validation rows without a flaw."""
    return Dataset(train, plain_rows(120, "validation") if validation is None else validation, [], tasks)


def whats(data: Dataset, **more) -> list[str]:
    """What is found in the data, most severe first, each with its severity."""
    findings = make_report(data, **({"max_length": 64} | more)).findings
    assert [SEVERITIES.index(finding.severity) for finding in findings] == sorted(SEVERITIES.index(each.severity) for each in findings)
    for finding in findings:
        assert is_legible(finding.what) and finding.what[-1] == "."
        assert finding.what in data.notices or finding.effect[-1] == finding.advice[-1] == "."
    return [f"{finding.severity}: {finding.what}" for finding in findings]


def of(data: Dataset, part: str) -> list[str]:
    """The findings about this."""
    return [what for what in whats(data) if part in what]


def fits(tokenizer):
    """A transformers tokenizer as Subwords."""
    return lambda texts: tokenizer(list(texts), return_offsets_mapping=True)["offset_mapping"]


# Findings


def called(words: str, *labels: tuple[str, int]) -> list[Row]:
    """Rows in which `words` are an entity of these types, so many times."""
    return [row(f"{words} {number} of {label}", "food", (words, label)) for label, number in labels for number in range(number)]


def halves(rows: list[Row]) -> list[Row]:
    """Each row twice: once labelled for the one task, once for the other."""
    return [Row(each.text, each.values | {task: None}) for task in ("topic", "entities") for each in rows]


KNOWN = plain_rows(120, "train")
ONE, OTHER = halves([row("just one text", "food")])
TORN = called("Paris", ("LOC", 12), ("PER", 2)) + called("Ann", ("PER", 1), ("LOC", 2)) + called("Jo", ("PER", 2), ("LOC", 2))
FOUND_TORN = ("note: In train the same words have different types of 'entities': 'Paris' (LOC 12, PER 2), 'Jo' (PER 2, LOC 2), "
              "'Ann' (LOC 2, PER 1)")
MUSIC = [TASKS[0].model_copy(update={"labels": ("food", "music", "sport", "travel")}), TASKS[1]]
UNTRAINED = "problem: In validation or test '{}' has {} that train does not teach: {}."
FEW = "warning: '{}' has 1 label with fewer than 5 training examples: {}."
FINDINGS = [
    ("data without a flaw have none", dataset(), []),
    ("repeats within train, whatever their case and blanks", dataset([
        row("Train  1 SAW Oslo1 with Ann1", "travel", ("Oslo1", "LOC"), ("Ann1", "PER"))]),
     ["note: 1 of 121 training rows (0.8%) has the text of an earlier one, such as 'Train 1 SAW Oslo1 with Ann1'."]),
    ("many repeats are a warning", dataset(KNOWN[:20]),
     ["warning: 20 of 140 training rows (14.3%) have the text of an earlier one, such as 'train 0 is quiet'."]),
    ("a text labelled for one task here and for another there is no repeat", dataset([ONE, OTHER]), []),
    ("nor a leak", dataset([ONE], [OTHER]), []),
    *[case for split in ("validation", "test") for case in (
        (f"{split} rows that are in train", dataset(**{split: KNOWN[:1]}),
         [f"warning: 1 of 121 {split} rows (0.8%) has a text that is also in train, such as 'train 0 is quiet'."]),
        (f"many {split} rows that are in train are a problem", dataset(**{split: KNOWN[:30]}),
         [f"problem: 30 of 150 {split} rows (20.0%) have a text that is also in train, such as 'train 0 is quiet'."]))],
    ("labels that only validation or test have", dataset(
        validation=[row("validation goal", "sport")], test=[row("test goal", "sport"), row("test aria", "music", ("aria", "WORK"))]),
     [UNTRAINED.format("topic", "2 labels", "'sport' (validation 1, test 1), 'music' (validation 0, test 1)"),
      UNTRAINED.format("entities", "1 label", "'WORK' (validation 0, test 1)")]),
    ("labels with fewer than five examples", dataset([row(f"tune {index}", "music") for index in range(4)] + [
        row(f"goal {index}", "sport") for index in range(5)], tasks=MUSIC), [FEW.format("topic", "'music' 4")]),
    ("types with fewer than five examples", dataset(
        [row("Ode to X", "food", ("Ode", "WORK"))], tasks=[TASKS[0], TaskSpec(name="entities", kind="tagging")]),
     [FEW.format("entities", "'WORK' 1")]),
    ("few validation rows", small(KNOWN, plain_rows(99, "validation")),
     ["warning: Validation has few labelled rows: 99 for 'entities', 99 for 'topic'."]),
    ("a hundred are enough", small(KNOWN, plain_rows(100, "validation")), []),
    ("a task without validation rows", small(KNOWN, [
        Row(each.text, each.values | {"topic": None}) for each in plain_rows(100, "validation")]),
     ["problem: Validation has no row labelled for 'topic'."]),
    ("few training rows", small(KNOWN[:99], tasks=TASKS[:1]), ["warning: Only 99 training rows are labelled for 'topic'."]),
    ("words that are now one type, now another, the most frequent first", dataset(TORN), [FOUND_TORN + "."]),
    ("of many such words three", dataset(TORN + called("Al", ("PER", 1), ("LOC", 1))), [FOUND_TORN + " and 1 more."]),
    ("words of another case are others", dataset(called("Paris", ("LOC", 9)) + called("paris", ("PER", 9))), []),
    ("tasks that are never labelled together", small(halves(KNOWN), halves(plain_rows(120, "validation"))),
     ["note: No row is labelled for both 'topic' and 'entities'."]),
    ("one row for both is enough", small([*halves(KNOWN), row("both", "food")], halves(plain_rows(120, "validation"))), []),
    ("notices of the readers, once", dataset(notices=["a.csv: odd.", "a.csv: odd."]), ["note: a.csv: odd."]),
]


@pytest.mark.parametrize(("data", "found"), [pytest.param(*case[1:], id=case[0]) for case in FINDINGS])
def test_flaws_are_found_and_nothing_else(data, found):
    assert whats(data) == found


def test_how_uncertain_scores_on_few_rows_are_is_said():
    data = small(KNOWN, plain_rows(99, "validation"))
    assert "A score of 80% on 99 rows is uncertain by about 8 points" in make_report(data, 64).findings[0].effect


def test_one_text_with_two_labels_is_found_in_and_across_splits():
    found = "warning: 1 text has different labels for '{}' in different rows (2 in all), such as '{}'"
    assert of(dataset([row("Soup in Rome", "food")], [row("soup in rome", "travel")]), "different labels") == [
        found.format("topic", "Soup in Rome") + ": once 'food', once 'travel'."]
    assert of(dataset([row("Soup in Rome"), row("Soup in Rome", "food", ("Rome", "LOC"))]), "different labels") == [
        found.format("entities", "Soup in Rome") + ": once without, once 'Rome = LOC'."]
    twice = [Row("Rome is Rome", {"topic": "food", "entities": (Span(start, start + 4, "LOC"),)}) for start in (0, 8)]
    assert of(dataset(twice), "different labels") == [found.format("entities", "Rome is Rome") + "."]
    same = [row(text, "food", ("Rome", "LOC"), ("Oslo", "LOC")) for text in ("in  Rome and\tOslo", "IN Rome and Oslo ")]
    assert not of(dataset(same), "different labels")  # blanks and case move the entities, which are on the same words
    clashes = [row(f"text {index // 2}", ("food", "travel")[index % 2]) for index in range(60)]
    assert of(dataset(clashes), "different labels")[0].startswith(
        "problem: 30 texts have different labels for 'topic' in different rows (60 in all)")


def test_a_label_that_nearly_all_rows_have_is_found_with_the_accuracy_of_always_answering_it():
    data = dataset([row(f"soup {index}", "food") for index in range(500)])
    found = [finding for finding in make_report(data, 64).findings if "of its training rows" in finding.what]
    assert [finding.what for finding in found] == ["In 90.3% of its training rows 'topic' is 'food', such as 'train 0 is quiet'."]
    assert found[0].effect == "Always answering 'food' has an accuracy of 50.0% on validation, so accuracy says little."
    assert found[0].advice == "Choose Best 'macro_f1', in which every class counts the same, and add rows with other labels."
    assert whats(dataset([row(f"soup {index}", "food") for index in range(400)])) == []
    assert "In 90.0% of its" in "".join(whats(dataset([row(f"soup {index}", "food") for index in range(480)])))


def test_notices_of_the_readers_are_left_out_when_a_finding_tells_them(tmp_path, write_rows):
    rows = [{"text": f"go {index}", "topic": ("food", "travel")[index % 2], "mood": ("good", "bad")[index % 2]} for index in range(200)]
    validation = [{"text": f"stay {index}", "topic": "sport" if index < 2 else "food", "mood": None} for index in range(100)]
    files = {"train_files": (write_rows(tmp_path / "train.jsonl", rows),),
             "validation_files": (write_rows(tmp_path / "validation.jsonl", validation),)}
    data = load(make_config({"source": "files", **files}), tmp_path)
    assert len(data.notices) == 2
    assert whats(data) == ["problem: Validation has no row labelled for 'mood'.",
                           "problem: In validation or test 'topic' has 1 label that train does not teach: 'sport' (validation 2, test 0)."]


# Lengths


@pytest.mark.parametrize("max_length", [8, 11, 16, 24, 500])
def test_what_is_cut_agrees_with_what_the_learner_reads(tokenizer, max_length):
    """An entity is lost if a word of it has a first subword in the whole text and none in the cut one."""
    words = ["Oslo", "unbelievably", "don't", "über", "東京", "x\u200bx", "[SEP]", "\u200b", "a.b", "\ufffd", " "]
    draws, rows = random.Random(max_length), []
    for number in range(80):
        text = "  ".join(draws.choices(words, k=draws.randrange(1, 16))) + f" {number}"
        ranges = find_words(text)
        edges = sorted(draws.sample(range(len(ranges) + 1), min(6, len(ranges)) // 2 * 2))
        spans = tuple(Span(ranges[one][0], ranges[other - 1][1], "LOC") for one, other in zip(edges[::2], edges[1::2], strict=True))
        rows.append(Row(text, {"entities": spans}))
    whole, cut = (encode(tokenizer, [row.text for row in rows], length) for length in (10_000, max_length))
    lost = sum(any(span.start <= word[0] < span.end and full >= 0 > short
                   for word, full, short in zip(one.words, one.firsts, other.firsts, strict=True))
               for each, one, other in zip(rows, whole, cut, strict=True) for span in each.values["entities"])
    lengths = measure_lengths(rows, ["entities"], max_length, fits(tokenizer))
    assert lengths.rows_cut == sum(len(encoding.ids) > max_length for encoding in whole)
    assert (lengths.entities, lengths.entities_lost) == (sum(len(each.values["entities"]) for each in rows), lost)
    assert lengths.longest == max(len(encoding.ids) for encoding in whole)
    assert (max_length == 500) != (lost > 0)


def test_the_bundled_subwords_are_those_of_training(tokenizer):
    texts = ["Typed [SEP] and [CLS].", "naïve 東京 👩‍👩‍👧 \u200b", "", "a" * 500, "word " * 600]
    if "reserved" in tokenizer.get_vocab():  # the bundled one
        assert [list(offsets) for offsets in bundled_subwords()(texts)] == fits(tokenizer)(texts)


def test_a_cut_is_found_and_said_with_what_it_takes_away():
    data = dataset([row("Ann " + "went on " * 40 + "to Rome", "food", ("Ann", "PER"), ("Rome", "LOC"))])
    assert whats(data, subwords=bundled_subwords()) == [
        "warning: The cut at 64 subwords takes away 1 of 162 entity mentions (0.6%) in train, such as 'Rome'.",
        "note: 1 of 121 training rows (0.8%) is longer than 64 subwords, such as "
        "'Ann went on went on went on went on went on went on went on …' with 85."]
    assert whats(data, max_length=85, subwords=bundled_subwords()) == []
    assert whats(data) == [] and make_report(data, 64).lengths is None


def test_the_histogram_has_at_most_twenty_bins_and_every_text_in_one():
    for sizes in ([3], [2, 2, 2], list(range(1, 400)), [5] * 500 + [9000], [19 * 7] * 3):
        lengths = measure_lengths([Row("x" * size, {}) for size in sizes], [], 8, lambda texts: [[(0, 1)] * len(text) for text in texts])
        assert len(lengths.counts) + 1 == len(lengths.edges) <= 21 and sum(lengths.counts) == len(sizes)
        assert list(lengths.edges) == sorted(set(lengths.edges)) and lengths.edges[0] <= min(sizes) and max(sizes) < lengths.edges[-1]
        assert (lengths.median, lengths.longest) == (sorted(sizes)[(len(sizes) - 1) // 2], max(sizes))
        assert lengths.rows_cut == sum(size > 8 for size in sizes)


def test_of_many_rows_a_sample_is_measured_and_said_to_be_one():
    data = dataset([row(f"{'long ' * (index % 10)}ride {index}") for index in range(2000)])
    whole = measure_lengths(data.train, ["entities"], 10, bundled_subwords())
    sample = measure_lengths(data.train, ["entities"], 10, bundled_subwords(), limit=500)
    assert (sample.rows, sample.measured, sum(sample.counts)) == (2120, 500, 500)
    assert sample == measure_lengths(data.train, ["entities"], 10, bundled_subwords(), limit=500)
    assert abs(sample.rows_cut - whole.rows_cut) < 0.2 * whole.rows_cut and sample.rows_cut % 10 == 0


def test_more_rows_than_the_sample_are_spoken_of_as_about_so_many():
    data = small([row(f"{'long ' * (index % 20)}ride {index}", "food") for index in range(20_500)], tasks=TASKS[:1])
    report = make_report(data, 10, lambda texts: [[(0, 1)] * len(text.split()) for text in texts])
    assert report.lengths.measured == 20_000
    assert any(finding.what.startswith("About ") and "of 20,500 training rows" in finding.what for finding in report.findings)
    assert any("(of a sample of 20,000 rows)" in line and "; about " in line for line in report_lines(report))


# Coverage, labels, examples


def test_coverage_counts_rows_by_task_and_by_combination():
    train, validation, test = make_report(dataset([Row("a", {"topic": "food", "entities": None}), Row("b", {"topic": None})]), 64).coverage
    assert (train.split, train.rows, train.labelled) == ("train", 122, {"topic": 121, "entities": 120})
    assert train.combinations == {"topic + entities": 120, "topic only": 1, "no task": 1}
    assert (validation.split, validation.combinations, test.rows) == ("validation", {"topic + entities": 120}, 120)
    assert make_report(small(plain_rows(3, "a"), [], TASKS[:1]), 64).coverage[0].combinations == {"topic": 3}


def test_labels_are_counted_in_every_split_the_most_frequent_first_with_an_example():
    labels = make_report(dataset([row("Soup", "food")], test=[row("Aria", "music", ("Aria", "WORK"))]), 64).labels
    assert labels == {
        "topic": (LabelCount("food", 61, 60, 60, "train 0 is quiet"), LabelCount("travel", 60, 60, 60, "train 1 saw Oslo1 with Ann1"),
                  LabelCount("music", 0, 0, 1, "Aria")),
        "entities": (LabelCount("LOC", 80, 80, 80, "Oslo1"), LabelCount("PER", 80, 80, 80, "Ann1"), LabelCount("WORK", 0, 0, 1, "Aria"))}


def test_examples_are_a_dozen_rows_with_every_label_short_to_long_and_one_without_entities():
    tunes = [row(f"tune {index} by Bo", "music", ("Bo", "ACT")) for index in range(2)]
    rows = [*plain_rows(300, "train"), *tunes, row("long " * 60, "food")]
    examples = make_report(small(rows), 64).examples
    assert len(examples) == len({each.text for each in examples}) == 12
    assert [len(each.text) for each in examples] == sorted(len(each.text) for each in examples)
    assert {each.values["topic"] for each in examples} == {"food", "travel", "music"}
    assert {span.label for each in examples for span in each.values["entities"]} == {"LOC", "PER", "ACT"}
    assert any(each.values["entities"] == () for each in examples) and examples[-1].text.startswith("long long")
    assert examples == make_report(small(rows), 64).examples
    assert len(make_report(small(rows[:3], rows[:1]), 64).examples) == 3


# Everything


def flawed() -> Dataset:
    """Data with something of everything."""
    train = [row("Soup in Paris", "food", ("Paris", "LOC")), row("soup in paris", "travel"), row("Paris sang", "music", ("Paris", "PER")),
             Row("half", {"topic": "food", "entities": None}, ((0, 4),)), row("far " * 70 + "Rome", "travel", ("Rome", "LOC"))]
    return dataset(train, [row("Soup in Paris", "food", ("Paris", "LOC"))], [row("x", "sport")], notices=["a.csv: odd."])


def test_data_laid_out_on_disk_give_the_same_report_as_data_in_memory(tmp_path):
    data, shape = flawed(), row_shape(TASKS)
    splits = {"train": data.train, "validation": data.validation, "test": data.test}
    stored = [keep(iter(rows), shape, tmp_path / f"{split}.arrow", limit=10) for split, rows in splits.items()]
    assert all(isinstance(rows, Stored) for rows in stored)
    report = make_report(data, 64, bundled_subwords())
    assert make_report(Dataset(*stored, data.tasks, data.notices), 64, bundled_subwords()) == report
    assert len(report.findings) == 9


def test_any_text_is_looked_at_without_harm():
    texts = ["\ud800 alone", "\u202eright to left", "\U0001f469\u200d\U0001f469\u200d\U0001f467 family", "e\u0301 \u0130 \u00df \ufb01",
             "\u200b\u200b", "\u4e1c\u4eac \u5927\u962a", "a\nb\tc\x07", "\U0010ffff", "\u0130" * 300]
    rows = [Row(text, {"topic": text[:3], "entities": (Span(0, len(text), text[:2] or "x"),)}) for text in texts * 2]
    report = make_report(Dataset(rows, rows[:9], rows[9:], TASKS), 8, bundled_subwords())
    assert all(map(is_legible, report_lines(report)))
    assert report.coverage[0].rows == 18 and any("9 of 18 training rows (50.0%) have" in finding.what for finding in report.findings)


def test_the_lines_for_the_terminal_hold_the_counts_and_all_findings_and_progress_is_never_beyond_the_end():
    progress = []
    report = make_report(flawed(), 64, bundled_subwords(), lambda what, share: progress.append((what, share)))
    text = "\n".join(report_lines(report))
    assert text.splitlines()[:2] == ["            rows  topic  entities", "train        125    125       124"]
    assert "train rows by what is labelled: topic + entities 124, topic only 1" in text and "1 row is cut at 64." in text
    assert all(" ".join(finding.what.split()) in " ".join(text.split()) for finding in report.findings)
    assert max(map(len, report_lines(report))) <= 110 and len(progress) > 3
    assert {what for what, _ in progress} == {"Looking at the rows", "Measuring the texts"} and all(0 <= share < 1 for _, share in progress)


def test_a_report_needs_neither_torch_nor_pandas():
    code = ("import sys; from mtl.data.report import bundled_subwords; bundled_subwords()(['a']); "
            "print([name for name in ('torch', 'transformers', 'pandas', 'gradio', 'datasets') if name in sys.modules])")
    result = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], capture_output=True, text=True)
    assert result.stdout.strip() == "[]", result.stderr
