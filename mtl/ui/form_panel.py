"""The form: data, tasks and settings of a run that is started, or compared with others. Layout, then wiring, then handlers."""

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import gradio as gr

from mtl.comparing.advice import Advice, advise
from mtl.data.dataset import read_table
from mtl.data.readers import Progress, no_progress
from mtl.data.resolve import find_tasks, with_tasks
from mtl.errors import MtlError
from mtl.runs.folder import open_run
from mtl.runs.history import changes_of
from mtl.settings.best import BESTS
from mtl.settings.config import RunConfig
from mtl.settings.recipes import recipe_of
from mtl.settings.steering import check
from mtl.text import isolate
from mtl.training.teach import read_taught
from mtl.ui import form
from mtl.ui.data_panel import DataPanel
from mtl.ui.data_view import Choice
from mtl.ui.insight import explain_settings
from mtl.ui.messages import WithMessage
from mtl.ui.page import Page, Values, text_of
from mtl.ui.recipe_panel import RecipePanel, from_link
from mtl.ui.replay import Replay

START = "Start training"


class FormPanel:
    """The widgets, and their handlers. `inputs` are those that `config` reads, `outputs` those that `fill` sets."""

    def __init__(self, page: Page) -> None:
        self.page, self.jobs = page, page.jobs
        self.data = DataPanel(page)
        self.tasks = self.data.tasks
        self.alpha = form.make_widget("alpha", value=form.EVEN, visible=False, elem_id="alpha")
        self.recipes = RecipePanel(page)
        self.replay = Replay(page)
        self.start_button = gr.Button(START, variant="primary", elem_id="start")
        self.settings: dict[str, gr.components.FormComponent] = {}
        with gr.Accordion("Settings", open=False, elem_id="settings") as fold:
            self.recipes.place_changes()
            for title, names in form.fields().items():
                gr.Markdown(f"## {title}")
                self.settings |= {name: form.make_widget(name) for name in names}
            explain_settings(page, self.settings, self.tasks, self.data.patterns)
        self.recipes.wire(self.settings, fold, self.data.sizes)
        fold.expand(None, js=text_of("more.js"), **page.quiet)
        self.inputs = {page.browser, self.data.choice, self.alpha, *self.data.inputs, self.replay.plan, *self.settings.values()}
        self.outputs = [*self.data.filled, self.recipes.recipe, self.alpha, *self.replay.outputs, *self.settings.values()]

        quiet, weighing = page.quiet, [self.settings["weights"], self.settings["balancing"]]
        self.data.wire(self.settings["max_length"])
        gr.on([self.data.choice.change, *(widget.change for widget in weighing)], self.show_alpha, [self.data.choice, *weighing],
              self.alpha, trigger_mode="always_last", **quiet)
        self.data.choice.change(self.show_bests, self.data.choice, self.settings["best"], trigger_mode="always_last", **quiet)
        # with weights, Balancing 'equal' becomes 'fixed', and the menu shows it
        gr.on([self.alpha.input, self.settings["weights"].input], self.show_fixed, [self.alpha, *weighing], weighing[1], **quiet)

        fitting, rates = ([self.settings[name] for name in names] for names in (form.FITTING, form.RATES))
        gr.on([widget.change for widget in fitting], lambda *values: [gr.update(placeholder=text) for text in form.automatic(*values)],
              fitting, rates, trigger_mode="always_last", **quiet)

    def show_alpha(self, choice: str, weights: str, balancing: str) -> dict:
        """The field for alpha if there are two tasks, with the reason if something else weighs them."""
        tasks = Choice.read(choice).tasks
        if len(tasks) != 2:
            return gr.update(visible=False)
        one, other = map(isolate, tasks)
        info = f"How much {one} counts, from 0 to 1; {other} gets the rest. At 0.5 both count the same."
        if weigher := form.weighed_by(weights, balancing):
            info = f"Not used: {weigher}."
        return gr.update(visible=True, interactive=not weigher, label=f"Alpha: {one} against {other}", info=info)

    def show_bests(self, choice: str) -> dict:
        """The menu of what the best evaluation is best by, with the tasks that are ticked."""
        return gr.update(choices=[*BESTS, *Choice.read(choice).tasks])

    def show_fixed(self, alpha: str, weights: str, balancing: str) -> str:
        """The balancing that fits the given weights."""
        is_given = weights.strip() or form.read_number(alpha, float) not in (None, float(form.EVEN))
        return ({"equal": "fixed"} if is_given else {"fixed": "equal"}).get(balancing, balancing)

    def config(self, values: Values, progress: Progress = no_progress) -> RunConfig:
        """The run that the form describes, with its data read; those that were changed just now give all their tasks. Raises MtlError."""
        if not values[self.page.browser]["key"]:  # the run would have no owner
            raise MtlError("The page is still getting ready. Press Start again.")
        key, chosen, alpha = self.data.key(values), Choice.read(values[self.data.choice]), values[self.alpha]
        settings = {name: values[widget] for name, widget in self.settings.items()} | self.data.values(values)
        settings["steering"] = self.replay.read(values)
        known = chosen.ticked if chosen.data == key and chosen.found is not None else None  # None: the data were not read yet
        # an error in a setting is reported before the data are read
        config = form.make_run_config(settings | form.weighing(alpha, settings, 2 if known is None else len(known)))
        if known == ():
            with TemporaryDirectory() as folder:
                read_table(config, Path(), Path(folder), progress)  # raises, if there is no task because the data are wrong
            raise MtlError("No task is chosen. Choose at least one.")
        config, found = find_tasks(config, self.jobs.root, known or (), progress)
        names = chosen.among(key, [spec.name for spec in found]).ticked
        config = with_tasks(config, found, names, **form.weighing(alpha, settings, len(names)))
        check(config.steering, config.loss_weights([spec.name for spec in config.tasks]))
        return config

    def fill(self, run_id: str, with_changes: bool = False) -> Values:
        """Put the settings of a run into the form, so that it can be varied, or repeated with all changes in its middle; nothing if there
        is no such run, or if it only learned from corrections."""
        try:
            config = (run := open_run(self.jobs.root, run_id)).config
        except MtlError:
            return {}
        if read_taught(run):
            return {}
        shown = self._shown({name: getattr(config, name) for name in ("alpha", *self.settings)})
        return self.data.fill(run_id, config) | {self.recipes.recipe: recipe_of(config) or "balanced"} | (
            self.replay.show(changes_of(run) if with_changes else ())) | shown

    def take_link(self, parameters: Mapping[str, str]) -> Values:
        """Put the settings that a link carries into the form; raises MtlError if one is wrong."""
        return self._shown(from_link(parameters))

    def take(self, advice: Advice) -> WithMessage:
        """Put the settings that were advised into the form."""
        return WithMessage(self._shown(advice.settings), f"The Train tab has {advice.label or 'nothing new'} now.")

    def take_from(self, run_id: str) -> WithMessage:
        """Put what a run advises into the form."""
        return self.take(advise(self.jobs.history(run_id), open_run(self.jobs.root, run_id).config))

    def _shown(self, settings: Mapping[str, Any]) -> Values:
        widgets = self.settings | {"alpha": self.alpha}
        return {widgets[name]: form.EVEN if (name, value) == ("alpha", None) else form.shown(name, value)
                for name, value in settings.items()}
