"""The API: the app as a process of its own, called by gradio_client, curl and plain HTTP, as programs do."""

import json
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import quote

import gradio as gr
import httpx2
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

from mtl.cli.main import main
from mtl.errors import MtlError
from mtl.jobs.queue import MAX_WAITING, Jobs
from mtl.runs.folder import Limits, Run, create_run
from mtl.scoring.measure import measure_test
from mtl.ui import app as page
from mtl.ui.api import Endpoints, _endpoint
from mtl.ui.messages import show_messages
from tests.browser import ROOT, App, can_press, status, wait_for

NAMES = ("start", "status", "history", "stop", "models", "predict", "explain", "predict_file", "scores")
QUICK = {"source": "hypothetical", "encoder": "tiny", "hypothetical_rows": 60, "epochs": 2, "learning_rate": 2e-3, "device": "cpu",
         "threads": 1}
ENDLESS = QUICK | {"epochs": 10_000}
TEXTS = ["Ana Silva left Oslo on Monday.", "The striker scored twice as Brazil beat Norway in the final.", "It cost 5 €, \"he said\"."]


@pytest.fixture(scope="module")
def served(tmp_path_factory) -> Iterator[App]:
    """The app; whatever these tests ask, it never has an error of its own."""
    app = App(tmp_path_factory.mktemp("served"))
    app.start()
    yield app
    app.kill()
    assert "Internal error" not in app.output, app.output


@pytest.fixture(scope="module")
def client(served) -> Client:
    return Client(served.url, verbose=False)


@pytest.fixture
def data(tmp_path, write_rows, easy_rows) -> Path:
    """A file to train with."""
    return Path(write_rows(tmp_path / "train.jsonl", easy_rows(400)))


def ask(client: Client, endpoint: str, *values, **named):
    """The answer of an endpoint."""
    return client.predict(*values, **named, api_name=f"/{endpoint}")


def finish(client: Client, run: str) -> dict:
    """The status of a run when it is over."""
    return wait_for("the end of the run", lambda: (told := ask(client, "status", run))["state"] in ("finished", "failed") and told)


def stop_all(client: Client, started: list[dict]) -> None:
    """Stop the runs, the last one first, so that none of those that wait begins."""
    for run in reversed(started):
        ask(client, "stop", run["run"], run["key"])
    for run in started:
        wait_for("the run to stop", lambda run=run: ask(client, "status", run["run"])["state"] == "stopped")


def post(app: App, endpoint: str, data: list) -> str:
    """What the app sends to a program that speaks plain HTTP."""
    address = f"{app.url}/gradio_api/call/{endpoint}"
    request = urllib.request.Request(address, json.dumps({"data": data}).encode(), {"Content-Type": "application/json"})
    event = json.load(urllib.request.urlopen(request, timeout=60))["event_id"]
    return urllib.request.urlopen(f"{address}/{event}", timeout=60).read().decode()


def apart(answer) -> tuple[str, list[float]]:
    """An answer without its probabilities, and these, which depend on how it was computed."""
    found = []

    def plain(value):
        if isinstance(value, float):
            found.append(value)
            return "a number"
        if isinstance(value, list):
            return list(map(plain, value))
        # the order of the classes follows from their probabilities
        return {name: plain(part) for name, part in sorted(value.items())} if isinstance(value, dict) else value

    return json.dumps(plain(answer)), found


def test_there_are_these_endpoints_and_no_others_each_with_types_and_words_for_all_it_takes(served):
    info = json.load(urllib.request.urlopen(f"{served.url}/gradio_api/info", timeout=60))
    assert {*info["named_endpoints"]} == {f"/{name}" for name in NAMES} and info["unnamed_endpoints"] == {}
    for name, endpoint in info["named_endpoints"].items():
        taken, words = [part["parameter_name"] for part in endpoint["parameters"]], getattr(Endpoints, name[1:]).__doc__
        assert endpoint["description"].endswith(".") and all(part["type"] for part in [*endpoint["parameters"], *endpoint["returns"]])
        assert taken == re.findall(r"^ +(\w+): ", words.partition("Parameters:")[2], re.MULTILINE)
    kinds = {part["parameter_name"]: part["python_type"]["type"] for part in info["named_endpoints"]["/start"]["parameters"]}
    assert "train: list[filepath | str], validation: list[filepath | str]" in kinds["files"] and kinds["key"] == "str"


def test_an_answer_is_that_of_the_terminal_for_one_text_and_for_several(client, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["predict", "starter", *TEXTS])
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    (expected, sure), (found, surely) = apart(told), apart(ask(client, "predict", TEXTS))
    assert ended.value.code == 0 and len(told) == len(TEXTS)
    assert found == expected and surely == pytest.approx(sure, abs=0.05)
    assert apart(ask(client, "predict", TEXTS[0], "starter"))[0] == apart(ask(client, "predict", [TEXTS[0]]))[0]


def test_an_explanation_has_a_weight_for_each_word_and_they_make_up_what_they_explain(client):
    made = ask(client, "explain", TEXTS[1], "topic", "sport")
    weights = [word["weight"] for word in made["words"]]
    assert "".join(word["text"] for word in made["words"]) == TEXTS[1].replace(" ", "") and made["target"] == "sport"
    assert sum(weights) == pytest.approx(made["after"] - made["before"], abs=0.02 * max(abs(sum(weights)), *map(abs, weights)))
    [place] = ask(client, "explain", TEXTS[0], "entities", [{"start": 15, "end": 19, "label": "LOC"}])["target"]
    assert place == {"start": 15, "end": 19, "label": "LOC"}


@pytest.mark.parametrize("name", ["texts.txt", "texts.csv", "texts.jsonl"])
def test_a_file_of_texts_becomes_a_file_of_answers_with_all_that_was_in_it(client, tmp_path, name):
    (tmp_path / "texts.txt").write_text(f"{TEXTS[0]}\r\n\n{TEXTS[1]}\n", encoding="utf-8")
    (tmp_path / "texts.csv").write_text(f"text\n{TEXTS[0]}\n{TEXTS[1]}\n", encoding="utf-8")
    (tmp_path / "texts.jsonl").write_text("".join(json.dumps({"text": text, "mood": "sad"}) + "\n" for text in TEXTS[:2]))
    made = Path(ask(client, "predict_file", handle_file(tmp_path / name)))
    assert made.name == "texts-predicted.jsonl"
    rows = [json.loads(line) for line in made.read_text(encoding="utf-8").splitlines()]
    answers = [row for row in rows if "error" not in row]
    assert [row.get("error", "")[:17] for row in rows if row not in answers] == ["The text is empty"] * (name == "texts.txt")
    assert [row.pop("mood", None) for row in answers] == ["sad" if name == "texts.jsonl" else None] * 2
    assert apart(answers)[0] == apart(ask(client, "predict", TEXTS[:2]))[0]


@pytest.mark.parametrize(("endpoint", "values", "sentence"), [
    ("predict", {"text": ""}, "The text is empty. Type a sentence."), ("predict", {"text": 5}, "text: found 5, wanted str | list[str]."),
    ("predict", {"text": ["a", None]}, "text: found a list of 2, wanted str | list[str]."),
    ("predict", {"text": ["a"] * 1001}, "text: found 1,001 texts, wanted at most 1,000. Put them into a file, and ask predict_file."),
    ("predict", {"text": "a", "model": "../starter"}, "There is no such run: its link or id is not complete."),
    ("explain", {"text": "a", "task": "topic", "target": "x"}, "Task 'topic': found 'x', wanted one of its labels (business, "),
    ("explain", {"text": "a", "task": "topic", "target": 5}, "target: found 5, wanted "),
    ("explain", {"text": "a", "task": "tone"}, "This model has no task 'tone'."),
    ("start", {"settings": {"epoch": 3}}, "There is no setting 'epoch'. Did you mean 'epochs'?"),
    ("start", {"settings": {"batch_size": 0}}, "Batch size: found 0, wanted a whole number from 1 to 4,096, such as 16."),
    ("start", {"settings": {"tasks": ["colour"]}}, "There is no task 'colour' in the data."),
    ("start", {"settings": {"tasks": 5}}, "Tasks: found 5, wanted"),
    ("predict", {"text": "a", "model": "starter/x"}, "There is no such run"),
    ("predict_file", {"file": "a\0"}, "This is not an uploaded file."), ("predict_file", {"file": "a" * 5000}, "This is not an uploaded"),
    ("start", {"settings": []}, "settings: found a list of 0, wanted dict(str, Any)."),
    ("start", {"settings": {}, "files": {"dev": []}}, "files: found names with values, wanted None | dict(train:"),
    ("start", {"settings": QUICK, "key": 5}, "key: found 5, wanted str."), ("status", {"run": "no"}, "There is no such run"),
    ("history", {"run": "..", "since": 0}, "There is no such run"), ("history", {"run": "", "since": "x"}, "since: found 'x', wanted int."),
    ("stop", {"run": "20260101-000000-" + "0" * 32, "key": ""}, "There is no such run here."),
    ("scores", {"run": "starter"}, "There is no such run"), ("models", {"key": None}, "key: found nothing, wanted str.")])
def test_what_cannot_be_is_refused_with_a_sentence(client, endpoint, values, sentence):
    with pytest.raises(AppError, match="^" + re.escape(sentence)):
        ask(client, endpoint, **values)


def test_a_file_that_cannot_be_read_is_refused_with_its_name_and_line(client, tmp_path):
    (tmp_path / "odd.jsonl").write_text('{"text": "a"}\n{"text": \n')
    for endpoint, values in (("predict_file", [handle_file(tmp_path / "odd.jsonl")]),
                             ("start", [{}, {"train": [handle_file(tmp_path / "odd.jsonl")]}])):
        with pytest.raises(AppError, match="^odd.jsonl, line 2: "):
            ask(client, endpoint, *values)


def test_what_nobody_foresaw_gives_a_reference_and_no_traceback(capsys):
    def divide(by: int) -> float:
        return 1 / by

    with pytest.raises(gr.Error) as error:
        _endpoint(divide)(0)
    reference = re.fullmatch(r"Internal error (\w+): this could not be done\. The details are in the terminal .*", error.value.message)[1]
    assert f"[{reference}] Traceback" in (told := capsys.readouterr().out) and "ZeroDivisionError" in told
    assert _endpoint(divide)(2) == 0.5


def test_a_run_of_uploaded_files_is_started_followed_scored_and_asked(served, client, data, write_rows, easy_rows, tmp_path):
    test = write_rows(tmp_path / "later.jsonl", easy_rows(20))
    settings = {"encoder": "tiny", "epochs": 1, "learning_rate": 2e-3, "tasks": ["answer", "place"], "weights": {"place": 2}, "threads": 1}
    started = ask(client, "start", settings, {"train": [handle_file(data)], "test": [handle_file(test)]}, "my own key")
    assert started["key"] == "my own key" and started["link"] == f"{served.url}/?run={started['run']}"
    seen, since = [], 0
    while True:
        told = ask(client, "status", started["run"])
        news = ask(client, "history", started["run"], since)
        seen, since = seen + news["events"], news["next"]
        if told["state"] == "finished":
            break
        assert told["state"] in ("queued", "running"), told
        time.sleep(0.1)
    run = Run(served.runs / started["run"])
    assert [json.loads(line) for line in run.log.path.read_text().splitlines()] == seen + ask(client, "history", run.id, since)["events"]
    assert ask(client, "history", run.id) == {"events": seen, "next": since} and since == run.log.path.stat().st_size
    assert told["step"] == told["total_steps"] > 0 and told["message"].startswith("Finished") and told["best"]["score"] > 0
    assert told["seconds_left"] is None and told["ahead"] == 0 and run.config.weights == {"place": 2.0}

    assert {model["model"] for model in ask(client, "models", "my own key")} == {f"{run.id}/best", f"{run.id}/last", "starter"}
    assert [model["model"] for model in ask(client, "models", "a guess")] == ["starter"]
    [answer] = ask(client, "predict", "no never stay now Lima", run.id)
    assert {*answer} == {"text", "answer", "place"}

    scores = ask(client, "scores", run.id)
    assert scores["test"] is None and not (run.folder / "scores-test.json").exists()
    assert scores["validation"]["report"]["tasks"][0]["name"] == "answer" and scores == ask(client, "scores", run.id)  # measured once
    measured, _ = measure_test(run)
    assert ask(client, "scores", run.id)["test"]["report"]["rows"] == measured.report.rows == 20
    with pytest.raises(AppError, match="is finished and not in training any more"):
        ask(client, "stop", run.id, "my own key")


def test_the_settings_of_a_run_start_another_one_like_it(served, client, tiny_config):
    like = create_run(served.runs, tiny_config(tasks=({"name": "class", "kind": "classification"},), weights={"class": 2.0}))
    started = ask(client, "start", json.loads((like.folder / "config.json").read_text()))
    assert finish(client, started["run"])["state"] == "finished" and Run(served.runs / started["run"]).config == like.config
    assert len(started["key"]) > 40


def test_a_run_of_the_api_is_shown_by_its_link_and_stopped_only_with_its_key(app, new_person, open_page):
    client = Client(app.url, verbose=False)
    started = ask(client, "start", ENDLESS, None, "the key")
    shown = open_page(new_person(), started["run"])
    wait_for("the page to show the run", lambda: status(shown) == "running")
    assert not any(can_press(shown).values())
    for key in ("", "a guess", started["run"]):
        with pytest.raises(AppError, match="^This is not the key of the run"):
            ask(client, "stop", started["run"], key)
    assert ask(client, "status", started["run"])["state"] == "running"
    assert ask(client, "stop", started["run"], "the key")["state"] in ("stopping", "stopped")
    wait_for("the page to show that it stopped", lambda: status(shown) == "stopped")


def test_twenty_questions_at_once_all_get_their_own_answers(client):
    texts = [f"Flight {number} left Oslo." for number in range(20)]
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda text: ask(client, "predict", text), texts))
    assert [answer["text"] for [answer] in answers] == texts


def test_of_twenty_starts_at_once_as_many_wait_as_there_is_room_and_the_others_are_told_why(client):
    def start(seed: int) -> dict | str:
        try:
            return ask(client, "start", ENDLESS | {"seed": seed}, None, "key")
        except AppError as error:
            return str(error)

    with ThreadPoolExecutor(20) as pool:
        told = list(pool.map(start, range(20)))
    started = [answer for answer in told if isinstance(answer, dict)]
    assert len(started) == 1 + MAX_WAITING
    full = f"The queue is full: {MAX_WAITING} runs wait already. Wait for one to end, then start again."
    assert [answer for answer in told if isinstance(answer, str)] == [full] * (19 - MAX_WAITING)
    started.sort(key=lambda run: ask(client, "status", run["run"])["ahead"])
    assert [ask(client, "status", run["run"])["ahead"] for run in started] == list(range(1 + MAX_WAITING))
    stop_all(client, started)


def test_one_key_has_as_many_runs_at_a_time_as_the_host_allows(tmp_path, asked):
    jobs = Jobs(tmp_path / "runs", Limits(runs=2))
    jobs._start_worker = lambda: None
    endpoints, refusals = Endpoints(jobs), []
    for seed in range(20):
        try:
            endpoints.start(asked, QUICK | {"seed": seed}, None, "key")
        except MtlError as error:
            refusals.append(str(error))
    assert refusals == ["You have 2 runs in training or in the queue. Wait for one to end, or stop one."] * 18
    assert endpoints.start(asked, QUICK, None, "another key")["run"]


@pytest.fixture
def asked() -> gr.Request:
    """A request to start something, without an app around it."""
    return gr.Request(SimpleNamespace(headers={}, url=httpx2.URL("http://host/gradio_api/call/start")))


@pytest.mark.parametrize("name", ["train_files", "validation_files", "test_files", "dev_files"])
def test_settings_never_name_a_file_of_the_server(client, data, name):
    for settings in ({name: [str(data)]}, {"source": "files", "train_files": [], name: [str(data)]}):
        with pytest.raises(AppError, match=f"^'{name}' names files of the server. Upload yours instead"):
            ask(client, "start", settings)
        with pytest.raises(AppError, match=f"^'{name}' names files of the server"):
            ask(client, "start", settings, {"train": [handle_file(data)]})


def test_only_what_was_uploaded_is_read(served, data):
    own = next(served.runs.glob("*/config.json"), data)
    meta = {"meta": {"_type": "gradio.FileData"}}
    for path in (data, data.parent, own, Path("/etc/passwd"), served.runs.parent / "uploads", served.runs.parent / "uploads/../app.log"):
        for file in ({"path": str(path)}, {"path": str(path), "meta": {"_type": "other"}}, {"path": str(path)} | meta, str(path),
                     f"{served.url}/gradio_api/file={quote(str(path))}", f"file={path}"):
            for told in (post(served, "predict_file", [file, "starter"]), post(served, "start", [{}, {"train": [file]}, ""])):
                # of what has `meta`, Gradio itself refuses to read it, and gives no reason
                assert told.startswith("event: error") and ("This is not an uploaded file." in told or "meta" in file), told
                assert "root:" not in told and "very" not in told


def test_a_poll_in_the_middle_of_a_line_goes_on_from_its_beginning(jobs, tiny_config):
    run = create_run(jobs.root, tiny_config())
    history = Endpoints(jobs).history
    whole = history(run.id)
    with run.log.path.open("ab") as log:
        log.write(b'{"event":"Notice","time":1.5,"message":"He')
    assert history(run.id, whole["next"]) == {"events": [], "next": whole["next"]}
    with run.log.path.open("ab") as log:
        log.write(b'llo","level":"info"}\n')
    news = history(run.id, whole["next"])
    assert news["events"] == [{"event": "Notice", "time": 1.5, "message": "Hello", "level": "info"}]
    assert news["next"] == run.log.path.stat().st_size == history(run.id, 10**30)["next"] and history(run.id, -5) == history(run.id)


def test_the_box_for_messages_is_no_output_of_an_endpoint(jobs):
    with gr.Blocks() as demo:
        gr.api(_endpoint(Endpoints(jobs).models), api_name="models")
        show_messages(demo, gr.HTML())
    [event] = demo.fns.values()
    assert len(event.outputs) == 1 and event.fn("")[-1]["model"] == "starter"


@pytest.mark.parametrize(("wanted", "here"), [("1", True), ("1", False), ("", True)])
def test_mcp_is_served_if_it_is_wanted_and_a_sentence_says_what_it_needs(jobs, monkeypatch, capsys, wanted, here):
    monkeypatch.setenv("MTL_MCP", wanted)
    monkeypatch.setattr(page, "find_spec", lambda name: name if here else None)
    assert page.launch_options(jobs)["mcp_server"] == bool(wanted and here)
    said = "MTL_MCP is set, but MCP needs a package that is not installed: pip install 'mcp>=1.21,<2', then start again.\n"
    assert capsys.readouterr().out == ("" if here else said)


@pytest.mark.parametrize(("language", "command"), [("python", [sys.executable, "-c"]), ("bash", ["bash", "-ec"])])
def test_what_the_readme_says_of_the_api_works_word_for_word(served, data, language, command):
    if language == "bash" and not shutil.which("curl"):
        pytest.skip("curl is not installed")
    text = (ROOT / "README.md").read_text(encoding="utf-8").split("\n## API\n")[1].split("\n## ")[0]
    assert all(f"`{name}(" in text for name in NAMES)
    snippet = re.search(rf"```{language}\n(.*?)```", text, re.DOTALL)[1]
    told = subprocess.run([*command, snippet.replace("http://127.0.0.1:7860", served.url)], cwd=data.parent, capture_output=True, text=True)
    assert told.returncode == 0, told.stderr
    assert "Ana Silva" in told.stdout and "PER" in told.stdout and "event: error" not in told.stdout
    run = Run(served.runs / re.search(r"\d{8}-\d{6}-[0-9a-f]{32}", told.stdout)[0])
    assert [Path(file).name for file in run.config.train_files] == ["train.jsonl"] and run.config.epochs == 1
