"""Why? in a real browser, by the keyboard, where the words that matter in a made-up model are known."""

import pytest
from playwright.sync_api import Page

from mtl.runs.folder import create_run
from mtl.training.execute import run_training
from tests import browser as web
from tests.browser import press, start_tiny, status, wait_for
from tests.deciding import deciding_rows
from tests.ui.test_page_layout import complaints_of_axe

TEXT = "then doctor Kim saw two calm goal"


@pytest.fixture(scope="module")
def deciding_run(app, tiny_config, write_rows, tmp_path_factory):
    """A run whose model has learned which words decide."""
    folder = tmp_path_factory.mktemp("deciding")
    files = {f"{split}_files": (write_rows(folder / f"{split}.jsonl", deciding_rows(count, count)),)
             for split, count in (("train", 600), ("validation", 60))}
    columns = ({"column": "stars", "role": "number"},)
    run = create_run(app.runs, tiny_config(source="files", epochs=16, learning_rate=3e-3, columns=columns, **files))
    assert run_training(run, resume=False) == "finished"
    return run


def why(page: Page, task: str) -> None:
    """Press Why? in the panel of a task by the keyboard, and wait for the words."""
    panel = page.locator(f"#answer .mtl-panel[data-task={task}]")
    panel.locator("[data-why]").focus()
    page.keyboard.press("Enter")
    wait_for("the words", lambda: words(page, task))
    assert panel.locator("[data-why]").get_attribute("aria-expanded") == "true"


def words(page: Page, task: str) -> dict[str, float]:
    """The words that count most with their weights, as they are listed."""
    return {word: float(weight.replace("\N{MINUS SIGN}", "-")) for word, weight in page.locator(
        f"#answer .mtl-panel[data-task={task}] .mtl-explained[aria-busy=false] ol li").evaluate_all(
        "lines => lines.map(line => [line.querySelector('bdi').textContent, line.querySelector('span').textContent])")}


def said(page: Page, task: str) -> str:
    """The sentence, which a screen reader reads out."""
    return page.locator(f"#answer .mtl-panel[data-task={task}] .mtl-explained > [role=status]").inner_text()


def test_why_for_a_class_another_class_and_an_entity_names_the_words_that_decide(new_person, open_page, deciding_run):
    page = open_page(new_person(), deciding_run.id)
    web.open_tab(page, "Predict")
    wait_for("the run's checkpoint", lambda: "best" in web.text_of(page, "model"))
    web.ask(page, TEXT)
    assert web.chosen(page, 0) == ["CALM"] and ("Kim", "PER") in web.pieces(page)
    why(page, "mood")
    assert next(iter(words(page, "mood"))) == "calm" and words(page, "mood")["calm"] > 0
    assert said(page, "mood").startswith("‘calm’ speaks for CALM")
    shaded = page.locator("[data-task=mood] .mtl-weighed")
    assert shaded.inner_text() == TEXT and shaded.locator(".mtl-for").first.inner_text() == "calm"

    choice = page.locator("[data-task=mood] .mtl-explained select")
    choice.focus()
    choice.select_option(label="not PLAIN")
    wait_for("what speaks against it", lambda: "‘calm’ speaks against PLAIN" in said(page, "mood") and words(page, "mood")["calm"] < 0)
    wait_for("the focus to stay on the choice", lambda: page.evaluate("document.activeElement.tagName") == "SELECT")

    why(page, "names")
    assert {*list(words(page, "names"))[:2]} == {"doctor", "Kim"} and "‘doctor’" in said(page, "names")
    why(page, "stars")
    assert "it" in said(page, "stars")
    page.add_style_tag(content="*, *::before, *::after { transition: none !important; animation: none !important; }")  # else colours move
    page.locator("[data-task=mood] .mtl-explained summary").click()
    for width in (1280, 390):
        page.set_viewport_size({"width": width, "height": 900})
        for _ in ("light", "dark"):
            assert complaints_of_axe(page) == [] and not web.is_too_wide(page), width
            page.get_by_role("button", name="Light or dark").click()

    why_button = page.locator("[data-task=mood] [data-why]")
    why_button.focus()
    page.keyboard.press("Enter")
    wait_for("it to close", lambda: not words(page, "mood") and why_button.get_attribute("aria-expanded") == "false")
    web.ask(page, f"{TEXT} again")
    assert page.locator(".mtl-explained").count() == 0, "it explained another text"


def test_of_two_models_beside_each_other_that_one_is_explained_whose_panel_it_is(new_person, open_page, deciding_run):
    page = open_page(new_person(), deciding_run.id)
    web.open_tab(page, "Predict")
    wait_for("the run's checkpoint", lambda: "best" in web.text_of(page, "model"))
    web.ask(page, TEXT)
    page.locator("#compare-with").click()
    web.choose(page, "other", "Starter")
    for task, model in (("topic", "Starter model, in"), ("mood", "Checkpoint 'best', in")):  # each has tasks that the other lacks
        wait_for("both models", lambda: page.locator("#answer .mtl-both [data-task=topic]").count() and web.answered_by(page))
        why(page, task)
        assert model in page.locator(f"[data-task={task}] .mtl-explained details").text_content()


def test_under_a_live_run_an_explanation_stays_with_its_text_and_says_that_it_is_of_older_weights(new_person, open_page):
    page = open_page(new_person())
    start_tiny(page)
    wait_for("a step", lambda: status(page) == "running" and web.step(page))
    web.open_tab(page, "Predict")
    wait_for("the live weights to be offered", lambda: "live weights" in web.text_of(page, "model"))
    web.ask(page, "Anna called the soup in Oslo great.")
    why(page, "topic")
    since = page.locator("[data-task=topic] .mtl-since")
    page.locator("[data-task=topic] .mtl-explained summary").focus()
    wait_for("a newer answer, with the explanation still there", since.is_visible)
    wait_for("the focus", lambda: page.evaluate("document.activeElement.closest('.mtl-explained') !== null"))
    since.get_by_role("button").click()
    wait_for("a newer explanation", lambda: words(page, "topic"))
    web.open_tab(page, "Train")
    press(page, "stop", "stopped")
