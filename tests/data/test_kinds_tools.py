"""What annotation tools and chat bots export, and JSON in all its shapes: read as it is meant, with a word on all that is left out."""

import json
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mtl.data.readers import read_files
from mtl.errors import MtlError


def read(folder: Path, name: str, content: object) -> tuple[list[tuple], list[str]]:
    """The rows, with entities as (marked, label), and the notices. A content that is no text is written as JSON, a tuple as lines of it."""
    if not isinstance(content, str):
        content = "\n".join(map(json.dumps, content)) if isinstance(content, tuple) else json.dumps(content)
    (folder / name).write_text(content, encoding="utf-8")
    table = read_files([folder / name])

    def shown(text: str, value: object) -> object:
        return value and [(text[span.start:span.end], span.label) for span in value.spans] or (value.plain() if value is not None else None)

    return [(row.text, {name: shown(row.text, value) for name, value in row.values.items()}) for row in table.rows], table.notices


def studio(*results: dict, text: object = "Ada left Rome", **more: object) -> dict:
    """A task of Label Studio with one annotation."""
    return {"id": 1, "data": text if isinstance(text, dict) else {"text": text}, "annotations": [{"id": 1, "result": list(results)}]} | more


def region(start: object, end: object, own: str, *labels: str, kind: str = "labels", name: str = "ner", **more: object) -> dict:
    return {"id": f"{start}", "from_name": name, "to_name": "text", "type": kind,
            "value": {"start": start, "end": end, "text": own, kind: list(labels)} | more}


def answer(kind: str, value: object, name: str = "topic", **more: object) -> dict:
    return {"id": "t", "from_name": name, "to_name": "text", "type": kind, "value": {kind: value} | more}


def segments(*parts: str) -> list[dict]:
    """A text in parts; 'Rome=city' is an entity."""
    return [dict(zip(("text", "alias"), part.split("="), strict=False)) for part in parts]


ADA, ROME = region(0, 3, "Ada", "PER"), region(9, 13, "Rome", "LOC")
BOTH = ("Ada left Rome", {"ner": [("Ada", "PER"), ("Rome", "LOC")]})
ENTITIES = ("Ada left Rome", {"entities": [("Ada", "PER"), ("Rome", "LOC")]})
FLY = ("fly to Rome", {"intent": "fly", "entities": [("Rome", "city")]})
HI = ("hi there", {"intent": "greet", "entities": []})
GOOD, BAD = ("so good", {"label": "x"}), ("so bad", {"label": "y"})
ROWS = [{"text": "so good", "label": "x"}, {"text": "so bad", "label": "y"}]

# the kind; the file's name and content; its rows; parts of the notices, one for each that must be there
KINDS: list[tuple[str, str, object, list[tuple], list[str]]] = [
    # Label Studio
    ("relations are counted", "x.json", [studio(ADA, ROME, {"from_id": "0", "to_id": "9", "type": "relation", "labels": ["left"]})],
     [BOTH], ["1 relation between entities is left out"]),
    ("offsets are counted as JavaScript does", "x.json", [
        studio(region(3, 6, "Ada", "PER"), region(14, 18, "Rome", "LOC"), text="😀 Ada left 😀Rome")],
     [("😀 Ada left 😀Rome", {"ner": [("Ada", "PER"), ("Rome", "LOC")]})], ["offsets of 2 entity spans are counted as JavaScript does"]),
    ("offsets are counted in characters", "x.json", [studio(region(2, 5, "Ada", "PER"), text="😀 Ada left")],
     [("😀 Ada left", {"ner": [("Ada", "PER")]})], []),
    ("offsets that fit nothing are mended by the region's text", "x.json", [studio(region(1, 4, "Ada", "PER"), ROME)],
     [BOTH], ["1 entity span was moved to where its own text stands"]),
    ("offsets that fit nothing where the text is twice", "x.json", [studio(region(1, 4, "go", "A"), ADA, text="Ada go, go on")],
     [("Ada go, go on", {"ner": [("Ada", "PER")]})], ["1 entity span was left out: its own text is not at the offsets"]),
    ("answers about single entities", "x.json", [studio(ADA, ROME, answer("choices", ["sure"], "certainty", start=0, end=3),
                                                        answer("rating", 3, "stars") | {"id": "0"}, answer("choices", ["travel"]))],
     [("Ada left Rome", BOTH[1] | {"topic": "travel"})], ["'certainty' says something of single entities", "'stars' says something"]),
    ("several choices at once", "x.json", [studio(answer("choices", ["a", "b"]), text="so good"),
                                           studio(answer("choices", ["a"]), text="so so")],
     [("so good", {"topic": ["a", "b"]}), ("so so", {"topic": ["a"]})], []),
    ("a taxonomy", "x.json", [studio(answer("taxonomy", [["animal", "dog"]]))], [("Ada left Rome", {"topic": "animal > dog"})],
     ["'topic' is a taxonomy; the whole path is taken for a label"]),
    ("answers that are no labels", "x.json", [studio(ADA, ROME, answer("textarea", ["so"], "why"), answer("ranker", {"a": ["b"]}, "order"),
                                                     answer("pairwise", "left", "pair"), answer("number", 3, "count"))],
     [("Ada left Rome", BOTH[1] | {"count": "3"})], ["1 answer of 'why' (textarea) is left out", "1 answer of 'order' (ranker)",
                                                    "1 answer of 'pair' (pairwise)"]),
    ("regions without a label, with two, and on no text", "x.json", [
        studio(region(0, 3, "Ada"), region(9, 13, "Rome", "LOC", "CITY"),
               {"from_name": "box", "value": {"x": 1, "rectanglelabels": ["car"]}, "type": "rectanglelabels"})],
     [("Ada left Rome", {"ner": [("Rome", "LOC")]})],
     ["1 region of 'ner' without a label is left out", "1 region of 'ner' has several labels at once; the first is taken",
      "1 region of 'box' (rectanglelabels) is left out: it marks no text"]),
    ("regions in another field", "x.json", [studio(ADA, ROME, region(0, 3, "Bob", "PER") | {"to_name": "title"},
                                                   text={"text": "Ada left Rome", "title": "Bob"})],
     [BOTH], ["1 region of 'ner' is left out: it is in 'title', and another field is the text"]),
    ("nested regions", "x.json", [studio(ROME, region(0, 13, "Ada left Rome", "EVENT"))],
     [("Ada left Rome", {"ner": [("Ada left Rome", "EVENT")]})], ["1 entity span that overlaps a longer one was left out"]),
    ("a region that is there twice", "x.json", [studio(ADA, ADA, ROME)], [BOTH],
     ["1 entity span that is given twice with one label was kept once"]),
    ("HTML, labelled as it looks", "x.json", [studio(
        region("/p[2]/text()[1]", "/p[2]/text()[1]", "", "LOC", kind="hypertextlabels", globalOffsets={"start": 16, "end": 20}),
        text="<p>To&nbsp;Oslo</p><p>&amp; Rome,<br> <b>Oslo</b></p>"), studio(text="<p>none</p>")],
     [("To\xa0Oslo\n& Rome,\n Oslo", {"ner": [("Oslo", "LOC")]}), ("none", {"ner": []})], ["2 texts were HTML: their tags are removed"]),
    ("HTML of which only paths are known", "x.json", [studio(
        region("/p[1]/text()[1]", "/p[1]/text()[1]", "Rome", "LOC", kind="hypertextlabels"), text="<p>to <i>Rome</i></p>")],
     [("to Rome", {"ner": [("Rome", "LOC")]})], ["1 entity span was moved to where its own text stands"]),
    ("a dialogue", "x.json", [studio(
        region("1", "1", "Rome", "LOC", kind="paragraphlabels", startOffset=3, endOffset=7),
        text={"talk": [{"author": "A", "text": "Where is Rome?"}, {"author": "B", "text": "In Rome"}]})],
     [("Where is Rome?\nIn Rome", {"ner": [("Rome", "LOC")]})], ["1 dialogue of 'talk' was joined into one text"]),
    ("several annotators", "x.json", [
        studio(text="a b") | {"annotations": [{"result": [answer("choices", ["x"])]}, {"result": [answer("choices", ["y"])]}]},
        studio(text="c d") | {"annotations": [{"result": [answer("choices", ["x"])]},
                                              {"result": [answer("choices", ["y"])], "ground_truth": True}]},
        studio(text="e f") | {"annotations": [{"id": one, "result": [answer("choices", ["x"])]} for one in (1, 2)]}],
     [("a b", {"topic": "x"}), ("c d", {"topic": "y"}), ("e f", {"topic": "x"})],
     ["3 texts were annotated more than once", "2 texts of those were annotated in different ways"]),
    ("drafts and predictions", "x.json", [studio(ADA, ROME), studio(text="a b", annotations=[], drafts=[{"result": [ADA]}]),
                                          studio(text="c d", annotations=[], predictions=[{"result": [ADA]}])],
     [BOTH, ("a b", {"ner": None}), ("c d", {"ner": None})], ["1 text has only a draft", "1 text has predictions and no annotation"]),
    ("JSON-MIN with several choices", "x.json", [
        {"text": "😀 Ada", "ner": [{"start": 3, "end": 6, "text": "Ada", "labels": ["PER"]}], "mood": {"choices": ["a", "b"]},
         "annotation_id": 1, "annotator": 1}, {"text": "and left", "mood": "a", "annotation_id": 2, "annotator": 1}],
     [("😀 Ada", {"ner": [("Ada", "PER")], "mood": ["a", "b"]}), ("and left", {"ner": [], "mood": ["a"]})], ["as JavaScript does"]),
    ("several choices, as many as words in each text", "x.json", [studio(answer("choices", ["a", "b"]), text="so good")],
     [("so good", {"topic": ["a", "b"]})], []),
    ("a table from Label Studio", "x.csv", 'text,ner,mood,annotation_id,annotator\n'
     '😀 Ada,"[{""start"": 3, ""end"": 6, ""text"": ""Ada"", ""labels"": [""PER""]}]","{""choices"": [""a"", ""b""]}",1,1\n'
     "and left,,a,2,1\n",
     [("😀 Ada", {"ner": [("Ada", "PER")], "mood": ["a", "b"]}), ("and left", {"ner": [], "mood": ["a"]})], ["as JavaScript does"]),
    ("a dialogue whose turns have names of their own", "x.json", [
        studio(answer("choices", ["ask"]), text={"talk": [{"who": "A", "phrase": "Where is Rome?"}, {"who": "B", "phrase": "There"}]}),
        studio(answer("choices", ["tell"]), text={"talk": [{"who": "A", "phrase": "In Italy"}]})],
     [("Where is Rome?\nThere", {"topic": "ask"}), ("In Italy", {"topic": "tell"})], ["2 dialogues of 'talk' were joined"]),
    ("a dialogue whose offsets JavaScript counted", "x.json", [studio(
        region("1", "1", "Rome", "LOC", kind="paragraphlabels", startOffset=3, endOffset=7), text={"talk": [
            {"author": "A", "text": "😀 To Rome?"}, {"author": "B", "text": "😀 Rome"}]})],
     [("😀 To Rome?\n😀 Rome", {"ner": [("Rome", "LOC")]})], []),
    ("a region over two turns of a dialogue", "x.json", [studio(
        region("0", "1", "Rome?\nIn", "X", kind="paragraphlabels", startOffset=9, endOffset=2),
        text={"talk": [{"author": "A", "text": "Where is Rome?"}, {"author": "B", "text": "In Italy"}]})],
     [("Where is Rome?\nIn Italy", {"ner": [("Rome?\nIn", "X")]})], []),
    ("letters that are written from right to left", "x.json", [studio(region(5, 9, "עולם", "OBJ"), text="שלום עולם")],
     [("שלום עולם", {"ner": [("עולם", "OBJ")]})], []),
    ("the older name of annotations", "x.json", [{"id": 1, "data": {"text": "Ada left Rome"}, "completions": [{"result": [ADA, ROME]}]}],
     [BOTH], []),
    ("an annotation without a result", "x.json", [studio(ADA, ROME), studio(text="a b") | {"annotations": [{"result": None}]},
                                                   studio(text="c d", annotations=None)],
     [BOTH, ("a b", {"ner": []}), ("c d", {"ner": None})], []),
    ("a page of the interface for programs", "x.json", {"count": 1, "next": None, "results": [studio(ADA, ROME)]}, [BOTH],
     ["its rows are taken from the list 'results'"]),
    ("a task on each line", "x.jsonl", (studio(ADA, ROME), studio(text="a b")), [BOTH, ("a b", {"ner": []})], []),
    ("offsets that are texts", "x.json", [studio(region("0", "3", "Ada", "PER"), region("9", "13", "Rome", "LOC"))], [BOTH], []),
    ("tasks to import, which nobody has annotated", "x.json", [{"data": row} for row in ROWS], [GOOD, BAD], []),
    ("JSON-MIN with ratings and taxonomies", "x.json", [
        {"text": "so good", "stars": [{"rating": 4}], "kind": [{"taxonomy": [["a", "b"]]}], "annotation_id": 1, "annotator": 1},
        {"text": "so bad", "stars": [{"rating": 1}], "kind": [{"taxonomy": [["c"]]}], "annotation_id": 2, "annotator": 1}],
     [("so good", {"stars": "4", "kind": "a > b"}), ("so bad", {"stars": "1", "kind": "c"})], ["'kind' is a taxonomy"]),
    ("JSON-MIN with one and with several lines of a person's own", "x.json", [
        {"text": "so good", "note": ["a b", "c d"], "topic": "x", "annotation_id": 1, "annotator": 1},
        {"text": "so bad", "note": "e f", "topic": "y", "annotation_id": 2, "annotator": 1}],
     [("so good", {"note": "a b\nc d", "topic": "x"}), ("so bad", {"note": "e f", "topic": "y"})], []),
    # other annotation tools
    ("doccano's several labels", "x.jsonl", ({"id": 1, "text": "so good", "label": ["a", "b"]}, {"id": 2, "text": "so so", "label": ["a"]}),
     [("so good", {"label": ["a", "b"]}), ("so so", {"label": ["a"]})], []),
    ("doccano's relations", "x.jsonl", ({"text": "Ada left Rome", "entities": [
        {"id": 1, "label": "PER", "start_offset": 0, "end_offset": 3}, {"id": 2, "label": "LOC", "start_offset": 9, "end_offset": 13}],
        "relations": [{"id": 1, "from_id": 1, "to_id": 2, "type": "left"}]},), [ENTITIES], ["'relations' is not taken for a task"]),
    ("doccano's older JSON", "x.jsonl", ({"text": "Ada left", "annotations": [
        {"label": 3, "start_offset": 0, "end_offset": 3, "user": 1}]},),
     [("Ada left", {"annotations": [("Ada", "3")]})], ["1 label of 'label' is a number"]),
    ("doccano's older classes", "x.jsonl", ({"text": "so good", "annotations": [{"label": 3, "user": 1}], "annotation_approver": None},),
     [("so good", {"annotations": "3"})], ["1 label of 'annotations' is a number"]),
    ("doccano's classes and entities together", "x.jsonl", (
        {"id": 1, "text": "fly to Rome", "cats": ["fly"], "entities": [[7, 11, "city"]]},
        {"id": 2, "text": "hi there", "cats": ["greet"], "entities": []}),
     [("fly to Rome", {"cats": "fly", "entities": [("Rome", "city")]}), ("hi there", {"cats": "greet", "entities": []})], []),
    ("Prodigy's choices of several", "x.jsonl", (
        {"text": "so good", "options": [{"id": "a", "text": "A"}], "accept": ["a", "b"], "answer": "accept", "_task_hash": 1},
        {"text": "so so", "options": [{"id": "a", "text": "A"}], "accept": [], "answer": "accept", "_task_hash": 2}),
     [("so good", {"accept": ["a", "b"]}), ("so so", {"accept": []})], []),
    ("Prodigy's texts without entities", "x.jsonl", (
        {"text": "Ada left", "spans": [{"start": 0, "end": 3, "label": "PER"}], "answer": "accept", "_input_hash": 1},
        {"text": "no one", "answer": "accept", "_input_hash": 2}),
     [("Ada left", {"spans": [("Ada", "PER")]}), ("no one", {"spans": []})], []),
    ("DataTurks, whose ends are the last character", "x.json", (
        {"content": "Ada left Rome", "extras": None, "annotation": [
            {"label": ["PER"], "points": [{"start": 0, "end": 2, "text": "Ada"}]},
            {"label": [], "points": [{"start": 4, "end": 7, "text": "left"}]},
            {"label": ["LOC"], "points": [{"start": 9, "end": 12, "text": "Rome"}]}]},
        {"content": "no one", "annotation": None, "extras": None}),
     [ENTITIES, ("no one", {"entities": None})], ["1 region of 'annotation' without a label is left out"]),
    ("DataTurks' classes", "x.json", ({"content": "so good", "annotation": {"labels": ["a"], "note": ""}, "extras": None},),
     [("so good", {"labels": "a"})], []),
    ("Argilla's older records", "x.json", [
        {"text": "Ada left Rome", "tokens": ["Ada", "left", "Rome"], "prediction": None, "annotation": [["PER", 0, 3], ["LOC", 9, 13]],
         "status": "Validated"}, {"text": "a b", "prediction": [["PER", 0, 1, 0.9]], "annotation": None, "status": "Default"},
        {"text": "c d", "prediction": None, "annotation": None, "status": "Discarded"}],
     [("Ada left Rome", {"annotation": ENTITIES[1]["entities"]}), ("a b", {"annotation": None})],
     ["1 text has predictions and no annotation", "1 sample that was rejected or skipped while annotating is left out"]),
    ("Argilla's responses", "x.json", [
        {"id": "1", "fields": {"text": "so good"}, "responses": {"label": [{"value": "x", "status": "submitted"}, {"value": "y"}]},
         "suggestions": {}}, {"id": "2", "fields": {"text": "so bad"}, "responses": {}, "suggestions": {"label": {"value": "y"}}}],
     [GOOD, ("so bad", {"label": None})],
     ["1 text was annotated more than once", "1 text of those was annotated in different", "1 text has predictions and no annotation"]),
    ("Argilla's several labels", "x.json", [
        {"fields": {"text": "so good"}, "suggestions": {}, "responses": {"mood": [{"value": ["x", "y"], "status": "submitted"}]}},
        {"fields": {"text": "so bad"}, "suggestions": {}, "responses": {"mood": [{"value": ["x"], "status": "submitted"}]}}],
     [("so good", {"mood": ["x", "y"]}), ("so bad", {"mood": ["x"]})], []),
    ("Argilla's response that was discarded", "x.json", [
        {"fields": {"text": "so good"}, "suggestions": {}, "responses": {"label": [{"value": "y", "status": "discarded"}]}},
        {"fields": {"text": "so bad"}, "suggestions": {}, "responses": {"label": [{"value": "y", "status": "submitted"}]}}],
     [("so good", {"label": None}), BAD], []),
    ("Argilla's columns with the state of each record", "x.jsonl", (
        {"status": "completed", "_server_id": "s", "text": "so good", "label.responses": ["x"], "label.responses.status": ["submitted"]},
        {"status": "pending", "_server_id": "t", "text": "so bad", "label.responses": None, "label.suggestion": "y"}),
     [GOOD, ("so bad", {"label": None})], []),
    ("Argilla's spans, as version 1 writes responses", "x.json", [
        {"fields": {"text": "Ada left"}, "suggestions": [], "responses": [
            {"status": "submitted", "values": {"ner": {"value": [{"start": 0, "end": 3, "label": "PER"}]}}}]}],
     [("Ada left", {"ner": [("Ada", "PER")]})], []),
    ("Argilla's columns on the Hub", "x.jsonl", ({"text": "so good", "label.responses": ["x"], "label.responses.users": ["u"],
                                                 "label.suggestion": "y"}, {"text": "so bad", "label.responses": ["y"]}), [GOOD, BAD], []),
    ("UBIAI", "x.json", [{"documentName": "a.txt", "document": "Ada left Rome", "relations": [{"child": 2}], "tokens": [
        {"text": "Ada", "start": 0, "end": 3, "token_start": 0, "token_end": 0, "entityLabel": "PER"},
        {"text": "Rome", "start": 9, "end": 13, "token_start": 2, "token_end": 2, "entityLabel": "LOC"}]}],
     [ENTITIES], ["1 relation between entities is left out"]),
    ("LightTag", "x.json", {"examples": [{"content": "Ada left Rome", "annotations": [
        {"start": 0, "end": 3, "tag": "PER", "value": "Ada"}, {"start": 9, "end": 13, "tag": "LOC", "value": "Rome"}],
        "classifications": [{"classname": "x"}]}], "schema": {"tags": []}},
     [("Ada left Rome", {"annotations": ENTITIES[1]["entities"], "classifications": "x"})], ["are taken from the list 'examples'"]),
    ("spaCy's several classes at once", "x.jsonl", (
        {"text": "so good", "cats": {"a": 1.0, "b": 1.0}}, {"text": "so so", "cats": {"a": 0.0, "b": 1.0}},
        {"text": "no one", "cats": {"a": 0.0, "b": 0.0}}),
     [("so good", {"cats": ["a", "b"]}), ("so so", {"cats": ["b"]}), ("no one", {"cats": []})], []),
    ("spaCy's several classes beside entities", "x.json", [["Ada left", {"entities": [[0, 3, "PER"]], "cats": {"a": True, "b": True}}]],
     [("Ada left", {"entities": [("Ada", "PER")], "cats": ["a", "b"]})], []),
    ("a text and its entities in a list", "x.json", [["Ada left Rome", [[0, 3, "PER"], [9, 13, "LOC"]]], ["no one", []]],
     [ENTITIES, ("no one", {"entities": []})], []),
    ("GLiNER, which counts words", "x.json", [
        {"tokenized_text": ["Ada", "Berg", "left", "Rome"], "ner": [[0, 1, "PER"], [3, 3, "LOC"]]}, {"tokenized_text": ["no"], "ner": []}],
     [("Ada Berg left Rome", {"ner": [("Ada Berg", "PER"), ("Rome", "LOC")]}), ("no", {"ner": []})], []),
    ("a place in a list", "x.jsonl", ({"text": "Ada left Rome", "entities": [
        {"text": ["Ada"], "offsets": [[0, 3]], "type": "PER"}, {"name": "Rome", "span": [9, 13], "label": "LOC"}]},), [ENTITIES], []),
    ("entities as a pipeline writes them", "x.jsonl", ({"text": "Ada left Rome", "entities": [
        {"entity_group": "PER", "score": 0.9, "word": "Ada", "start": 0, "end": 3},
        {"entity_group": "LOC", "score": 0.9, "word": "Rome", "start": 9, "end": 13}]},), [ENTITIES], []),
    ("spaCy 2", "x.json", [{"id": 0, "paragraphs": [{"raw": "x", "sentences": [
        {"tokens": [{"orth": "New", "ner": "B-LOC"}, {"orth": "York", "ner": "L-LOC"}, {"orth": "is", "ner": "O"}]},
        {"tokens": [{"orth": "Ada", "ner": "-"}, {"orth": "left", "ner": "O"}]}]}]}],
     [("New York is", {"ner": [("New York", "LOC")]}), ("Ada left", {"ner": None})], ["1 sentence whose entities are not annotated"]),
    ("spaCy 2 with classes", "x.json", [{"id": 0, "paragraphs": [{
        "cats": [{"label": "a", "value": 1}, {"label": "b", "value": 0}],
        "sentences": [{"tokens": [{"orth": "so"}]}, {"tokens": [{"orth": "good"}]}]}]}],
     [("so good", {"ner": [], "cats": "a"})], []),
    ("spaCy's training data from an annotator", "x.json", {"classes": ["PER"], "annotations": [
        ["Ada left", {"entities": [[0, 3, "PER"]]}], None]}, [("Ada left", {"entities": [("Ada", "PER")]})],
     ["its rows are taken from the list 'annotations'", "1 empty element of its list is left out", "'classes' (1 entry) is left out"]),
    ("spaCy 3's documents", "x.jsonl", ({"text": "Ada left Rome", "ents": [
        {"start": 0, "end": 3, "label": "PER"}, {"start": 9, "end": 13, "label": "LOC"}], "tokens": [
            {"id": 0, "start": 0, "end": 3, "tag": "NNP"}]},), [("Ada left Rome", {"ents": ENTITIES[1]["entities"]})], []),
    ("SageMaker's manifest", "x.jsonl", ({"source": "Ada left Rome", "job": {"annotations": {"entities": [
        {"startOffset": 0, "endOffset": 3, "label": "PER"}, {"startOffset": 9, "endOffset": 13, "label": "LOC"}]}}, "job-metadata": {}},),
     [("Ada left Rome", {"job": ENTITIES[1]["entities"]})], []),
    ("Vertex", "x.jsonl", ({"textContent": "Ada left Rome", "textSegmentAnnotations": [
        {"startOffset": 0, "endOffset": 3, "displayName": "PER"}]},),
     [("Ada left Rome", {"textSegmentAnnotations": [("Ada", "PER")]})], []),
    ("entities in the words of other tools", "x.jsonl", ({"text": "Ada left Rome", "entities": [
        {"begin": 0, "end": 3, "category": "PER"}, {"begin": 9, "end": 13, "category": "LOC"}]},), [ENTITIES], []),
    ("ends that are the last character", "x.jsonl", ({"text": "Ada left Rome", "entities": [
        {"start": 0, "end": 2, "label": "PER", "text": "Ada"}, {"start": 9, "end": 12, "label": "LOC", "text": "Rome"}]},),
     [ENTITIES], ["the ends of 2 entity spans are counted with the last character"]),
    ("a text of an entity that is no part of the row", "x.jsonl", ({"text": "Ada left", "entities": [
        {"start": 4, "end": 8, "label": "VERB", "text": "leave"}]},), [("Ada left", {"entities": [("left", "VERB")]})],
     ["1 entity span says a text that is not in the row; the offsets are kept"]),
    # chat bots
    ("Rasa's Markdown", "nlu.md", "## intent:greet\n- hi there\n\n<!-- a remark -->\n##intent: fly\n* fly to [Rome](city)\n"
     "- fly to [NYC]{\"entity\": \"city\", \"role\": \"to\", \"value\": \"New York\"}\n- from [Oslo](city:Oslo)\n"
     "## synonym:New York\n- NYC\n## lookup:x\n- a\n- b\n",
     [HI, FLY, *((text, {"intent": "fly", "entities": [(city, "city")]}) for text, city in (("fly to NYC", "NYC"), ("from Oslo", "Oslo")))],
     ["'role' of 1 entity is left out", "'value' of 2 entities is left out", "'synonym' (1 entry)", "'lookup' (2 entries)"]),
    ("Rasa's YAML", "nlu.yml", "version: '3.1'\nnlu:\n- intent: greet\n  examples: |\n    - hi there\n- intent: fly\n  examples:\n"
     "  - text: |\n      fly to [Rome](city)\n- synonym: x\n  examples: |\n    - y\nstories:\n- story: s\n",
     [HI, FLY], ["'stories' (1 entry) is left out", "'synonym' (1 entry) is left out"]),
    ("Rasa's YAML under another name", "nlu.txt", "nlu:\n- intent: 'no'\n  examples: |\n    - hi there\n",
     [("hi there", {"intent": "no", "entities": []})], []),
    ("Rasa's YAML with examples in a list", "nlu.yml", "nlu:\n- intent: greet\n  metadata:\n    mood: x\n  examples:\n  - hi there\n"
     "- intent: fly\n  examples:\n  - 'fly to [Rome]{\"entity\": \"city\", \"group\": \"1\"}'\n"
     "- regex: zip\n  examples: |\n    - [0-9]{5}\n- lookup: land\n  examples: |\n    - Italy\n",
     [HI, FLY], ["'group' of 1 entity is left out", "'regex' (1 entry)", "'lookup' (1 entry)"]),
    ("Rasa's YAML with a line that begins no example", "nlu.yml", "nlu:\n- intent: greet\n  examples: |\n    - hi there\n      and more\n",
     [HI], ["1 line outside of a list of examples is left out"]),
    ("Rasa's JSON", "x.json", {"rasa_nlu_data": {"regex_features": [{"name": "a b", "pattern": "c"}], "common_examples": [
        {"text": "hi there", "intent": "greet"},
        {"text": "fly to Rome", "intent": "fly", "entities": [{"start": 7, "end": 11, "value": "Roma", "entity": "city", "role": "to"}]}]}},
     [HI, FLY], ["'regex_features' (1 entry) is left out", "'role' of 1 entity is left out"]),
    ("LUIS, whose ends are the last character", "x.json", {"luis_schema_version": "7.0.0", "intents": [{"name": "a b"}], "utterances": [
        {"text": "hi there", "intent": "greet", "entities": []},
        {"text": "fly to Rome", "intent": "fly", "entities": [{"entity": "city", "startPos": 7, "endPos": 10}]},
        {"text": "😀 Rome", "intent": "fly", "entities": [{"entity": "city", "startPos": 3, "endPos": 6}]}],
        "patterns": [{"pattern": "a b"}]},
     [HI, FLY, ("😀 Rome", {"intent": "fly", "entities": [("Rome", "city")]})],
     ["'patterns' (1 entry) is left out", "the offsets of 1 entity are counted as JavaScript does"]),
    ("LUIS's labelled examples", "x.json", [{"text": "fly to Rome", "intentName": "fly", "entityLabels": [
        {"entityName": "city", "startCharIndex": 7, "endCharIndex": 10}]}],
     [("fly to Rome", {"intentName": "fly", "entityLabels": [("Rome", "city")]})], []),
    ("Microsoft's conversations", "x.json", {"projectFileVersion": "2022", "stringIndexType": "Utf16CodeUnit", "assets": {"utterances": [
        {"text": "fly to Rome", "intent": "fly", "entities": [{"category": "city", "offset": 7, "length": 4}]}]}}, [FLY], []),
    ("Wit", "x.json", {"utterances": [{"text": "fly to Rome", "intent": "fly", "traits": [], "entities": [
        {"entity": "city", "start": 7, "end": 11, "body": "Rome"}]}]}, [FLY], []),
    ("Watson", "x.json", {"intents": [{"intent": "greet", "examples": [{"text": "hi there"}]}, {"intent": "fly", "examples": [
        {"text": "fly to Rome", "mentions": [{"entity": "city", "location": [7, 11]}]}]}], "dialog_nodes": [{"title": "a b"}]},
     [HI, FLY], ["the list 'dialog_nodes' (1 row) is left out"]),
    ("Snips", "x.json", {"language": "en", "intents": {"fly": {"utterances": [{"data": [
        {"text": "fly to "}, {"text": "Rome", "entity": "place", "slot_name": "city"}]}]}, "greet": {"utterances": [
            {"data": [{"text": "hi there"}]}]}}, "entities": {"place": {}}}, [FLY, HI], ["'entities' (1 entry) is left out"]),
    ("Snips' benchmark", "x.json", {"fly": [{"data": [{"text": "fly to "}, {"text": "Rome", "entity": "city"}]}]}, [FLY], []),
    ("Snips' YAML with the entities", "x.yaml", "type: intent\nname: fly\nslots:\n- name: city\n  entity: place\nutterances:\n"
     "- fly to [city](Rome)\n---\ntype: entity\nname: place\nvalues:\n- Rome\n- [NYC, New York]\n", [FLY],
     ["'place' (2 entries) is left out: it holds no labelled texts"]),
    ("Snips' YAML", "x.yaml", "type: intent\nname: fly\nutterances:\n- fly to [city:place](Rome)\n---\ntype: intent\nname: greet\n"
     "utterances:\n- hi there\n", [FLY, HI], []),
    ("Dialogflow", "fly_usersays_en.json", [{"id": "1", "data": segments("fly to ", "Rome=city"), "isTemplate": False}], [FLY], []),
    ("Dialogflow's words to ignore", "fly_usersays_en.json", [{"data": [
        *segments("fly to ", "Rome=city"), {"text": " now", "meta": "@sys.ignore"}]}],
     [("fly to Rome now", FLY[1])], []),
    ("Dialogflow's older intent", "x.json", {"name": "fly", "userSays": [{"data": segments("fly to ", "Rome=city")}], "responses": []},
     [FLY], []),
    ("Dialogflow's training phrases", "x.json", [
        {"displayName": "fly", "trainingPhrases": [{"parts": segments("fly to ", "Rome=city")}]},
        {"displayName": "greet", "trainingPhrases": [{"parts": segments("hi there")}]}], [FLY, HI], []),
    ("a tag with patterns", "x.json", {"intents": [{"tag": "greet", "patterns": ["hi there"], "responses": ["hello", "hi"]},
                                                   {"tag": "bye", "patterns": ["see you", "bye"], "responses": []}]},
     [HI, *((text, {"intent": "bye", "entities": []}) for text in ("see you", "bye"))], ["'responses' (2 entries) is left out"]),
    ("an intent with its texts in a list", "x.json", [{"intent": "greet", "examples": ["hi there"]},
                                                      {"intent": "bye", "texts": ["see you"]}],
     [HI, ("see you", {"intent": "bye", "entities": []})], []),
    ("LUIS of an older version", "x.json", {"luis_schema_version": "2.1.0", "intents": [{"name": "fly"}], "bing_entities": ["number"],
                                            "utterances": [{"text": "fly to Rome", "intent": "fly", "entities": [
                                                {"entity": "city", "startPos": 7, "endPos": 10}]}]},
     [FLY], ["'bing_entities' (1 entry) is left out"]),
    ("LUIS's entities in entities", "x.json", {"luis_schema_version": "7.0.0", "utterances": [
        {"text": "fly to Rome", "intent": "fly", "entities": [
            {"entity": "trip", "startPos": 0, "endPos": 10, "children": [{"entity": "city", "startPos": 7, "endPos": 10}]}]}]},
     [("fly to Rome", {"intent": "fly", "entities": [("fly to Rome", "trip")]})], ["'children' of 1 entity is left out"]),
    # JSON
    ("objects over several lines", "x.jsonl", "\n".join(json.dumps(row, indent=1) for row in ROWS), [GOOD, BAD], []),
    ("one row over several lines", "x.json", json.dumps(ROWS[0], indent=1), [GOOD], []),
    ("rows in a list of one object", "x.json", json.dumps({"version": "1", "data": ROWS}, indent=1), [GOOD, BAD],
     ["is one object; its rows are taken from the list 'data'"]),
    ("the same on one line", "x.json", {"meta": {"by": "a b"}, "result": {"rows": ROWS}}, [GOOD, BAD],
     ["its rows are taken from the list 'result.rows'"]),
    ("splits in one object", "x.json", {"train": ROWS, "test": ROWS[:1]}, [GOOD, BAD],
     ["its rows are taken from the list 'train'", "the list 'test' (1 row) is left out. Save it in a file of its own"]),
    ("pairs of a text and a class", "x.json", {"train": [["so good", "x"], ["so bad", "y"]], "val": [["a b", "x"]]},
     [("so good", {"column 2": "x"}), ("so bad", {"column 2": "y"})], ["the list 'val' (1 row) is left out"]),
    ("paragraphs in pages", "x.json", {"version": "2", "data": [{"title": "T", "paragraphs": [
        {"context": "so good", "label": "x"}, {"context": "so bad", "label": "y"}]}]}, [GOOD, BAD], ["'context' is taken for it"]),
    ("columns", "x.json", {"text": ["so good", "so bad"], "label": ["x", "y"]}, [GOOD, BAD], ["a list for each column"]),
    ("columns of words", "x.json", {"tokens": [["so", "good"], ["in", "Rome"]], "tags": [["O", "O"], ["O", "B-LOC"]]},
     [("so good", {"tags": []}), ("in Rome", {"tags": [("Rome", "LOC")]})], ["a list for each column"]),
    ("columns with numbered rows", "x.json", {"text": {"0": "so good", "1": "so bad"}, "label": {"0": "x", "1": "y"}}, [GOOD, BAD], []),
    ("a table with its header apart", "x.json", {"columns": ["text", "label"], "index": [0], "data": [["so good", "x"], ["so bad", "y"]]},
     [GOOD, BAD], []),
    ("lists with their header first", "x.json", [["text", "label"], ["so good", "x"], ["so bad", "y"]], [GOOD, BAD], []),
    ("rows of a viewer", "x.json", {"features": [{"name": "text"}], "rows": [{"row_idx": at, "row": row} for at, row in enumerate(ROWS)]},
     [GOOD, BAD], ["its rows are taken from the list 'rows'"]),
    ("columns with plural names", "x.json", {"sentences": ["so good", "so bad"], "labels": ["x", "y"]},
     [("so good", {"labels": "x"}), ("so bad", {"labels": "y"})], ["a list for each column"]),
    ("words and tags in two lists", "x.json", [[["in", "Rome"], ["O", "B-LOC"]]], [("in Rome", {"tags": [("Rome", "LOC")]})], []),
    ("a list of words with their tags", "x.json", {"train": [[["in", "IN", "O"], ["Rome", "NN", "B-LOC"]], [["no", "NN", "O"]]]},
     [("in Rome", {"tags": [("Rome", "LOC")]}), ("no", {"tags": []})], ["its rows are taken from the list 'train'"]),
    ("words that are objects", "x.json", {"sentences": [{"index": 0, "tokens": [
        {"index": 1, "word": "in", "ner": "O"}, {"index": 2, "word": "Rome", "ner": "B-LOC"}]}]},
     [("in Rome", {"ner": [("Rome", "LOC")]})], ["its rows are taken from the list 'sentences'"]),
    ("a row under each key", "x.json", {"7": ROWS[0], "8": ROWS[1]}, [GOOD, BAD], ["the keys are left out"]),
    ("texts under each class", "x.json", {"x": ["so good"], "y": ["so bad"]}, [GOOD, BAD], ["the keys are taken for the classes"]),
    ("one row of words is no table of columns", "x.jsonl", ({"tokens": ["in", "Rome"], "tags": ["O", "B-LOC"]},),
     [("in Rome", {"tags": [("Rome", "LOC")]})], []),
    ("rows of lists", "x.json", [[1, "so good", "x"], [2, "so bad", "y"]],
     [("so good", {"column 1": "1", "column 3": "x"}), ("so bad", {"column 1": "2", "column 3": "y"})], ["'column 2' is taken for it"]),
    ("rows of a text and a number", "x.json", [["so good", 1], ["so bad", 0]],
     [("so good", {"column 2": "1"}), ("so bad", {"column 2": "0"})], []),
    ("a table with its kinds of columns", "x.json", {"schema": {"fields": [{"name": "index", "type": "integer"}], "primaryKey": ["index"]},
                                                     "data": [{"index": at, **row} for at, row in enumerate(ROWS)]}, [GOOD, BAD],
     ["its rows are taken from the list 'data'"]),
    ("splits that are columns", "x.json", {"train": {"text": ["so good", "so bad"], "label": ["x", "y"]},
                                           "test": {"text": ["a b"], "label": ["x"]}}, [GOOD, BAD],
     ["its rows are taken from the list 'train'", "the list 'test' (1 row) is left out"]),
    ("splits that are columns of words", "x.json", {"train": {"tokens": [["in", "Rome"]], "tags": [["O", "B-LOC"]]}},
     [("in Rome", {"tags": [("Rome", "LOC")]})], []),
    ("texts under each class of a list of classes", "x.json", {"version": 1, "intents": {"x": ["so good"], "y": ["so bad"]}}, [GOOD, BAD],
     ["the keys are taken for the classes", "its rows are taken from the list 'intents'"]),
    ("the properties of places", "x.json", {"type": "FeatureCollection", "features": [
        {"type": "Feature", "properties": row, "geometry": None} for row in ROWS]}, [GOOD, BAD],
     ["its rows are taken from the list 'features'"]),
    ("what a search has found", "x.json", {"hits": {"total": 2, "hits": [{"_id": str(at), "_source": row} for at, row in enumerate(ROWS)]}},
     [GOOD, BAD], ["its rows are taken from the list 'hits.hits'"]),
    ("JSON lines under the name of a text", "x.txt", tuple(ROWS), [GOOD, BAD], ["is read as JSON"]),
    ("JSON under the name of a text", "x.txt", json.dumps(ROWS, indent=2), [GOOD, BAD], []),
    ("a text that begins with brackets", "x.txt", "[[Ada](PER)] left\n{ \"a\" } b\n", [
        ("[Ada] left", {"entities": [("Ada", "PER")]}), ("{ \"a\" } b", {"entities": []})], []),
    ("a text that begins with a quote in braces", "x.txt", "{ \"a\" } b\n[Ada](PER) left\n", [
        ("{ \"a\" } b", {"entities": []}), ("Ada left", {"entities": [("Ada", "PER")]})], []),
    ("a text and its labels in a list", "x.json", [["so good", ["x", "y"]], ["so bad", ["y"]]],
     [("so good", {"labels": ["x", "y"]}), ("so bad", {"labels": ["y"]})], []),
    ("a comma behind each object", "x.jsonl", ",\n".join(map(json.dumps, ROWS)) + ",\n", [GOOD, BAD],
     ["the commas behind its objects are left out"]),
    ("a comma behind the last element", "x.json", "[\n" + ",\n".join(map(json.dumps, ROWS)) + ",\n]\n", [GOOD, BAD], []),
    ("a byte order mark, and lines that end as in Windows", "x.json", "\ufeff" + json.dumps({"data": ROWS}, indent=2).replace("\n", "\r\n"),
     [GOOD, BAD], []),
    ("lines with nothing between", "x.jsonl", "\n" + "\n\n".join(map(json.dumps, ROWS)), [GOOD, BAD], []),
    ("a list in a file of lines", "x.jsonl", json.dumps(ROWS), [GOOD, BAD], []),
    ("rows of YAML", "x.yaml", "- text: so good\n  label: x\n- text: so bad\n  label: y\n", [GOOD, BAD], []),
]


@pytest.mark.parametrize(("name", "content", "rows", "notices"), [pytest.param(*kind[1:], id=kind[0]) for kind in KINDS])
def test_a_file_of_this_kind_is_read_as_it_is_meant(tmp_path, name, content, rows, notices):
    found, told = read(tmp_path, name, content)
    assert found == rows
    for notice in notices:
        assert any(notice in sentence for sentence in told), told
    assert not any("widened" in sentence for sentence in told)  # the offsets are right to the character


# the kind; the file's name and content; a part of the refusal
REFUSED: list[tuple[str, str, object, str]] = [
    ("brat", "x.ann", "T1\tPER 0 3\tAda\n", "is brat's standoff annotation, which lacks the text. Convert it with brat's anntoconll.py"),
    ("spaCy's binary", "x.spacy", "x", "is spaCy's binary format. Write JSONL from it"),
    ("LUIS's text format", "x.lu", "# Greet\n- hi\n", "Export the app as JSON"),
    ("INCEpTION's XMI", "x.xmi", "<xmi/>", "Export CoNLL 2002 or 2003"),
    ("tagtog", "x.json", {"annotatable": {"parts": ["s1"]}, "anncomplete": True, "entities": [{"classId": "e_1", "part": "s1"}]},
     "is an annotation file of tagtog, which lacks the text. Export"),
    ("UIMA's JSON", "x.json", {"%TYPES": {}, "%FEATURE_STRUCTURES": []}, "is UIMA's JSON, as INCEpTION writes it"),
    ("one object without rows", "x.json", json.dumps({"names": ["a"], "sizes": {"a": 1}}, indent=1),
     "x.json: is one object with the keys names, sizes, and none of them holds a list of rows with texts. Write one object per row"),
    ("one object with two lists of rows", "x.json", {"cats": ROWS, "dogs": ROWS},
     "x.json: is one object with several lists of rows: cats, dogs. Save the one that is meant in its own file"),
    ("a wrong row in a list of one object", "x.json", {"data": [*ROWS, {"text": ""}]}, "x.json, row 3: 'text' is empty"),
    ("an utterance of LUIS without offsets", "x.json", {"utterances": [{"text": "a b", "intent": "x", "entities": [{"entity": "y"}]}]},
     "x.json: an entity has no whole numbers for its place"),
    ("a file that is cut off", "x.json", '{\n "data": [\n  {"text": "a"},', "x.json, line 3: the object is not closed. Write one"),
    ("Label Studio's numbers of annotations", "x.json", [{"id": 1, "data": {"text": "a b"}, "annotations": [7, 8]}],
     "x.json, line 1: its annotations are only named by their numbers. Export the project"),
    ("GLiNER's entity beyond the words", "x.json", [{"tokenized_text": ["a"], "ner": [[0, 1, "X"]]}],
     "x.json, line 1: 'ner' has an entity that is not [first word, last word, label]"),
    ("Dialogflow's intent without texts", "x.json", {"id": "1", "name": "fly", "responses": [{"speech": "a b"}], "webhookUsed": False},
     "is an intent of Dialogflow without its texts. Give the file beside it"),
    ("Rasa's domain", "domain.yml", "intents:\n- greet\nresponses:\n  utter_greet:\n  - text: hello there\nsession_config:\n  x: 1\n",
     "domain.yml: is the domain of a bot of Rasa. Give the file with nlu"),
    ("lists of texts that are no classes", "x.json", {"meta": {"authors": ["Ada Berg"], "places": ["New York"]}, "version": 1},
     "is one object with the keys meta, version, and none of them holds a list of rows with texts"),
    ("Azure's entities of other files", "x.json", {"projectFileVersion": "2022", "assets": {"documents": [{"location": "a.txt"}]}},
     "is a project of Azure whose texts are in files of their own"),
    ("a list of texts", "x.json", ["so good", "so bad"], "x.json, row 1: holds a text"),
    ("a comment", "x.json", "// mine\n[" + json.dumps(ROWS[0]) + "]", "x.json, line 1: column 1 is not JSON: it is a comment. Remove it."),
    ("a comment inside", "x.json", '[\n{"text": "a b"} // mine\n]',
     "x.json, line 2: between the elements of a JSON array a comma is needed"),
    ("a comma before the end", "x.json", '[{"text": "a b",\n}]',
     "line 2: column 1 is not JSON: a comma stands before the end of a list or"),
    ("what Python prints", "x.jsonl", "{'text': 'a b', 'label': None}\n", "it is written as Python prints it. Write it with json.dumps."),
    ("True of Python", "x.jsonl", '{"text": "a b", "label": True}\n', "column 26 is not JSON: it is written as Python prints it."),
    ("a line of JavaScript", "x.json", "var data = [];\n", "it is a line of JavaScript. Remove all before the first bracket."),
    ("two objects on a line", "x.json", json.dumps(ROWS[0]) * 2, "something follows the object. Write one object per line"),
    ("a list that is cut off", "x.json", json.dumps(ROWS)[:-9],
     "x.json, line 1: the object is not closed. Write one whole object per line; is the"),
    ("a list that is not closed", "x.json", json.dumps(ROWS)[:-1], "x.json, line 1: the array is not closed"),
    ("YAML that is none", "x.yml", "a: [b\nc: d", "is not YAML"),
    ("YAML with aliases", "x.yml", "a: &x [b]\nc: *x\n", "uses an alias of YAML"),
    ("Rasa's YAML without examples", "x.yml", "version: '3.1'\nstories:\n- story: s\n", "is one object with the keys version, stories"),
    ("Rasa's Markdown without intents", "x.md", "## synonym:x\n- y\n", "x.md: has no examples of an intent"),
]


@pytest.mark.parametrize(("name", "content", "message"), [pytest.param(*kind[1:], id=kind[0]) for kind in REFUSED])
def test_a_file_of_this_kind_is_refused_with_a_way_out(tmp_path, name, content, message):
    with pytest.raises(MtlError) as caught:
        read(tmp_path, name, content)
    assert message in str(caught.value) and len(str(caught.value)) <= 250


def test_one_object_on_one_line_may_be_longer_than_a_line_of_rows(tmp_path):
    rows, _ = read(tmp_path, "x.json", {"data": [{"text": f"so good {'x' * 100} {index}", "label": "x"} for index in range(10_000)]})
    assert len(rows) == 10_000


JUNK = [None, True, 0, -1, 2.5, 10**30, "", " ", "a b", [], [[]], {}, [None], ["a b"], {"text": None}, [{"start": "x"}], {"": ""}]


def damaged(value: object, random: Random, share: float) -> object:
    """The value with junk in a share of its places, and half as many without anything."""
    if random.random() < share:
        return random.choice(JUNK)
    if isinstance(value, dict):
        return {key: damaged(part, random, share) for key, part in value.items() if random.random() > share / 2}
    if isinstance(value, list | tuple):
        return type(value)(damaged(part, random, share) for part in value if random.random() > share / 2)
    return value


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from([kind[1:3] for kind in (*KINDS, *REFUSED)]), st.randoms(use_true_random=False), st.sampled_from([0.02, 0.1, 0.3]))
def test_a_damaged_export_is_read_or_refused_in_a_short_sentence(tmp_path, file, random, share):
    name, content = file
    try:
        read(tmp_path, name, content if isinstance(content, str) else damaged(content, random, share))
    except MtlError as error:
        assert str(error).startswith(name) and len(str(error)) <= 250 and str(error).endswith((".", "?"))
