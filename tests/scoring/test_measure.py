"""mtl/scoring/measure.py and `python -m mtl evaluate`: validation as often as anybody likes, test once."""

import json
import shutil
import signal

import pytest

from mtl.cli.main import main
from mtl.errors import MtlError
from mtl.inference.predictor import Predictor
from mtl.runs.events import Evaluated, StatusChanged
from mtl.runs.folder import Run, create_run, list_runs, open_run
from mtl.runs.history import read_history
from mtl.scoring.measure import digest, measure_test, measure_validation, read_measured
from mtl.training.execute import run_training


@pytest.fixture(scope="module")
def trained(tiny_config, write_rows, easy_rows, tmp_path_factory) -> Run:
    """A finished run with test rows; not to be changed."""
    place, rows = tmp_path_factory.mktemp("trained"), easy_rows(72)
    config = tiny_config(source="files", train_files=(write_rows(place / "train.jsonl", rows[:60]),), epochs=6, batch_size=8,
                         test_files=(write_rows(place / "test.jsonl", rows[60:]),))
    run = create_run(place / "runs", config)
    assert run_training(run, resume=False) == "finished"
    return run


@pytest.fixture
def run(trained, tmp_path) -> Run:
    """A copy of that run."""
    return Run(shutil.copytree(trained.folder, tmp_path / "runs" / trained.id))


@pytest.fixture
def mtl(monkeypatch, capsys, tmp_path):
    """Runs `mtl ...` here, on the runs in tmp_path, and returns its exit status or message and what it printed."""
    monkeypatch.setenv("MTL_RUNS", str(tmp_path / "runs"))
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def call(*arguments: str) -> tuple[int | str, str]:
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        return ended.value.code, capsys.readouterr().out

    yield call
    for number, handler in handlers.items():
        signal.signal(number, handler)


def evaluations(run: Run, split: str) -> list[Evaluated]:
    return [seen for seen in read_history(run).evaluations if seen.split == split]


def test_validation_is_measured_as_the_training_measured_it_and_kept(run):
    measured = measure_validation(run, device="cpu")
    then = next(seen for seen in evaluations(run, "validation") if seen.step == measured.step)
    assert {task.name: task.scores for task in measured.report.tasks} == then.scores
    assert (measured.score, measured.report.everything_right.value) == (then.score, then.everything_right)
    assert measured.losses == pytest.approx(then.losses)
    assert read_measured(run, "validation") == measured and measured.is_of(run)
    steps = [seen.step for seen in evaluations(run, "validation")]
    assert len(steps) == len(set(steps))  # a measurement is no point of the curve
    assert measure_validation(run, "last", "cpu").checkpoint == "last"


def test_a_checkpoint_keeps_the_calibration_of_its_validation_rows_and_every_engine_uses_it(run):
    kept = json.loads((run.checkpoint("best") / "config.json").read_text())["calibration"]
    assert kept.keys() == {"answer", "place"} and kept["answer"][0] != 1 and kept["answer"][1] == 0 != kept["place"][1]
    wanted = None
    for engine in ("plain", "fused", "int8"):
        predictor = Predictor.load(run.checkpoint("best"), "cpu", engine)
        made = predictor("yes please go now Rome").predictions
        assert {name: list(task.calibration) for name, task in predictor._fast[0].tasks.items()} == kept
        wanted = wanted or made["answer"].probabilities
        assert made["answer"].probabilities == pytest.approx(wanted, abs=0.05 if engine == "int8" else 1e-5)
    measure_test(run, device="cpu")  # test rows choose nothing
    assert json.loads((run.checkpoint("best") / "config.json").read_text())["calibration"] == kept


def test_a_model_without_calibration_reads_as_temperature_1(run):
    predictor = Predictor.load(run.checkpoint("best"), "cpu", "plain")
    text, calibrated = "yes please go now Rome", predictor("yes please go now Rome").predictions["answer"]
    task = predictor.model.tasks["answer"]
    raw, = task.rescaled([calibrated], task.calibration)
    config = type(predictor.model.config).from_dict({key: value for key, value in predictor.model.config.to_dict().items()
                                                     if key != "calibration"})  # as an earlier version wrote it
    predictor.model.set_tuned(config.thresholds, config.calibration)
    assert config.calibration == {} and predictor(text).predictions["answer"].probabilities == pytest.approx(raw.probabilities, abs=1e-5)
    assert raw.probabilities != pytest.approx(calibrated.probabilities, abs=1e-3)


def test_test_rows_are_measured_once_logged_and_then_only_shown(run):
    assert not evaluations(run, "test") and read_measured(run, "test") is None  # the training left them alone
    measured, is_new = measure_test(run, device="cpu")
    seen, = evaluations(run, "test")
    assert is_new and not seen.is_best and seen.score == measured.score and measured.times == 1
    assert read_history(run).status == "finished"
    predictor = Predictor.load(run.checkpoint("best"), "cpu")
    rows = [json.loads(line) for line in (run.folder / "data/test/test.jsonl").read_text().splitlines()]
    made = [predicted.predictions["answer"].label for predicted in predictor.predict([row["text"] for row in rows])]
    assert seen.scores["answer"]["accuracy"] == sum(label == row["answer"] for label, row in zip(made, rows, strict=True)) / len(rows)
    assert measure_test(run, device="cpu") == (measured, False) and len(evaluations(run, "test")) == 1  # with the time of the first


def test_a_checkpoint_that_changed_after_the_measurement_is_measured_only_if_that_is_said(run):
    first, _ = measure_test(run, device="cpu")
    with pytest.raises(MtlError, match="measured on .* with checkpoint 'best' of step .* `--again`"):
        measure_test(run, "last", "cpu")
    shutil.rmtree(run.folder / "best")
    shutil.copytree(run.folder / "previous", run.folder / "best")  # as if the run had gone on to another best one
    assert digest(run.checkpoint("best")) != first.manifest
    with pytest.raises(MtlError, match="the run went on"):
        measure_test(run, device="cpu")
    assert read_measured(run, "test") == first
    second, is_new = measure_test(run, device="cpu", again=True)
    assert is_new and second.times == 2 and second.is_of(run) and len(evaluations(run, "test")) == 2


def test_test_rows_wait_until_the_run_is_over(run):
    run.log.append(StatusChanged("running"))
    with run.hold(), pytest.raises(MtlError, match="This run is running. The test rows are measured once, when it is over."):
        measure_test(run, device="cpu")


def test_scores_on_other_data_than_the_run_learned_from_are_refused(run):
    shutil.rmtree(run.folder / "rows")  # a run of an earlier version, which kept none
    with open(run.folder / "data/test/test.jsonl", "a") as file:
        file.write('{"text": "no never stay now Oslo", "answer": "no", "place": []}\n')
    with pytest.raises(MtlError, match="The data is not the same as when this run was trained.* this version of the program reads"):
        measure_test(run, device="cpu")
    assert not evaluations(run, "test") and not list(run.folder.glob(".scores*"))


def test_what_was_measured_and_cannot_be_read_says_so(run):
    (run.folder / "scores-test.json").write_text('{"split": "test"}')
    with pytest.raises(MtlError, match=r"scores-test.json in the run's folder cannot be read"):
        measure_test(run, device="cpu")


def test_the_terminal_shows_scores_tables_and_errors_and_test_only_once(run, mtl):
    status, shown = mtl("evaluate", "last", "--device", "cpu")
    assert status == 0
    for wanted in (f"Run {run.id}, validation: 5 rows, checkpoint 'best'", "everything right ", "% (95 % interval ",
                   "answer (classification, 5 rows)", "place (tagging, 5 rows): f1 ", "precision  recall", " right, 0 wrong type",
                   "  When it says ", "Calibration error "):
        assert wanted in shown
    assert mtl("evaluate", "last", "--split", "test", "--device", "cpu")[0] == 0
    status, shown = mtl("evaluate", "last", "--split", "test", "--device", "cpu")
    assert status == 0 and "The test rows are scored only once: these are the scores of that time." in shown
    status, shown = mtl("evaluate", run.id, "--split", "test", "--json")
    facts = json.loads(shown)
    assert facts["split"] == "test" and facts["report"]["rows"] == 12 and len(evaluations(run, "test")) == 1
    assert {"ece", "raw_ece", "bins"} <= facts["report"]["tasks"][0]["reliability"].keys()
    status, _ = mtl("evaluate", run.id, "--split", "test", "--checkpoint", "last")
    assert status.startswith("mtl: The test rows were measured on")


def test_train_with_test_takes_the_step_at_the_end_and_wants_test_rows_first(run, mtl, tmp_path):
    data = run.folder / "data"
    settings = ["--train-files", str(data / "train/train.jsonl"), "--encoder", "tiny", "--epochs", "1", "--threads", "1", "--device", "cpu"]
    status, _ = mtl("train", *settings, "--test")
    assert status.startswith("mtl: --test wants test rows") and len(list_runs(tmp_path / "runs")) == 1
    status, shown = mtl("train", *settings, "--test-files", str(data / "test/test.jsonl"), "--test")
    made = open_run(tmp_path / "runs", shown.split()[1])  # Run ID
    assert status == 0 and f"Run {made.id}, test: 12 rows, checkpoint 'best'" in shown and len(evaluations(made, "test")) == 1
    status, shown = mtl("train", *settings, "--test-files", str(data / "test/test.jsonl"))
    made = open_run(tmp_path / "runs", shown.split()[1])
    assert f"python -m mtl evaluate {made.id} --split test" in shown and not evaluations(made, "test")


def test_a_run_without_test_rows_says_so(tiny_config, tmp_path, mtl):
    run = create_run(tmp_path / "runs", tiny_config(epochs=1))
    run_training(run, resume=False)
    assert mtl("evaluate", "last", "--split", "test")[0] == "mtl: This run has no test rows with labels. Give it a test file to have some."
