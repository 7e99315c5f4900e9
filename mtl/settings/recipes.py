"""Recipes: how long and how carefully to train, as people choose (recipes.json). Each sets a few fields of RunConfig, and those that only
the others set back to their defaults. Knows no torch."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mtl.settings.config import RunConfig


@dataclass(frozen=True)
class Recipe:
    """One of them: its title, a sentence about it, and the fields that it sets."""

    title: str
    sentence: str
    settings: dict[str, Any]

    @property
    def changes(self) -> dict[str, Any]:
        """The fields that any recipe sets, with their values in this one."""
        return {name: RunConfig.model_fields[name].default for recipe in RECIPES.values() for name in recipe.settings} | self.settings


RECIPES = {name: Recipe(**card) for name, card in json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8")).items()}


def recipe_of(config: RunConfig) -> str | None:
    """The name of the recipe that `config` follows; None if it differs from each."""
    return next((name for name, recipe in RECIPES.items()
                 if all(getattr(config, field) == value for field, value in recipe.changes.items())), None)
