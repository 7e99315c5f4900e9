"""The form in a real browser, used by the impatient and the careless: what is trained is what is shown, or it is refused by its label."""

import re
import shutil
from pathlib import Path

import pytest
from playwright.sync_api import Page

from mtl.runs.folder import Run, create_run, list_runs, open_run
from mtl.settings.config import RunConfig
from tests import browser as web
from tests.browser import status, text_of, wait_for


def rows(count: int, *tasks: str) -> str:
    """A CSV with so many short rows and a column of labels for each task."""
    return ",".join(["text", *tasks]) + "\n" + "".join(
        f"row {index} is {('good', 'bad')[index % 2]}" + "".join(f",{task} {index % 2}" for task in tasks) + "\n" for index in range(count))


def type_into(page: Page, field: str, text: str) -> None:
    """Replace what stands in the field with the id `field`, key by key, as a person does."""
    box = page.locator(f"#{field} input, #{field} textarea").first
    box.click()
    box.press("ControlOrMeta+a")
    box.press("Backspace")
    box.press_sequentially(text)


def refused(page: Page, told: str) -> None:
    """Press Start and wait for a refusal that says `told`; it is not about any other widget, and Start can be pressed again."""
    page.locator("#start").click()
    wait_for(f"the refusal '{told}'", lambda: told in web.message(page))
    wait_for("the button as it was", lambda: page.locator("#start").inner_text() == "Start training")
    assert "run=" not in web.address(page)
    page.locator("#message").get_by_role("button", name="Dismiss").click()


def ticked(page: Page) -> list[str]:
    """The tasks that are ticked."""
    return [label.inner_text() for label in page.locator("#tasks label").all() if label.locator("input").is_checked()]


def start(app: web.App, page: Page) -> Run:
    """Press Start and wait for a run that was not there."""
    before = web.address(page)
    page.locator("#start").click()
    wait_for("the run's address", lambda: "run=" in web.address(page) and web.address(page) != before)
    return open_run(app.runs, web.address(page).partition("run=")[2].partition("&")[0])


def end(page: Page) -> None:
    """Stop the run, or see it end by itself."""
    def over() -> bool:
        if page.locator("#stop").is_enabled():
            page.locator("#stop").click(timeout=1000)
        return status(page) in ("stopped", "finished")

    wait_for("the end", over)


def bring(page: Page, file: Path, count: int) -> None:
    """Choose a file and wait until it was read."""
    page.get_by_label("My own files").check()
    web.upload(page, file)
    wait_for("the file to be understood", lambda: text_of(page, "findings").startswith(f"{file.name}: {count} rows."))


@pytest.fixture
def two_tasks(app, tmp_path, tiny_config) -> Run:
    """A run of two of the three tasks of its own file; like one from the terminal it belongs to nobody."""
    (tmp_path / "three.csv").write_text(rows(60, "one", "two", "three"))
    tasks = tuple({"name": name, "kind": "classification"} for name in ("one", "two"))
    return create_run(app.runs, tiny_config(source="files", train_files=(str(tmp_path / "three.csv"),), tasks=tasks, epochs=1))


def test_a_number_is_trained_as_it_was_typed_and_one_that_is_none_is_refused_by_its_label(app, new_person, open_page):
    page = open_page(new_person())
    for field, text, told, good in [
            ("field-epochs", "", "Epochs: found nothing, wanted a whole number from 1 to 10,000, such as 8.", "2"),
            ("field-epochs", "2.5", "Epochs: found 2.5, wanted a whole number", "2"),
            ("field-learning_rate", "0,5", "Learning rate: found '0,5', wanted a number above 0", "2e-3"),
            ("field-batch_size", "1e400", "Batch size: found infinity, wanted a whole number", "32")]:
        type_into(page, field, text)
        assert text_of(page, field) == text
        refused(page, told)
        type_into(page, field, good)
    type_into(page, "field-encoder", "tiny")
    page.locator("#field-encoder input").press("Enter")
    run = start(app, page)
    assert (run.config.learning_rate, run.config.epochs, run.config.encoder) == (2e-3, 2, "tiny")
    end(page)
    page.reload()
    wait_for("the form after the reload", lambda: text_of(page, "field-learning_rate") == "0.002" and text_of(page, "field-epochs") == "2")


def test_alpha_is_refused_out_of_its_bounds_and_says_where_it_is_not_used(new_person, open_page):
    page = open_page(new_person())
    page.get_by_label("entities", exact=True).uncheck()
    wait_for("alpha", lambda: "Alpha: topic against sentiment" in page.locator("#alpha").inner_text())
    type_into(page, "alpha", "7")
    wait_for("what balances now", lambda: text_of(page, "field-balancing") == "fixed")
    refused(page, "Alpha: found 7, wanted a number from 0 to 1, or nothing.")

    page.get_by_role("button", name="More settings").click()
    type_into(page, "field-weights", "topic=2")
    wait_for("alpha not to be used", lambda: "Not used: Loss weights are given." in page.locator("#alpha").inner_text())
    wait_for("what balances now", lambda: text_of(page, "field-balancing") == "fixed")
    assert not page.locator("#alpha input, #alpha textarea").first.is_enabled()
    type_into(page, "field-weights", "")
    wait_for("alpha to be used", lambda: page.locator("#alpha input, #alpha textarea").first.is_enabled())
    web.choose(page, "field-balancing", "famo")
    wait_for("alpha not to be used", lambda: "Not used: Balancing 'famo'" in page.locator("#alpha").inner_text())


def test_balancing_fixed_takes_the_alpha_that_is_shown(app, new_person, open_page):
    page = open_page(new_person())
    page.get_by_label("topic", exact=True).uncheck()
    wait_for("alpha", lambda: page.locator("#alpha").is_visible())
    web.choose(page, "field-balancing", "fixed")
    web.set_field(page, "encoder", "tiny")
    run = start(app, page)
    assert (run.config.alpha, run.config.balancing, text_of(page, "alpha")) == (0.5, "fixed", "0.5")
    assert [task.name for task in run.config.tasks] == ticked(page) == ["sentiment", "entities"]
    end(page)


def test_a_choice_of_tasks_is_forgotten_with_its_data_and_kept_with_them(app, new_person, open_page, two_tasks, tmp_path):
    page = open_page(new_person(), two_tasks.id)
    wait_for("the tasks of the run", lambda: ticked(page) == ["one", "two"])
    (tmp_path / "other.csv").write_text(rows(50, "one", "four", "five"))
    bring(page, tmp_path / "other.csv", 50)
    wait_for("all tasks of the other file", lambda: ticked(page) == ["one", "four", "five"])
    page.get_by_label("four", exact=True).uncheck()
    page.get_by_role("button", name="More settings").click()
    web.set_field(page, "max_length", "64")  # the data are looked at again
    web.open_tab(page, "Data")
    wait_for("the new length in the report", lambda: "none is cut at 64" in page.locator("#report").inner_text())
    web.open_tab(page, "Train")
    assert ticked(page) == ["one", "five"]
    web.set_field(page, "encoder", "tiny")
    run = start(app, page)
    assert [task.name for task in run.config.tasks] == ["one", "five"] and run.config.max_length == 64
    end(page)
    page.get_by_label("Newsroom").check()
    wait_for("all tasks of the corpus", lambda: ticked(page) == ["topic", "sentiment", "entities"])


def test_more_tasks_than_can_be_trained_are_said_and_ticking_them_all_is_refused_in_words(new_person, open_page, tmp_path):
    page = open_page(new_person())
    (tmp_path / "many.csv").write_text(rows(50, *(f"task{letter}" for letter in "abcdefghijkl")))
    bring(page, tmp_path / "many.csv", 50)
    assert "12 tasks were found; at most 8 are trained together" in text_of(page, "findings")
    wait_for("eight of them", lambda: len(ticked(page)) == 8)
    for box in page.locator("#tasks input").all():
        box.check()
    refused(page, "Tasks: found 12, wanted at most 8. Leave some out.")


def test_too_many_files_are_refused_in_words_without_a_path(new_person, open_page, tmp_path):
    files = [tmp_path / f"part{index}.csv" for index in range(40)]
    for file in files:
        file.write_text(rows(2, "one"))
    page = open_page(new_person())
    page.get_by_label("My own files").check()
    web.upload(page, *files)
    wait_for("the refusal", lambda: text_of(page, "findings") == "Training files: found 40, wanted at most 32. Leave some out.")


def test_two_files_of_one_name_are_both_trained_on_under_names_that_are_shown(app, new_person, open_page, tmp_path):
    for folder, task in (("a", "one"), ("b", "two")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "own.csv").write_text(rows(40, task).replace("row", folder))
    page = open_page(new_person())
    page.get_by_label("My own files").check()
    web.upload(page, tmp_path / "a" / "own.csv", tmp_path / "b" / "own.csv")
    wait_for("both files", lambda: "own.csv and 1 more: 80 rows." in text_of(page, "findings"))
    wait_for("the new name", lambda: re.search(r"own-2\s*\.csv", page.locator("#files").inner_text()))
    web.set_field(page, "encoder", "tiny")
    run = start(app, page)
    assert sorted(Path(name).name for name in run.config.train_files) == ["own-2.csv", "own.csv"]
    assert sorted(task.name for task in run.config.tasks) == sorted(ticked(page)) == ["one", "two"]
    end(page)


def test_start_right_after_choosing_a_file_trains_on_it_with_all_its_tasks(app, new_person, open_page, two_tasks, tmp_path):
    page = open_page(new_person(), two_tasks.id)
    wait_for("the tasks of the run", lambda: ticked(page) == ["one", "two"])
    (tmp_path / "large.csv").write_text(rows(20_000, "two", "six", "seven"))
    web.set_field(page, "encoder", "tiny")
    web.upload(page, tmp_path / "large.csv")
    wait_for("the upload", lambda: re.search(r"large\s*\.csv", page.locator("#files").inner_text())
             and "Uploading" not in page.locator("#files").inner_text())
    seen = []
    page.expose_function("seen", lambda button, place, menu: seen.append((button, place, menu)))
    page.evaluate("""() => new MutationObserver(() => window.seen(...['start', 'starting', 'run-menu'].map(
        id => document.getElementById(id).innerText))).observe(document.body, {subtree: true, childList: true, characterData: true})""")
    run = start(app, page)
    assert any(button == "Starting \u2026" for button, _, _ in seen), "the button gave no sign"
    # it waits for the look that reads the file already; where that is over, there is only the copy to make
    told = ("Looking at large.csv", "Copying the data")
    assert any(what in place for _, place, _ in seen for what in told), "no progress was told beside the button"
    assert not any("%" in menu for _, _, menu in seen), "the progress stood on the other runs"
    assert [Path(name).name for name in run.config.train_files] == ["large.csv"]
    assert [task.name for task in run.config.tasks] == ["two", "six", "seven"]
    wait_for("all its tasks on the page", lambda: ticked(page) == ["two", "six", "seven"], 120)
    end(page)
    shutil.rmtree(run.folder)


def test_a_start_that_fails_covers_nothing_of_the_other_runs(new_person, open_page):
    page = open_page(new_person())
    type_into(page, "field-epochs", "0")
    page.locator("#start").click()
    wait_for("the refusal", lambda: "Epochs: found 0" in page.locator("body").inner_text())
    wait_for("the button as it was", lambda: page.locator("#start").inner_text() == "Start training")
    assert "Error" not in page.locator("#run-menu").inner_text()
    assert page.locator("#run-menu input").click(trial=True) is None


def test_the_fields_of_the_compare_tab_refuse_what_cannot_be(app, new_person, open_page):
    page = open_page(new_person())
    web.open_tab(page, "Compare")
    for field, text, button, told in [("compare-seeds", "2.5", "compare-form", "Seeds: found 2.5, wanted a whole number from 1 to 10."),
                                      ("compare-seeds", "", "compare-form", "Seeds: found nothing, wanted a whole number from 1 to 10."),
                                      ("compare-minutes", "soon", "compare-search", "Minutes: found 'soon', wanted a number from 0")]:
        type_into(page, field, text)
        page.locator(f"#{button}").click()
        wait_for(f"the refusal '{told}'", lambda told=told: told in page.locator("body").inner_text())
    assert not list_runs(app.runs / "comparisons")


def test_every_label_of_the_form_is_the_one_that_messages_use(new_person, open_page):
    page = open_page(new_person())
    page.get_by_role("button", name="More settings").click()
    for name, field in RunConfig.model_fields.items():
        widget = page.locator(f"#field-{name}")
        if widget.count():
            assert field.title in widget.inner_text(), name
