"""Why? as the page shows it: the words that count, in a sentence and with their signs; what a user wrote is never HTML."""

import asyncio
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from starlette.requests import Request

from mtl.data.values import Label, Number, Spans
from mtl.data.words import Span, find_words
from mtl.errors import MtlError
from mtl.inference.why import Explained, Weighed
from mtl.settings.config import Scale
from mtl.ui import why_view
from mtl.ui.why_view import Question, Reasons, reply, told, why_html

TEXT = "Apple's <b>factory</b>\n fear"
BUSINESS = Label("business")


def explained(value=BUSINESS, text: str = TEXT, **weights: float) -> Explained:
    """What counts for `value`: the words of `text`, each with its weight, which is 0.01 if it is not given."""
    words = tuple(Weighed(start, end, weights.get(text[start:end], 0.01)) for start, end in find_words(text))
    questions = [value, Label("politics")] if value.has_one_label else [value]
    return Explained(text, "topic", value, value, questions, words, -1.0, 2.0, 32, 0.4)


def test_a_sentence_names_the_words_that_count_on_either_side():
    assert told(explained(factory=2.0, Apple=0.9, fear=-0.8)) == "‘factory’ and ‘Apple’ speak for business; ‘fear’ speaks against business."
    assert told(explained(factory=2.0)) == "‘factory’ speaks for business."
    assert told(explained(fear=-2.0, factory=-1.0)) == "‘fear’ and ‘factory’ speak against business."
    assert told(replace(explained(), words=())) == "No word counts."
    number = Number(3.9, Scale(3.0, 1.0, 1.0, 5.0))
    assert told(explained(number, factory=2.0, Apple=0.9, fear=-0.8)) == "‘factory’ and ‘Apple’ raise it; ‘fear’ lowers it."
    assert told(explained(Spans([Span(0, 5, "ORG")]), factory=2.0)) == "‘factory’ speaks for Apple = ORG."


def test_the_text_stands_as_it_was_written_and_signs_are_not_told_by_colours_alone():
    shown = why_html(explained(factory=2.0, fear=-0.8), "checkpoint 'best'")
    line = re.search(r'<p class="mtl-weighed" dir="auto">(.*?)</p>', shown, re.S)[1]
    assert re.sub("<[^>]*>", "", line) == TEXT.replace("'", "&#39;").replace("<", "&lt;").replace(">", "&gt;")
    assert re.findall(r'class="(mtl-\w+)" style="--w: (\d+)%" [^>]*="([^"]*)">(\w+)', line) == [
        ("mtl-for", "100", "+2.00", "factory"), ("mtl-against", "40", "−0.80", "fear")]
    bars = re.findall(r"<bdi>(\w+)</bdi><u><i class=\"(mtl-\w+)\" style=\"width: ([\d.]+)%\"></i></u><span>(.*?)</span>", shown)
    assert bars[:2] == [("factory", "mtl-for", "50.0", "+2.00"), ("fear", "mtl-against", "20.0", "−0.80")] and len(bars) <= 5
    assert "<b>" not in shown and shown.count("<li>") == 5 + len(find_words(TEXT))
    assert "in 32 steps" in shown and "Checkpoint &#39;best&#39;, in 0.4 s" in shown and "from −1.00" in shown and "to +2.00" in shown


def test_another_class_can_be_asked_about_and_a_number_has_no_other():
    shown = why_html(explained(factory=2.0), "starter model")
    assert re.findall(r"<option value=\"(.*?)\"( selected)?>(.*?)</option>", shown) == [
        ("&#34;business&#34;", " selected", "business"), ("&#34;politics&#34;", "", "not politics")]
    other = replace(explained(factory=2.0), value=Label("law"))
    assert re.search(r"selected>(.*?)<", why_html(other, "starter model"))[1] == "not law"
    number = why_html(explained(Number(3.9, Scale(3.0, 1.0, 1.0, 5.0))), "starter model")
    assert "<select>" not in number and "move the number" in " ".join(number.split())


@pytest.mark.parametrize(("error", "said"), [(MtlError("No <such> task."), "No &lt;such&gt; task."),
                                             (KeyError("secret"), "Internal error")])
def test_what_is_wrong_is_said_in_its_place(monkeypatch, capsys, error, said):
    def fail(*asked):
        raise error

    monkeypatch.setattr(why_view, "why", fail)
    made = reply(None, Question("A text.", "topic"))
    assert said in made["html"] and made["said"] == "" and "secret" not in made["html"]


@pytest.mark.parametrize(("is_gone", "status"), [(True, 204), (False, 200)])
def test_who_does_not_wait_any_longer_takes_no_time_of_the_others(monkeypatch, is_gone, status):
    news = [{"type": "http.request", "body": b'{"text": "a", "task": "topic"}'}] + [{"type": "http.disconnect"}] * is_gone
    asked = []

    async def receive() -> dict:
        return news.pop(0) if news else await asyncio.Event().wait()

    monkeypatch.setattr(why_view, "reply", lambda jobs, question: asked.append(question) or {})
    with ThreadPoolExecutor(1) as pool:  # in this thread the browser of other tests may have a loop of its own
        answer = pool.submit(asyncio.run, Reasons(None).answer(Request({"type": "http"}, receive))).result()
    assert (answer.status_code, len(asked)) == (status, not is_gone)
