"""Data on the page, as people bring it: odd columns, several files, broken ones, the Hub. Everything is seen through a real browser."""

import json
import re
from pathlib import Path

from openpyxl import Workbook

from mtl.data.dataset import load
from mtl.runs.folder import open_run
from tests import browser as web
from tests.browser import start_tiny, status, text_of, wait_for

PLACES = ("Rome", "Oslo", "Lima")


def reviews(count: int = 120) -> str:
    """A CSV with odd column names, another separator, and a column that is no task."""
    return "Nr;Review Text;Mood;Country\n" + "".join(
        f'{index};"{("Great", "Poor")[index % 2]} food; served in {PLACES[index % 3]} on day {index}";{("glad", "sad")[index % 2]};'
        f'{("IT", "NO", "PE")[index % 3]}\n' for index in range(count))


def sentence(index: int) -> str:
    return f"Report {index} about {('war', 'sport')[index % 2]} in {PLACES[index % 3]} tonight"


def columns(rows: range) -> str:
    """CoNLL columns, written in BIOES."""
    return "".join("".join(f"{word}\t{'S-LOC' if word in PLACES else 'O'}\n" for word in sentence(index).split()) + "\n" for index in rows)


def roles(page) -> dict[str, str]:
    """What each column on the page is said to be for."""
    found = {}
    for row in page.locator("#column-table [data-column]").all():
        if row.is_visible():
            found[row.locator("b").inner_text()] = row.locator("select").input_value()
    return found


def test_a_csv_with_odd_columns_is_understood_and_a_wrong_guess_is_put_right_and_trained_on(app, new_person, open_page, tmp_path):
    (tmp_path / "reviews.csv").write_text(reviews())
    page = open_page(new_person())
    web.bring(page, "reviews.csv: 120 rows.", tmp_path / "reviews.csv")
    assert "separated by ';'" in text_of(page, "findings") and "'Review Text' is taken" in text_of(page, "findings")
    page.locator("#columns button").first.click()
    wait_for("the columns", lambda: roles(page) == {"Nr": "ignore", "Review Text": "text", "Mood": "class", "Country": "class"})
    assert "glad | sad" in page.locator("label[for=role-2]").inner_text()

    page.locator("#role-3").select_option("ignore")  # the country is no task
    wait_for("one task less", lambda: page.locator("#tasks input").count() == 1)
    assert not page.locator("#task-3").is_visible()
    page.locator("#task-2").focus()
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.type("sentiment")
    page.keyboard.press("Tab")
    wait_for("the new name", lambda: "sentiment" in page.locator("#tasks").inner_text())

    run = open_run(app.runs, start_tiny(page, epochs=1))
    wait_for("the end", lambda: status(page) == "finished")
    assert [(task.name, task.kind) for task in run.config.tasks] == [("sentiment", "classification")]
    assert [(spec.column, spec.role, spec.task) for spec in run.config.columns] == [
        ("Nr", "ignore", ""), ("Review Text", "text", ""), ("Mood", "class", "sentiment"), ("Country", "ignore", "")]

    page.reload()  # what was said of the columns comes back with the run
    wait_for("the data after the reload", lambda: text_of(page, "findings").startswith("reviews.csv: 120 rows."))
    wait_for("the task after the reload", lambda: "sentiment" in page.locator("#tasks").inner_text())
    assert page.locator("#tasks input").count() == 1


def label_studio(index: int) -> dict:
    """A sample with an emoji, which counts as two characters in JavaScript, and a relation between its two entities."""
    text = f"\U0001F600 Ada {index} left {PLACES[index % 3]} today"
    regions = [("a", 3, 6, "PER"), ("b", text.index("left ") + 6, text.index("left ") + 10, "LOC")]
    result = [{"id": name, "from_name": "label", "to_name": "text", "type": "labels", "value": {
        "start": start, "end": end, "text": text[start - 1:end - 1], "labels": [label]}} for name, start, end, label in regions]
    return {"id": index, "data": {"text": text}, "annotations": [{"id": index, "result": [
        *result, {"from_id": "a", "to_id": "b", "type": "relation", "direction": "right", "labels": ["left"]}]}]}


def test_files_as_people_have_them_are_understood_and_one_that_can_be_read_in_two_ways_is_asked_about(new_person, open_page, tmp_path):
    page = open_page(new_person())
    book = Workbook()
    for row in [["Survey of May"], [None, "Comment", "Mood", None],
                *[[index, f"Served in {PLACES[index % 3]} on day {index}", ("glad", "sad", "#N/A")[index % 3], None]
                  for index in range(30)]]:
        book.active.append(row)
    book.save(tmp_path / "survey.xlsx")
    web.bring(page, "survey.xlsx: 30 rows.", tmp_path / "survey.xlsx")
    told = text_of(page, "findings")
    assert "names of the columns are in row 2" in told and "numbers the rows" in told and "10 cells with a word such as nan, #N/A" in told
    assert page.locator("#tasks label").all_inner_texts() == ["Mood"]

    words = "".join("\n".join(f"{f'Sentence: {index}' * (not place)},{word},{'B-geo' if word in PLACES else 'O'}"
                              for place, word in enumerate(sentence(index).split())) + "\n" for index in range(30))
    (tmp_path / "words.csv").write_text("Sentence #,Word,Tag\n" + words)
    web.bring(page, "words.csv: 30 rows.", tmp_path / "words.csv")
    assert "joined into sentences" in text_of(page, "findings") and page.locator("#tasks label").all_inner_texts() == ["Tag"]

    (tmp_path / "export.json").write_text(json.dumps([label_studio(index) for index in range(30)]))
    web.bring(page, "export.json: 30 rows.", tmp_path / "export.json")
    told = text_of(page, "findings")
    assert "counted as JavaScript does" in told and "30 relations" in told
    web.open_tab(page, "Data")
    wait_for("whole names in the examples", lambda: {"AdaPER", "RomeLOC"} <= set(page.locator("#examples mark").all_inner_texts()))
    web.open_tab(page, "Train")

    (tmp_path / "short.csv").write_text("The house,calm\nThe boat,loud\nThe town,small\nThe sea,wide\n")
    web.bring(page, "short.csv: 3 rows.", tmp_path / "short.csv")
    asked = page.locator("#questions button")
    assert asked.count() == 2 and "column 1: The house" in asked.nth(1).inner_text()
    asked.nth(1).click()
    wait_for("the first line as a row", lambda: text_of(page, "findings").startswith("short.csv: 4 rows."))
    wait_for("the answer", lambda: asked.nth(1).get_attribute("aria-pressed") == "true")
    asked.nth(0).click()
    wait_for("the first line as names again", lambda: text_of(page, "findings").startswith("short.csv: 3 rows."))


def test_a_conll_file_and_a_csv_become_rows_for_two_tasks(app, new_person, open_page, tmp_path):
    (tmp_path / "topic.csv").write_text("sentence,label\n" + "".join(f"{sentence(index)},{('war', 'sport')[index % 2]}\n"
                                                                     for index in range(80)))
    (tmp_path / "places.conll").write_text(columns(range(40, 120)))
    page = open_page(new_person())
    web.bring(page, "topic.csv and 1 more: 120 rows.", tmp_path / "topic.csv", tmp_path / "places.conll")
    told = text_of(page, "findings")
    assert "40 rows have the same text as a row of another file and were joined with it" in told and "written in BIOES" in told
    assert sorted(page.locator("#tasks label").all_inner_texts()) == ["places", "topic"]
    web.open_tab(page, "Data")
    report = wait_for("the report", lambda: page.locator("#report").inner_text())
    assert "places" in report and re.search(r"topic\s*(only)?: \d+", report)
    marks = page.locator("#examples mark")
    assert marks.count() and {mark.split("\n")[0].removesuffix("LOC").strip() for mark in marks.all_inner_texts()} <= set(PLACES)
    web.open_tab(page, "Train")
    run = open_run(app.runs, start_tiny(page, epochs=1))
    wait_for("the end", lambda: status(page) == "finished")
    assert [(task.name, task.kind) for task in run.config.tasks] == [("topic", "classification"), ("places", "tagging")]


def test_a_broken_file_is_refused_with_its_line_and_not_started_on_and_duplicates_are_reported(new_person, open_page, tmp_path):
    (tmp_path / "broken.conll").write_text("Rome B-LOC\nis O\n\nOslo\n")
    page = open_page(new_person())
    page.get_by_label("My own files").check()
    wait_for("the wish for a file", lambda: text_of(page, "findings").startswith("No file yet."))
    web.bring(page, "broken.conll, line 4: has 1 column", tmp_path / "broken.conll")
    assert page.locator("#tasks input").count() == 0 and not page.locator("#columns").is_visible()
    page.locator("#start").click()
    wait_for("the refusal to start", lambda: "broken.conll, line 4" in web.message(page))
    assert "run=" not in web.address(page)
    rows = "".join(f"{sentence(index)},{('war', 'sport')[index % 2]}\n" for index in range(150))
    (tmp_path / "twice.csv").write_text("sentence,label\n" + rows + rows + f"{sentence(0)},sport\n")
    web.bring(page, "twice.csv: 301 rows.", tmp_path / "twice.csv")
    wait_for("what would harm training", lambda: "different labels" in page.locator("#short-findings").inner_text())
    wait_for("its tasks", lambda: page.locator("#tasks input:checked").count() == 1)


def test_a_dataset_of_the_hub_is_measured_before_it_is_fetched_and_then_trained_on(app, hub, new_person, open_page):
    folder = hub.root / "datasets" / "ann" / "reviews" / "data"
    folder.mkdir(parents=True)
    for name, count, end in (("train", 90, ""), ("test", 20, " again")):
        rows = "".join(f"{sentence(index)}{end},{('war', 'sport')[index % 2]}\n" for index in range(count))
        (folder / f"{name}.csv").write_text(f"sentence,label\n{rows}")
    page = open_page(new_person())
    page.get_by_label("From the Hub").check()
    web.choose(page, "preset", "Any other")
    ids = page.locator("#hub-ids textarea, #hub-ids input").first
    ids.fill("ann/nothing")
    page.locator("#hub-look").click()
    wait_for("that there is no such data set", lambda: "nothing" in text_of(page, "hub-about"))
    ids.fill("ann/reviews")
    page.locator("#hub-look").click()
    wait_for("the sizes", lambda: hub.sha("datasets/ann/reviews")[:12] in text_of(page, "hub-about")
             or "commit" in text_of(page, "hub-about"))
    assert not any("ann/reviews/resolve" in path for path in hub.asked), "a file was asked for before anybody wanted it"
    page.locator("#hub-download").click()
    wait_for("the rows", lambda: text_of(page, "findings").startswith("ann/reviews: 90 rows."))
    run = open_run(app.runs, start_tiny(page, epochs=1))
    wait_for("the end", lambda: status(page) == "finished")
    assert re.fullmatch("[0-9a-f]{40}", run.config.hub[0].revision) and run.config.hub[0].test == "test"
    assert all(Path(name).parts[0] == "data" for name in run.config.train_files + run.config.test_files)
    assert len(load(run.config, run.folder).test) == 20
