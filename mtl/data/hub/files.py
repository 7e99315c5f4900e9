"""Which files of a Hub dataset hold rows, and of which config and split: what the dataset card says, or else what their names say.

Knows only names and sizes, and asks nobody; card and names are a stranger's."""

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
    """One file of a dataset: its path in the repository and its size."""

    path: str
    bytes: int


Splits = dict[str, tuple[HubFile, ...]]


def find(name: str, everything: Sequence[HubFile], told: object, asked: str) -> tuple[str, tuple[str, ...], Splits] | None:
    """The config that is meant, all configs, and the splits of that one; None if there are no files of rows.

    `everything` is what the repository has, `told` what its card says under `configs`, `asked` the config asked for or ''.
    """
    files = sorted((file for file in everything if _holds_rows(file.path)), key=_natural)
    entries = [entry for entry in told if isinstance(entry, dict)] if isinstance(told, list) else []
    card = {str(entry.get("config_name") or "default"): entry for entry in entries}
    if card:
        chosen = _choose(name, asked, card, [config for config, entry in card.items() if entry.get("default") is True])
        if splits := _splits_of_card(files, card[chosen]):
            return chosen, tuple(card), splits
    # Beside a card or a script, a lone file that names no split may be anything: settings, a list of labels.
    named = _by_name(files, strict=bool(card) or any(file.path.endswith(".py") for file in everything))
    if not named:
        return None
    chosen = _choose(name, asked, named)
    return chosen, tuple(named), named[chosen]


def _holds_rows(path: str) -> bool:
    name = PurePosixPath(path)
    return name.suffix.lower() in FORMATS and name.name not in NO_ROWS and not any(part.startswith((".", "__")) for part in name.parts)


def _natural(file: HubFile) -> list[str | int]:
    """A key that sorts part-10 after part-9."""
    return [int(part) if index % 2 else part for index, part in enumerate(re.split(r"(\d+)", file.path))]


def _choose(dataset: str, asked: str, configs: Iterable[str], marked: Sequence[str] = ()) -> str:
    names = list(configs)
    if asked and asked not in names:
        raise MtlError(f"'{dataset}' has no config {asked[:100]!r}. Its configs are: {listed(names)}.")
    for name in [asked] if asked else names if len(names) == 1 else [*marked, "default", "plain_text"]:
        if name in names:
            return name
    raise MtlError(f"'{dataset}' has several configs: {listed(names)}. Choose one.")


def listed(names: Iterable[str]) -> str:
    """Names for a message; they are a stranger's, so there may be many, and anything in them."""
    shown = [isolate(visible(cut(name, 60), instead="")) for name in names]
    return ", ".join(shown[:20]) + (f" and {len(shown) - 20} more" if len(shown) > 20 else "")


def _splits_of_card(files: Sequence[HubFile], entry: dict) -> Splits:
    """The splits of one entry of a card's `configs`. A stranger wrote it: what is not of the known shape matches no file."""
    folder, told = PurePosixPath(str(entry.get("data_dir") or ".")), entry.get("data_files")
    if told is None:
        return _by_name([file for file in files if _matches(file.path, folder / "**")], one_config=True).get("default", {})
    patterns: dict[str, list[PurePosixPath]] = {}
    for item in told if isinstance(told, list) else [told]:
        split, paths = (item.get("split"), item.get("path")) if isinstance(item, dict) else ("train", item)
        patterns.setdefault(str(split), []).extend(folder / str(path) for path in (paths if isinstance(paths, list) else [paths]))
    splits = {split: _one_format(file for pattern in wanted for file in files if _matches(file.path, pattern))
              for split, wanted in patterns.items()}
    return {split: matched for split, matched in splits.items() if matched}


def _matches(path: str, pattern: PurePosixPath) -> bool:
    """Whether `pattern` means `path`: '*' stays within a folder, '**' stands for any number of folders."""
    parts = path.split("/")
    reached = {0}  # how many parts the pattern may have used up so far; a set, so that no stranger's pattern takes long
    for wanted in pattern.parts:
        if wanted == "**":
            reached = set(range(min(reached, default=len(parts) + 1), len(parts) + 1))
        else:
            reached = {used + 1 for used in reached if used < len(parts) and fnmatchcase(parts[used], wanted)}
    return len(parts) in reached


def _by_name(files: Sequence[HubFile], strict: bool = False, one_config: bool = False) -> dict[str, Splits]:
    """Configs and their splits by the Hub's conventions for names; `strict` leaves out files whose name tells no split."""
    placed = [(*_place(file.path), file) for file in files]
    if strict or any(split for _, split, _ in placed):
        placed = [place for place in placed if place[1]]
    order = list(SPLIT_WORDS)
    placed.sort(key=lambda place: order.index(place[1]) if place[1] in order else len(order))
    configs: dict[str, dict[str, list[HubFile]]] = {}
    for config, split, file in placed:
        configs.setdefault("default" if one_config else config, {}).setdefault(split or "train", []).append(file)
    return {config: {split: _one_format(several) for split, several in splits.items()} for config, splits in sorted(configs.items())}


def _place(path: str) -> tuple[str, str]:
    """The config and the split that a path tells; the split is '' if it tells none.

    Known are <split>-00000-of-00001, <config>/<split>/0000 (the converted branch), a folder named as a split, and a split as a word
    in the file's name. The folders before that are the config.
    """
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


def _one_format(files: Iterable[HubFile]) -> tuple[HubFile, ...]:
    """The files of one format, since the same rows often stand there in two: Parquet if there is any, else the larger part."""
    formats: dict[str, dict[HubFile, None]] = {}  # a file that two patterns match counts once
    for file in files:
        formats.setdefault(FORMATS[PurePosixPath(file.path).suffix.lower()], {})[file] = None
    best = max(formats, key=lambda name: (name == "parquet", sum(file.bytes for file in formats[name])), default="")
    return tuple(formats.get(best, ()))
