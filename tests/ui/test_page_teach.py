"""Teach it, in a real browser: correct an entity by keys alone, learn, see it right and what was forgotten, drop it; and by the mouse."""

import json
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe

from mtl.runs.folder import Run, create_run, list_runs
from mtl.training.execute import run_training
from mtl.training.teach import CORRECTIONS, make_taught, read_corrections, read_taught, tasks_of
from tests import browser as web
from tests.browser import App, is_too_wide, text_of, wait_for

TEXT = "no never stay now \U0001f600 Kyiv"  # the emoji is one character, and two in JavaScript
WORDS = ".mtl-words [role=option]"


@pytest.fixture(scope="module")
def source(app: App, tiny_config, write_rows, easy_rows) -> Run:
    """A run in the app that has learned the easy rows."""
    rows, place = easy_rows(72), app.runs.with_name("easy")
    run = create_run(app.runs, tiny_config(source="files", epochs=10, name="easy", **{
        f"{split}_files": (write_rows(place / f"{split}.jsonl", part),)
        for split, part in (("train", rows[:56]), ("validation", rows[56:]))}))
    assert run_training(run, resume=False) == "finished"
    return run


@pytest.fixture
def page(new_person, open_page, source):
    """The Predict tab of that run, with an answer."""
    page = open_page(new_person(), source.id)
    web.open_tab(page, "Predict")
    wait_for("its model", lambda: "easy" in text_of(page, "model"))
    web.ask(page, TEXT)
    return page


def focus(page, name: str) -> None:
    page.locator(f"button:visible:has-text('{name}')").first.focus()


def keys(page, *names: str) -> None:
    for name in names:
        page.keyboard.press(name)


def said(page) -> str:
    box = page.locator("#taught .mtl-said")
    return box.inner_text() if box.count() else ""


def kept(page) -> list[dict]:
    """The corrections that the browser keeps, as they are downloaded."""
    found = json.loads(page.evaluate("localStorage.getItem('mtl-corrections') ?? '[]'"))
    return [{"text": one["text"], **one["values"]} for one in found]


def check_legibility(page) -> None:
    """axe finds nothing in our parts, light and dark."""
    page.add_style_tag(content="*, *::before, *::after { transition: none !important; animation: none !important; }")  # else colours move
    for theme in ("light", "dark"):
        found = Axe().run(page, context={"include": [["#teach"], ["#taught"], ["#to-label"]]}).response["violations"]
        assert [f"{one['id']}: {one['nodes'][0]['html'][:200]}" for one in found] == [], theme
        page.get_by_role("button", name="Light or dark").click()


def test_correct_an_entity_by_keys_alone_learn_see_it_right_see_what_was_forgotten_and_drop_it(page, app, source):
    runs = len(list_runs(app.runs))
    page.locator("#answer .mtl-tags [data-teach]").focus()
    keys(page, "Enter")
    wait_for("the words to have the focus", lambda: page.evaluate("document.activeElement.role") == "listbox")
    keys(page, "Home", "Delete", "End", "Delete", "1")  # whatever was found before
    wait_for("the entity", lambda: page.locator(WORDS).last.get_attribute("aria-label") == "Kyiv, LOC")
    keys(page, "Tab", "Tab", "Tab", "Enter")  # past the label and 'No entity', to 'Save'
    wait_for("the correction", lambda: kept(page))
    assert kept(page) == [{"text": TEXT, "place": [{"start": 20, "end": 24, "label": "LOC"}]}]
    wait_for("the focus", lambda: page.evaluate("document.activeElement.dataset.do") == "learn")
    keys(page, "Enter")
    wait_for("the run to begin", lambda: said(page).startswith("Learning from 1 correction") or "right now" in said(page))
    wait_for("before and after", lambda: "right now" in said(page))
    assert said(page).startswith("1 of 1 correction right now") and len(list_runs(app.runs)) == runs + 1
    run = list_runs(app.runs, most=1)[0]
    assert read_taught(run).choice == f"{source.id}/best"
    wait_for("its model to be chosen", lambda: text_of(page, "model").startswith("corrected: easy"))
    wait_for("the answer", lambda: web.pieces(page)[-1] == ("Kyiv", "LOC"))
    told = page.locator("#taught").inner_text()
    assert "On 16 validation rows: " in told and "answers forgotten" in told and "place f1" in told
    page.reload()  # a page opened tomorrow
    web.open_tab(page, "Predict")
    wait_for("the same", lambda: page.locator("#taught").inner_text() == told)
    focus(page, "Drop it")
    keys(page, "Enter")
    wait_for("the run to be gone", lambda: len(list_runs(app.runs)) == runs and not said(page))
    wait_for("the source", lambda: text_of(page, "model").startswith("easy") and source.id in web.address(page))
    assert len(kept(page)) == 1


def test_what_a_hard_lesson_costs_is_listed_and_it_can_be_kept(new_person, open_page, app, source, tmp_path, write_rows):
    file = write_rows(tmp_path / CORRECTIONS, [{"text": f"yes please go now {word}", "answer": "no"} for word in ("Kyiv", "Bern", "Riga")])
    run = make_taught(app.runs, f"{source.id}/best", source.best, source, Path(file), steps=60, share=1.0, slower=1.0)  # no rehearsal
    assert run_training(run, resume=False) == "finished"
    page = open_page(new_person(), run.id)
    web.open_tab(page, "Predict")
    wait_for("before and after", lambda: "of 3 corrections right now" in said(page))
    forgotten = page.locator("#taught details").filter(has_text="Forgotten")
    forgotten.locator("summary").click()
    assert "answer: right is yes; before yes; now no" in forgotten.inner_text()
    check_legibility(page)
    focus(page, "Keep it")
    keys(page, "Enter")
    wait_for("it to be kept", lambda: "Kept:" in page.locator("#taught").inner_text())
    assert not page.locator("#taught [data-do=keep]").count()


def test_the_mouse_selects_words_and_corrections_are_edited_downloaded_and_deleted(page, source, tmp_path):
    page.locator("#answer .mtl-tags [data-teach]").click()
    words = page.locator(WORDS)
    assert words.all_inner_texts()[-1].startswith("Kyiv")
    for index in range(words.count()):
        words.nth(index).click()
        keys(page, "Delete")
    first, last = words.nth(1).bounding_box(), words.nth(3).bounding_box()
    page.mouse.move(first["x"] + 3, first["y"] + 5)
    page.mouse.down()
    page.mouse.move(last["x"] + 3, last["y"] + 5, steps=4)
    page.mouse.up()
    page.get_by_role("button", name="LOC").click()
    page.get_by_role("button", name="Save the correction").click()
    assert kept(page) == [{"text": TEXT, "place": [{"start": 3, "end": 17, "label": "LOC"}]}]
    page.locator("#answer .mtl-classes [data-teach]").click()
    page.get_by_label("yes").check()
    page.get_by_role("button", name="Save the correction").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download").click()
    file = Path(tmp_path / "corrections.jsonl")
    download.value.save_as(file)
    row, = read_corrections(file, tasks_of(source.best))
    assert (row.text, row.values["answer"]) == (TEXT, "yes")
    assert [TEXT[span.start:span.end] for span in row.values["place"]] == ["never stay now"]
    page.get_by_role("button", name="Edit answer").click()
    page.get_by_label("no", exact=True).check()
    page.get_by_role("button", name="Save the correction").click()
    assert kept(page)[0]["answer"] == "no"
    page.set_viewport_size({"width": 390, "height": 844})
    page.get_by_role("button", name="Edit place").click()
    assert not is_too_wide(page)
    check_legibility(page)
    page.locator(".mtl-words").focus()
    keys(page, "Escape")
    wait_for("the editor to be closed", lambda: not page.locator(".mtl-words").count())
    page.get_by_role("button", name="Delete", exact=True).click()
    assert kept(page) == [] and not page.locator(".mtl-mine").is_visible()
    page.set_viewport_size({"width": 1280, "height": 900})


def test_the_texts_to_label_next_come_from_a_file_and_go_into_the_box(page, tmp_path):
    file = tmp_path / "unlabelled.txt"
    file.write_text("yes please go now Oslo\nno please stay now Rome <b>\nyes please go now Oslo\n")
    page.locator("#label-next input[type=file], input[type=file]#label-next").or_(
        page.locator("#label-what input[type=file]")).first.set_input_files(str(file))
    items = page.locator("#to-label li")
    wait_for("the texts", lambda: items.count() == 2)
    assert "%" in items.first.inner_text()
    items.filter(has_text="<b>").get_by_role("button").click()
    wait_for("the text in the box", lambda: text_of(page, "text") == "no please stay now Rome <b>")
