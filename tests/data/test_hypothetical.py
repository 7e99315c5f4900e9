"""The hypothetical data: the same for a seed, with labels that follow from the words, or from nothing."""

from collections import Counter

import pytest

from mtl.data.hypothetical import ENTITY_LABELS, NOUNS, TONES, make_rows
from mtl.data.words import find_words, spans_to_tags, tags_to_spans

COUNT = 3000


@pytest.fixture(scope="module")
def learnable():
    return make_rows(COUNT, 1, "learnable")


@pytest.fixture(scope="module")
def random():
    return make_rows(COUNT, 1, "random")


def label_of_words(text: str, phrases: dict[str, tuple[str, ...]]) -> str:
    """The label with the longest phrase found in the text as whole words."""
    padded = " " + "".join(character if character.isalpha() else " " for character in text.lower()) + " "
    return max((len(phrase), label) for label, options in phrases.items() for phrase in options if f" {phrase} " in padded)[1]


@pytest.mark.parametrize("labels", ["learnable", "random"])
def test_the_same_seed_gives_the_same_rows_and_another_seed_others(labels):
    rows = make_rows(50, 7, labels).rows
    assert rows == make_rows(50, 7, labels).rows == make_rows(80, 7, labels).rows[:50] != make_rows(50, 8, labels).rows


def test_there_are_three_tasks_every_row_is_labelled_for_all_and_random_labels_stand_on_the_same_sentences(learnable, random):
    for table in (learnable, random):
        assert [(task.name, task.kind) for task in table.tasks] == [
            ("class", "classification"), ("sentiment", "classification"), ("entities", "tagging")]
        assert [row.text for row in table.rows] == [row.text for row in learnable.rows] and len(table.rows) == COUNT
        for row in table.rows:
            assert row.values["class"] in NOUNS and row.values["sentiment"] in TONES
            assert {span.label for span in row.values["entities"]} <= set(ENTITY_LABELS)


def test_sentences_vary(learnable):
    texts = [row.text for row in learnable.rows]
    assert len(set(texts)) > 0.98 * COUNT
    assert len({len(find_words(text)) for text in texts}) > 12
    assert max(Counter(text.split()[0] for text in texts).values()) < 0.3 * COUNT
    entities = Counter(min(len(row.values["entities"]), 3) for row in learnable.rows)
    assert min(entities[count] for count in range(4)) > 0.05 * COUNT


def test_spans_are_exact_and_stand_on_word_edges(learnable, random):
    for row in learnable.rows + random.rows:
        words, spans = row.word_ranges(), row.values["entities"]
        assert tuple(tags_to_spans(words, spans_to_tags(words, spans))) == spans
    for row in learnable.rows:
        for span in row.values["entities"]:
            assert all(part[0].isupper() for part in row.text[span.start:span.end].split())


def test_learnable_labels_follow_from_the_words_but_some_names_need_their_context(learnable):
    labels: dict[str, set[str]] = {}
    for row in learnable.rows:
        assert label_of_words(row.text, NOUNS) == row.values["class"]
        assert label_of_words(row.text, TONES) == row.values["sentiment"]
        for span in row.values["entities"]:
            for word in row.text[span.start:span.end].split():
                labels.setdefault(word, set()).add(span.label)
    assert sum(len(found) > 1 for found in labels.values()) >= 10
    assert len(labels) >= 60


def chi_square(pairs: list[tuple[str, str]]) -> tuple[float, int]:
    """The chi-square statistic of independence, and its degrees of freedom."""
    table, left, right = Counter(pairs), Counter(one for one, _ in pairs), Counter(two for _, two in pairs)
    expected = {(one, two): left[one] * right[two] / len(pairs) for one in left for two in right}
    return sum((table[pair] - value) ** 2 / value for pair, value in expected.items()), (len(left) - 1) * (len(right) - 1)


FEATURES = {
    "class": lambda row: row.values["class"],
    "sentiment": lambda row: row.values["sentiment"],
    "entities": lambda row: min(len(row.values["entities"]), 3),
    "first word": lambda row: row.text.split()[0] if row.text.split()[0] in ("The", "Our", "Was", "I", "At", "With") else "another",
    "length": lambda row: min(len(row.text) // 20, 6),
    "length modulo 4": lambda row: len(row.text) % 4,
}


@pytest.mark.parametrize("feature", FEATURES)
@pytest.mark.parametrize(("task", "labels"), [("class", NOUNS), ("sentiment", TONES)])
def test_random_labels_are_balanced_and_independent_of_the_sentence(learnable, random, task, labels, feature):
    counts = Counter(row.values[task] for row in random.rows)
    assert counts.keys() == labels.keys()
    assert max(counts.values()) - min(counts.values()) < 0.2 * COUNT / len(counts)
    pairs = [(FEATURES[feature](left), right.values[task]) for left, right in zip(learnable.rows, random.rows, strict=True)]
    statistic, freedom = chi_square(pairs)
    assert statistic < freedom + 5 * (2 * freedom) ** 0.5


def test_random_labels_are_not_the_true_ones_for_any_seed():
    same = sum(make_rows(1, seed, "learnable").rows[0].values["class"] == make_rows(1, seed, "random").rows[0].values["class"]
               for seed in range(400))
    assert 60 < same < 140  # a quarter, five standard deviations either way


def test_random_entities_stand_on_names_no_more_than_on_other_words(learnable, random):
    pairs, marked = [], []
    for left, right in zip(learnable.rows, random.rows, strict=True):
        words = left.word_ranges()
        truths, draws = spans_to_tags(words, left.values["entities"]), spans_to_tags(words, right.values["entities"])
        for truth, drawn in zip(truths, draws, strict=True):
            pairs.append((truth[2:] or "O", "yes" if drawn != "O" else "no"))
            if truth != "O" and drawn != "O":
                marked.append((truth[2:], drawn[2:]))
    both, all_of = Counter(pairs), Counter(truth for truth, _ in pairs)
    share = {truth: both[truth, "yes"] / all_of[truth] for truth in all_of}
    assert max(share.values()) - min(share.values()) < 0.05
    statistic, freedom = chi_square(marked)
    assert statistic < freedom + 5 * (2 * freedom) ** 0.5
