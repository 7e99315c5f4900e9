"""The data of the Train tab: their source, what their columns are for, and the report on them. Layout, then wiring, then handlers."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import gradio as gr

from mtl.data import resolve
from mtl.data.dataset import choose_tasks, describe_source, load, read_table, split_paths
from mtl.data.formats.archive import UNPACKED, unpack
from mtl.data.formats.files import own_name
from mtl.data.hub.presets import PRESETS, preset_config
from mtl.data.readers import Progress
from mtl.data.report import bundled_subwords, make_report
from mtl.data.values import KIND_OF_ROLE
from mtl.errors import MtlError
from mtl.runs.folder import open_run
from mtl.settings.config import MAX_TASKS, ColumnSpec, HubSpec, RunConfig, make_spec
from mtl.settings.shorthand import parse_hub
from mtl.text import isolate, many
from mtl.ui import data_view as view
from mtl.ui import form
from mtl.ui.data_view import Choice
from mtl.ui.page import Page, Values, hidden_text, text_of

SOURCES: dict[str, dict[str, str]] = json.loads(text_of("sources.json"))  # of each kind of source the title, and a sentence about it
ANY = "Any other"
NOT_FETCHED = "Look the dataset up, then download it."
# these run in the browser, so that they are done before the next click
FORGET = "() => ['', '', {__type__: 'update', value: 'Download', interactive: false}, '', '', '']"  # as DataPanel.forget
TICK = "(ticked, choice) => JSON.stringify({...JSON.parse(choice || '{}'), ticked})"


class DataPanel:
    """The widgets, and their handlers. `inputs` are those whose values `key` and `values` take."""

    def __init__(self, page: Page) -> None:
        self.page, self.jobs = page, page.jobs
        # the first line of a card is its title, by style.css
        self.source = gr.Radio([(f"{source['title']}\n{source['line']}", name) for name, source in SOURCES.items()], value="newsroom",
                               label="Data", elem_id="source", elem_classes="mtl-cards")
        self.about = gr.HTML(SOURCES["newsroom"]["about"], elem_id="source-about", elem_classes="mtl-hint")
        labels = RunConfig.model_fields["hypothetical_labels"]
        self.labels = gr.Radio(["learnable", "random"], value=labels.default, label=labels.title, elem_id="hypothetical-labels",
                               info=labels.description, visible=False)
        self.rows = form.make_widget("hypothetical_rows", elem_id="rows", visible=False)
        self.files = gr.File(file_count="multiple", visible=False, elem_id="files", height=120,
                             label="Tables, JSON, CoNLL, \u2026 or a zip")
        with gr.Column(visible=False) as self.hub_column:
            self._hub_widgets()
        self.questions = gr.HTML(elem_id="questions", js_on_load=text_of("questions.js"))  # its event `input` has the `answer` as JSON
        self.tasks = gr.CheckboxGroup([], label="Tasks, learned together", elem_id="tasks", elem_classes="mtl-chips")
        self.specs = hidden_text()  # what the columns are for, if the user set it, or the run in the form: ColumnSpecs as JSON
        self.data_run = hidden_text()  # the run whose copy of the files is used if none is uploaded
        self.choice = hidden_text("choice")  # which tasks are ticked, and for which data: see Choice
        self.summary = gr.Textbox(label="What was found in the data", lines=1, max_lines=8, interactive=False, elem_id="findings",
                                  show_label=False)
        self.findings = gr.HTML(elem_id="short-findings")
        with gr.Accordion("What the columns are for", open=False, visible=False, elem_id="columns") as self.columns_box:
            self.columns = gr.HTML(elem_id="column-table", js_on_load=text_of("columns.js"))  # its event `input` has all its `rows` as JSON
        self.patterns = hidden_text()  # which tasks are labelled together, and on how many training rows, as JSON
        self.sizes = hidden_text()  # training rows, validation rows, and subwords in one of them on average, as JSON
        self.report, self.examples = gr.HTML(elem_id="report", render=False), gr.HTML(elem_id="examples", render=False)
        self.inputs = {self.source, self.labels, self.rows, self.files, self.hub, self.specs, self.data_run}
        self.filled = [*self.inputs, self.choice]  # what `fill` sets

    def _hub_widgets(self) -> None:
        titles = [(preset.title, name) for name, preset in PRESETS.items()]
        self.preset = gr.Dropdown([*titles, (ANY, "")], value=titles[0][1], label="Datasets", elem_id="preset",
                                  info=next(iter(PRESETS.values())).about)
        self.ids = gr.Textbox(label="Ids", elem_id="hub-ids", visible=False, max_length=400, placeholder="owner/name:config, owner/name",
                              info="The id of a dataset. Several, with commas between them, are trained together.")
        with gr.Row():
            self.look_button = gr.Button("Look it up", elem_id="hub-look", min_width=110)
            self.download_button = gr.Button("Download", elem_id="hub-download", interactive=False, min_width=110)
        self.about_hub = gr.Textbox(label="On the Hub", lines=2, max_lines=8, interactive=False, elem_id="hub-about")
        self.pinned, self.hub = hidden_text(), hidden_text()  # HubSpecs as JSON: those that were looked up, and those that were downloaded

    def show_report(self) -> None:
        """Place the report and the example rows, which have a tab of their own."""
        with gr.Row():
            with gr.Column(min_width=320):
                self.report.render()
            with gr.Column(min_width=320):
                self.examples.render()

    def wire(self, max_length: gr.components.Component) -> None:
        """Connect the widgets. A run cuts sentences at `max_length`."""
        quiet, self.max_length, tasks = self.page.quiet, max_length, self.tasks
        slow: dict[str, Any] = {"show_progress_on": self.about_hub, "api_visibility": "private"}
        self.read = {"fn": self.understand, "inputs": {*self.inputs, self.choice, max_length},
                     "outputs": [self.summary, self.questions, self.patterns, self.sizes, self.findings, self.report, self.examples, tasks,
                                 self.choice, self.columns_box, self.columns],
                     "show_progress_on": self.summary, "api_visibility": "private", "trigger_mode": "always_last"}
        self.source.change(self.show_source, self.source, [self.about, self.labels, self.rows, self.files, self.hub_column], **quiet)
        tasks.input(None, [tasks, self.choice], self.choice, js=TICK, **quiet)
        gr.on([self.source.input, self.files.clear, self.files.delete], lambda: "", None, self.specs, **quiet).then(**self.read)
        self.files.upload(self.take_files, self.files, [self.files, self.specs, self.summary], **quiet).then(**self.read)
        gr.on([self.labels.input, self.rows.submit, self.rows.blur, max_length.blur], **self.read)
        self.questions.input(self.answer, self.specs, self.specs, **quiet).then(**self.read)
        self.columns.input(self.set_columns, self.specs, self.specs, trigger_mode="multiple", **quiet).then(**self.read)
        forgotten = [self.about_hub, self.pinned, self.download_button, self.hub, self.data_run, self.specs]
        forget = {"fn": None, "outputs": forgotten, "js": FORGET, **quiet}
        self.preset.input(**forget).then(self.show_preset, self.preset, [self.preset, self.ids], **quiet).then(**self.read)
        self.ids.input(**forget).then(**self.read)
        gr.on([self.look_button.click, self.ids.submit], self.look_up, [self.preset, self.ids], forgotten, **slow).then(**self.read)
        self.download_button.click(self.download, [self.pinned], [self.hub, self.about_hub], **slow).then(**self.read)

    def show_source(self, source: str) -> Values:
        """Show the widgets of the source, and no others."""
        of = {self.labels: "hypothetical", self.rows: "hypothetical", self.files: "files", self.hub_column: "hub"}
        shown = {part: gr.update(visible=source == name) for part, name in of.items()}
        return shown | {self.about: SOURCES[source]["about"]}

    def show_preset(self, preset: str) -> Values:
        """What the preset is; for any other dataset, the field for its id."""
        about = PRESETS[preset].about if preset in PRESETS else "Any dataset of Parquet, CSV or JSON lines files."
        return {self.preset: gr.update(info=about), self.ids: gr.update(visible=preset not in PRESETS)}

    def forget(self) -> Values:
        """Empty all that belongs to the dataset that was named before."""
        emptied = (self.about_hub, self.pinned, self.hub, self.data_run, self.specs)
        return {self.download_button: gr.update(value="Download", interactive=False)} | dict.fromkeys(emptied, "")

    def take_files(self, files: list[str]) -> Values:
        """The uploaded files, renamed if two have the same name: later only their names distinguish them."""
        names = ", ".join(isolate(Path(file).name) for file in files)
        shown = {self.specs: "", self.summary: f"Reading {names} \u2026"}
        return shown | ({self.files: renamed} if (renamed := view.name_apart(files)) != files else {})

    def look_up(self, preset: str, ids: str) -> Values:
        """Ask the Hub which splits a dataset has, and how large they are."""
        try:
            wanted = preset_config(preset) if preset else {"hub": parse_hub(ids), "columns": ()}
            if not wanted["hub"]:
                raise MtlError("Write the id of a dataset, such as fancyzhx/ag_news.")
            pinned = [resolve.pin(spec) for spec in wanted["hub"]]
        except MtlError as error:
            return self.forget() | {self.about_hub: str(error)}
        size = resolve.megabytes(sum(map(resolve.size, pinned)))
        return self.forget() | {
            self.about_hub: "\n".join(map(resolve.describe, pinned)), self.pinned: _to_json(spec for spec, _ in pinned),
            self.download_button: gr.update(value=f"Download {size}", interactive=True), self.specs: _to_json(wanted["columns"])}

    def download(self, pinned: str, progress: gr.Progress = gr.Progress()) -> Values:  # noqa: B008 - Gradio finds it as a default
        """Fetch what was looked up."""
        try:
            specs = _hub_specs(pinned)
            config = resolve.fetch(form.make_run_config({"source": "hub", "hub": specs}), [resolve.pin(spec) for spec in specs],
                                   self.jobs.root / resolve.HUB, lambda what, share: progress(share, desc=what))
        except MtlError as error:
            return {self.hub: "", self.about_hub: str(error)}
        return {self.hub: pinned, self.about_hub: f"Downloaded: {isolate(describe_source(config))}."}

    def set_columns(self, known: str, event: gr.EventData) -> str:
        """`known`, ColumnSpecs as JSON, with those of the columns that the table shows replaced by what the user set."""
        specs = [make_spec("columns", ColumnSpec, row | {"task": row["task"].strip() if row["role"] in KIND_OF_ROLE else ""})
                 for row in json.loads(event.rows)]
        shown = {(spec.group, spec.column) for spec in specs}
        others = [spec for spec in json.loads(known or "[]") if (spec["group"], spec["column"]) not in shown]
        return json.dumps(others + [spec.model_dump() for spec in specs])

    def answer(self, known: str, event: gr.EventData) -> str:
        """`known`, ColumnSpecs as JSON, with those of a file replaced by the answer to how it is to be read."""
        said = json.loads(event.answer)
        specs = [make_spec("columns", ColumnSpec, {"column": column, "role": role, "group": said["group"]})
                 for column, role in said["roles"].items()]
        return json.dumps([spec for spec in json.loads(known or "[]") if spec["group"] != said["group"]] + [
            spec.model_dump() for spec in specs])

    def key(self, values: Values) -> str:
        """A text that identifies the data: see `data_key`."""
        return view.data_key(*(values[part] for part in (self.source, self.files, self.hub, self.data_run)))

    def values(self, values: Values) -> dict[str, Any]:
        """The settings that name the data: the uploaded files, else those of the run that the form was filled from."""
        source, files, hub, data_run = (values[part] for part in (self.source, self.files, self.hub, self.data_run))
        if source == "newsroom":
            return {"source": source}
        if source == "hypothetical":
            return {"source": source, "hypothetical_labels": values[self.labels], "hypothetical_rows": values[self.rows]}
        columns = {"source": source, "columns": tuple(json.loads(values[self.specs] or "[]"))}
        if source == "hub" and hub:
            config = form.make_run_config(columns | {"hub": _hub_specs(hub)})
            files = resolve.local_files(config, self.jobs.root / resolve.HUB)
            return config.model_dump(include={"source", "hub", "columns", *view.FILES}) | files
        if source == "files" and (files or not data_run):
            return columns | view.assign_files(list(map(str, unpack(map(Path, files or ()), self.jobs.root / UNPACKED))))
        run = open_run(self.jobs.root, data_run) if data_run and not files else None
        if run is None or run.config.source != source:
            raise MtlError(NOT_FETCHED if source == "hub" else view.NO_FILE)
        return columns | {"hub": run.config.hub} | {
            name: tuple(str(run.folder / file) for file in getattr(run.config, name)) for name in view.FILES}

    def understand(self, values: Values, progress: gr.Progress = gr.Progress()) -> Values:  # noqa: B008
        """Read the data and show what is in them; an error is shown in the same place."""
        key, before = self.key(values), Choice.read(values[self.choice])
        try:
            config = form.make_run_config(self.values(values) | {"max_length": values[self.max_length]})
            with TemporaryDirectory() as folder:
                return self._read(config, partial(before.among, key), Path(folder), lambda what, share: progress(share, desc=what))
        except MtlError as error:
            # if the columns were set by the user, that may be the error: then their table and questions stay, to be corrected
            hidden = {} if values[self.specs] else {self.columns_box: gr.update(visible=False), self.questions: ""}
            return hidden | dict.fromkeys((self.patterns, self.sizes, self.findings, self.report, self.examples), "") | {
                self.summary: str(error), self.tasks: gr.update(choices=[], value=[]), self.choice: str(Choice(key, ()))}

    def _read(self, config: RunConfig, choose: Callable[[list[str]], Choice], folder: Path, progress: Progress) -> Values:
        parsed = self.jobs.root / resolve.PARSED
        table = read_table(config, Path(), folder, progress, parsed)
        specs = choose_tasks(table, table.tasks, describe_source(config))
        progress("Setting rows aside to measure on", 0.0)
        patterns = sizes = ""
        try:
            dataset = load(config.model_copy(update={"tasks": tuple(specs[:MAX_TASKS])}), Path(), folder, progress, table, parsed)
            report = make_report(dataset, config.max_length, bundled_subwords(), progress)
            patterns = json.dumps([[tasks, count] for tasks, count in report.coverage[0].patterns.items()])
            sizes = json.dumps([len(dataset.train), len(dataset.validation), report.lengths.mean if report.lengths else 0])
            labels = {spec.name: spec.labels for spec in dataset.tasks}
            shown = {self.findings: view.short_findings_html(report), self.report: view.report_html(report, dataset.tasks),
                     self.examples: view.examples_html(report.examples, dataset.tasks, labels)}
        except MtlError as error:
            problem = view.problem_html(str(error))
            shown = {self.findings: problem, self.report: problem, self.examples: view.examples_html(table.rows[:6], specs, {})}
        names = [spec.name for spec in specs]
        choice = choose(names)
        has_columns = config.source in ("files", "hub") and bool(table.columns)
        return shown | {
            self.questions: view.questions_html(table),
            self.summary: "\n".join([_summary(config, len(table.rows), len(specs)), *table.notices]), self.patterns: patterns,
            self.sizes: sizes,
            self.tasks: gr.update(choices=names, value=list(choice.ticked)),
            self.choice: str(choice), self.columns: view.columns_html(table) if has_columns else "",
            self.columns_box: gr.update(visible=has_columns, label=f"What the columns are for ({len(table.columns)})")}

    def fill(self, run_id: str, config: RunConfig) -> Values:
        """Put the data of a run into the panel."""
        data_run = run_id if config.source in ("files", "hub") else ""
        choice = Choice(view.data_key(config.source, None, "", data_run), None, tuple(spec.name for spec in config.tasks))
        return {self.source: config.source, self.labels: config.hypothetical_labels, self.files: None, self.hub: "",
                self.rows: form.shown("hypothetical_rows", config.hypothetical_rows), self.specs: _to_json(config.columns),
                self.data_run: data_run, self.choice: str(choice)}


def _to_json(specs: Any) -> str:
    return json.dumps([spec.model_dump() for spec in specs])


def _hub_specs(text: str) -> tuple[HubSpec, ...]:
    if not text:
        raise MtlError(NOT_FETCHED)
    return tuple(make_spec("hub", HubSpec, values) for values in json.loads(text))


def _summary(config: RunConfig, rows: int, tasks: int) -> str:
    """How many rows there are, which files are for what, and which tasks are ticked at first."""
    paths = split_paths(config, Path())
    parts = [f"{isolate(describe_source(config))}: {many(rows, 'training row' if paths['validation'] else 'row')}."]
    if config.train_files:
        parts += [f"{split}: {', '.join(map(isolate, map(own_name, paths[split])))}." for split in ("validation", "test") if paths[split]]
    if not paths["validation"] and config.source != "hypothetical":
        parts.append("There is no validation file, so a part of these rows is set aside to measure on: 'Validation share' under More "
                     "settings.")
    if tasks > MAX_TASKS:
        parts.append(f"{tasks} tasks were found. At most {MAX_TASKS} can be trained together, so the first {MAX_TASKS} are ticked.")
    return " ".join(parts)
