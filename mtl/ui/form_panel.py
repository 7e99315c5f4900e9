"""The form: which data, which tasks, which settings. What stands in it is a run that can be started, or the first of several that are
compared. The layout, then the wiring, then the handlers; nothing here computes."""

from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

import gradio as gr

from mtl.data.dataset import read_table
from mtl.data.readers import Progress, no_progress
from mtl.data.resolve import find_tasks, with_tasks
from mtl.errors import MtlError
from mtl.runs.folder import open_run
from mtl.settings.config import RunConfig
from mtl.text import isolate
from mtl.ui import form
from mtl.ui.data_panel import DataPanel
from mtl.ui.data_view import Choice
from mtl.ui.insight_panel import SettingsPanel
from mtl.ui.page import Page, Values


class FormPanel:
    """The widgets, made once. `inputs` are those that `config` reads, `outputs` those that `fill` sets."""

    def __init__(self, page: Page) -> None:
        self.page, self.jobs = page, page.jobs
        self.data = DataPanel(page)
        self.tasks = gr.CheckboxGroup([], label="2. Tasks to train together", elem_id="tasks")
        self.alpha = form.make_widget("alpha", value=form.EVEN, visible=False, elem_id="alpha")
        gr.Markdown("**3. Settings**")
        with gr.Row(elem_classes="mtl-settings"):
            self.settings = {name: form.make_widget(name) for name in form.fields(basic=True)}
        with gr.Accordion("More settings", open=False), gr.Row(elem_classes="mtl-settings"):
            self.settings |= {name: form.make_widget(name) for name in form.fields(basic=False)}
        self.told = SettingsPanel(page)
        self.inputs = {page.browser, self.data.choice, self.alpha, *self.data.inputs, *self.settings.values()}
        self.outputs = [*self.data.filled, self.alpha, *self.settings.values()]
        self._wire()

    def _wire(self) -> None:
        quiet, weighing = self.page.quiet, [self.settings["weights"], self.settings["balancing"]]
        self.data.wire(self.settings["max_length"], self.tasks)
        gr.on([self.data.choice.change, *(widget.change for widget in weighing)], self.show_alpha, [self.data.choice, *weighing],
              self.alpha, trigger_mode="always_last", **quiet)
        # who gives weights need not say that they are fixed, but has to see it
        gr.on([self.alpha.input, self.settings["weights"].input], self.show_fixed, [self.alpha, *weighing], weighing[1], **quiet)
        self.told.wire(self.settings, self.tasks, self.data.patterns)

    # Handlers: gather, call, return

    def show_alpha(self, choice: str, weights: str, balancing: str) -> dict:
        """Two tasks are weighed against each other by one number; where something else weighs them, that is said."""
        chosen = Choice.read(choice)
        tasks = [name for name in chosen.found or () if name in chosen.ticked]
        if len(tasks) != 2:
            return gr.update(visible=False)
        one, other = map(isolate, tasks)
        info = f"From 0 to 1. The loss is alpha x {one} + (1 - alpha) x {other}. At 0.5 both count the same."
        if weigher := form.weighed_by(weights, balancing):
            info = f"Not used: {weigher}."
        return gr.update(visible=True, interactive=not weigher, label=f"Alpha: {one} against {other}", info=info)

    def show_fixed(self, alpha: str, weights: str, balancing: str) -> str:
        """The balancing that goes with the weights that are given, or with none."""
        is_given = weights.strip() or form.read_number(alpha, float) not in (None, float(form.EVEN))
        return balancing if balancing not in ("equal", "fixed") else "fixed" if is_given else "equal"

    def config(self, values: Values, progress: Progress = no_progress) -> RunConfig:
        """The run that the form describes, its data fetched and understood; raises MtlError if it is none. Where the data on the page were
        changed and not read yet, it has all tasks that are found in them, as the page will show."""
        if not values[self.page.browser]["key"]:  # a run without an owner would be nobody's
            raise MtlError("The page is still getting ready. Press Start again.")
        key, chosen, alpha = self.data.key(values), Choice.read(values[self.data.choice]), values[self.alpha]
        settings = {name: values[widget] for name, widget in self.settings.items()} | self.data.values(values)
        known = chosen.ticked if chosen.data == key and chosen.found is not None else None  # None: they are still to be found
        # what is wrong in the form is said before the data are read
        config = form.make_run_config(settings | form.weighing(alpha, settings, 2 if known is None else len(known)))
        if known == ():
            with TemporaryDirectory() as folder:
                read_table(config, Path(), Path(folder), progress)  # perhaps there are none because of what is wrong with the data
            raise MtlError("No task is chosen. Choose at least one.")
        config, found = find_tasks(config, self.jobs.root, known or (), progress)
        names = chosen.among(key, [spec.name for spec in found]).ticked
        config = with_tasks(config, found, names, **form.weighing(alpha, settings, len(names)))
        config.loss_weights([spec.name for spec in config.tasks])
        return config

    def fill(self, run_id: str) -> Values:
        """The settings of a run back in the form, so that it can be changed a little and run again; nothing if there is no such run."""
        try:
            config = open_run(self.jobs.root, run_id).config
        except MtlError:
            return {}
        return self.data.fill(run_id, config) | self.shown(config, self.settings)

    def shown(self, config: RunConfig, names: Iterable[str]) -> Values:
        """Alpha and the settings called so, as their widgets show them."""
        return {self.alpha: form.shown("alpha", config.alpha) or form.EVEN} | {
            self.settings[name]: form.shown(name, getattr(config, name)) for name in names}
