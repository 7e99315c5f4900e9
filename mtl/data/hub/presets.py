"""Presets: Hub datasets that make a multi-task run together (presets.json), written after their pages without access to the Hub, and never
tried. SST-2's test labels were never published: all are -1. Few-NERD's tags have no B- and I-: neighbours of one type are one entity."""

import json
from dataclasses import dataclass
from pathlib import Path

from mtl.errors import MtlError
from mtl.settings.config import HubSpec
from mtl.settings.shorthand import parse_columns


@dataclass(frozen=True)
class Preset:
    """Two sentences for people, and the settings: `hub` as fields of HubSpecs ('none': no such split), `columns` as on one line."""

    title: str
    about: str
    hub: list[dict[str, str]]
    columns: str


PRESETS = {name: Preset(**preset) for name, preset in json.loads(Path(__file__).with_name("presets.json").read_text("utf-8")).items()}


def preset_config(name: str) -> dict[str, object]:
    """The settings that the preset `name` stands for; raises MtlError if there is none of that name."""
    if (preset := PRESETS.get(name)) is None:
        raise MtlError(f"There is no preset '{name}'. The presets are: {', '.join(PRESETS)}.")
    return {"source": "hub", "hub": tuple(HubSpec(**spec) for spec in preset.hub), "columns": parse_columns(preset.columns)}
