"""The first minute on the page, in a real browser: what is in sight, recipes, what was changed, links with settings, the theme."""

from mtl.settings.recipes import RECIPES
from tests import browser as web
from tests.browser import text_of, wait_for


def in_sight(page, part: str) -> bool:
    """Whether the whole part is within the window, without scrolling."""
    box = page.locator(part).first.bounding_box()
    size = page.viewport_size
    return bool(box) and box["y"] >= 0 and box["y"] + box["height"] <= size["height"] and box["x"] + box["width"] <= size["width"]


def test_the_first_screen_has_data_tasks_recipes_and_start_and_what_differs_from_a_recipe_is_marked_and_put_back(new_person, open_page):
    page = open_page(new_person(viewport={"width": 1280, "height": 800}))
    wait_for("the tasks", lambda: web.ticked(page) == ["topic", "sentiment", "entities"])
    for part in ("#source label", "#tasks", "#recipe", "#start", "#settings", "#curves canvas"):
        wait_for(f"{part} in sight", lambda part=part: in_sight(page, part))
    assert page.locator("#recipe label").count() == len(RECIPES) == 3
    wait_for("the time of each recipe", lambda: page.locator("#recipe").inner_text().count("about") == 3)

    page.get_by_label("Quick look").check()
    web.open_settings(page)
    wait_for("its settings", lambda: all(text_of(page, f"field-{name}") == str(value)
                                         for name, value in RECIPES["quick"].settings.items()))
    wait_for("no other changes", lambda: page.locator("#changes").inner_text().startswith("Copy a link"))
    web.set_field(page, "batch_size", "8")
    wait_for("what differs", lambda: "Other than in Quick look: Batch size." in page.locator("#changes").inner_text())
    assert "1 change" in page.locator("#settings > button").inner_text()
    page.locator("#put-back").click()
    wait_for("what was", lambda: text_of(page, "field-batch_size") == "16" and "Other than" not in page.locator("#changes").inner_text())
    help_text = page.locator("#field-sampling .info-text")
    assert "proportion" not in help_text.inner_text()
    help_text.get_by_text("more").click()
    assert "proportion" in help_text.inner_text()


def test_a_link_carries_settings_and_a_wrong_one_is_told_and_changes_nothing(app, new_person):
    page = new_person().new_page()
    page.goto(f"{app.url}/?batch_size=8&encoder=tiny&freeze_embeddings=False&unknown=1")
    web.open_settings(page)
    wait_for("the settings", lambda: text_of(page, "field-batch_size") == "8" and text_of(page, "field-encoder") == "tiny")
    assert not page.locator("#field-freeze_embeddings input").is_checked()
    wait_for("the changes", lambda: "3 changes" in page.locator("#settings > button").inner_text())
    page = new_person().new_page()
    page.goto(f"{app.url}/?batch_size=0")
    wait_for("the refusal", lambda: "Batch size: found 0" in web.message(page))
    web.open_settings(page)
    assert text_of(page, "field-batch_size") == "16"


def test_the_header_tells_of_the_run_on_every_tab_and_the_theme_is_remembered(new_person, open_page, short_run):
    page = open_page(new_person(), short_run.id)
    for tab in ("Predict", "Scores", "Data", "Compare", "Train"):
        web.open_tab(page, tab)
        wait_for("the run in the header", lambda: "finished" in page.locator("#header .mtl-now").inner_text())
        assert in_sight(page, "#header .mtl-now")
    page.get_by_role("button", name="Light or dark").click()
    assert page.evaluate("document.body.classList.contains('dark')")
    page.reload()
    wait_for("the theme after the reload", lambda: page.evaluate("document.body.classList.contains('dark')"))
