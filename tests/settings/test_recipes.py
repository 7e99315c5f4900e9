import pytest

from mtl.settings.config import RunConfig, make_config
from mtl.settings.recipes import RECIPES, recipe_of


def test_every_recipe_is_a_title_a_sentence_and_settings_that_a_run_accepts_also_over_those_of_another():
    for name, recipe in RECIPES.items():
        assert recipe.title and recipe.sentence.endswith(".")
        for other in RECIPES.values():
            assert recipe_of(make_config(other.changes | recipe.changes)) == name


def test_the_defaults_are_the_balanced_recipe():
    assert recipe_of(RunConfig()) == recipe_of(RunConfig(name="mine", balancing="equal", seed=3)) == "balanced"
    assert RECIPES["balanced"].settings == {}


@pytest.mark.parametrize("changes", [{"epochs": 7}, {"max_steps": 5}])
def test_settings_that_differ_from_every_recipe_follow_none(changes):
    assert recipe_of(RunConfig(**changes)) is None
