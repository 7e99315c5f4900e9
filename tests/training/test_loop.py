"""mtl/training/loop.py: the loop learns, is exact, can be stopped and resumed anywhere, and ends well when things go wrong."""

import math
import random
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
import torch

from mtl.errors import MtlError
from mtl.inference.predictor import Predictor
from mtl.model.loading import load_weights
from mtl.model.split import sample_places
from mtl.runs.checkpoint import BEST, LAST, LOOKS, TALLIES, kept_tallies, newest_checkpoint, read_facts, read_tallies
from mtl.runs.events import CheckpointSaved, Evaluated, GradientConflict, Notice, Pinned, RunStarted, StatusChanged, StepDone
from mtl.scoring.intervals import main_score
from mtl.settings.config import TaskSpec
from mtl.training import loop
from mtl.training import step as step_module
from mtl.training import trainer as trainer_module
from mtl.training.loop import train
from mtl.training.step import rate_factor
from mtl.training.trainer import Trainer

TWO_TASKS = (TaskSpec(name="class", kind="classification"), TaskSpec(name="entities", kind="tagging"))
STILL = {"dropout": 0.0, "encoder_dropout": 0.0}


def of(kind: type, events: list) -> list:
    return [event for event in events if isinstance(event, kind)]


def validation(events: list) -> list[Evaluated]:
    return [event for event in of(Evaluated, events) if event.split == "validation"]


def saved(events: list, name: str = LAST) -> list[int]:
    return [event.step for event in of(CheckpointSaved, events) if event.name == name]


def weights(run: Path, name: str = LAST) -> dict[str, torch.Tensor]:
    return safetensors.torch.load_file(run / name / "model.safetensors")


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    assert first.keys() == second.keys()
    return all(torch.equal(weight, second[name]) for name, weight in first.items())


def curves(events: list) -> list:
    """The steps and evaluations without what the clock decides."""
    return [replace(event, seconds=0.0, **{"sentences_per_second": 0.0} if isinstance(event, StepDone) else {})
            for event in events if isinstance(event, (StepDone, Evaluated))]


@pytest.fixture(scope="module")
def plain(tiny_config, finish, tmp_path_factory) -> tuple[Path, list]:
    """The folder and the events of a finished run with the usual settings; not to be changed."""
    folder = tmp_path_factory.mktemp("plain")
    return folder, finish(tiny_config(), folder)


def stop_at(step: int):
    return lambda trainer: trainer.progress.step == step


# Learning


def test_on_learnable_data_the_loss_falls_and_every_score_rises(tiny_config, finish, tmp_path):
    events = finish(tiny_config(hypothetical_rows=300, validation_share=0.25, epochs=8, learning_rate=4e-3,
                                head_learning_rate=6e-3, eval_every=999, **STILL), tmp_path)
    first, last = validation(events)[0], validation(events)[-1]
    assert all(last.losses[task] < 0.6 * first.losses[task] for task in ("class", "sentiment", "entities"))
    assert last.scores["class"]["accuracy"] > 0.7 > 0.45 > first.scores["class"]["accuracy"]
    assert last.scores["sentiment"]["accuracy"] > 0.75 and last.scores["entities"]["f1"] > 0.6
    assert last.everything_right > 0.2 and last.score == pytest.approx(
        (last.scores["class"]["accuracy"] + last.scores["sentiment"]["accuracy"] + last.scores["entities"]["f1"]) / 3)
    steps = of(StepDone, events)
    assert sum(steps[-1].losses.values()) < 0.3 * sum(steps[0].losses.values())


def test_on_random_labels_the_validation_scores_stay_near_chance(tiny_config, finish, tmp_path):
    events = finish(tiny_config(hypothetical_rows=400, hypothetical_labels="random", validation_share=0.25, epochs=4, eval_every=38,
                                **STILL), tmp_path)
    for seen in validation(events):
        assert seen.scores["class"]["accuracy"] < 0.45 and seen.scores["sentiment"]["accuracy"] < 0.55
        assert seen.scores["entities"]["f1"] < 0.15


@pytest.mark.parametrize("sampling", ["joint", "alternating"])
def test_rows_labelled_for_some_tasks_only_are_learned_from(sampling, tiny_config, finish, write_rows, easy_rows, tmp_path):
    rows = easy_rows(48)
    for place, row in enumerate(rows):
        row |= {"answer": None} if place % 8 < 3 else {"place": None} if place % 8 < 6 else {}
    rows.append({"text": "nothing at all"})
    events = finish(tiny_config(source="files", train_files=(write_rows(tmp_path / "rows.jsonl", rows),), epochs=8, batch_size=5,
                                validation_share=0.3, sampling=sampling, eval_every=999), tmp_path / "run")
    assert all(math.isfinite(loss) for event in [*of(StepDone, events), *of(Evaluated, events)] for loss in event.losses.values())
    assert validation(events)[-1].scores["answer"]["accuracy"] > 0.9 and validation(events)[-1].scores["place"]["f1"] > 0.7
    labelled = {task: facts["train_rows"] + facts["validation_rows"] for task, facts in of(RunStarted, events)[0].tasks.items()}
    assert labelled == {"answer": 30, "place": 30}
    assert any("1 of 49 rows has no label" in notice.message for notice in of(Notice, events))


def test_what_chance_reaches_is_known_for_a_small_task_too(tiny_config, write_rows, easy_rows, monkeypatch, tmp_path):
    monkeypatch.setattr(trainer_module, "CHANCE_ROWS", 20)
    rows = [row | {"answer": None, "small": None} for row in easy_rows(500)] + [{"text": f"so {n}", "small": "ab"[n % 2]} for n in range(9)]
    seen = []
    file = write_rows(tmp_path / "rows.jsonl", rows)
    list(train(tiny_config(source="files", train_files=(file,)), tmp_path / "run", between_steps=lambda trainer: not seen.append(trainer)))
    assert seen[0].new_balancer().chance["small"] == pytest.approx(math.log(2), rel=0.05)


def test_alternating_with_batch_size_1_takes_one_task_and_one_row_a_step(tiny_config, finish, tmp_path):
    events = finish(tiny_config(hypothetical_rows=20, sampling="alternating", batch_size=1, epochs=1), tmp_path)
    started = of(RunStarted, events)[0]
    assert started.total_steps == 3 * started.train_rows
    assert [list(step.losses) for step in of(StepDone, events)] == [["class"], ["sentiment"], ["entities"]] * started.train_rows


def test_there_is_a_notice_if_texts_are_cut(plain, tiny_config, finish, tmp_path):
    events = finish(tiny_config(max_length=8, max_steps=1), tmp_path)
    assert any("are longer than 8 subwords and were cut" in notice.message for notice in of(Notice, events))
    assert not of(Notice, plain[1])


# The same numbers


def test_the_same_seed_gives_the_same_run_bit_for_bit(plain, tiny_config, finish, tmp_path):
    assert curves(finish(tiny_config(), tmp_path / "again")) == curves(plain[1])
    assert same(weights(tmp_path / "again"), weights(plain[0]))
    finish(tiny_config(seed=2), tmp_path / "other")
    assert (tmp_path / "other/last/model.safetensors").read_bytes() != (plain[0] / "last/model.safetensors").read_bytes()


def test_four_small_batches_a_step_are_one_large_batch(tiny_config, finish, tmp_path):
    settings = {"hypothetical_rows": 100, "epochs": 2, "learning_rate": 1e-4, "max_grad_norm": 0.0, **STILL}
    small = of(StepDone, finish(tiny_config(batch_size=8, accumulation=4, **settings), tmp_path / "small"))
    large = of(StepDone, finish(tiny_config(batch_size=32, **settings), tmp_path / "large"))
    assert len(small) == len(large) == 6
    for one, two in zip(small, large, strict=True):
        assert (one.losses, one.grad_norm) == (pytest.approx(two.losses, rel=1e-4), pytest.approx(two.grad_norm, rel=1e-4))
    # biases of attention keys have no gradient but rounding errors, which Adam blows up; they change no prediction
    two = weights(tmp_path / "large")
    for name, weight in weights(tmp_path / "small").items():
        assert name.endswith("key.bias") or torch.allclose(weight, two[name], rtol=0, atol=1e-5), name


def test_using_the_model_between_steps_changes_nothing(plain, tiny_config, finish, tmp_path):
    def use(trainer):
        torch.rand(trainer.progress.step + 1)
        trainer.model.eval()
        return False

    finish(tiny_config(), tmp_path, between_steps=use)
    assert same(weights(plain[0]), weights(tmp_path))


def test_weights_and_alpha_change_the_result(tiny_config, finish, tmp_path):
    settings = {"tasks": TWO_TASKS, "max_steps": 3}
    choices = {"plain": {}, "alpha": {"alpha": 0.9}, "weights": {"weights": {"class": 0.9, "entities": 0.1}}, "other": {"alpha": 0.2}}
    for name, choice in choices.items():
        finish(tiny_config(**settings, **choice), tmp_path / name)
    found = {name: weights(tmp_path / name) for name in choices}
    assert not same(found["plain"], found["alpha"]) and not same(found["other"], found["alpha"])
    assert all(torch.allclose(weight, found["weights"][name], atol=1e-4) for name, weight in found["alpha"].items())


def test_a_task_of_weight_0_is_measured_but_neither_learned_nor_chosen_by(tiny_config, finish, tmp_path):
    events = finish(tiny_config(tasks=TWO_TASKS, alpha=1.0, epochs=1, weight_decay=0.0), tmp_path)
    assert all(seen.score == seen.scores["class"]["accuracy"] for seen in validation(events))
    assert all(list(step.losses) == ["class"] for step in of(StepDone, events))
    assert set(validation(events)[0].losses) == {"class", "entities"}


def test_alpha_with_three_tasks_is_an_error(tiny_config, finish, tmp_path):
    with pytest.raises(MtlError, match="Alpha: weighs two tasks against each other, but this run has 3"):
        finish(tiny_config(alpha=0.5), tmp_path)


# What is best


NUMBERS = {
    "mean": lambda seen: (seen.scores["class"]["accuracy"] + seen.scores["sentiment"]["accuracy"] + seen.scores["entities"]["f1"]) / 3,
    "macro_f1": lambda seen: (seen.scores["class"]["macro_f1"] + seen.scores["sentiment"]["macro_f1"] + seen.scores["entities"]["f1"]) / 3,
    "everything_right": lambda seen: seen.everything_right,
    "loss": lambda seen: -(2 * seen.losses["class"] + seen.losses["sentiment"] + seen.losses["entities"]) / 4,
    "sentiment": lambda seen: seen.scores["sentiment"]["accuracy"]}
SAID = {"mean": "mean of the main scores", "macro_f1": r"mean F1 \(macro F1 for classes\)", "everything_right": "everything right",
        "loss": "validation loss", "sentiment": "sentiment accuracy"}


@pytest.mark.parametrize("best", NUMBERS)
def test_the_checkpoint_kept_as_best_is_the_one_that_the_setting_asks_for_also_after_a_resume(best, tiny_config, finish, tmp_path):
    config = tiny_config(hypothetical_rows=160, validation_share=0.25, weights={"class": 2.0}, best=best, eval_every=2, epochs=3,
                         checkpoint_every=1, **STILL)
    events = finish(config, tmp_path, between_steps=stop_at(9)) + finish(config, tmp_path, resume=True)
    seen = [look for look in validation(events) if look.step]
    assert [look.score for look in seen] == pytest.approx([NUMBERS[best](look) for look in seen])
    won = max(seen, key=lambda look: look.score)  # the first of equals
    assert [look.step for look in seen if look.is_best][-1] == read_facts(tmp_path / BEST)["step"] == won.step
    assert [look.is_best for look in seen] == [look.score > max([-math.inf, *(before.score for before in seen[:place])])
                                               for place, look in enumerate(seen)]
    number = rf"{-won.score:.3g}" if best == "loss" else rf"{won.score:.1%}"
    assert re.search(rf"The best step was {won.step}: {SAID[best]} {number}\. It took", events[-1].message)


def test_patience_watches_what_best_says(tiny_config, finish, monkeypatch, tmp_path):
    evaluate, losses = Trainer.evaluate, iter([9.0, 3.0, 2.0, 2.5, 2.0, 1.0])  # the first is before step 1

    def made_up(self, split, model):  # the score rises with every step, the loss does not fall for ever
        scores = {"class": {"accuracy": self.progress.step / 99}}
        return replace(evaluate(self, split, model), losses={"class": next(losses)}, scores=scores)

    monkeypatch.setattr(Trainer, "evaluate", made_up)
    events = finish(tiny_config(tasks=(TWO_TASKS[0],), best="loss", patience=2, eval_every=1, epochs=5), tmp_path)
    assert [look.is_best for look in validation(events)] == [False, True, True, False, False]
    assert events[-1].message.startswith("Finished early, after 2 evaluations without a better score, at step 4. "
                                         "The best step was 2: validation loss 2. It took ")


def test_a_task_that_is_not_there_or_has_no_validation_label_cannot_choose(tiny_config, easy_rows, write_rows, tmp_path):
    rows = easy_rows(60)
    for row in rows[40:]:
        del row["place"]
    files = {"train_files": (write_rows(tmp_path / "train.jsonl", rows[:40]),),
             "validation_files": (write_rows(tmp_path / "validation.jsonl", rows[40:]),)}
    for best in ("place", "mood"):
        (tmp_path / best).mkdir()
        with pytest.raises(MtlError, match=f"Best: found '{best}', wanted mean, .*or a task with validation labels: answer.$"):
            list(train(tiny_config(source="files", best=best, **files), tmp_path / best))


# When it goes wrong


def test_a_learning_rate_that_blows_up_ends_the_run_and_keeps_whole_finite_weights(tiny_config, tmp_path):
    config = tiny_config(learning_rate=1e9, head_learning_rate=1e9, checkpoint_every=1, eval_every=3, warmup=0.0, epochs=5)
    with pytest.raises(MtlError) as raised:
        list(train(config, tmp_path))
    step = read_facts(tmp_path / LAST)["step"]
    assert str(raised.value).startswith(f"Step {step + 1}: the ")
    assert "'class'" in str(raised.value) and f"the checkpoint of step {step} is kept" in str(raised.value)
    assert all(weight.isfinite().all() for weight in weights(tmp_path).values())


def test_a_loss_that_is_no_number_names_its_task_and_leaves_the_weights_alone(tiny_config, tmp_path):
    seen = []

    def poison(trainer):
        seen[:] = [trainer.model, {name: weight.clone() for name, weight in trainer.model.state_dict().items()}]
        if trainer.progress.step == 5:
            with torch.no_grad():
                trainer.model.heads[1].bias.fill_(math.nan)
        return False

    with pytest.raises(MtlError, match="Step 6: the loss of 'sentiment' is not a number any more.*; the checkpoint of step 4 is kept"):
        list(train(tiny_config(), tmp_path, between_steps=poison))
    now = seen[0].state_dict()
    assert all(torch.equal(weight, now[name]) for name, weight in seen[1].items() if name != "heads.1.bias")
    assert newest_checkpoint(tmp_path)[1]["step"] == 4


# When it evaluates, saves and stops


def test_validation_is_scored_before_the_first_step_and_once_an_epoch(plain):
    per_epoch = of(RunStarted, plain[1])[0].steps_per_epoch
    assert [(seen.step, seen.epoch) for seen in validation(plain[1])] == [(0, 0.0), (per_epoch, 1.0), (2 * per_epoch, 2.0)]


@pytest.mark.parametrize(("settings", "evaluated", "kept"), [
    ({"eval_every": 3}, [0, 3, 6, 8], [3, 6, 8]), ({"checkpoint_every": 3}, [0, 4, 8], [3, 4, 6, 8]), ({"max_steps": 6}, [0, 4, 6], [4, 6]),
], ids=["evaluations", "checkpoints", "max steps"])
def test_evaluations_checkpoints_and_the_end_come_when_the_settings_say(settings, evaluated, kept, tiny_config, finish, tmp_path):
    events = finish(tiny_config(**settings), tmp_path)
    assert [seen.step for seen in validation(events)] == evaluated and saved(events) == kept and events[-1].status == "finished"
    assert of(StepDone, events)[-1].step == of(RunStarted, events)[0].total_steps == evaluated[-1]
    assert [read_facts(tmp_path / name)["step"] for name in ("previous", "last")] == kept[-2:]


def test_patience_ends_a_run_whose_score_does_not_get_better(tiny_config, finish, tmp_path):
    config = tiny_config(epochs=50, patience=2, learning_rate=1e-12, head_learning_rate=1e-12)
    events = finish(config, tmp_path)
    assert [seen.is_best for seen in validation(events)] == [False, True, False, False]
    assert events[-1].status == "finished"
    assert "Finished early, after 2 evaluations without a better score, at step 12" in events[-1].message
    again = finish(config, tmp_path, resume=True)
    assert not of(StepDone, again) and again[-1].status == "finished"


def test_every_epoch_is_kept_where_asked(tiny_config, finish, tmp_path):
    finish(tiny_config(keep_epochs=True), tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"rows", "best", "last", "previous", "epoch-001", "epoch-002"}
    assert [read_facts(tmp_path / f"epoch-00{epoch}")["step"] for epoch in (1, 2)] == [4, 8]
    assert same(weights(tmp_path, "epoch-002"), weights(tmp_path)) and not same(weights(tmp_path, "epoch-001"), weights(tmp_path))
    assert {path.name for path in (tmp_path / "last").iterdir()} - {path.name for path in (tmp_path / "best").iterdir()} == {
        "optimizer.pt", "balancer.pt"}


def test_the_best_weights_are_kept_and_the_test_rows_are_left_alone(tiny_config, finish, write_rows, easy_rows, tmp_path):
    def spoil(trainer):
        if trainer.progress.step == 24:
            with torch.no_grad():
                for weight in trainer.model.parameters():
                    weight.zero_()
        return False

    rows = easy_rows(60)
    files = {"train_files": (write_rows(tmp_path / "train.jsonl", rows[:48]),),
             "test_files": (write_rows(tmp_path / "test.jsonl", rows[48:]),)}
    events = finish(tiny_config(source="files", epochs=6, batch_size=8, learning_rate=5e-3, validation_share=0.2, **files),
                    tmp_path / "run", between_steps=spoil)
    best = max(validation(events), key=lambda seen: seen.score)
    assert {seen.split for seen in of(Evaluated, events)} == {"validation"}
    assert best.step <= 24 and best.score > 0.8 > validation(events)[-1].score
    predictor = Predictor.load(tmp_path / "run" / BEST, "cpu")
    assert read_facts(tmp_path / "run" / BEST)["step"] == next(seen for seen in validation(events) if seen.score == best.score).step
    made = [predicted.predictions["answer"].label for predicted in predictor.predict([row["text"] for row in rows[48:]])]
    right = sum(label == row["answer"] for label, row in zip(made, rows[48:], strict=True)) / 12
    assert right > 0.8


def test_the_best_weights_have_a_bound_on_what_8_bits_cost_them_on_the_same_validation_rows(tiny_config, finish, monkeypatch, tmp_path):
    config = tiny_config(epochs=1, hypothetical_rows=200, validation_share=0.4)
    assert validation(finish(config, tmp_path / "a"))[-1].is_best
    bound, of_last = (load_weights(tmp_path / "a" / name, "cpu").config.int8_cost_bound for name in (BEST, LAST))
    assert 0.03 < bound < 0.2 and of_last is None  # on 80 rows nobody can be sure of a point
    seen, kept = [], read_tallies(tmp_path / "a" / BEST / TALLIES)

    def of_task(before, after):
        seen.append(before)
        return (0.02, 0.07, 0.01)[len(seen) - 1]

    monkeypatch.setattr("mtl.training.saving.cost_bound", of_task)
    monkeypatch.setattr("mtl.training.saving.INT8_ROWS", 50)
    finish(config, tmp_path / "b")
    assert load_weights(tmp_path / "b" / BEST, "cpu").config.int8_cost_bound == 0.07  # of the task that loses most
    places = sample_places(80, 50, config.seed)
    assert [before.tolist() for before in seen] == [tally[places].tolist() for tally in kept.values()]


def test_a_task_without_a_validation_label_or_a_machine_without_8_bits_leaves_their_cost_unknown(tiny_config, finish, easy_rows, write_rows,
                                                                                         monkeypatch, tmp_path):
    rows = easy_rows(60)
    for row in rows[40:]:
        del row["place"]
    files = {"train_files": (write_rows(tmp_path / "train.jsonl", rows[:40]),),
             "validation_files": (write_rows(tmp_path / "validation.jsonl", rows[40:]),)}
    finish(tiny_config(source="files", max_steps=1, **files), tmp_path / "a")
    assert load_weights(tmp_path / "a" / BEST, "cpu").config.int8_cost_bound is None
    monkeypatch.setattr("mtl.training.saving.HAS_INT8", False)
    finish(tiny_config(max_steps=1), tmp_path / "b")
    assert load_weights(tmp_path / "b" / BEST, "cpu").config.int8_cost_bound is None


def test_a_run_with_a_folder_for_them_keeps_the_hit_counts_of_its_evaluations_and_of_many_only_some(plain, tiny_config, finish, monkeypatch,
                                                                                                    tmp_path):
    config = tiny_config(eval_every=1)
    assert kept_tallies(plain[0]) == {} and not (plain[0] / LOOKS).exists()
    for name in ("all", "some"):
        (tmp_path / name / LOOKS).mkdir(parents=True)
    looks = [seen for seen in validation(finish(config, tmp_path / "all")) if seen.step]
    files = kept_tallies(tmp_path / "all")
    assert sorted(files) == [seen.step for seen in looks] == list(range(1, 9))
    for seen in looks:
        counts = read_tallies(files[seen.step])
        assert float(main_score(counts["class"])) == seen.scores["class"]["accuracy"]
        assert float(main_score(counts["entities"])) == pytest.approx(seen.scores["entities"]["f1"])
    monkeypatch.setattr("mtl.training.saving.KEPT_EVALUATIONS", 3)
    finish(config, tmp_path / "some")
    assert sorted(kept_tallies(tmp_path / "some")) == [3, 6, 8]


def test_events_come_in_order(plain):
    kinds = [type(event) for event in plain[1] if not isinstance(event, (GradientConflict, Pinned))]
    epoch = [*[StepDone] * 4, Evaluated, CheckpointSaved]
    assert kinds[:9] == [RunStarted, StatusChanged, Evaluated, *epoch] and kinds[-1] == StatusChanged
    assert [kind for kind in kinds[9:] if kind != CheckpointSaved] == [*epoch[:-1], StatusChanged]
    assert plain[1][1].status == "running" and plain[1][-1].status == "finished"
    started = plain[1][0]
    assert (started.train_rows, started.validation_rows, started.steps_per_epoch, started.total_steps) == (54, 6, 4, 8)


def test_a_long_run_logs_a_limited_number_of_steps_each_the_mean_since_the_last(tiny_config, finish, monkeypatch, tmp_path):
    config = tiny_config(tasks=(TWO_TASKS[0],), batch_size=27, max_steps=11, epochs=6, eval_every=20)  # 2 steps of 27 rows an epoch
    each = of(StepDone, finish(config, tmp_path / "each"))
    monkeypatch.setattr(step_module, "LOGGED_STEPS", 6)
    pairs = of(StepDone, finish(config, tmp_path / "pairs"))
    assert [step.step for step in each] == list(range(1, 12)) and [step.step for step in pairs] == [1, 2, 4, 6, 8, 10, 11]
    assert pairs[0].losses == each[0].losses  # the first is told at once
    for pair, first, second in zip(pairs[2:], each[2::2], each[3::2], strict=False):
        assert pair.losses["class"] == pytest.approx((first.losses["class"] + second.losses["class"]) / 2)
    assert pairs[-1].losses == each[-1].losses


def test_a_slow_run_logs_a_step_every_few_seconds_and_in_a_long_one_ever_less_often(tiny_config, finish, monkeypatch, tmp_path):
    monkeypatch.setattr(step_module, "LOGGED_STEPS", 1)
    monkeypatch.setattr(step_module, "LOGGED_AFTER", 500.0)
    monkeypatch.setattr(step_module, "LOGGED_SHARE", 0.45)

    def be_slow(trainer) -> bool:
        trainer.progress.seconds += 200.0
        return False

    events = finish(tiny_config(max_steps=40, epochs=20, eval_every=100, diagnose_every=0), tmp_path, between_steps=be_slow)
    assert [step.step for step in of(StepDone, events)] == [1, 4, 8, 15, 28, 40]


# The learning rate


@pytest.mark.parametrize(("schedule", "falls"), [
    ("constant", [1.0] * 81), ("linear", [left / 80 for left in range(80, -1, -1)]),
    ("cosine", [(1 + math.cos(math.pi * step / 80)) / 2 for step in range(81)])], ids=["constant", "linear", "cosine"])
def test_the_rate_rises_in_a_line_over_the_warm_up_and_then_follows_the_schedule(schedule, falls):
    factors = [rate_factor(step, 100, 0.2, schedule) for step in range(101)]
    assert factors == pytest.approx([(step + 1) / 20 for step in range(20)] + falls)
    for total, warmup in ((1, 0.0), (1, 1.0), (7, 1.0), (3, 0.1)):
        assert all(0 < rate_factor(step, total, warmup, schedule) <= 1 for step in range(total))


def test_the_steps_use_the_scheduled_rate(plain):
    wanted = [2e-3 * rate_factor(step, 8, 0.1, "linear") for step in range(8)]
    assert [step.learning_rate for step in of(StepDone, plain[1])] == pytest.approx(wanted)
    assert wanted[4] == pytest.approx(2e-3 * 4 / 7)


# Stop and resume


@pytest.mark.parametrize("step", [0, 3, 4, 7])
def test_a_run_stopped_between_steps_ends_with_a_checkpoint_there(step, tiny_config, finish, tmp_path):
    events = finish(tiny_config(), tmp_path, between_steps=stop_at(step))
    onward = f"goes on from step {step}" if step else "begins anew"
    assert events[-1] == StatusChanged("stopped", f"Stopped at step {step}. Resume {onward}.")
    assert isinstance(events[-2], CheckpointSaved) and events[-2].name == LAST
    assert newest_checkpoint(tmp_path)[1]["step"] == step and len(of(StepDone, events)) == step


@pytest.mark.parametrize("sampling", ["joint", "alternating"])
def test_a_run_stopped_and_resumed_at_random_steps_is_bit_for_bit_the_unbroken_one(sampling, tiny_config, finish, tmp_path):
    config = tiny_config(sampling=sampling, eval_every=5, epochs=2 if sampling == "joint" else 1)
    whole = finish(config, tmp_path / "whole")
    total = of(RunStarted, whole)[0].total_steps
    stops = sorted(random.Random(sampling).sample(range(1, total), 2))
    sliced = []
    for place, stop in enumerate([*stops, -1]):
        events = finish(config, tmp_path / "sliced", resume=place > 0, between_steps=stop_at(stop))
        assert of(RunStarted, events)[0].step == ([0, *stops][place]) and not of(Notice, events)
        sliced += events
    assert curves(whole) == curves(sliced)
    for name in (LAST, BEST):
        assert same(weights(tmp_path / "whole", name), weights(tmp_path / "sliced", name))
    one, two = (torch.load(tmp_path / run / LAST / "optimizer.pt", weights_only=True)["state"] for run in ("whole", "sliced"))
    assert all(torch.equal(state[key], two[index][key]) for index, state in one.items() for key in state)
    facts = [read_facts(tmp_path / run / LAST)["progress"] | {"seconds": 0} for run in ("whole", "sliced")]
    assert facts[0] == facts[1]


def test_a_resume_amid_a_comparison_of_gradients_over_several_steps_is_bit_for_bit_the_unbroken_run(tiny_config, finish, tmp_path):
    config = tiny_config(sampling="alternating", batch_size=4, eval_every=99, max_steps=24, diagnose_every=4)
    whole = finish(config, tmp_path / "whole")
    sliced = [event for stop in (13, -1)  # of the comparison that begins with step 12, a third is done
              for event in finish(config, tmp_path / "sliced", resume=stop < 0, between_steps=stop_at(stop))]
    assert of(GradientConflict, whole) != of(GradientConflict, sliced) and curves(whole) == curves(sliced)
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "sliced"))


def test_instead_of_a_damaged_last_checkpoint_the_one_before_it_is_resumed_with_a_warning(plain, tiny_config, finish, tmp_path):
    finish(tiny_config(), tmp_path, between_steps=stop_at(6))
    (tmp_path / "last/optimizer.pt").write_bytes(b"")
    events = finish(tiny_config(), tmp_path, resume=True)
    assert of(RunStarted, events)[0].step == 4
    assert [notice.message for notice in of(Notice, events)] == [
        "Checkpoint 'last' is damaged: optimizer.pt is not what was saved. The one of step 4 is used instead."]
    assert same(weights(plain[0]), weights(tmp_path))


def test_other_settings_or_other_data_cannot_resume_a_run(tiny_config, finish, write_rows, easy_rows, tmp_path):
    finish(tiny_config(), tmp_path / "a", between_steps=stop_at(2))
    with pytest.raises(MtlError, match="The settings dropout, epochs are not the ones|The settings epochs, dropout are not the ones"):
        finish(tiny_config(epochs=3, dropout=0.2), tmp_path / "a", resume=True)
    config = tiny_config(source="files", train_files=(write_rows(tmp_path / "rows.jsonl", easy_rows(30)),))
    finish(config, tmp_path / "b", between_steps=stop_at(1))
    write_rows(tmp_path / "rows.jsonl", easy_rows(31))
    finish(config, tmp_path / "b", between_steps=stop_at(1), resume=True)  # it has its own rows
    shutil.rmtree(tmp_path / "b" / "rows")  # as a run of an earlier version
    with pytest.raises(MtlError, match="The data is not the same as when this run began.* this version of the program reads"):
        finish(config, tmp_path / "b", resume=True)


def test_resuming_without_a_checkpoint_starts_at_the_beginning(tiny_config, finish, tmp_path):
    events = finish(tiny_config(max_steps=1), tmp_path, resume=True)
    assert of(RunStarted, events)[0].step == 0 and events[-1].status == "finished"


def test_the_first_evaluation_is_short_and_every_later_one_whole(tiny_config, finish, tmp_path, monkeypatch):
    rows, evaluate = [], Trainer.evaluate
    monkeypatch.setattr(Trainer, "evaluate", lambda self, split, *rest: rows.append(len(split.rows)) or evaluate(self, split, *rest))
    monkeypatch.setattr(loop, "FIRST_ROWS", 3)
    finish(tiny_config(max_steps=2, eval_every=1), tmp_path)
    assert rows == [3, 6, 6]
