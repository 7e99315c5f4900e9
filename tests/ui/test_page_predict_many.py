"""Many texts at once, as a person asks about them in a real browser: an article by sentence, how sure the model is of a name, two models,
live weights; a file of 1,000 rows, cancelled once."""

import csv
import json
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from tests import browser as web
from tests.browser import start_tiny, wait_for

SENTENCES = ["Shares of Norlund Shipping fell 4 percent in Oslo on Monday.", "The striker Ines Caldeira scored twice in Sydney.",
             "Honestly, the concert in Lisbon with Priya Okafor was superb!"]
ARTICLE = f"{SENTENCES[0]} {SENTENCES[1]}\n{SENTENCES[2]}"


def opened(page: Page, model: str) -> Page:
    """The Predict tab of the page, with that model."""
    web.open_tab(page, "Predict")
    wait_for("the models", lambda: web.text_of(page, "model"))
    web.choose(page, "model", model)
    return page


def lines(page: Page) -> int:
    """How many sentences are answered one by one, of the newest text."""
    return 0 if page.locator("#answer [aria-busy=true]").count() else page.locator("#answer .mtl-many > li").count()


def test_an_article_is_answered_by_sentence_each_unfolds_and_the_keyboard_tells_how_sure_an_entity_is(new_person, open_page):
    person = new_person()
    page = opened(open_page(person), "Starter")
    page.locator("#text textarea").fill(ARTICLE)
    wait_for("a line for each sentence", lambda: lines(page) == 3)
    assert "3 sentences in" in page.locator("#about").inner_text()
    assert [one["text"] for one in json.loads(page.locator("#copy-json").get_attribute("data-json"))] == SENTENCES

    mark, tip = page.locator("#answer .mtl-many mark").first, page.locator(".mtl-tip")
    mark.focus()
    wait_for("how sure it is", lambda: tip.is_visible() and tip.inner_text().endswith(" % sure"))
    page.keyboard.press("Escape")
    wait_for("it to go", tip.is_hidden)
    mark.hover()
    wait_for("it to come back", tip.is_visible)

    page.locator("#answer .mtl-many summary").nth(1).focus()
    page.keyboard.press("Enter")
    full = page.locator("#answer .mtl-many .mtl-answers")
    wait_for("its answer in full", lambda: full.count() and full.get_attribute("data-text") == SENTENCES[1])
    assert full.locator("[data-task]").count() >= 2 and not web.is_too_wide(page)
    assert [found["id"] for found in Axe().run(page).response["violations"]] == []

    page.get_by_label("Sentence by sentence").uncheck()
    wait_for("one answer", lambda: page.locator("#answer .mtl-answers").count() == 1 and not page.locator("#answer .mtl-many").count())
    page.close()
    again = opened(open_page(person), "Starter")
    again.locator("#text textarea").fill(ARTICLE)
    wait_for("the choice to be remembered", lambda: "".join(words for words, _ in web.pieces(again)) == ARTICLE)
    again.get_by_label("Sentence by sentence").check()
    wait_for("the lines", lambda: lines(again) == 3)


def test_two_models_stand_beside_each_other_sentence_by_sentence_and_one_can_look_only_at_what_differs(new_person, open_page, short_run):
    page = opened(open_page(new_person(), short_run.id), "Starter")
    page.locator("#text textarea").fill(ARTICLE)
    wait_for("the lines", lambda: lines(page) == 3)
    page.locator("#compare-with").click()
    wait_for("both", lambda: page.locator("#answer .mtl-many > li").first.locator(".mtl-title").count() == 2)
    differ = page.locator("#answer .mtl-many > li.mtl-differs").count()
    assert f"They differ in {differ} of 3 sentences." in page.locator("#answer").inner_text() and differ
    page.get_by_label("Only where they differ").check()
    shown = page.locator("#answer .mtl-many > li")
    wait_for("only those", lambda: [shown.nth(place).is_visible() for place in range(3)].count(True) == differ)


def test_the_answers_to_several_sentences_follow_the_training(new_person, open_page):
    page = open_page(new_person())
    start_tiny(page)
    opened(page, "live weights")
    page.locator("#text textarea").fill(ARTICLE)
    wait_for("the lines", lambda: lines(page) == 3 and "live weights" in web.answered_by(page))
    before = web.answered_by(page).partition(",")[0]
    wait_for("other weights by themselves", lambda: web.answered_by(page) and web.answered_by(page).partition(",")[0] != before)
    assert lines(page) == 3
    web.open_tab(page, "Train")
    web.press(page, "stop", "stopped")


@pytest.fixture
def thousand(tmp_path) -> Path:
    """A file of 1,000 rows with three columns, of which one row has no text."""
    path = tmp_path / "thousand.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        out = csv.writer(file)
        out.writerow(["id", "body", "note"])
        out.writerows([number, "" if number == 500 else f"On day {number}, {SENTENCES[number % 3]}", "\u00e9"] for number in range(1000))
    return path


def give(page: Page, path: Path) -> None:
    """Give the Predict tab a file."""
    with page.expect_file_chooser() as chooser:
        page.locator("#ask-file").click()
    chooser.value.set_files(path)


def test_a_file_of_a_thousand_rows_is_cancelled_then_comes_back_whole_though_the_page_was_loaded_anew(new_person, open_page, thousand):
    page = opened(open_page(new_person()), "Starter")
    state = page.locator("#file-state")

    def download() -> list[dict[str, str]]:
        with page.expect_download() as got:
            page.locator("#answers-file").click()
        assert got.value.suggested_filename == "thousand-predicted.csv"
        with got.value.path().open(encoding="utf-8-sig", newline="") as file:
            return list(csv.DictReader(file))

    give(page, thousand)
    wait_for("some rows", lambda: "of 1,000 rows, about" in state.inner_text())
    assert state.locator("progress").get_attribute("max") == "1000"
    page.locator("#file-cancel").click()
    wait_for("the end", lambda: "cancelled after" in state.inner_text())
    some = download()
    assert 0 < len(some) < 1000 and [row["id"] for row in some] == [str(number) for number in range(len(some))]

    give(page, thousand)
    wait_for("it to begin", page.locator("#file-cancel").is_visible)
    page.reload()
    web.open_tab(page, "Predict")
    wait_for("all rows", lambda: "1,000 rows, by starter model, with the text in 'body'" in state.inner_text())
    assert "1 row has no answer; the column 'error' says why." in state.inner_text() and not page.locator("#file-cancel").is_visible()
    rows = download()
    assert [(row["id"], row["note"]) for row in rows] == [(str(number), "\u00e9") for number in range(1000)]
    assert [row["id"] for row in rows if row["error"]] == ["500"] and all(row["topic"] for row in rows if not row["error"])
    assert web.message(page) == ""
