"""`python -m mtl teach`: a model learns from corrections in a run of its own, and the terminal says what it forgot."""

import json

from mtl.runs.folder import list_runs

QUICK = ["--encoder", "tiny", "--source", "hypothetical", "--hypothetical-rows", "60", "--epochs", "2", "--device", "cpu", "--threads", "1"]


def test_a_run_is_taught_and_before_and_after_are_told(mtl, tmp_path):
    assert mtl("train", *QUICK).returncode == 0
    source, = list_runs(mtl.root)
    task = json.loads((source.best / "config.json").read_text())["tasks"][0]
    file = tmp_path / "mine.jsonl"
    file.write_text(json.dumps({"text": "Ana left Oslo.", task["name"]: task["labels"][0]}) + "\n")
    taught = mtl("teach", source.id, "--rows", str(file))
    assert taught.returncode == 0, taught.stderr
    assert "of 1 correction right now" in taught.stdout and "answers forgotten" in taught.stdout and "everything right" in taught.stdout
    run, = (run for run in list_runs(mtl.root) if run.id != source.id)
    assert f"python -m mtl predict {run.id}" in taught.stdout and mtl("predict", run.id, "Ana left Oslo.").returncode == 0
    file.write_text(json.dumps({"text": "Ana left Oslo.", task["name"]: "never heard of"}) + "\n")
    refused = mtl("teach", source.id, "--rows", str(file))
    assert refused.returncode == 1 and "mtl: mine.jsonl: this model has no label 'never heard of'" in refused.stderr
