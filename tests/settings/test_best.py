"""What *best* means: which of two evaluations is better by each choice, and how it is said."""

import math

import pytest

from mtl.errors import MtlError
from mtl.settings.best import BESTS, Criterion, shown
from mtl.settings.config import RunConfig, make_config

TASKS = {"topic": {"main_score": "accuracy", "weight": 1.0}, "tags": {"main_score": "micro_f1", "weight": 3.0},
         "entities": {"main_score": "f1", "weight": 1.0}, "idle": {"main_score": "accuracy", "weight": 0.0}}
LOSSES = {"topic": 0.5, "tags": 0.1, "entities": 0.2, "idle": 90.0}
SCORES = {"topic": {"accuracy": 0.9, "macro_f1": 0.3}, "tags": {"micro_f1": 0.6, "macro_f1": 0.5}, "entities": {"f1": 0.7},
          "idle": {"accuracy": 0.0, "macro_f1": 0.0}}


@pytest.mark.parametrize(("best", "score", "told"), [
    ("mean", 2.2 / 3, "mean of the main scores 73.3%"), ("macro_f1", 1.5 / 3, "mean F1 (macro F1 for classes) 50.0%"),
    ("everything_right", 0.25, "everything right 25.0%"), ("loss", -1.0 / 5, "validation loss 0.2"), ("topic", 0.9, "topic accuracy 90.0%"),
    ("tags", 0.6, "tags micro f1 60.0%"), ("idle", 0.0, "idle accuracy 0.0%")])
def test_each_choice_has_its_number_and_its_words_and_a_task_that_is_not_trained_counts_only_by_its_name(best, score, told):
    criterion = Criterion(best, TASKS)
    assert criterion.score(LOSSES, SCORES, 0.25) == pytest.approx(score)
    assert f"{criterion.by} {shown(criterion.by, score)}" == told


def test_of_one_task_the_words_name_its_score():
    assert [Criterion(best, {"topic": TASKS["topic"]}).by for best in BESTS] == [
        "topic accuracy", "topic macro f1", "everything right", "validation loss"]
    assert Criterion("macro_f1", {"entities": TASKS["entities"]}).by == "entities f1"  # it has no classes


def test_a_lower_loss_is_better_and_any_loss_is_better_than_one_that_is_not_a_number():
    criterion = Criterion("loss", {"topic": TASKS["topic"]})
    scores = [criterion.score({"topic": loss}, {}, 0.0) for loss in (math.nan, math.inf, 1e9, 3.0, 0.4)]
    assert scores == sorted(scores) and all(map(math.isfinite, scores)) and scores[1] < scores[2] < scores[3] < scores[4] < 0


def test_where_nothing_that_counts_is_labelled_the_number_is_0():
    for best in ("mean", "macro_f1", "loss", "topic"):
        assert Criterion(best, TASKS).score({}, {"topic": {}}, 0.0) == 0.0


def test_a_task_called_like_a_choice_does_not_take_its_place():
    tasks = {"mean": TASKS["topic"], "loss": TASKS["entities"]}
    assert Criterion("mean", tasks).by == "mean of the main scores" and Criterion("loss", tasks).by == "validation loss"


def test_a_task_that_is_not_there_is_refused_as_soon_as_the_tasks_are_known():
    tasks = ({"name": "topic", "kind": "classification"}, {"name": "tone", "kind": "classification"})
    assert make_config({"tasks": tasks, "best": "tone"}).best == "tone" and make_config({"best": "anything"}) and RunConfig().best == "mean"
    with pytest.raises(MtlError) as refused:
        make_config({"tasks": tasks, "best": "mood"})
    assert str(refused.value) == ("Best: found 'mood', wanted mean, macro_f1, everything_right, loss, or a task with validation labels: "
                                  "topic, tone.")
    assert refused.value.for_terminal.startswith("Best (--best): ")
