"""The sentence above the curves: what it says of made-up histories, and that it claims nothing that they do not show."""

import math
import re
from collections.abc import Mapping, Sequence

import pytest

from mtl.runs.events import CheckpointSaved, Estimated, Evaluated, Logged, RunStarted, Sampled, StatusChanged, StepDone
from mtl.runs.history import YIELDED, History
from mtl.runs.story import tell
from mtl.text import FIRST_STRONG_ISOLATE, POP_ISOLATE
from tests.legible import is_legible

EVERY = 100  # steps between two evaluations
ARABIC = "\u0645\u0634\u0627\u0639\u0631 7"
RISING, SLOW, FLAT, TOP = (0.5, 0.6, 0.7, 0.78), (0.1, 0.2, 0.3, 0.4), (0.6, 0.85, 0.86, 0.855), (0.97, 0.98, 0.98, 0.985)
BLANK, FALLEN = (0.0, 0.0, 0.003, 0.0), (0.5, 0.8, 0.6, 0.65)
FALLING, RISEN_AGAIN = (1.0, 0.9, 0.8, 0.7), (0.8, 0.5, 0.7, 0.75)  # losses
STEADY, ROSE = "{} has hardly risen lately.", "tone is still rising, by 18.0 points since step 200."
EARLY = "It is too early to say how the scores move."
CAN_STOP = " You can stop now: the best weights are kept."
FEW = " chance alone moves a score by many points."


def started(tasks: Sequence[str], rows: int = 300, at: int = 0, score: str = "f1", weight: float = 1.0, every: int = EVERY) -> RunStarted:
    facts = {"labels": ["a", "b", "c"], "main_score": score, "validation_rows": rows, "weight": weight}
    return RunStarted(at, 1000, EVERY, dict.fromkeys(tasks, facts), 900, rows, 10**6, "cpu", "fp32", 1, 1, 7, eval_every=every)


def looked(step: int, scores: Mapping[str, Mapping[str, float | None]], losses: Mapping[str, float | None] | None = None) -> Evaluated:
    return Evaluated(step, step / EVERY, "validation", dict(losses or {}), dict(scores), 0.5, 0.5, True, 1.0)


def stepped(step: int, losses: Mapping[str, float]) -> StepDone:
    return StepDone(step, step / EVERY, dict(losses), 1e-4, 1.0, 99.0, step / 10)


def events(curves: Mapping[str, Sequence[float | None]], validation: Mapping[str, Sequence[float]] | None = None,
           training: Mapping[str, Sequence[float]] | None = None, **facts) -> list:
    """A run with an evaluation every EVERY steps: `curves` are the main scores of its tasks, the others their losses."""
    made = [started([*curves], **facts), StatusChanged("running"), looked(0, {task: {"f1": 0.3} for task in curves})]
    for place in range(len(next(iter(curves.values())))):
        step = EVERY * (place + 1)
        if training:
            made.append(stepped(step - 50, {task: values[place] for task, values in training.items()}))
        made += [looked(step, {task: {"f1": values[place]} for task, values in curves.items()},
                        {task: values[place] for task, values in (validation or {}).items()}), CheckpointSaved(step, "best", 1.0)]
    return made


def quick(task: str, scores: Sequence[float | None], rows: int = 64, every: int = 10) -> list:
    """Quick looks at these main scores, and the steps before them, 10 seconds each."""
    return [event for place, score in enumerate(scores, 1) for event in (
        StepDone(every * place, 0.1, {}, 1e-4, 1.0, 99.0, 10.0 * place), Sampled(every * place, 0.1, {task: score}, {}, 0.1, rows, 0.2))]


def history(*made) -> History:
    found = History()
    for event in made:
        found.add(Logged(1.0, event))
    return found


def accurate(accuracy: float, macro_f1: float) -> list:
    """A run with one evaluation of a task with three classes."""
    return [started(["tone"], score="accuracy"), looked(EVERY, {"tone": {"accuracy": accuracy, "macro_f1": macro_f1}})]


@pytest.mark.parametrize(("made", "sentence"), [
    ([], "Training begins by itself when it is the turn of this run."),
    ([StatusChanged("running")], "The curves begin with the first steps."),
    ([StatusChanged("running"), StatusChanged("failed", "No rows.")], ""),  # the status line has the reason
    (events({"tone": ()}), "The first scores come at step 100."),
    ([*events({"tone": ()}), Estimated(200.0, 9.0)], "The first scores come at step 100, after about 20 s of training."),
    ([started(["tone"], every=5000), StatusChanged("running")], "The first scores come at step 1,000."),  # the last step
    ([started(["tone"], every=0), StatusChanged("running")], "There are no scores yet."),  # an older log
    ([*events({"tone": ()}), StatusChanged("stopped", "Stopped.")], "It ended before its first scores."),
], ids=["queued", "reading", "failed at once", "no evaluation", "estimated", "one at the end", "old log", "stopped early"])
def test_before_the_first_scores_it_says_when_they_come(made, sentence):
    assert tell(history(*made)) == sentence


@pytest.mark.parametrize(("curves", "sentence"), [
    ({"tone": RISING[:1]}, EARLY),
    ({"tone": RISING[:2]}, "tone is still rising, by 10.0 points since step 100."),
    ({"tone": RISING}, ROSE),
    ({"tone": FLAT}, STEADY.format("tone") + CAN_STOP),
    ({"tone": FLAT[:3]}, "tone is not clearly rising."),  # too early
    ({"tone": (0.8, 0.82, 0.83, 0.84)}, "tone is not clearly rising."),  # more than nothing, and less than chance may be
    ({"tone": FALLEN}, "tone has fallen, by 15.0 points since step 200." + CAN_STOP),
    ({"tone": TOP[:1]}, "tone is almost always right."),
    ({"tone": TOP}, "tone is almost always right." + CAN_STOP),
    ({"tone": BLANK}, "Nothing is clearly learned: tone is not clearly better than guessing."),
    ({"topic": FLAT, "tone": TOP, "slots": SLOW},
     "slots is still rising, by 20.0 points since step 200; topic has hardly risen lately; tone is almost always right."),
    ({"topic": BLANK, "tone": RISING, "slots": SLOW}, "topic is not clearly better than guessing; tone and slots are still rising."),
    ({"topic": FLAT, "tone": FLAT}, "topic and tone have hardly risen lately." + CAN_STOP),
    ({"tone": (0.5, None, 0.78, math.nan)}, "tone is still rising, by 28.0 points since step 100."),
    ({"tone": (None, math.nan)}, EARLY),
    ({"tone": (None, None, None, None)}, EARLY),
    ({ARABIC: FLAT, "tone": SLOW},
     f"tone is still rising, by 20.0 points since step 200; {FIRST_STRONG_ISOLATE}{ARABIC}{POP_ISOLATE} has hardly risen lately."),
], ids=["one", "two", "rising", "flat", "early", "slow", "falling", "top at once", "top", "nothing learned", "one is slower",
        "one not learned", "two flat", "holes", "no numbers", "never scored", "right to left"])
def test_it_says_how_the_scores_move(curves, sentence):
    assert tell(history(*events(curves))) == sentence


def timed(*curves: Sequence[float], pace: float = 0.3, **more) -> str:
    """What is said of tasks with these scores, if a step takes `pace` seconds."""
    made = events({f"task {place}": curve for place, curve in enumerate(curves)}, **more)
    steps = [StepDone(50 * place, 0.5, {}, 1e-4, 1.0, 99.0, 50 * place * pace) for place in range(1, 2 * len(curves[0]) + 1)]
    return tell(history(*made[:2], *sorted(steps + made[2:], key=lambda event: event.step)))


@pytest.mark.parametrize(("pace", "told"), [
    (0.3, "task 0 is still rising, by 18 points a minute; about 3 min left."), (1.2, "by 4.5 points a minute; about 12 min left."),
    (30.0, "by 11 points an hour; about 5.0 h left."), (0.01, "task 0 is still rising, by 18.0 points since step 200; about 10 s left.")])
def test_of_a_rise_it_says_how_fast_it_is_and_how_long_it_goes_on(pace, told):
    assert timed(RISING, pace=pace).endswith(told)


def test_the_speeds_of_several_tasks_stand_in_the_order_of_their_names():
    assert timed(RISING, SLOW) == "task 0 and task 1 are still rising, by 18 and 20 points a minute; about 3 min left."
    assert timed(RISING, SLOW, SLOW, SLOW) == "task 0, task 1 and 2 more are still rising; about 3 min left."


UP, NOISE = (0.1, 0.2, 0.4, 0.5, 0.7, 0.8), (0.5, 0.55, 0.48, 0.5, 0.56, 0.52)


@pytest.mark.parametrize(("scores", "rows", "told"), [
    (UP, 64, "By quick looks at 64 validation rows, tone is still rising, by 90 points a minute; about 16 min left. The first full scores "
             "come at step 100."),
    ((0.4, 0.5, 0.5, 0.6, 0.6, 0.7), 8, "The first scores come at step 100."), (NOISE, 64, "The first scores come at step 100."),
    ((None, math.nan), 64, "The first scores come at step 100.")], ids=["rise", "few rows", "noise", "no numbers"])
def test_before_the_first_scores_quick_looks_tell_what_clearly_rises(scores, rows, told):
    assert tell(history(*events({"tone": ()}), *quick("tone", scores, rows))) == told


def test_after_one_evaluation_quick_looks_tell_what_clearly_rises_unless_the_run_is_over():
    made = [*events({"tone": RISING[:1]}), *quick("tone", UP, every=20)]
    assert tell(history(*made)) == "tone is still rising, by 90 points a minute; about 7 min left."
    assert tell(history(*made, StatusChanged("stopped"))) == EARLY


def test_looks_beyond_the_step_of_a_resume_no_longer_count():
    seen = history(*events({"tone": ()}), *quick("tone", UP), started(["tone"], at=30))
    assert [look.step for look in seen.sampled] == [10, 20, 30] and not any(isinstance(at.event, Sampled) for at in seen.entries)


@pytest.mark.parametrize(("rows", "sentence"), [
    (20, "tone is not clearly rising. With 20 validation rows," + FEW),
    (200, "tone is still rising, by 14.0 points since step 200."),
])
def test_few_validation_rows_are_too_few_to_see_a_rise_that_more_rows_show(rows, sentence):
    assert tell(history(*events({"tone": (0.5, 0.6, 0.66, 0.74)}, rows=rows))) == sentence


def test_of_few_rows_that_are_all_right_it_does_not_say_that_everything_is_learned():
    told = tell(history(*events({"tone": (1.0, 1.0, 1.0, 1.0)}, rows=6)))
    assert told == "tone is not clearly rising. With 6 validation rows," + FEW


@pytest.mark.parametrize(("accuracy", "macro_f1", "sentence"), [
    (0.6, 2 * 0.6 / 1.6 / 3, "Nothing is clearly learned: tone has the same answer for every row."),
    (0.6, 2 * 0.6 / 1.6 / 2, "Nothing is clearly learned: tone has the same answer for every row."),  # a class without validation rows
    (0.98, 2 * 0.98 / 1.98 / 3, "Nothing is clearly learned: tone has the same answer for every row."),  # nearly all rows are of one class
    (0.35, 0.34, "Nothing is clearly learned: tone is not clearly better than guessing."),
    (0.6, 0.55, EARLY)])
def test_it_sees_classes_that_are_guessed_and_one_answer_for_all_rows(accuracy, macro_f1, sentence):
    made = accurate(accuracy, macro_f1)
    assert tell(history(*made, StatusChanged("running"))) == sentence


BY_HEART = "The validation loss of {} has risen while the training loss fell: the model is learning the training rows by heart."


def losing(validation: Sequence[float], training: Sequence[float] = FALLING, scores: Sequence[float] = FLAT) -> str:
    """What is said of a run of three tasks, the first of which has these losses and scores."""
    good = {"topic": FALLING, "slots": FALLING}
    return tell(history(*events({"tone": scores, "topic": FLAT, "slots": FLAT}, {"tone": validation} | good, {"tone": training} | good)))


def test_a_task_that_is_learned_by_heart_is_named():
    told = f"tone, topic and slots have hardly risen lately; about 60 s left. {BY_HEART.format('tone')} "
    assert losing(RISEN_AGAIN) == told + "You can stop now, or train with more data: the best weights are kept."


@pytest.mark.parametrize(("validation", "training", "scores"), [
    ((0.8, 0.5, 0.52, 0.53), FALLING, FLAT),  # 4 and 6 % more: with 300 rows that may be chance
    ((0.8, 0.5, 0.52, 0.75), FALLING, FLAT),  # once is chance
    (RISEN_AGAIN, (1.0, 0.6, 0.7, 0.8), FLAT),  # the training loss rises too
    (RISEN_AGAIN, FALLING, RISING),  # the score rises all the same
    ((math.nan, 0.5, math.nan, 0.75), FALLING, FLAT)])
def test_a_task_is_not_said_to_be_learned_by_heart_without_evidence(validation, training, scores):
    assert "by heart" not in losing(validation, training, scores)


def test_a_task_of_weight_0_is_not_talked_about():
    assert tell(history(*events({"tone": BLANK}, weight=0.0))) == EARLY


@pytest.mark.parametrize(("curve", "sentence"), [
    (RISING, "By the last scores, " + ROSE), (FLAT, "By the last scores, " + STEADY.format("tone")),
    (BLANK, "By the last scores, nothing is clearly learned: tone is not clearly better than guessing."), (RISING[:1], EARLY)])
@pytest.mark.parametrize("status", ["finished", "stopped", "failed", "interrupted"])
def test_of_a_run_that_is_over_it_says_how_the_last_scores_were_and_not_to_stop_it(status, curve, sentence):
    made = history(*events({"tone": curve}))
    made.status = status
    assert tell(made) == sentence + " More epochs may help." * (status == "finished" and curve is RISING)


def test_a_run_that_ended_by_patience_after_its_best_step_is_not_told_to_go_on():
    early = StatusChanged("finished", "Finished early, after 2 evaluations without a better score, at step 400.")
    assert tell(history(*events({"tone": (0.6, 0.9, 0.88, 0.87)}), early)) == "By the last scores, " + STEADY.format("tone")


@pytest.mark.parametrize("status", ["paused", YIELDED])
def test_a_paused_run_stands_still(status):
    still = "Training stands still until it is resumed."
    assert tell(history(*events({"tone": RISING}), StatusChanged(status))) == f"{still} {ROSE}"
    assert tell(history(StatusChanged(status))) == still


def test_a_resumed_run_goes_on_from_the_scores_that_still_hold():
    before = events({"tone": (*RISING, 0.1)})  # a crash undid the last evaluation
    goes_on = [started(["tone"], at=400), StatusChanged("running")]
    assert tell(history(*before, *goes_on)) == ROSE
    assert tell(history(*events({"tone": ()}), started(["tone"], at=50), Estimated(190.0, 9.0), StatusChanged("running"))) == (
        "The first scores come at step 100, after about 20 s of training.")


def test_without_a_best_checkpoint_nobody_is_told_to_stop():
    made = history(*events({"tone": FLAT}))
    made.checkpoints.clear()
    assert tell(made) == STEADY.format("tone")


@pytest.mark.parametrize(("curves", "sentence"), [
    ([RISING], r"(.+), (.+) and 10 more are still rising\."),
    ([RISING, SLOW, FLAT, TOP, BLANK, FALLEN],
     "(.+) are not clearly better than guessing; (.+) have fallen; (.+), (.+) and 2 more are still rising; (.+) have hardly risen lately; "
     "(.+) are almost always right[.]")], ids=["alike", "all"])
def test_the_sentence_about_twelve_tasks_with_long_names_stays_short_and_legible(curves, sentence):
    names = [f"{place} {ARABIC} {'long' * 20}"[:64] for place in range(12)]
    told = tell(history(*events({name: curves[place % len(curves)] for place, name in enumerate(names)})))
    assert re.fullmatch(sentence, told) and is_legible(told) and len(told) < 600
