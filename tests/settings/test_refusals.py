"""A wrong value of any setting, found by the schema itself: one plain sentence with the label, the value and the bound, and no word of
pydantic's."""

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest

from mtl.errors import MtlError, SettingError
from mtl.settings.config import ColumnSpec, HubSpec, RunConfig, TaskSpec, make_config, make_spec, read_config
from mtl.settings.shorthand import parse_columns, parse_hub

SCHEMA = RunConfig.model_json_schema()
PYDANTIC = re.compile(r"pydantic|Input|should|valid\b|tuple|dict|str\b|bool|None|Literal|instance|type=|Value error|\[|\(\)|Traceback")
LONG = "x" * 300


def wrong_values(schema: dict[str, Any]) -> list[tuple[Any, str]]:
    """Values that break each rule of a JSON schema, and what a sentence about them has to name."""
    if "$ref" in schema:
        fields = SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]]
        whole = {name: right_value(part) for name, part in fields["properties"].items()}
        return [("x", "")] + [(whole | {name: value}, bound) for name, part in fields["properties"].items()
                              for value, bound in wrong_values(part)] + [(whole | {"odd": 1}, "odd"), ({}, "nothing")]
    if "anyOf" in schema:  # it may be empty
        return [case for case in wrong_values(next(part for part in schema["anyOf"] if part.get("type") != "null")) if case[0] is not None]
    if "enum" in schema:
        return [("odd", ", ".join(schema["enum"])), (None, "nothing"), (3, "3"), (LONG, schema["enum"][0])]
    kind = schema["type"]
    if kind in ("integer", "number"):
        return wrong_numbers(schema)
    if kind == "boolean":
        return [("yes", "true or false"), (1, "true or false"), (None, "nothing")]
    if kind == "string":
        cases = [(3, "3"), (None, "nothing")]
        if "maxLength" in schema:
            cases.append(("x" * (schema["maxLength"] + 1), str(schema["maxLength"])))
        return cases + ([("", "empty")] if schema.get("minLength") else [])
    if kind == "array":
        item, most = right_value(schema["items"]), schema.get("maxItems")
        many = [((item,) * (most + 1), f"found {most + 1:,}, wanted at most {most:,}")] if most else []
        return many + [("x", "list"), (None, "nothing")] + [((value,), bound) for value, bound in wrong_values(schema["items"])]
    assert kind == "object", f"write here how a {kind} can be wrong"
    return [("x", "names with values"), ({3: 1.0}, "3")] + [({"a": value}, bound) for value, bound in
                                                            wrong_values(schema["additionalProperties"])]


def wrong_numbers(schema: dict[str, Any]) -> list[tuple[Any, str]]:
    """Numbers beyond each bound, none at all, and what is no number."""
    step, whole = (1, "whole number") if schema["type"] == "integer" else (0.5, "number")
    rules = {"minimum": -step, "exclusiveMinimum": 0, "maximum": step, "exclusiveMaximum": 0}
    cases = [(schema[rule] + beyond, f"{schema[rule]:,}") for rule, beyond in rules.items() if rule in schema]
    return cases + [(2.5, whole)] * (step == 1) + [
        (math.nan, "NaN"), (math.inf, "infinity"), (-math.inf, "infinity"), ("odd", "'odd'"), (LONG, "…"), (None, "nothing"),
        (True, "true"), ((1,), whole)]


def right_value(schema: dict[str, Any]) -> Any:
    """Some value that the schema allows."""
    if "$ref" in schema:
        return {name: right_value(part) for name, part in SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]]["properties"].items()}
    if "enum" in schema or "anyOf" in schema:  # anyOf: it may be null
        return schema.get("enum", [None])[0]
    return {"array": (), "boolean": True, "integer": 1, "object": {}}.get(schema["type"], "x")


@pytest.mark.parametrize("name", RunConfig.model_fields)
def test_a_wrong_value_of_a_setting_is_told_with_its_label_the_value_and_the_bound(name):
    cases = wrong_values(SCHEMA["properties"][name])
    assert len(cases) >= 3
    for value, named in cases:
        with pytest.raises(MtlError) as caught:
            make_config({name: value})
        told = str(caught.value)
        assert told.startswith(RunConfig.model_fields[name].title) and named in told and told.endswith("."), (value, told)
        assert not PYDANTIC.search(told) and len(told) < 300 and "\n" not in told and not ("_" in name and name in told), told
        if isinstance(caught.value, SettingError):
            assert f"(--{name.replace('_', '-')})" in caught.value.for_terminal


def test_settings_from_a_file_are_told_in_the_same_words(tmp_path):
    file = tmp_path / "settings.json"
    for text, told in [('{"learning_rate": NaN}', "Learning rate: found NaN, wanted a number above 0, or nothing."),
                       ('{"batch_size": 1e999}', "Batch size: found infinity, wanted a whole number from 1 to 4,096, such as 16."),
                       ('{"epochs": 2.0}', "Epochs: found 2.0, wanted a whole number from 1 to 10,000, or nothing."),
                       (f'{{"epochs": {"9" * 400}}}', "Epochs: found a number of more than 20 digits, wanted a whole"),
                       ('{"weights": {"a": -1}}', "Loss weights, a: found -1, wanted a number of at least 0."),
                       ('{"name": "\\ud800"}', "The settings hold characters that are no text."),
                       ("[]", "The settings: found a list of 0, wanted names with values."),
                       ('{"epoch": 3}', "There is no setting 'epoch'. Did you mean 'epochs'?")]:
        file.write_text(text)
        with pytest.raises(MtlError) as caught:
            read_config(file)
        assert str(caught.value).startswith(told)


def test_a_message_names_files_but_never_their_folders(tmp_path):
    files = tuple(str(tmp_path / f"{number}.csv") for number in range(40))
    for wrong, told in [(files, "Training files: found 40, wanted at most 32. Leave some out."),
                        (files[0], "Training files: found '0.csv', wanted a list of at most 32."),
                        ("C:\\Users\\ann\\x.csv", "Training files: found 'x.csv', wanted a list of at most 32."),
                        ((Path(files[0]),), "Training files, number 1: found something else, wanted a text.")]:
        with pytest.raises(MtlError) as caught:
            make_config({"train_files": wrong})
        assert str(caught.value) == told
    with pytest.raises(MtlError) as caught:
        read_config(tmp_path / "none.json")
    assert str(caught.value) == "none.json: cannot be read as a run's settings (No such file or directory)."


@pytest.mark.parametrize(("make", "told"), [
    (lambda: parse_columns(f"{'a' * 80}=text"), "Columns, column: found 80 characters"),
    (lambda: parse_columns(f"a=class:{'b' * 80}"), "Columns, task: found 80 characters"),
    (lambda: parse_hub("a" * 300), "Hub datasets, id: found 300 characters"),
    (lambda: make_spec("columns", ColumnSpec, {"column": "a", "role": None}), "Columns, role: found nothing, wanted one of text, tokens"),
    (lambda: make_spec("hub", HubSpec, {"id": "a", "config": 3}), "Hub datasets, config: found 3, wanted a text of at most 100"),
    (lambda: make_spec("tasks", TaskSpec, {"name": "a"}), "Tasks, kind: found nothing, wanted one of classification, tagging, multilabel")])
def test_what_is_written_on_one_line_is_told_in_the_same_words(make, told):
    with pytest.raises(MtlError) as caught:
        make()
    assert str(caught.value).startswith(told)


@pytest.mark.parametrize("values", [
    {"source": "files"}, {"source": "hub"}, {"train_files": ("a.csv",)}, {"tasks": ({"name": "a", "kind": "tagging"},) * 2},
    {"fine_tuning": "lora", "encoder": "tiny"}, {"fine_tuning": "heads", "pooling": "pooler"}, {"fine_tuning": "lora", "frozen_layers": 2},
    {"alpha": 0.3, "weights": {"a": 1.0}}, {"balancing": "fixed"}, {"balancing": "famo", "alpha": 0.3},
    {"balancing": "famo", "accumulation": 2}, {"balancing": "famo", "sampling": "alternating"},
    {"balancing": "pcgrad", "fine_tuning": "heads"}], ids=json.dumps)
def test_settings_that_do_not_go_together_are_told_by_their_labels(values):
    with pytest.raises(SettingError) as caught:
        make_config(values)
    label = str(caught.value).partition(":")[0]
    assert label in {field.title for field in RunConfig.model_fields.values()}
    words = re.sub(r"'[^']*'", "", str(caught.value))  # what is quoted is a value
    assert not [name for name in RunConfig.model_fields if "_" in name and name in words], words
    assert not re.search(r"\b(alpha|sampling|accumulation)\b", words), words
