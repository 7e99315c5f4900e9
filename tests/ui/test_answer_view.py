"""Answers as the page shows them: what is marked, ticked, folded, unsure and different; what a user wrote is never HTML."""

import json
import re
from html import unescape
from pathlib import Path

import pytest

from mtl.data.words import Span
from mtl.inference.predictor import Predicted
from mtl.jobs.models import Answered
from mtl.settings.config import Scale
from mtl.tasks.classification import Classified
from mtl.tasks.multilabel import Chosen
from mtl.tasks.number import Measured
from mtl.tasks.tagging import Tagged
from mtl.ui.answer_view import answer_html, examples_html, python_lines, spoken
from mtl.ui.run_files import _write_csv

TEXT = "Ana  <b>left</b>\n Oslo & ${rest} {{x}}"
OSLO = Span(TEXT.index("Oslo"), TEXT.index("Oslo") + 4, "LOC")


def answered(*contradictions: str, **made) -> Answered:
    """A model's answer to TEXT."""
    labels = {task: ("PER", "LOC") if isinstance(one, Tagged) else tuple(sorted(getattr(one, "probabilities", ())))
              for task, one in made.items()}
    return Answered([Predicted(TEXT, made, None, contradictions)], labels, "starter model", "cpu", 0.01)


def html(*answers: Answered) -> str:
    return answer_html(["a", "b"], answers, ["one", "other"] if len(answers) > 1 else [], "")


def test_a_text_is_shown_as_it_was_written_with_its_entities_and_how_sure_they_are():
    shown = html(answered(places=Tagged((Span(0, 3, "PER"), OSLO), (0.981, 0.6))))
    line = re.search(r'<p dir="auto">(.*?)</p>', shown, re.S)[1]
    assert "<section" in shown and 'data-task="places"' in shown and f'data-text="{TEXT[:5]}' in shown  # for scripts that ask more
    assert re.sub("<[^>]*>", "", re.sub("<sub>.*?</sub>", "", line)) == TEXT.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    assert "<b>" not in shown and "<bdi>PER</bdi>&nbsp;98" in line and 'tabindex="0" data-tip="PER: 98 % sure"' in line
    for hue, words in ((1, "Ana"), (2, "Oslo")):  # a label keeps its colour, whichever stands first
        assert re.search(rf"<mark [^>]*var\(--type-{hue}\)[^>]*><span>{words}", line)
    assert "nothing found" in html(answered(places=Tagged((), ()))) and "nothing found" not in shown


def test_each_answer_brings_what_its_editor_needs_in_the_form_of_a_data_file():
    shown = html(answered(places=Tagged((Span(0, 3, "PER"), OSLO), (0.98, 0.6)), mood=Classified({"<i>": 0.9, "b": 0.1}),
                          topics=Chosen({"law": 0.9, "art": 0.1}, ("law",)), stars=Measured(3.5, Scale(3.0, 1.0, 1.0, 5.0))))
    found = {one["task"]: one for one in map(json.loads, map(unescape, re.findall('data-teach="(.*?)"', shown)))}
    assert {task: (one["edits"], one["value"]) for task, one in found.items()} == {
        "places": ("spans", [{"start": 0, "end": 3, "label": "PER"}, {"start": OSLO.start, "end": OSLO.end, "label": "LOC"}]),
        "mood": ("one", "<i>"), "topics": ("many", ["law"]), "stars": ("number", 3.5)}
    words = found["places"]["words"]
    assert found["places"]["text"] == TEXT and [TEXT[start:end] for start, end in words][:2] == ["Ana", "<"] and "<i>" not in shown


@pytest.mark.parametrize(("shares", "sentence"), [
    ((0.52, 0.31, 0.17), "It is not sure: <bdi>a</bdi> 52 %, <bdi>b</bdi> 31 %."), ((0.59, 0.21, 0.2), "It is not sure"),
    ((0.54, 0.46, 0.0), "It is not sure"), ((0.62, 0.38, 0.0), ""), ((0.9, 0.1, 0.0), "")])
def test_it_says_when_it_is_not_sure(shares, sentence):
    shown = html(answered(mood=Classified(dict(zip("abc", shares, strict=True)))))
    assert sentence in shown and ("not sure" in shown) == bool(sentence)


def test_of_several_labels_those_that_are_chosen_are_ticked_and_come_first():
    shown = html(answered(topics=Chosen({"law": 0.55, "<i>": 0.5, "art": 0.1}, ("<i>",))))
    assert re.findall(r"(✓ )?<bdi>([^<]*)</bdi></span>", shown) == [("✓ ", "&lt;i&gt;"), ("", "law"), ("", "art")]
    assert "<small><bdi>&lt;i&gt;</bdi></small>" in shown and "not sure" not in shown
    assert "no label" in html(answered(topics=Chosen({"law": 0.1}, ())))


@pytest.mark.parametrize(("count", "folded"), [(3, 0), (6, 0), (7, 2), (30, 25)])
def test_of_many_classes_the_first_are_shown_and_the_others_folded(count, folded):
    shown = html(answered(kind=Classified({f"label {index}": (count - index) / count for index in range(count)})))
    before, _, behind = shown.partition("<summary>show all")
    assert before.count("<li") == count - folded and behind.count("<li") == folded


def test_of_a_thousand_classes_only_the_likeliest_are_on_the_page_and_in_json():
    made = Classified({f"label {index}": (1000 - index) / 500_500 for index in range(1000)})
    shown = html(answered(kind=made))
    assert "show the likeliest 30 of 1000" in shown and shown.count("<li") == 30 and len(shown) < 30_000
    assert list(made.plain("")["probabilities"]) == [f"label {index}" for index in range(30)]


def test_two_answers_stand_beside_each_other_and_what_differs_is_said_in_words():
    one = answered(mood=Classified({"calm": 0.9, "loud": 0.1}), places=Tagged((Span(0, 3, "PER"), OSLO), (0.9, 0.9)), own=Classified(
        {"x": 0.9, "y": 0.1}))
    other = answered(mood=Classified({"calm": 0.7, "loud": 0.3}), places=Tagged((OSLO,), (0.5,)))
    shown = html(one, other)
    assert "They differ on <bdi>places</bdi>." in shown and shown.count("<em>differs</em>") == 2
    assert [words for words, rest in re.findall(r"<mark[^>]*><span>(\w+)</span><sub>(.*?)</sub>", shown) if "only" in rest] == ["Ana"]
    assert shown.count("This model has no such task.") == 1 and "Both give the same answer." in html(other, other)


def test_contradictions_are_shown_and_escaped():
    shown = html(answered("intent '<script>' & co", mood=Classified({"calm": 0.9, "loud": 0.1})))
    assert "intent &#x27;&lt;script&gt;&#x27; &amp; co" in shown
    assert "mtl-finding" not in html(answered(mood=Classified({"calm": 0.9, "loud": 0.1})))


def test_what_is_spoken_stays_the_same_while_only_probabilities_change():
    one, later = (spoken(answered(mood=Classified({"calm": share, "loud": 1 - share}), places=Tagged((OSLO,), (share,))))
                  for share in (0.9, 0.8))
    assert one == later == "mood: calm; places: Oslo = LOC."


def test_the_lines_of_python_are_python_whatever_the_text():
    root = Path("somewhere") / "checkpoints"
    for choice, source in {"starter": "'starter'", "r/best": "'r'", "r/live": "'r'", "r/last": "'checkpoints/r/last'"}.items():
        for text in ('He said "it\'s"\n', ['He said "it\'s"\n', "a"]):
            lines = python_lines(root, choice, text)
            compile(lines, "lines", "exec")
            assert f"mtl.load({source})" in lines and ("best checkpoint" in lines) == (choice == "r/live")


def test_what_can_be_downloaded_as_a_table_has_no_cell_that_a_spreadsheet_would_run(tmp_path):
    _write_csv(lambda run: [("=1+1", -5), ("- he left", "-5")])(None, tmp_path / "scores.csv")
    assert (tmp_path / "scores.csv").read_text(encoding="utf-8-sig").splitlines() == ["'=1+1,-5", "- he left,-5"]


def test_examples_are_links_that_carry_their_text_and_there_is_one_that_is_wrong_only_if_it_is_known():
    shown = examples_html([TEXT * 9], "", True)
    assert "<b>" not in shown and "as you type" in shown and "gets wrong" not in shown and shown.count("<button") == 1
    assert "gets wrong" in examples_html([], "x", False) and "as you type" not in examples_html([], "x", False)
