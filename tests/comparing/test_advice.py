"""What is advised after a run, and after a comparison: runs of each sort, made up."""

from dataclasses import replace

import pytest

from mtl.cli import compare
from mtl.comparing.advice import Advice, advise, after_comparison
from mtl.comparing.joint_vs_alone import Card, Compared, write_card
from mtl.comparing.plan import Member, Plan, alone_plan, create
from mtl.runs.events import Evaluated, GradientConflict, RunStarted, StepDone
from mtl.runs.history import History
from mtl.settings.config import RunConfig, TaskSpec, make_config

AGREE, SOMETIMES, OFTEN = [0.2, 0.1, 0.3, -0.05, 0.1, 0.2], [0.2, -0.2, 0.3] * 2, [-0.2, -0.3, 0.3] * 2
EVEN = {"balancing": "even", "weights": {}, "alpha": None}


def run(cosines=AGREE, lengths=(1.0, 1.0), used=(1.0, 1.0), scores=(0.8, 0.8), tasks=("topic", "tags")) -> History:
    """A run whose two tasks had gradients of these `lengths` and loss weights as `used`."""
    facts = {task: {"main_score": "f1"} for task in tasks}
    made = History(started=RunStarted(0, 90, 30, facts, 40, 10, 1000, "cpu", "fp32", 1, 1, 77))
    made.diagnoses = [GradientConflict(10 * place, dict(zip(tasks, lengths, strict=False)), [[*tasks, cosine]])
                      for place, cosine in enumerate(cosines, 1)]
    made.steps = [StepDone(step, 0.0, {}, 0.0, 0.0, 0.0, 0.0, dict(zip(tasks, used, strict=False))) for step in (1, 90)]
    made.evaluations = [Evaluated(50, 1.0, "validation", {}, {task: {"f1": score} for task, score in zip(tasks, scores, strict=False)},
                                  0.5, 0.8, True, 0.1)]
    return made


def config(balancing: str = "equal", **changes) -> RunConfig:
    """Settings, also some that would be refused."""
    return make_config({"epochs": 8} | changes).model_copy(update={"balancing": balancing})


STARVED = (7.0, 1.0)  # lengths


@pytest.mark.parametrize(("history", "settings", "words", "advised"), [
    (run(lengths=STARVED), config(), "learns mostly from topic, which pulls it 7 times as strongly as tags. Balancing 'even'", EVEN),
    (run(lengths=STARVED, used=(1.0, 2.0)), config("fixed", weights={"tags": 2.0}), "3.5 times as strongly as tags. Balancing", EVEN),
    (run(lengths=STARVED), config(sampling="alternating"), "7 times as strongly as tags. Balancing 'even'", EVEN),
    (run(used=(0.9, 0.1)), config("fixed", alpha=0.9), "9 times as strongly as tags. Balancing 'even'", EVEN),
    (run(lengths=STARVED, used=(1.0, 2.0)), config("famo"), "3.5 times as strongly as tags. Balancing 'even'", EVEN),
    (run(lengths=STARVED, used=(1.0, 1.1)), config("pcgrad"), "6.4 times as strongly as tags. Balancing 'even'", EVEN),
    (run(OFTEN, lengths=STARVED), config(), "pull alike. topic and tags often disagree (in 67% of 6 comparisons).", EVEN),
    (run(SOMETIMES, lengths=STARVED), config(), "pull alike. topic and tags sometimes disagree", EVEN),
    (run(lengths=STARVED, used=(0.25, 1.75)), config("even"), "All tasks pull the encoder alike (the strongest 1.0 times as much", {}),
    (run(lengths=STARVED, scores=(0.8, 0.992)), config(), "Mostly learned, and so pulling the encoder only a little: tags. ", {}),
    (run(used=(1.0, 0.2)), config("even"), "Mostly learned, and so pulling the encoder only a little: tags. ", {}),
    (run(used=(1.0, 0.1)), config("even", weights={"tags": 0.1}), "10 times as strongly as tags. A larger loss weight for tags",
     {"balancing": "even", "weights": {"topic": 1.0, "tags": 1.0}, "alpha": None}),
    (run(used=(1.0, 0.1)), config("even", alpha=0.5), "Mostly learned, and so pulling the encoder only a little: tags. ", {}),
    (run(lengths=(1.9, 1.0)), config(), "(the strongest 1.9 times as much as the weakest). topic and tags rarely disagree", {}),
    (run(SOMETIMES), config(), "sometimes disagree (in 33% of 6 comparisons). Small batches alone can cause that.", {}),
    (run(OFTEN), config(), "often disagree (in 67% of 6 comparisons). Try Balancing 'pcgrad' or 'upgrad'. The Compare tab",
     EVEN | {"balancing": "pcgrad"}),
    (run(OFTEN), config("upgrad"), "often disagree (in 67% of 6 comparisons). The Compare tab", {}),
    (run(OFTEN), config(sampling="alternating"), "often disagree (in 67% of 6 comparisons). The Compare tab", {}),
    (run(OFTEN, lengths=STARVED, used=(0.25, 1.75)), config("even"), "often disagree (in 67% of 6 comparisons). The Compare tab", {}),
    (run(), config("pcgrad"), "rarely disagree (in 0% of 6 comparisons). Balancing 'equal' would do as well, in less time.",
     EVEN | {"balancing": "equal"}),
    (run([]), config(), "No gradients were compared yet", {}),
    (run([], scores=()), config(fine_tuning="heads"), "No gradients were compared yet", {}),
    (run([None] * 6), config(), "too small to compare", {}),
    (run(lengths=(0.0, 0.0)), config(), "too small to compare", {}),
    (run(AGREE[:4], lengths=STARVED), config(), "Too early to tell: 4 comparisons of the tasks' gradients since the warm-up.", {}),
    (run([], tasks=("topic",)), config(), "only one task", {}),
    (History(), config(), "only one task", {})])
def test_what_a_run_shows_is_said_in_words_and_what_helps_is_advised(history, settings, words, advised):
    found = advise(history, settings)
    assert words in found.sentence and found.settings == advised
    assert "mostly" not in found.sentence or "Nothing needs to change" not in found.sentence


@pytest.mark.parametrize(("used", "settings", "weights"), [
    ((1.0, 0.1), {"weights": {"tags": 0.1}}, {"topic": 1.0, "tags": 1.0}),
    ((50.0, 1.0), {"weights": {"topic": 50.0}}, {"topic": 50.0, "tags": 10.0}),  # at most
    ((0.9, 0.1), {"alpha": 0.9}, {"topic": 0.9, "tags": 0.9})])
def test_a_task_that_the_users_weight_starves_is_advised_a_larger_one_and_the_form_would_take_it(used, settings, weights):
    found = advise(run(used=used), config("even", **settings))
    assert "A larger loss weight for tags would change that." in found.sentence
    assert found.settings == {"balancing": "even", "weights": weights, "alpha": None}
    assert make_config(settings | found.settings).weights == weights


def test_a_loss_weight_that_is_large_already_is_not_advised_again():
    found = advise(run(used=(100.0, 12.0)), config("even", weights={"topic": 100.0, "tags": 12.0}))
    assert found.sentence.endswith("Train longer, or train tags alone.") and not found.settings


def test_gradients_of_untrained_heads_do_not_count_and_a_weight_that_an_older_log_lacks_is_the_one_that_was_set():
    made = run(used=(1.0, 1.6))
    made.diagnoses = [GradientConflict(step, {"topic": 99.0, "tags": 1.0}, [["topic", "tags", 0.1]]) for step in (1, 8)] + made.diagnoses
    assert not advise(made, config("fixed", weights={"tags": 1.6})).settings  # the warm-up takes 9 steps
    made.steps = [StepDone(1, 0.0, {}, 0.0, 0.0, 0.0, 0.0)]
    assert "the strongest 1.6 times" in advise(made, config("fixed", weights={"tags": 1.6})).sentence


def test_a_gradient_counts_with_the_weight_that_its_loss_had_then():
    made, lengths = run(), [8.0, 4.0, 2.0, 1.0, 0.5, 0.25]
    made.diagnoses = [GradientConflict(event.step, {"topic": length, "tags": 1.0}, event.cosines)
                      for event, length in zip(made.diagnoses, lengths, strict=True)]
    made.steps = [StepDone(event.step, 0.0, {}, 0.0, 0.0, 0.0, 0.0, {"topic": 1 / length}) for event, length in zip(
        made.diagnoses, lengths, strict=True)]
    assert "the strongest 1.0 times" in advise(made, config("even")).sentence


def test_a_task_that_starved_while_the_other_one_learned_is_named_even_when_that_one_pulls_little_any_more():
    made = run()
    made.diagnoses = [GradientConflict(10 * place, {"topic": length, "tags": 0.3}, [["topic", "tags", 0.1]])
                      for place, length in enumerate([1.5, 1.2, 1.0, 0.4, 0.1, 0.05, 0.02, 0.02], 1)]
    assert "learns mostly from topic" in advise(made, config()).sentence


def test_of_several_starved_tasks_each_is_named_the_worst_first_and_names_from_right_to_left_are_kept_apart():
    arabic = "\u0645\u0634\u0627\u0639\u0631"
    made = run(tasks=("topic", arabic), used=(1.0, 0.25))
    made.started.tasks["mood"] = made.started.tasks["topic"]
    made.diagnoses = [GradientConflict(10, {"topic": 8.0, arabic: 8.0, "mood": 8.0}, [["topic", arabic, 0.1], ["topic", "mood", 0.1]])] * 5
    found = advise(made, config("even", weights={arabic: 0.25, "mood": 0.125}))
    assert f"8 times as strongly as mood and 4 times as strongly as \u2068{arabic}\u2069." in found.sentence
    assert found.label == f"Balancing = even, Loss weights = topic 1, \u2068{arabic}\u2069 1, mood 1"


# After a comparison


def card(*tasks: tuple, seeds: tuple[int, ...] = (1, 2, 3)) -> Card:
    """A card of tasks, each (name, verdict, difference, high)."""
    compared = [Compared(name, "f1", 0.7, 0.7 - by, by, by - 0.02, high, 0.01, verdict) for name, verdict, by, high in tasks]
    return Card(tuple(compared), Compared("everything right", "share of rows", *[None] * 6), 7, seeds, {}, (1, 1), (1, 1), (1.0, 1.0))


def after(found: Card, joint: History | None, settings: RunConfig) -> Advice:
    tasks = (TaskSpec(name="topic", kind="classification"), TaskSpec(name="tags", kind="tagging"))
    members = [Member(role="joint", config=settings), *(Member(role=f"alone: {task.name}", config=config(tasks=(task,))) for task in tasks)]
    return after_comparison(found, Plan.model_construct(kind="alone", members=tuple(members)), (joint, None, None))


FINE, HURT = ("topic", "no difference", -0.02, 0.01), ("tags", "hurt", -0.112, -0.05)
DOUBLED = {"balancing": "fixed", "weights": {"topic": 1.0, "tags": 2.0}, "alpha": None}
LONGER = {"epochs": 16, "max_steps": 0}


@pytest.mark.parametrize(("found", "joint", "settings", "words", "advised"), [
    (card(FINE, HURT), run(lengths=STARVED), config(), "alone: tags (-11.2 points). The encoder learns mostly from topic", EVEN),
    (card(FINE, HURT), run(OFTEN), config(), "often disagree", EVEN | {"balancing": "pcgrad"}),
    (card(FINE, HURT), run(), config(), "What may help: larger loss weights, more epochs, or to train each of these alone.", DOUBLED),
    (card(("topic", "hurt", -0.03, -0.01), ("tags", "helped", 0.1, 0.2)), run(lengths=STARVED), config(),
     "help: larger loss weights", DOUBLED | {"weights": {"topic": 2.0, "tags": 1.0}}),  # what helps the starved one would hurt this one
    (card(("topic", "hurt", -0.03, -0.01), HURT), run(), config(), "topic (-3.0 points), tags (-11.2 points). What may help:", LONGER),
    (card(FINE, HURT), run(), config("even"), "What may help: larger loss weights", DOUBLED | {"balancing": "even"}),
    (card(FINE, HURT), run(used=(0.5, 1.5)), config("famo"), "What may help: more epochs, or to", LONGER),
    (card(FINE, HURT), run([]), config(fine_tuning="heads", max_steps=50), "What may help: more epochs", LONGER | {"max_steps": 100}),
    (card(FINE, HURT), None, config(), "What may help: larger loss weights", DOUBLED),  # it was deleted
    (card(("topic", "no difference", -0.009, 0.1), ("tags", "lower", -0.005, -0.001), seeds=(1,)), run(), config(),
     "alone: tags (-0.5 points)", DOUBLED),
    (card(("topic", "no difference", 0.0, 0.1), ("tags", "no difference", -0.02, 0.01), seeds=(1,)), run(), config(),
     "alone: tags (-2.0 points)", DOUBLED)])
def test_after_a_comparison_what_helps_the_tasks_that_were_lower_together_is_advised(found, joint, settings, words, advised):
    told = after(found, joint, settings)
    assert words in told.sentence and told.settings == advised and told.label


def test_after_a_comparison_that_hurt_nothing_nothing_is_advised():
    unknown = replace(card(seeds=(1,)), tasks=(Compared("tags", "f1", *[None] * 6),))
    for found in (card(FINE), card(("tags", "helped", 0.1, 0.2)), card(("tags", "no difference", -0.009, 0.01), seeds=(1,)), unknown):
        assert after(found, run(lengths=STARVED), config()) == Advice("")


@pytest.mark.parametrize(("found", "lines"), [(card(FINE, HURT), 1), (card(FINE), 0)], ids=["hurt", "fine"])
def test_the_terminal_says_it_in_one_line_under_the_card(found, lines, tmp_path, monkeypatch, capsys):
    settings = config(source="hypothetical", tasks=(TaskSpec(name="topic", kind="classification"), TaskSpec(name="tags", kind="tagging")))
    comparison = create(tmp_path, settings, alone_plan(settings, 3))
    write_card(comparison.folder, found)
    monkeypatch.setattr(compare, "run_comparison", lambda *given, **named: "finished")
    assert compare.train_comparison(comparison) == 0
    told = capsys.readouterr().out.splitlines()
    assert sum(line.startswith("Lower together than alone: tags (-11.2 points).") for line in told) == lines
    assert sum(line.endswith("For the next run: Balancing = fixed, Loss weights = topic 1, tags 2") for line in told) == lines
