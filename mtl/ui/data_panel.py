"""The data of the Train tab: where it comes from, what its columns are for, and the report on it. The layout, then the wiring, then the
handlers; reading and judging is done in mtl.data.dataset."""

import json
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import gradio as gr

from mtl.data import resolve
from mtl.data.dataset import choose_tasks, describe_source, load, read_table, split_paths
from mtl.data.hub.presets import PRESETS, preset_config
from mtl.data.report import bundled_subwords, make_report
from mtl.data.rows import Table
from mtl.errors import MtlError
from mtl.runs.folder import open_run
from mtl.settings.config import MAX_TASKS, HubSpec, RunConfig, make_spec
from mtl.settings.shorthand import parse_hub
from mtl.text import isolate, many
from mtl.ui import columns_table, form
from mtl.ui.data_view import (
    FILES,
    NO_FILE,
    Choice,
    assign_files,
    data_key,
    examples_html,
    name_apart,
    problem_html,
    report_html,
    short_findings_html,
    task_table,
)
from mtl.ui.page import Page, Values, hidden_text

SOURCES = {"newsroom": "Newsroom", "files": "My own files", "hub": "From the Hub", "hypothetical": "Hypothetical data"}
ABOUT = {"newsroom": "A bundled corpus: 2,479 rows, each a short news sentence with topic, sentiment and entities, written for this "
                     "project. 1,867 are for training, 306 for validation and 306 for the test.",
         "files": "One file; or several with train, validation and test in their names; or one file per task.",
         "hub": "Datasets of the Hugging Face Hub. Nothing is downloaded before you have seen how large it is.",
         "hypothetical": "Rows of sentences made from a seed, to see how training works. A score on them says nothing about real text."}
ANY = "Any other"
# in the browser, so that it is done before the next click
TICK = "(ticked, choice) => JSON.stringify({...JSON.parse(choice || '{}'), ticked})"


class DataPanel:
    """The widgets, made once; `inputs` are those whose values `key` and `values` take."""

    def __init__(self, page: Page) -> None:
        self.page, self.jobs = page, page.jobs
        with gr.Group():
            self.source = gr.Radio([(title, name) for name, title in SOURCES.items()], value="newsroom", label="1. Data", elem_id="source",
                                   info=ABOUT["newsroom"])
            labels = RunConfig.model_fields["hypothetical_labels"]
            self.labels = gr.Radio(["learnable", "random"], value=labels.default, label=labels.title, elem_id="hypothetical-labels",
                                   info=labels.description, visible=False)
            self.rows = form.make_widget("hypothetical_rows", elem_id="rows", visible=False)
            self.files = gr.File(file_count="multiple", visible=False, elem_id="files", height=160,
                                 label="CSV, TSV, JSONL, JSON, CoNLL, marked text, Parquet")
            with gr.Column(visible=False) as self.hub_column:
                self._hub_widgets()
        self.told = hidden_text()  # what the user (or the run in the form) said of the columns: ColumnSpecs as JSON
        self.data_run = hidden_text()  # the run whose own copy of the files is used when none is uploaded
        self.choice = hidden_text("choice")  # which tasks are ticked, and for which data: see Choice
        self.understood = gr.Textbox(label="What was understood", lines=2, max_lines=8, interactive=False, elem_id="findings")
        with gr.Accordion("Columns: what each is for", open=False, visible=False, elem_id="columns") as self.columns_box:
            self.columns = columns_table.make_table()
        self.task_table = gr.Dataframe(label="Tasks found", interactive=False, wrap=True, max_height=340, elem_id="task-table",
                                       column_widths=["90px", "115px", "95px", "170px"])
        self.findings = gr.HTML(elem_id="short-findings")
        self.patterns = hidden_text()  # which tasks are labelled together on how many training rows, as JSON
        self.report, self.examples = gr.HTML(elem_id="report", render=False), gr.HTML(elem_id="examples", render=False)
        self.inputs = {self.source, self.labels, self.rows, self.files, self.hub, self.told, self.data_run}
        self.filled = [*self.inputs, self.choice]  # what `fill` sets

    def _hub_widgets(self) -> None:
        titles = [(preset.title, name) for name, preset in PRESETS.items()]
        self.preset = gr.Dropdown([*titles, (ANY, "")], value=titles[0][1], label="Datasets", elem_id="preset",
                                  info=next(iter(PRESETS.values())).about)
        self.ids = gr.Textbox(label="Ids", elem_id="hub-ids", visible=False, max_length=400, placeholder="owner/name:config, owner/name",
                              info="One dataset, or several that are trained together, with commas.")
        with gr.Row():
            self.look_button = gr.Button("Look it up", elem_id="hub-look", min_width=110)
            self.download_button = gr.Button("Download", elem_id="hub-download", interactive=False, min_width=110)
        self.about_hub = gr.Textbox(label="On the Hub", lines=2, max_lines=8, interactive=False, elem_id="hub-about")
        self.pinned = hidden_text()  # HubSpecs that were looked up, as JSON
        self.hub = hidden_text()  # those that were downloaded

    def show_report(self) -> None:
        """Put the report and the rows here: they have a tab of their own."""
        with gr.Row():
            with gr.Column(min_width=320):
                gr.Markdown("### What is in the data")
                self.report.render()
            with gr.Column(min_width=320):
                gr.Markdown("### Some rows as they were understood")
                self.examples.render()

    def wire(self, max_length: gr.components.Component, tasks: gr.CheckboxGroup) -> None:
        """Connect the widgets; `tasks` offers the tasks that are found, `max_length` is where a run would cut sentences."""
        quiet, self.max_length, self.tasks = self.page.quiet, max_length, tasks
        self.look = {"fn": self.understand, "inputs": {*self.inputs, self.choice, max_length},
                     "outputs": [self.understood, self.task_table, self.patterns, self.findings, self.report, self.examples, tasks,
                                 self.choice, self.columns_box, self.columns],
                     "show_progress": "full", "show_progress_on": self.understood, "api_visibility": "private",
                     "trigger_mode": "always_last"}
        self.source.change(self.show_source, self.source, [self.source, self.labels, self.rows, self.files, self.hub_column], **quiet)
        tasks.input(None, [tasks, self.choice], self.choice, js=TICK, **quiet)
        gr.on([self.source.input, self.files.clear, self.files.delete], lambda: "", None, self.told, **quiet).then(**self.look)
        self.files.upload(self.take_files, self.files, [self.files, self.told, self.understood], **quiet).then(**self.look)
        gr.on([self.labels.input, self.rows.submit, self.rows.blur, max_length.blur], **self.look)
        self.columns.input(self.tell, self.told, self.told, trigger_mode="multiple", **quiet).then(**self.look)
        forgotten = [self.about_hub, self.pinned, self.download_button, self.hub, self.data_run, self.told]
        self.preset.input(self.show_preset, self.preset, [self.preset, self.ids], **quiet).then(self.forget, None, forgotten, **quiet).then(
            **self.look)
        self.ids.input(self.forget, None, forgotten, **quiet).then(**self.look)
        gr.on([self.look_button.click, self.ids.submit], self.look_up, [self.preset, self.ids], forgotten,
              show_progress_on=self.about_hub, api_visibility="private").then(**self.look)
        self.download_button.click(self.download, [self.pinned], [self.hub, self.about_hub], show_progress_on=self.about_hub,
                                   api_visibility="private").then(**self.look)

    # Handlers: gather, call, return

    def show_source(self, source: str) -> Values:
        """The widgets that belong to the source."""
        of = {self.labels: "hypothetical", self.rows: "hypothetical", self.files: "files", self.hub_column: "hub"}
        return {self.source: gr.update(info=ABOUT[source])} | {part: gr.update(visible=source == name) for part, name in of.items()}

    def show_preset(self, preset: str) -> Values:
        """What the preset is; for any other dataset, the field for its id."""
        about = PRESETS[preset].about if preset in PRESETS else "Any dataset that comes as Parquet, CSV or JSON lines."
        return {self.preset: gr.update(info=about), self.ids: gr.update(visible=preset not in PRESETS)}

    def forget(self) -> Values:
        """Another dataset is named: what was looked up, downloaded, taken from a run, or said of columns belongs to the one before."""
        emptied = (self.about_hub, self.pinned, self.hub, self.data_run, self.told)
        return {self.download_button: gr.update(value="Download", interactive=False)} | dict.fromkeys(emptied, "")

    def take_files(self, files: list[str]) -> Values:
        """The files that were chosen, no two of one name: that is how they are told apart later."""
        names = ", ".join(isolate(Path(file).name) for file in files)
        told = {self.told: "", self.understood: f"Reading {names} \u2026"}
        return told | ({self.files: renamed} if (renamed := name_apart(files)) != files else {})

    def look_up(self, preset: str, ids: str) -> Values:
        """Ask the Hub what there is, and how large."""
        try:
            wanted = preset_config(preset) if preset else {"hub": parse_hub(ids), "columns": ()}
            if not wanted["hub"]:
                raise MtlError("Write the id of a dataset, such as fancyzhx/ag_news.")
            pinned = [resolve.pin(spec) for spec in wanted["hub"]]
        except MtlError as error:
            return self.forget() | {self.about_hub: str(error)}
        total = sum(map(resolve.size, pinned))
        specs = [spec.model_dump() for spec, _ in pinned]
        return self.forget() | {
            self.about_hub: "\n".join(map(resolve.describe, pinned)), self.pinned: json.dumps(specs),
            self.download_button: gr.update(value=f"Download {resolve.megabytes(total)}", interactive=True),
            self.told: json.dumps([spec.model_dump() for spec in wanted["columns"]])}

    def download(self, pinned: str, progress: gr.Progress = gr.Progress()) -> Values:  # noqa: B008 - this is how Gradio hands it in
        """Fetch what was looked up."""
        try:
            specs = self._specs(pinned)
            config = resolve.fetch(form.make_run_config({"source": "hub", "hub": specs}), [resolve.pin(spec) for spec in specs],
                                  self.jobs.root / resolve.HUB, lambda what, share: progress(share, desc=what))
        except MtlError as error:
            return {self.hub: "", self.about_hub: str(error)}
        return {self.hub: pinned, self.about_hub: f"Downloaded: {isolate(describe_source(config))}."}

    def _specs(self, pinned: str) -> tuple[HubSpec, ...]:
        if not pinned:
            raise MtlError("Look the dataset up first, then download it.")
        return tuple(make_spec("hub", HubSpec, values) for values in json.loads(pinned))

    def key(self, values: Values) -> str:
        """What names the data: see `data_key`."""
        return data_key(*(values[part] for part in (self.source, self.files, self.hub, self.data_run)))

    def values(self, values: Values) -> dict[str, Any]:
        """The settings that name the data: uploaded files, else the files of the run that the form was filled from."""
        source, files, hub, data_run = (values[part] for part in (self.source, self.files, self.hub, self.data_run))
        if source == "newsroom":
            return {"source": source}
        if source == "hypothetical":
            return {"source": source, "hypothetical_labels": values[self.labels], "hypothetical_rows": values[self.rows]}
        columns = {"source": source, "columns": tuple(json.loads(values[self.told] or "[]"))}
        if source == "hub" and hub:
            config = form.make_run_config(columns | {"hub": self._specs(hub)})
            files = resolve.local_files(config, self.jobs.root / resolve.HUB)
            return config.model_dump(include={"source", "hub", "columns", *FILES}) | files
        if files or not data_run:
            if source == "hub":
                raise MtlError("Look the dataset up, then download it.")
            return columns | assign_files(files or [])
        run = open_run(self.jobs.root, data_run)
        if run.config.source != source:
            raise MtlError("Look the dataset up, then download it." if source == "hub" else NO_FILE)
        return columns | {"hub": run.config.hub} | {
            name: tuple(str(run.folder / file) for file in getattr(run.config, name)) for name in FILES}

    def understand(self, values: Values, progress: gr.Progress = gr.Progress()) -> Values:  # noqa: B008
        """Read the data and show what is in it; a bad file is told where it is looked for."""
        def tell(what: str, share: float) -> None:
            progress(share, desc=what)

        key, before, told = self.key(values), Choice.read(values[self.choice]), values[self.told]
        try:
            config = form.make_run_config(self.values(values) | {"max_length": values[self.max_length]})
            with TemporaryDirectory() as folder:
                table, found = self._look(config, lambda names: before.among(key, names), Path(folder), tell)
            own = config.source in ("files", "hub") and bool(table.columns)
            box = gr.update(visible=own, label=f"Columns: what each of the {len(table.columns)} is for")
            return found | {self.columns_box: box, self.columns: columns_table.table_of(table) if own else ""}
        except MtlError as error:
            # what was told of the columns may be what is wrong: then it stays where it can be changed
            hidden = {} if told else {self.columns_box: gr.update(visible=False)}
            return hidden | dict.fromkeys((self.patterns, self.findings, self.report, self.examples), "") | {
                self.understood: str(error), self.task_table: task_table(Table([], []), []), self.tasks: gr.update(choices=[], value=[]),
                self.choice: str(Choice(key, ()))}

    def _look(self, config: RunConfig, choose: Callable[[list[str]], Choice], folder: Path, tell: Callable[[str, float], None]
              ) -> tuple[Table, Values]:
        table, where = read_table(config, Path(), folder, tell, self.jobs.root / resolve.PARSED), describe_source(config)
        specs = choose_tasks(table, table.tasks, where)
        has_validation = bool(split_paths(config, Path())["validation"])
        parts = [f"{isolate(where)}: {many(len(table.rows), 'training row' if has_validation else 'row')}."]
        parts += [f"{split}: {', '.join(isolate(Path(file).name) for file in files)}." for split in ("validation", "test")
                  if (files := getattr(config, f"{split}_files"))]
        if not has_validation and config.source != "hypothetical":
            parts.append("No validation file: a share of these rows (Validation share) is kept aside to measure on.")
        if len(specs) > MAX_TASKS:
            parts.append(f"{len(specs)} tasks were found; at most {MAX_TASKS} are trained together, so the first {MAX_TASKS} are ticked.")
        tell("Setting rows aside to measure on", 0.0)
        try:
            dataset = load(config.model_copy(update={"tasks": tuple(specs[:MAX_TASKS])}), Path(), folder, tell, table,
                           self.jobs.root / resolve.PARSED)
            report = make_report(dataset, config.max_length, bundled_subwords(), tell)
            patterns = json.dumps([[tasks, count] for tasks, count in report.coverage[0].patterns.items()])
            labels = {spec.name: spec.labels for spec in dataset.tasks}
            shown = {self.findings: short_findings_html(report), self.report: report_html(report, dataset.tasks),
                     self.examples: examples_html(report.examples, dataset.tasks, labels)}
        except MtlError as error:
            patterns, problem = "", problem_html(str(error))
            shown = {self.findings: problem, self.report: problem, self.examples: examples_html(table.rows[:6], specs, {})}
        names = [spec.name for spec in specs]
        choice = choose(names)
        return table, shown | {
            self.understood: "\n".join([" ".join(parts), *table.notices]), self.task_table: task_table(table, specs, tell),
            self.patterns: patterns, self.tasks: gr.update(choices=names, value=list(choice.ticked)), self.choice: str(choice)}

    def tell(self, told: str, event: gr.EventData) -> str:
        """What the table says of the columns, over what was said before."""
        return columns_table.say(told, event.rows)

    def fill(self, run_id: str, config: RunConfig) -> Values:
        """The data of a run back in the panel."""
        data_run = run_id if config.source in ("files", "hub") else ""
        choice = Choice(data_key(config.source, None, "", data_run), None, tuple(spec.name for spec in config.tasks))
        return {self.source: config.source, self.labels: config.hypothetical_labels,
                self.rows: form.shown("hypothetical_rows", config.hypothetical_rows), self.files: None, self.hub: "",
                self.told: json.dumps([spec.model_dump() for spec in config.columns]), self.data_run: data_run, self.choice: str(choice)}
