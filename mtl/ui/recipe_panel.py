"""How long to train: three recipes; which settings differ from the chosen one, to be put back or sent as a link. What a link says is
checked like what is typed."""

import html
import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import urlencode

import gradio as gr

from mtl.errors import MtlError
from mtl.settings.config import RunConfig
from mtl.settings.recipes import RECIPES
from mtl.text import many, roughly
from mtl.ui import form
from mtl.ui.page import Page, Values
from mtl.ui.templates import render

SET = list(RECIPES["balanced"].changes)  # the fields that a recipe decides


def wanted(recipe: str | None, names: list[str]) -> dict[str, Any]:
    """What the widgets of the settings `names` show by the recipe: the defaults, but what it sets itself."""
    settings = RECIPES[recipe].changes if recipe in RECIPES else {}
    return {name: form.shown(name, settings.get(name, RunConfig.model_fields[name].default)) for name in names}


def choices(seconds: Mapping[str, float | None]) -> list[tuple[str, str]]:
    """The recipes with the time that each will take on this machine, which is a second line; blank while it is not known."""
    return [(f"{recipe.title}\n{roughly(seconds[name]) if seconds.get(name) else chr(160)}", name)
            for name, recipe in RECIPES.items()]


def from_link(parameters: Mapping[str, str]) -> dict[str, Any]:
    """The settings in the parameters of an address, such as ?epochs=2&encoder=tiny, checked; raises MtlError if one is wrong."""
    given = {name: text for name, text in parameters.items() if name in form.names()}
    flags = {name: text == "True" for name, text in given.items() if RunConfig.model_fields[name].annotation is bool}
    config = form.make_run_config(given | flags)
    return {name: getattr(config, name) for name in given}


class RecipePanel:
    """The recipes, and beside the `settings`, which are widgets by the names of their fields, what was changed."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.recipe = gr.Radio(choices({}), value="balanced", label="How long", elem_id="recipe", elem_classes="mtl-segments")
        self.about = gr.HTML(html.escape(RECIPES["balanced"].sentence), elem_id="recipe-about", elem_classes="mtl-hint")

    def place_changes(self) -> None:
        """Place the list of changes, at the top of the settings."""
        self.changes = gr.HTML(elem_id="changes")
        self.back = gr.Button("Put back", size="sm", visible=False, elem_id="put-back")

    def wire(self, settings: dict[str, gr.components.FormComponent], fold: gr.Accordion, sizes: gr.Textbox) -> None:
        """Connect the widgets; `fold` holds the settings, and says in its title how many differ. `sizes` are those of the data, as JSON:
        training rows, validation rows, and subwords in one of them on average."""
        self.settings, self.fold, quiet = settings, fold, self.page.quiet
        self.recipe.input(self.pick, self.recipe, [settings[name] for name in SET], **quiet)
        gr.on([self.recipe.change, *(widget.change for widget in settings.values())], self.show_changes, [self.recipe, *settings.values()],
              [fold, self.changes, self.back, self.about], trigger_mode="always_last", **quiet)
        # in Gradio's queue, as the first answer waits until the pace of the machine is measured; each run corrects it
        gr.on([sizes.change, self.changes.change, self.page.news.change], self.show_times, [sizes, *settings.values()], self.recipe,
              concurrency_limit=8, **self.page.unseen)
        self.back.click(self.put_back, self.recipe, list(settings.values()), **quiet)

    def show_times(self, sizes: str, *values: Any) -> dict:
        """The recipes with their times; without where the settings are wrong, or the times are not known."""
        seconds = {}
        with suppress(MtlError):
            config = form.make_run_config(dict(zip(self.settings, values, strict=True)))
            seconds = self.page.jobs.recipe_seconds(config, *json.loads(sizes)) if sizes else {}
        return gr.update(choices=choices(seconds))

    def pick(self, recipe: str) -> Values:
        """Set what the recipes decide, and leave all else as it is."""
        return {self.settings[name]: value for name, value in wanted(recipe, SET).items()}

    def put_back(self, recipe: str) -> Values:
        """Set everything as the recipe has it."""
        return {self.settings[name]: value for name, value in wanted(recipe, list(self.settings)).items()}

    def show_changes(self, recipe: str, *values: Any) -> Values:
        """Which settings differ from the recipe; their widgets are marked."""
        shown, base = dict(zip(self.settings, values, strict=True)), wanted(recipe, list(self.settings))
        changed = [name for name, value in shown.items() if value != base[name] and name != "name"]
        defaults = wanted(None, list(self.settings))
        link = urlencode({name: value for name, value in shown.items() if value != defaults[name]})
        titles = {name: RunConfig.model_fields[name].title for name in changed}
        return {self.fold: gr.update(label=f"Settings, {many(len(changed), 'change')}" if changed else "Settings"),
                self.changes: render("changes.html", titles=titles, link=link, recipe=RECIPES[recipe].title if recipe else ""),
                self.back: gr.update(visible=bool(changed)), self.about: html.escape(RECIPES[recipe].sentence) if recipe else ""}
