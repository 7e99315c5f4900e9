"""mtl/tasks/classification.py: label ids, probabilities, scores; that these are sklearn's is tried in scoring/test_error_analysis.py."""

import pytest
import torch

from mtl.data.values import Label
from mtl.settings.config import TaskSpec
from mtl.tasks.base import IGNORED, Encoding
from mtl.tasks.classification import Classification, Classified

LABELS = ("book", "fly", "play", "stay")
TASK = Classification(TaskSpec(name="intent", kind="classification", labels=LABELS))
TEXT = Encoding([1, 2, 3], [(0, 1)], [1])


def guess(label: str) -> Classified:
    return Classified({label: 0.7} | {other: 0.1 for other in LABELS if other != label})


def test_rows_without_gold_are_skipped_and_a_gold_label_never_seen_in_training_is_a_mistake():
    made = [guess("book"), guess("fly"), guess("fly")]
    assert TASK.score(["book", None, "fly"], made, [TEXT] * 3) == {"accuracy": 1.0, "macro_f1": 1.0}
    assert TASK.score([None] * 3, made, [TEXT] * 3) == {}
    assert TASK.score(["swim", "fly"], made[1:], [TEXT] * 2)["accuracy"] == 0.5
    assert [TASK.hit_counts(Label(label), guess("fly")) for label in ("swim", "fly")] == [(0, 2), (1, 2)]


def test_a_label_s_id_is_its_place_and_an_unknown_label_or_none_has_no_id():
    assert [TASK.label_ids(label, TEXT) for label in (*LABELS, None, "swim")] == [0, 1, 2, 3, IGNORED, IGNORED]
    assert TASK.outputs == 4


def test_probabilities_are_sorted_and_sum_to_1():
    logits = 4 * torch.randn(20, 4, generator=torch.Generator().manual_seed(0))
    for row, made in zip(logits, TASK.decode(logits, [TEXT] * 20), strict=True):
        values = list(made.probabilities.values())
        assert values == sorted(values, reverse=True) and sum(values) == pytest.approx(1) and made.label == LABELS[row.argmax()]
        assert made.probabilities == pytest.approx(dict(zip(LABELS, row.softmax(-1).tolist(), strict=True)))


def test_the_loss_is_the_sum_over_labelled_texts_and_0_without_any():
    logits = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
    alone = [TASK.loss(logits[[row]], torch.tensor([label])) for row, label in ((0, 2), (2, 1))]
    assert TASK.loss(logits, torch.tensor([2, IGNORED, 1])).item() == pytest.approx(sum(alone).item())
    assert TASK.loss(logits, torch.full((3,), IGNORED)).item() == 0
