"""Numbers to predict: what is their own (loss, scores, how files write them), and that they are trained, measured, resumed and asked like
the other kinds."""

import json
import math
import random
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from mtl.cli.main import main
from mtl.comparing.execute import run_comparison
from mtl.comparing.joint_vs_alone import VERDICTS, compare_scores, read_card
from mtl.comparing.plan import alone_plan, create
from mtl.data.dataset import fingerprint, load
from mtl.data.readers import read_files
from mtl.data.report import make_report, report_lines
from mtl.data.rows import narrow
from mtl.data.values import Number
from mtl.errors import MtlError
from mtl.inference.cells import cells_of, columns_of
from mtl.inference.predictor import Predictor
from mtl.jobs.models import Answered
from mtl.publishing.starter import model_card
from mtl.runs.events import Evaluated, StatusChanged, describe
from mtl.runs.folder import create_run
from mtl.runs.history import read_history
from mtl.runs.story import tell
from mtl.scoring.intervals import all_right, cost_bound, difference, interval, main_score
from mtl.scoring.measure import measure_test, measure_validation
from mtl.scoring.predictions import Wanted, find_sentences
from mtl.settings.config import Scale, TaskSpec
from mtl.settings.shorthand import parse_columns
from mtl.tasks import make_task
from mtl.tasks.base import IGNORED, Encoding
from mtl.tasks.number import Measured
from mtl.training.execute import run_training
from mtl.ui.answer_view import answer_html, spoken
from mtl.ui.data_view import report_html
from mtl.ui.scores_view import measured_html, sentences_html, summary
from tests.runs.test_story import history as made_up
from tests.runs.test_story import looked, started

TEXT = Encoding([0, 1], [(0, 1)], [0])
SCALE = Scale(3.0, 2.0, 1.0, 5.0)
MOODS = {"awful": -1.0, "dull": -0.5, "plain": 0.0, "good": 0.5, "superb": 1.0}


def task(scale: Scale = SCALE):
    return make_task(TaskSpec(name="stars", kind="number", scale=scale))


def number_rows(count: int, seed: int = 1) -> list[dict]:
    """Sentences whose stars are 3 and what two of their words add, one more or less now and then; and a place."""
    draws, rows = random.Random(seed), []
    for index in range(count):
        moods, slip = draws.choices(list(MOODS), k=2), draws.choice([0] * 8 + [-1, 1])
        text = f"The {moods[0]} food and the {moods[1]} wine {'again ' * draws.randrange(3)}in {draws.choice(['Rome', 'Oslo', 'Lima'])}"
        stars = {"stars": min(max(3 + sum(map(MOODS.get, moods)) + slip, 1), 5)} if index % 10 else {}  # not all have some
        rows.append({"text": text, **stars, "place": [{"start": len(text) - 4, "end": len(text), "label": "LOC"}]})
    return rows


def plain_story(told: str) -> str:
    """What is told, without the marks that keep names apart."""
    return "".join(letter for letter in told if letter.isprintable()).casefold()


def ask(*words: str) -> object:
    """The terminal's answer."""
    with pytest.raises(SystemExit) as ended:
        main(list(words))
    return ended.value.code


# Loss and scores


def test_the_loss_is_the_squared_error_of_standardised_numbers_and_a_row_without_one_counts_for_nothing():
    it, logits = task(), torch.tensor([[0.5], [9.0], [-1.0]])
    ids = [it.label_ids(Number(4), TEXT), it.label_ids(None, TEXT), it.label_ids(Number(2), TEXT)]
    assert ids == [0.5, IGNORED, -0.5] and list(map(it.count_targets, ids)) == [1, 0, 1]
    assert it.stack(ids).dtype == torch.float32 and it.stack(ids).shape == (3,)
    assert it.loss(logits, it.stack(ids)) == (0.5 - 0.5) ** 2 + (-1 + 0.5) ** 2
    assert it.loss(logits, torch.full((3,), float(IGNORED))) == 0
    assert [made.value for made in it.decode(torch.tensor([[0.5], [9.0], [-9.0]]), [TEXT] * 3)] == [4, 5, 1]  # no further than the rows go


def test_the_scores_are_those_of_pandas_and_the_hit_counts_give_the_main_score():
    draws, it = np.random.default_rng(3), task()
    true = draws.integers(1, 6, 80).astype(float)
    guessed = np.clip(1 + 0.5 * true + draws.normal(0, 1, 80), 1, 5).round(1)
    made = [Measured(float(one), SCALE) for one in guessed]
    got = it.score([*map(Number, true), None], [*made, Measured(1.0, SCALE)], [TEXT] * 81)
    table = pd.DataFrame({"true": true, "guessed": guessed})
    assert got["pearson"] == pytest.approx(table.corr().iloc[0, 1])
    assert got["spearman"] == pytest.approx(table.corr(method="spearman").iloc[0, 1])
    assert got["mean_absolute_error"] == pytest.approx((table["true"] - table["guessed"]).abs().mean())
    counts = np.array([it.hit_counts(Number(gold), guess) for gold, guess in zip(true, made, strict=True)] + [(0, 0)])
    found = interval(counts)
    assert got["pearson"] == pytest.approx(float(main_score(counts))) and found.low < found.value < found.high
    right = [Number(gold, SCALE).agrees(guess.value) for gold, guess in zip(true, made, strict=True)]
    assert right == [abs(gold - guess) <= 1 for gold, guess in zip(true, guessed, strict=True)]  # half of a standard deviation of 2
    assert all_right([counts])[:, 0].tolist() == [*right, True]
    assert it.score([None], [made[0]], [TEXT]) == {}


def test_a_correlation_that_is_undefined_is_0_and_a_negative_one_has_an_interval():
    it = task()
    for true, guessed in (([1, 2, 3, 4], [2.1] * 4), ([2, 2, 2, 2], [1, 2, 3, 4]), ([1, 1, 1, 1], [1, 1, 1, 1])):
        pairs = [(Number(gold), Measured(guess, SCALE)) for gold, guess in zip(true, guessed, strict=True)]
        got = it.score(*zip(*pairs, strict=True), [TEXT] * 4)
        assert got["pearson"] == got["spearman"] == 0
        found = interval(np.array([it.hit_counts(*pair) for pair in pairs]))
        assert found.value == 0 and -1 < found.low < 0 < found.high < 1
    falls = interval(np.array([(one, -one + 0.1 * (one > 0)) for one in np.linspace(-1, 1, 30)]))
    assert -1 < falls.low < falls.value < falls.high < -0.9
    few = interval(np.array([(1.0, 1.0), (2.0, 2.0)]))
    assert (few.value, few.low, few.high) == (pytest.approx(1), -1, 1)


def test_the_number_of_a_long_text_is_the_mean_of_those_of_its_pieces_by_their_shares():
    assert task().join([Measured(2.0, SCALE), Measured(4.0, SCALE)], [0, 40], [0.75, 0.25]) == Measured(2.5, SCALE)


def test_predictions_in_the_right_order_are_brought_to_the_scale_of_the_validation_rows_and_others_stay():
    it, draws = task(Scale(3.0, 2.0, -50.0, 50.0)), np.random.default_rng(2)
    logits = torch.tensor(draws.normal(size=(200, 1)))
    made, golds = it.decode(logits, [TEXT] * 200), [Number(3 + 2 * (4 * one + 0.5)) for one in logits[:, 0].tolist()]
    tuned = it.tune([*golds, None], [*made, made[0]])
    assert [one.value for one in tuned[:-1]] == pytest.approx(golds) and it.calibration == pytest.approx((0.25, 0.5))
    assert [one.value for one in it.decode(logits, [TEXT] * 200)] == pytest.approx(golds)
    assert it.tune(golds[::-1][:19], made[:19]) == made[:19] and it.calibration == (1, 0)  # too few rows
    assert it.tune([Number(-gold) for gold in golds], made) == made  # a model that says the opposite is not turned round


@pytest.mark.parametrize("true", [0.0, 0.5, 0.9])
def test_intervals_of_correlations_and_of_their_differences_hold_95_times_of_100(true):
    draws, inside, apart = np.random.default_rng(5), 0, 0
    for _ in range(400):
        gold, *noise = draws.normal(size=(3, 60))
        ours, theirs = (np.stack([gold, true * gold + math.sqrt(1 - true**2) * one], -1) for one in noise)
        found = interval(ours)
        inside += found.low <= true <= found.high
        between = difference(ours[None], theirs[None]).interval
        apart += between.low <= 0 <= between.high
    assert inside > 368 and apart > 368  # 92 %


def test_what_a_cheaper_computation_costs_a_correlation_is_bounded():
    gold = np.random.default_rng(1).normal(size=300)
    exact = np.stack([gold, 0.9 * gold + 0.1], -1)
    assert 0 <= cost_bound(exact, exact) < 0.05  # that of the added row
    assert cost_bound(exact, np.stack([gold, 0.9 * gold + np.random.default_rng(2).normal(size=300)], -1)) > 0.25


def test_a_comparison_of_numbers_counts_only_rows_that_have_one():
    draws = np.random.default_rng(4)
    gold, noise = draws.normal(size=(2, 200))
    labelled = np.arange(250) < 200
    joint = np.zeros((250, 2))
    joint[:200] = np.stack([gold, gold + 0.2 * noise], -1)
    (line,), everything = compare_scores([{"stars": joint}], [{"stars": np.stack([gold, gold + 2 * noise], -1)}], {"stars": labelled},
                                         {"stars": "pearson"})
    assert line.together == pytest.approx(np.corrcoef(*joint[:200].T)[0, 1]) and line.verdict == "higher"
    assert everything.together > everything.alone


# Values


def test_numbers_are_counted_by_the_round_number_that_they_are_about():
    assert [Number(one, Scale(3.4, 1.2, 1, 5)).labels() for one in (1, 3.5, 4.4)] == [("about 1",), ("about 4",), ("about 4",)]
    assert Number(0.3, Scale(0.5, 0.29, 0, 1)).labels() == ("about 0.4",) and Number(61, Scale(50, 29, 0, 100)).labels() == ("about 60",)
    far = {Number(one, Scale(0, 1, -1, 1e6)).labels() for one in (50, 500, 5e5)}
    assert len(far) == 1 and Number(3.5).labels() == ()  # before the scale is known
    assert Number.order("about -0.5") == -0.5


def test_a_number_is_near_or_too_low_or_too_high_and_shown_as_exactly_as_it_matters():
    four = Number(4, Scale(3, 1, 1, 5))
    assert [list(four.compared(Number(one))) for one in (3.6, 3.4, 5)] == [
        [("about 4", "right")], [("about 4", "too_low")], [("about 4", "too_high")]]
    assert four.named("") == ["4"] and Number(1 / 3, SCALE).named("") == ["0.33"]
    assert Number(12345.678, Scale(1e4, 2e3, 1, 9e4)).named("") == ["12346"]
    assert repr(four) == "4.0" and Number.of_plain(json.loads(json.dumps(four.plain()))) == four and Number.maker(SCALE)(1.5).scale == SCALE


# Files


@pytest.mark.parametrize(("name", "text", "told"), [
    ("x.jsonl", '{"text": "a b", "stars": 4}\n{"text": "c d", "stars": 2.5}\n{"text": "e f"}\n', "stars=number"),
    ("x.csv", "text,stars\na b,4\nc d,2.5\ne f,\n", "stars=number"),
    ("x.csv", "text;stars\na b;4\nc d;2,5\ne f;\n", "stars=number"),
    ("x.tsv", "text\tMark\na b\t+4.0\nc d\t2.5e0\ne f\t \n", "Mark=number:stars")])
def test_numbers_are_read_however_they_are_written(name, text, told, tmp_path):
    (tmp_path / name).write_text(text, encoding="utf-8")
    table = read_files([tmp_path / name], parse_columns(told))
    assert [(spec.name, spec.kind) for spec in table.tasks] == [("stars", "number")]
    assert {row.text: row.values["stars"] for row in table.rows} == {"a b": 4, "c d": 2.5, "e f": None}


@pytest.mark.parametrize("cell", ["good", "1,234", "1e999", "4/5", "1.2.3"])
def test_what_is_no_number_is_refused_with_its_line(cell, tmp_path):
    (tmp_path / "x.csv").write_text(f'text,stars\na,1\nb,"{cell}"\n', encoding="utf-8")
    with pytest.raises(MtlError, match=rf"x.csv, line 3: 'stars' is '{re.escape(cell)}', but its column is for numbers\. Write one"):
        read_files([tmp_path / "x.csv"], parse_columns("stars=number"))


def test_true_is_no_number_and_nan_in_a_table_is_none(tmp_path, write_rows):
    with pytest.raises(MtlError, match="'stars' is 'true', but its column is for numbers"):
        read_files([Path(write_rows(tmp_path / "x.jsonl", [{"text": "a", "stars": True}]))], parse_columns("stars=number"))
    pd.DataFrame({"text": ["a", "b"], "stars": [1.5, math.nan]}).to_parquet(tmp_path / "x.parquet")
    assert [row.values["stars"] for row in read_files([tmp_path / "x.parquet"], parse_columns("stars=number")).rows] == [1.5, None]


def fractions(name: str, more: str = "") -> str:
    """A table with a column of numbers; with `more` also one of two classes."""
    rows = [f"words {index},{index % 30 / 10}{more and f',{more}{index % 2}'}" for index in range(40)]
    return "\n".join([f"text,{name}{more and ',mood'}", *rows])


@pytest.mark.parametrize(("text", "kinds", "said"), [
    (fractions("score"), {"score": "number"}, "'score' is taken for numbers to predict. Set it to class to learn each number as a label"),
    (fractions("label"), {"label": "number"}, "'label' is taken for numbers to predict"),
    (fractions("seconds"), {}, "'seconds' is not taken for a task: it holds numbers with a fraction (set it to number to predict numbers)"),
    (fractions("score", "m"), {"mood": "classification"}, "'score' is not taken for a task: it holds numbers with a fraction (set it to"),
    ("text,Stars\n" + "".join(f"words {index},{1 + index % 5}\n" for index in range(30)), {"Stars": "classification"},
     "'Stars' holds numbers, each of which is taken for a class. Set it to number to predict them as numbers."),
    ("text,score\n" + "".join(f"words {index},{index % 12 / 4}\n" for index in range(40)), {"score": "number"}, "is taken for numbers"),
    ("text,label\n" + "".join(f"words {index},{index % 4}\n" for index in range(30)), {"label": "classification"}, "")])
def test_a_column_is_taken_for_numbers_where_it_is_nothing_else_or_many_classes_and_else_pointed_out(text, kinds, said, tmp_path):
    (tmp_path / "x.csv").write_text(text, encoding="utf-8")
    table = read_files([tmp_path / "x.csv"])
    assert {spec.name: spec.kind for spec in table.tasks} == kinds
    assert said in " ".join(table.notices) and bool(table.notices) == bool(said)


@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".csv", ".tsv", ".parquet", ""])
def test_rows_with_numbers_go_into_a_file_and_come_back(suffix, tmp_path, write_rows):
    rows = [*number_rows(30), {"text": "zero", "stars": 0.0, "place": []}, {"text": "not labelled"}]
    file = tmp_path / f"y{suffix}"
    told = ("--columns", "stars=number")
    assert ask("convert", write_rows(tmp_path / "x.jsonl", rows), "--to", str(file), *told) == 0
    back = {row.text: row.values["stars"] for row in read_files([file], parse_columns("stars=number")).rows}
    assert back == {row["text"]: row.get("stars") for row in rows}
    assert "Write .jsonl" in ask("convert", str(file), *told, "--to", str(tmp_path / "z.conll"))  # a comment holds one label


def test_the_scale_is_that_of_the_training_rows_and_all_sizes_of_numbers_are_in_validation(tiny_config, tmp_path, write_rows):
    file = write_rows(tmp_path / "x.jsonl", number_rows(400))
    config = tiny_config(source="files", train_files=(file,), columns=parse_columns("stars=number"))
    dataset = load(config, tmp_path)
    spec = next(spec for spec in dataset.tasks if spec.name == "stars")
    numbers = [row.values["stars"] for row in dataset.train if row.values["stars"] is not None]
    assert spec.scale == pytest.approx((np.mean(numbers), np.std(numbers), 1, 5)) and numbers[0].scale == spec.scale
    train, validation = ({row.values["stars"].labels() for row in rows if row.values["stars"] is not None}
                         for rows in (dataset.train, dataset.validation))
    assert train == validation
    assert fingerprint(dataset) == fingerprint(load(config, tmp_path)) and [*narrow(dataset.train, dataset.tasks)] == dataset.train
    same = [row | {"stars": 2.0} for row in number_rows(20)]
    with pytest.raises(MtlError, match="task 'stars' needs at least 2 different numbers in the rows to learn from, it has 1"):
        load(tiny_config(source="files", train_files=(write_rows(tmp_path / "y.jsonl", same),), columns=config.columns), tmp_path)


# A run


@pytest.fixture(scope="module")
def run(tiny_config, tmp_path_factory, write_rows):
    """A finished run on 300 sentences of our own, with test rows."""
    folder = tmp_path_factory.mktemp("number")
    config = tiny_config(source="files", train_files=(write_rows(folder / "train.jsonl", number_rows(300)),), epochs=12, eval_every=68,
                         test_files=(write_rows(folder / "test.jsonl", number_rows(60, seed=2)),), columns=parse_columns("stars=number"))
    run = create_run(folder / "runs", config, "")
    assert run_training(run, resume=False) == "finished"
    return run


def test_a_run_learns_the_numbers_and_predicts_them(run):
    seen = read_history(run).evaluations
    assert seen[0].scores["stars"]["pearson"] < seen[-1].scores["stars"]["pearson"] > 0.8
    assert seen[-1].scores["stars"]["mean_absolute_error"] < 0.5 and seen[0].losses["stars"] > 0.5 > seen[-1].losses["stars"]
    predictor = Predictor.load(run.checkpoint("best"), "cpu")
    rows = [row for row in number_rows(60, seed=3) if "stars" in row]
    answers = [predicted.predictions["stars"] for predicted in predictor.predict([row["text"] for row in rows])]
    assert np.mean([abs(answer.value - row["stars"]) for answer, row in zip(answers, rows, strict=True)]) < 0.5
    for answer in answers:
        told = json.loads(json.dumps(answer.plain("")))["number"]
        assert answer.drawing("").answer == f"{told:.12g}" and told == pytest.approx(answer.value, abs=0.005) and 1 <= told <= 5


def test_what_a_checkpoint_predicts_is_measured_analysed_and_read_sentence_by_sentence(run):
    validation, (test, _) = measure_validation(run), measure_test(run)
    best = max(read_history(run).evaluations, key=lambda event: (event.split == "validation", event.is_best, event.step))
    found = {task.name: task for task in validation.report.tasks}["stars"]
    assert found.scores == pytest.approx(best.scores["stars"], abs=1e-3)
    assert found.kind == "number" and found.main.low <= found.main.value == pytest.approx(found.scores["pearson"]) and found.labels == ()
    assert set(found.errors) == {"right", "too_low", "too_high"} and sum(found.errors.values()) == found.rows
    assert found.wrong == found.errors["too_low"] + found.errors["too_high"] == len(found.mistakes)
    report = next(task for task in test.report.tasks if task.name == "stars")
    assert list(report.errors_of) == sorted(report.errors_of, key=Number.order) and report.reliability is None
    errors = [abs(mistake.gold - mistake.predicted) for mistake in report.mistakes]
    assert errors == sorted(errors, reverse=True)  # the largest first
    label, sort, count = next((label, sort, count) for label, of in report.errors_of.items() for sort, count in of.items())
    spec, sentences = find_sentences(run, Wanted("test", "stars", label, sort))
    assert len(sentences) == count and {one.gold.labels() for one in sentences} == {(label,)} and spec.scale is not None
    assert sum(found.errors.values()) == len(find_sentences(run, Wanted("validation", "stars", words="the"))[1]) + found.errors["right"]


def test_everything_right_asks_for_near_numbers_too(run):
    rows = {row["text"]: row for row in number_rows(60, seed=2)}
    scale = next(spec.scale for spec in load(run.config, run.folder).tasks if spec.name == "stars")
    report, right = measure_test(run)[0].report, 0
    for predicted in Predictor.load(run.checkpoint("best"), "cpu").predict([*rows]):
        row, places = rows[predicted.text], [one["label"] for one in predicted.plain()["place"]]
        near = "stars" not in row or abs(predicted.predictions["stars"].value - row["stars"]) <= scale.deviation / 2
        spans = [(one.start, one.end) for one in predicted.predictions["place"].spans]
        right += near and spans == [(row["place"][0]["start"], row["place"][0]["end"])] and places == ["LOC"]
    assert len(rows) < 60 or report.everything_right.value == pytest.approx(right / 60)


def test_the_report_of_the_data_has_the_range_the_mean_and_how_many_there_are_of_each_size(run):
    dataset = load(run.config, run.folder)
    report = make_report(dataset, 64)
    counted = {count.label: count.train + count.validation for count in report.labels["stars"]}
    true = [row["stars"] for row in number_rows(300) if "stars" in row]
    assert sum(counted.values()) == len(true) and list(counted) == sorted(counted, key=Number.order)
    text = "\n".join(report_lines(report))
    assert "'stars' holds numbers from 1 to 5 in train, " in text.replace("\n", " ") and "about 3" in text
    assert not any("train does not teach" in finding.what or "fewer than" in finding.what for finding in report.findings)
    assert "stars</bdi>, number: " in report_html(report, dataset.tasks)


def test_page_terminal_and_card_show_numbers(run, tmp_path, capsys):
    measured, history = measure_validation(run), read_history(run)
    assert re.search(r"stars is off by 0\.\d+ on average, with a correlation \(Pearson\) of \d+\.\d%", " ".join(summary(measured)))
    shown = measured_html(run, measured)
    assert all(part in shown for part in ("mean absolute error", "Spearman", "about 3", "too low", ">precision<"))
    spec, found = find_sentences(run, Wanted("validation", "stars", "about 3", "right"))
    listed = sentences_html(found, Wanted("validation", "stars", "about 3", "right"), spec)
    assert "<b><bdi>3</bdi></b>" in listed and "<span>wrong</span>" not in listed and "sure" not in listed
    last = history.evaluations[-1]
    assert re.search(r"mean absolute error 0\.\d+[,;]", describe(last)) and "(number)" in describe(history.started)
    assert tell(history)
    card = model_card(run.config, history.started, last, None, "run_card.md")
    assert "| stars | number | a number |" in card and re.search(r"\| stars \| mean absolute error \| 0\.\d+ \| - \|", card)
    from mtl.cli.evaluate import print_scores
    print_scores(run, measured, is_new=True)
    said = capsys.readouterr().out
    assert re.search(r"stars \(number, \d+ rows\): pearson \d+\.\d% \(95 % interval .*, mean absolute error 0\.\d+", said)
    assert re.search(r"numbers \(right: within half a standard deviation\): \d+ right, \d+ too low, \d+ too high", said)


def test_an_answer_shows_the_number_and_no_bars_and_two_differ_if_they_look_different():
    from mtl.inference.predictor import Predicted

    def answered(number: float) -> Answered:
        return Answered([Predicted("Fine wine", {"stars": Measured(number, SCALE)}, None)], {"stars": ()}, "starter model", "cpu", 0.01)

    shown = answer_html(["a"], [answered(3.8712)], [], "")
    assert "3.87" in shown and "<li" not in shown and "not sure" not in shown and '{&#34;number&#34;: 3.87}' not in shown
    assert spoken(answered(3.8712)) == "stars: 3.87."
    assert "<em>differs</em>" in answer_html(["a", "b"], [answered(3.87), answered(3.6)], ["one", "other"], "")
    assert "Both give the same answer." in answer_html(["a", "b"], [answered(3.871), answered(3.874)], ["one", "other"], "")
    [made] = answered(3.8712).predicted
    assert columns_of({"stars": made.predictions["stars"].value}) == ["stars", "cut_at"] and cells_of(made) == ["3.87", ""]


def test_chance_has_a_loss_of_about_1_which_the_balancing_takes_for_it(run, tmp_path, tiny_config):
    seen = read_history(run).evaluations[0]
    assert 0.5 < seen.losses["stars"] < 2 and make_task(task().spec).chance == 1.0


@pytest.mark.parametrize(("scores", "said"), [
    ((-0.4, -0.2), "nothing is clearly learned: stars is not clearly better than guessing"), ((0.1, 0.08), "is not clearly better"),
    ((0.0, 0.0), "stars has the same answer for every row"), ((0.2, 0.3, 0.6, 0.7), "stars is still rising"),
    ((0.98, 0.99, 0.99, 0.99), "stars has hardly risen lately")])
def test_the_story_of_a_run_knows_that_a_correlation_is_no_share_of_right_answers(scores, said):
    seen = [looked(100 * step, {"stars": {"pearson": score}}) for step, score in enumerate(scores, 1)]
    assert said.casefold() in plain_story(tell(made_up(started(["stars"], score="pearson"), StatusChanged("running"), *seen)))


# every sampling with every balancing is tried on it, and resumed, in tests/training/test_step.py


@pytest.mark.parametrize("fine_tuning", ["lora", "heads"])
def test_adapters_or_heads_alone_learn_it_and_are_loaded_with_its_scale(fine_tuning, tiny_config, finish, tmp_path, write_rows):
    config = tiny_config(source="files", train_files=(write_rows(tmp_path / "x.jsonl", number_rows(40)),), encoder="bundled", batch_size=8,
                         fine_tuning=fine_tuning, head_learning_rate=2e-2, eval_every=99, epochs=1, columns=parse_columns("stars=number"))
    seen = [event for event in finish(config, tmp_path / "run") if isinstance(event, Evaluated)]
    assert seen[-1].losses.keys() == {"stars", "place"} and set(seen[-1].scores["stars"]) == {"pearson", "spearman", "mean_absolute_error"}
    model = Predictor.load(tmp_path / "run" / "best", "cpu").model
    numbers = [row.values["stars"] for row in load(config, tmp_path).train if row.values["stars"] is not None]
    assert model.tasks["stars"].spec.scale == pytest.approx((np.mean(numbers), np.std(numbers), min(numbers), max(numbers)))


def test_a_run_of_numbers_alone_is_resumed_bit_for_bit_and_kept_apart_from_other_files(tiny_config, finish, tmp_path, write_rows):
    config = tiny_config(source="files", train_files=(write_rows(tmp_path / "x.jsonl", number_rows(60)),), epochs=3,
                         columns=parse_columns("stars=number,place=ignore"))
    finish(config, tmp_path / "whole")
    finish(config, tmp_path / "parts", between_steps=lambda trainer: trainer.progress.step == 5)
    finish(config, tmp_path / "parts", resume=True)
    one, two = ((tmp_path / name / "last" / "model.safetensors").read_bytes() for name in ("whole", "parts"))
    assert one == two


def test_a_comparison_with_numbers_has_a_verdict_on_their_correlation(tiny_config, tmp_path, write_rows):
    config = tiny_config(source="files", train_files=(write_rows(tmp_path / "x.jsonl", number_rows(50)),), epochs=1, validation_share=0.3,
                         columns=parse_columns("stars=number"))
    comparison = create(tmp_path / "runs", config, alone_plan(config, 1))
    assert run_comparison(comparison) == "finished", read_history(comparison).message
    card = read_card(comparison.folder)
    assert {task.name: task.measure for task in card.tasks} == {"stars": "pearson", "place": "f1"}
    assert all(task.verdict in VERDICTS and task.low <= task.difference <= task.high for task in card.tasks)
