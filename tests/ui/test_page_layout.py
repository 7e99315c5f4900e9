"""What a person sees and where the keyboard is, in a real browser: wide and narrow, light and dark, with names as people write them."""

import json

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from mtl.runs.folder import Run, create_run
from mtl.training.execute import run_training
from tests import browser as web
from tests.browser import drawn, text_of, wait_for

LONG = "W" * 60
ARABIC, FAMILY = "\u0645\u0634\u0627\u0639\u0631 7", "\U0001f468\u200d\U0001f469\u200d\U0001f467"
WIDTHS = (1280, 1000, 390)
LEGIBLE = 200  # pixels: the width of a box in which a sentence of help can be read


@pytest.fixture(scope="module")
def odd_run(app, tiny_config, tmp_path_factory) -> Run:
    """A finished run whose tasks and labels are long, written from right to left, and joined emoji."""
    file = tmp_path_factory.mktemp("odd") / "odd.jsonl"
    text = f"\u0645\u0631\u062d\u0628\u0627 Rome 12 {FAMILY}"
    start = text.index("Rome")
    rows = [{"text": f"{text} {index}", LONG: (LONG, "short")[index % 2], ARABIC: (f"{FAMILY} home", ARABIC)[index % 2],
             "places": [{"start": start, "end": start + 4, "label": ARABIC}]} for index in range(60)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    run = create_run(app.runs, tiny_config(name=ARABIC, source="files", train_files=(str(file),), epochs=1, diagnose_every=1))
    assert run_training(run, resume=False) == "finished"
    return run


def check_settings(page: Page) -> None:
    """In every width each setting has a box wide enough to read."""
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        boxes = page.locator("[id^='field-']").evaluate_all(
            "parts => parts.map(part => [part.id, part.getBoundingClientRect().width, part.scrollWidth - part.clientWidth])")
        assert len(boxes) > 20 and not web.is_too_wide(page), width
        assert [box for box in boxes if box[1] < LEGIBLE or box[2] > 1] == [], width


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


def in_every_width(page: Page, parts: str, count: int) -> None:
    """Fails if any of the `count` parts is out of sight in a wide or a narrow window, or if a person has to scroll sideways."""
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        wait_for(f"{parts} in a window of {width} pixels", lambda: len(in_sight(page, parts)) == count and not web.is_too_wide(page))


def test_odd_names_are_shown_as_they_were_written_and_long_ones_leave_the_numbers_beside_them_in_sight(new_person, open_page, odd_run):
    page = open_page(new_person(), odd_run.id)
    check_odd_names(page)  # ends on the Predict tab, with an answer
    in_every_width(page, "#answer .mtl-classes li > span:last-child", 4)
    in_every_width(page, "#answer .mtl-classes h2", 2)

    web.open_tab(page, "Scores")
    # the main score of each task, and everything right
    in_every_width(page, "#scores .mtl-scroll:not(:has(.mtl-confusion)) tbody tr td:nth-child(3) > b", 4)

    web.open_tab(page, "Train")
    page.get_by_role("button", name="How the tasks get along").click()
    in_every_width(page, "#reading .mtl-heat small", 3)


def check_odd_names(page: Page) -> None:
    """Joined emoji and names from right to left are shown as they were written."""
    web.open_tab(page, "Data")
    wait_for("the report", lambda: f"{FAMILY} home" in page.locator("#report").inner_text())
    assert "\ufffd" not in page.locator("#report").inner_text() and page.locator("#report bdi", has_text=ARABIC).count() >= 4
    assert f"\u2068{ARABIC}\u2069, " in text_of(page, "run-menu") and text_of(page, "run-menu").endswith(", finished")
    web.open_tab(page, "Predict")
    wait_for("the run's checkpoint", lambda: ARABIC in text_of(page, "model"))
    for text, direction in ((f"\u0645\u0631\u062d\u0628\u0627 Rome 12 {FAMILY} 5", "rtl"), ("Rome is loud", "ltr")):
        web.ask(page, text)
        assert page.locator("#answer .mtl-tags p").evaluate("text => getComputedStyle(text).direction") == direction


def contrast(one: str, other: str) -> float:
    """The contrast of two CSS colours, 'rgb(1, 2, 3)', as WCAG defines it."""
    def luminance(colour: str) -> float:
        parts = [float(part) / 255 for part in colour.partition("(")[2].rstrip(")").split(",")[:3]]
        red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    low, high = sorted([luminance(one), luminance(other)])
    return (high + 0.05) / (low + 0.05)


def outlines(page: Page, part: str) -> list[list[str]]:
    """The colours of the outlines on or around `part`, each beside that of the page."""
    return page.locator(part).first.evaluate("""part => {
        const found = [], background = getComputedStyle(document.body).backgroundColor;
        for (let outer = part; outer && found.length < 6; outer = outer.parentElement) {
            const style = getComputedStyle(outer);
            if (style.outlineStyle === 'solid' && parseFloat(style.outlineWidth) >= 2) found.push([style.outlineColor, background]);
        }
        return found;
    }""")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_what_the_keyboard_is_on_has_an_outline_settings_can_be_read_and_a_phone_shows_all_without_scrolling_sideways(
        theme, new_person, open_page, short_run):
    page = open_page(new_person(viewport={"width": 390, "height": 844}, color_scheme=theme), short_run.id, f"__theme={theme}")
    wait_for("the plots", lambda: drawn(page))
    web.check_legends(page)
    web.open_settings(page)
    page.locator("#field-normalize").wait_for(state="visible")
    for part in ("#source input", "#tasks input", "#field-sampling input", "#field-normalize input", "#start"):
        page.keyboard.press("Tab")  # the person uses the keyboard
        page.locator(part).first.focus()
        wait_for(f"one outline that is seen, on {part}",  # the colour of a button comes by and by
                 lambda part=part: [contrast(*colours) >= 3 for colours in outlines(page, part)] == [True])
    check_settings(page)  # ends on a phone's width
    web.open_tab(page, "Predict")
    wait_for("a checkpoint", lambda: "best" in text_of(page, "model"))
    web.ask(page, "Honestly, the concert in  Lisbon <b>was</b> superb & \U0001f60a loud, " * 6 + "Antidisestablishmentarianism" * 4)
    assert not web.is_too_wide(page)


# parts that are seen through while Gradio waits for what they will show
FAINT = """[...document.querySelectorAll('.html-container, .html-container > *')].some(
    (part) => part.offsetParent && getComputedStyle(part).opacity < 1)"""


def complaints_of_axe(page: Page) -> list[str]:
    """What axe-core finds wrong on the page as it is, each with the first part that it is about."""
    return [f"{found['id']}: {found['nodes'][0]['html'][:200]}" for found in Axe().run(page).response["violations"]]


@pytest.mark.parametrize("has_run", [False, True])
def test_axe_finds_nothing_on_any_tab_light_and_dark(has_run, new_person, open_page, short_run):
    page = open_page(new_person(), *[short_run.id] * has_run)
    web.open_settings(page)
    page.add_style_tag(content="*, *::before, *::after { transition: none !important; animation: none !important; }")  # else colours move
    for tab in ("Train", "Predict", "Scores", "Data", "Runs", "Compare"):
        web.open_tab(page, tab)
        if tab == "Predict":
            web.ask(page, f"The market in Oslo opens again {has_run}.")
        if tab == "Scores" and has_run:
            wait_for("the scores", lambda: "Validation rows" in page.locator("#scores").inner_text())
        wait_for("nothing to be faint", lambda: not page.evaluate(FAINT))
        for theme in ("light", "dark"):
            assert complaints_of_axe(page) == [], f"{tab}, {theme}"
            page.get_by_role("button", name="Light or dark").click()
