"""Records of Argilla as flat samples: of its older versions, with responses and suggestions, and as columns of a dataset on the Hub."""

from typing import Any

from mtl.data.formats.export import Annotated, Export, dicts, texts, without


def is_argilla(sample: dict[str, Any]) -> bool:
    """Whether this is a record of Argilla, of any version."""
    return ({"annotation", "prediction"} <= sample.keys() and bool({"status", "annotation_agent", "multi_label"} & sample.keys())
            or isinstance(sample.get("fields"), dict) and bool({"responses", "suggestions"} & sample.keys())
            or any(key.endswith(".responses") for key in sample))


def read_argilla(sample: dict[str, Any], export: Export) -> dict[str, object] | None:
    """A record of Argilla: its older `annotation`, or what the first annotator responded; no predictions and no suggestions."""
    if str(sample.get("status")).casefold() == "discarded":
        return None
    if "annotation" in sample:
        inputs, done = sample.get("inputs"), sample["annotation"]
        fields = {key: part for key, part in inputs.items() if isinstance(part, str)} if isinstance(inputs, dict) else {}
        fields |= {"text": sample["text"]} if isinstance(sample.get("text"), str) else {}
        if done is None and sample["prediction"]:
            export.leave("prediction")
        if isinstance(done, list):
            done = [part[1:3] + part[:1] if isinstance(part, list) and len(part) in (3, 4) else part for part in done]
        return fields | {"annotation": done}
    if not isinstance(sample.get("fields"), dict):
        return _first_responses(sample, export)
    said = sample.get("responses") or {}
    for one in dicts(said)[::-1]:  # as version 1 writes them: all answers of a person together
        if isinstance(one.get("values"), dict):
            said = {question: [answer | {"status": one.get("status")} if isinstance(answer, dict) else answer]
                    for question, answer in one["values"].items()}
    if len(dicts(sample.get("responses"))) > 1:
        export.leave("twice")
    fields, answers = dict(sample["fields"]), {}
    for question, responses in said.items() if isinstance(said, dict) else ():
        given = [one.get("value") for one in dicts(responses) if one.get("status") in (None, "submitted")]
        if len(given) > 1:
            export.leave("twice")
            if any(one != given[0] for one in given):
                export.leave("differ")
        answers |= {question: given[0]} if given else {}
        export.several |= {question} if given and len(texts(given[0])) > 1 else set()
    if not answers and sample.get("suggestions"):
        export.leave("prediction")
    return Annotated(fields | answers) if answers else fields


def _first_responses(sample: dict[str, Any], export: Export) -> dict[str, object]:
    """A row of Argilla's dataset for the Hub: a column `question.responses` lists what each annotator said."""
    fields = {key: part for key, part in without(sample, "status").items()
              if not any(mark in key for mark in (".responses", ".suggestion"))}
    for key, given in sample.items():
        if key.endswith(".responses"):
            given = given if isinstance(given, list) else []
            fields[key.removesuffix(".responses")] = given[0] if given else None
            if len(given) > 1:
                export.leave("twice")
    return fields
