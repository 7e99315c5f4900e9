"""Which files of a Hub dataset hold rows, and for which config and split: as its card says, else by the Hub's conventions for names.
Knows only names and sizes, and asks nobody. `datasets.load_dataset_builder` would find files too, but card and names are a stranger's: a
pattern like a*a*a*a*a*a*a*a*a*a*b keeps it busy for hours, it follows a web address in a card, and it downloads more than files of rows."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

from mtl.data.formats.files import SPLIT_OF_WORD, SPLIT_WORDS
from mtl.errors import MtlError
from mtl.text import cut, isolate, visible

FORMATS = {".parquet": "parquet", ".csv": "csv", ".tsv": "tsv", ".jsonl": "json", ".json": "json", ".ndjson": "json"}
NO_ROWS = {"config.json", "dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json"}  # they only describe a dataset
_SPLIT_WORD = re.compile(rf"(?:^|[-._ 0-9])({'|'.join(SPLIT_OF_WORD)})(?=[-._ 0-9]|$)")
_SHARD = re.compile(r"(?:.*-)?(\w+(?:\.\w+)*)-\d{5}-of-\d{5}(?:-[0-9a-f]+)?")


@dataclass(frozen=True)
class HubFile:
    """One file of a dataset: its path in the repository, and its size."""

    path: str
    bytes: int

    @property
    def format(self) -> str:
        return FORMATS[PurePosixPath(self.path).suffix.lower()]


Splits = dict[str, tuple[HubFile, ...]]


def find(name: str, everything: Sequence[HubFile], card: object, wanted: str) -> tuple[str, Splits] | None:
    """The config that is meant, and its splits; None if no file holds rows. `everything` is all files of the repository, `card` what its
    card has under `configs`, `wanted` the config asked for or ''. Raises MtlError if it does not exist, or if one of several is needed."""
    files = [file for file in everything if _holds_rows(file.path)]
    # part-10 after part-9
    files.sort(key=lambda file: [int(part) if index % 2 else part for index, part in enumerate(re.split(r"(\d+)", file.path))])
    entries = {str(entry.get("config_name") or "default"): entry for entry in (card if isinstance(card, list) else ())
               if isinstance(entry, dict)}
    if entries:
        chosen = _choose(name, wanted, entries, [config for config, entry in entries.items() if entry.get("default") is True])
        if splits := _splits_of_card(files, entries[chosen]):
            return chosen, splits
    # Beside a card or a script, a lone file that names no split may be anything: settings, a list of labels.
    named = _by_name(files, strict=bool(entries) or any(file.path.endswith(".py") for file in everything))
    if not named:
        return None
    chosen = _choose(name, wanted, named)
    return chosen, named[chosen]


def _holds_rows(path: str) -> bool:
    name = PurePosixPath(path)
    return name.suffix.lower() in FORMATS and name.name not in NO_ROWS and not any(part.startswith((".", "__")) for part in name.parts)


def _choose(dataset: str, wanted: str, configs: Iterable[str], defaults: Sequence[str] = ()) -> str:
    names = list(configs)
    if wanted and wanted not in names:
        raise MtlError(f"'{dataset}' has no config {wanted[:100]!r}. Its configs are: {listed(names)}.")
    for name in [wanted] if wanted else names if len(names) == 1 else [*defaults, "default", "plain_text"]:
        if name in names:
            return name
    raise MtlError(f"'{dataset}' has several configs: {listed(names)}. Choose one.")


def listed(names: Iterable[str]) -> str:
    """Names for a message; they are a stranger's, so there may be many, and anything in them."""
    shown = [isolate(visible(cut(name, 60), instead="")) for name in names]
    return ", ".join(shown[:20]) + (f" and {len(shown) - 20} more" if len(shown) > 20 else "")


def _splits_of_card(files: Sequence[HubFile], entry: dict) -> Splits:
    """The splits of one entry of a card's `configs`. What is not of the known shape matches no file."""
    folder, data_files = PurePosixPath(str(entry.get("data_dir") or ".")), entry.get("data_files")
    if data_files is None:
        return _by_name([file for file in files if _matches(file.path, folder / "**")], one_config=True).get("default", {})
    splits: dict[str, list[HubFile]] = {}
    for item in data_files if isinstance(data_files, list) else [data_files]:
        split, paths = (item.get("split"), item.get("path")) if isinstance(item, dict) else ("train", item)
        for path in paths if isinstance(paths, list) else [paths]:
            splits.setdefault(str(split), []).extend(file for file in files if _matches(file.path, folder / str(path)))
    return {split: _one_format(matched) for split, matched in splits.items() if matched}


def _matches(path: str, pattern: PurePosixPath) -> bool:
    """Whether `pattern` means `path`: '*' stays within a folder, '**' stands for any number of folders."""
    parts = path.split("/")
    reached = {0}  # how many parts the pattern may have used up so far; a set, so that no pattern takes long
    for wanted in pattern.parts:
        if wanted == "**":
            reached = set(range(min(reached, default=len(parts) + 1), len(parts) + 1))
        else:
            reached = {used + 1 for used in reached if used < len(parts) and fnmatchcase(parts[used], wanted)}
    return len(parts) in reached


def _by_name(files: Sequence[HubFile], strict: bool = False, one_config: bool = False) -> dict[str, Splits]:
    """Configs and their splits by the Hub's conventions for names; `strict` leaves out files whose name has no split in it."""
    placed = [(*_place(file.path), file) for file in files]
    if strict or any(split for _, split, _ in placed):
        placed = [place for place in placed if place[1]]
    configs: dict[str, dict[str, list[HubFile]]] = {}
    for config, split, file in sorted(placed, key=lambda place: [*SPLIT_WORDS, place[1]].index(place[1])):
        configs.setdefault("default" if one_config else config, {}).setdefault(split or "train", []).append(file)
    return {config: {split: _one_format(several) for split, several in splits.items()} for config, splits in sorted(configs.items())}


def _place(path: str) -> tuple[str, str]:
    """The config and the split ('': none) that a path names. Known are <split>-00000-of-00001, <config>/<split>/0000 (the converted
    branch), a folder named as a split, and a split as a word in the file's name. The folders before that are the config."""
    folders, stem = list(PurePosixPath(path).parent.parts), PurePosixPath(path).stem
    shard = _SHARD.fullmatch(stem)
    split = shard[1] if shard else ""
    named = next((index for index, folder in enumerate(folders) if folder.lower() in SPLIT_OF_WORD), None)
    if stem.isdigit() and len(folders) == 2 and folders[0] != "data" and named != 0:
        split = folders.pop().removeprefix("partial-")
    elif named is not None and split not in SPLIT_OF_WORD:
        split, folders = SPLIT_OF_WORD[folders[named].lower()], folders[:named]
    elif not split and (word := _SPLIT_WORD.search(stem.lower())):
        split = SPLIT_OF_WORD[word[1]]
    return "/".join(folders[folders[:1] == ["data"]:]) or "default", split


def _one_format(files: Sequence[HubFile]) -> tuple[HubFile, ...]:
    """The files of one format, since the same rows often stand there in two: Parquet if there is any, else the larger part."""
    files = list(dict.fromkeys(files))  # a file that two patterns match counts once
    formats = dict.fromkeys(file.format for file in files)
    best = max(formats, key=lambda format: (format == "parquet", sum(file.bytes for file in files if file.format == format)))
    return tuple(file for file in files if file.format == best)
