"""What a person sees and where the keyboard is, in a real browser: wide and narrow, light and dark, with names as people write them."""

import json
import math

import pytest
from playwright.sync_api import Page

from mtl.config import make_config
from mtl.runner import carry_out
from mtl.runs import Run, create_run
from tests import browser as web
from tests.browser import status, text_of, wait_for

LONG = "W" * 60
ARABIC, FAMILY = "\u0645\u0634\u0627\u0639\u0631 7", "\U0001f468\u200d\U0001f469\u200d\U0001f467"
LEGIBLE = 200  # pixels: the width of a box in which a sentence of help can be read


@pytest.fixture(scope="module")
def odd_run(app, tmp_path_factory) -> Run:
    """A finished run whose tasks and labels are long, written from right to left, and joined emoji."""
    file = tmp_path_factory.mktemp("odd") / "odd.jsonl"
    text = f"\u0645\u0631\u062d\u0628\u0627 Rome 12 {FAMILY}"
    start = text.index("Rome")
    rows = [{"text": f"{text} {index}", LONG: (LONG, "short")[index % 2], ARABIC: (f"{FAMILY} home", ARABIC)[index % 2],
             "places": [{"start": start, "end": start + 4, "label": ARABIC}]} for index in range(60)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    run = create_run(app.runs, make_config({
        "name": ARABIC, "source": "files", "train_files": (str(file),), "encoder": "tiny", "epochs": 1, "batch_size": 16, "threads": 1,
        "device": "cpu", "precision": "fp32", "learning_rate": 2e-3, "diagnose_every": 1}))
    assert carry_out(run, resume=False, between_steps=lambda training: False) == "finished"
    return run


@pytest.mark.parametrize("width", [1280, 1000, 390])
def test_every_setting_has_a_box_wide_enough_to_read(new_person, open_page, width):
    page = open_page(new_person(viewport={"width": width, "height": 900}))
    page.get_by_role("button", name="More settings").click()
    page.locator("#field-seed").wait_for(state="visible")
    boxes = page.locator("[id^='field-']").evaluate_all(
        "parts => parts.map(part => [part.id, part.getBoundingClientRect().width, part.scrollWidth - part.clientWidth])")
    assert len(boxes) > 20 and not web.is_too_wide(page)
    assert [box for box in boxes if box[1] < LEGIBLE or box[2] > 1] == []


def in_sight(page: Page, parts: str) -> list[str]:
    """The texts of those of `parts` that lie within the window and within all that could cut them off."""
    return page.locator(parts).evaluate_all("""parts => parts.filter(part => {
        const box = part.getBoundingClientRect();
        for (let outer = part.parentElement; outer; outer = outer.parentElement) {
            const frame = outer.getBoundingClientRect();
            if (getComputedStyle(outer).overflowX !== 'visible' && (box.left < frame.left - 1 || box.right > frame.right + 1)) return false;
        }
        return box.width && box.left >= -1 && box.right <= innerWidth + 1;
    }).map(part => part.textContent.trim())""")


@pytest.mark.parametrize("width", [1280, 390])
def test_a_label_of_60_characters_leaves_the_percentages_beside_it_in_sight(new_person, open_page, odd_run, width):
    page = open_page(new_person(viewport={"width": width, "height": 900}), odd_run.id)
    web.open_tab(page, "Predict")
    page.locator("#text textarea").fill("Rome is loud")
    page.locator("#predict").click()
    wait_for("the classes", lambda: page.locator("[id^='classified-'] dd").count() == 4)
    assert len(in_sight(page, "[id^='classified-'] dd")) == 4 and len(in_sight(page, "[id^='classified-'] h2")) == 2

    web.open_tab(page, "Scores")
    page.locator("#look-dev").click()
    wait_for("the scores", lambda: page.locator("#scores .mtl-scores").count() == 1)
    first = "#scores .mtl-scroll:not(:has(.mtl-confusion)) tbody tr td"
    assert len(in_sight(page, f"{first}:nth-child(3) > b")) == 4  # the main score of each task, and everything right
    assert not web.is_too_wide(page)

    web.open_tab(page, "Train")
    page.get_by_role("button", name="How the tasks get along").click()
    wait_for("the heat map", lambda: page.locator("#reading .mtl-heat small").count() == 3)
    assert len(in_sight(page, "#reading .mtl-heat small")) == 3 and not web.is_too_wide(page)


def test_joined_emoji_and_right_to_left_names_are_shown_as_they_were_written(new_person, open_page, odd_run):
    page = open_page(new_person(), odd_run.id)
    web.open_tab(page, "Data")
    wait_for("the report", lambda: f"{FAMILY} home" in page.locator("#report").inner_text())
    assert "\ufffd" not in page.locator("#report").inner_text() and page.locator("#report bdi", has_text=ARABIC).count() >= 4
    assert f"\u2068{ARABIC}\u2069, " in text_of(page, "run-menu") and text_of(page, "run-menu").endswith(", finished")
    text = f"\u0645\u0631\u062d\u0628\u0627 Rome 12 {FAMILY} 5"
    web.open_tab(page, "Predict")
    page.locator("#text textarea").fill(text)
    page.locator("#predict").click()
    wait_for("an answer", lambda: "".join(piece for piece, _ in web.pieces(page)) == text)
    assert page.locator("#tagged-0").get_attribute("dir") == "rtl"
    page.locator("#text textarea").fill("Rome is loud")
    page.locator("#predict").click()
    wait_for("an answer", lambda: "".join(piece for piece, _ in web.pieces(page)) == "Rome is loud")
    assert page.locator("#tagged-0").get_attribute("dir") == "ltr"


def contrast(one: str, other: str) -> float:
    """The contrast of two CSS colours, 'rgb(1, 2, 3)', as WCAG defines it."""
    def luminance(colour: str) -> float:
        parts = [float(part) / 255 for part in colour.partition("(")[2].rstrip(")").split(",")[:3]]
        red, green, blue = (part / 12.92 if part <= 0.04045 else math.pow((part + 0.055) / 1.055, 2.4) for part in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    low, high = sorted([luminance(one), luminance(other)])
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("part", ["#source input", "#tasks input", "#field-sampling input", "#field-normalize input", "#pause, #start"])
def test_what_the_keyboard_is_on_has_an_outline(new_person, open_page, theme, part):
    page = open_page(new_person(color_scheme=theme), query=f"__theme={theme}")
    page.get_by_role("button", name="More settings").click()
    page.locator("#field-normalize").wait_for(state="visible")
    page.keyboard.press("Tab")  # the person uses the keyboard
    page.locator(part).first.focus()
    outlines = page.locator(part).first.evaluate("""part => {
        const found = [], background = getComputedStyle(document.body).backgroundColor;
        for (let outer = part; outer && found.length < 6; outer = outer.parentElement) {
            const style = getComputedStyle(outer);
            if (style.outlineStyle === 'solid' && parseFloat(style.outlineWidth) >= 2) found.push([style.outlineColor, background]);
        }
        return found;
    }""")
    assert len(outlines) == 1 and contrast(*outlines[0]) >= 3


def focused(page: Page) -> str:
    """The id of what has the focus."""
    return page.evaluate("document.activeElement.id")


def test_the_focus_is_not_lost_when_the_pressed_button_can_no_longer_be_pressed(new_person, open_page):
    page = open_page(new_person())
    web.start_tiny(page)
    wait_for("the training", lambda: status(page) == "running" and web.can_press(page)["pause"])
    for button, then, heir in (("pause", "paused", "resume"), ("resume", "running", "pause")):
        page.locator(f"#{button}").focus()
        page.keyboard.press("Enter")
        wait_for(f"the state '{then}'", lambda then=then: status(page) == then)
        wait_for(f"the focus on {heir}", lambda heir=heir: focused(page) == heir)
    page.locator("#stop").focus()
    page.keyboard.press("Enter")
    wait_for("the end", lambda: status(page) == "stopped")
    wait_for("the focus", lambda: focused(page) in ("status", "resume"))
    wait_for("the end in the menu", lambda: text_of(page, "run-menu").endswith(", stopped"))


def test_who_only_watches_is_not_told_that_this_browser_can_stop_the_run(new_person, open_page):
    page = open_page(new_person())
    run = web.start_tiny(page, epochs=1)
    wait_for("the owner's words", lambda: "Only this browser can" in page.locator("#link").inner_text())
    watcher = open_page(new_person(), run)
    wait_for("the watcher's words", lambda: "not started in this browser" in watcher.locator("#link").inner_text())
    assert "Only this browser" not in watcher.locator("#link").inner_text()
    wait_for("the end", lambda: status(page) == "finished")
