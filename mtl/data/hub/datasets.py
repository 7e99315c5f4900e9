"""Datasets of the Hub: a name -> its data files, pinned and measured; the wanted ones -> on this disk. Reads no row of them.

A name comes from a stranger: it is checked before anybody is asked, and only files of rows are fetched; no code of a dataset ever runs."""

import errno
import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx2
from huggingface_hub import (
    DatasetCardData,
    DatasetInfo,
    HfApi,
    get_hf_file_metadata,
    get_token,
    hf_hub_download,
    hf_hub_url,
    try_to_load_from_cache,
)
from huggingface_hub.errors import EntryNotFoundError, GatedRepoError, HfHubHTTPError, HFValidationError, RevisionNotFoundError
from huggingface_hub.utils import silent_tqdm, validate_repo_id

from mtl.data.hub.access import HUB_NAME, HUB_TIMEOUT, quiet
from mtl.data.hub.files import FORMATS, HubFile, Splits, find, listed
from mtl.errors import MtlError, is_disk_full

MAX_BYTES = 2 * 10**9
CONVERTED = "refs/convert/parquet"  # the branch where the Hub itself keeps the rows of a dataset as Parquet
# Elsewhere these words name a reader of local files, so whoever writes one does not mean a dataset of the Hub.
READERS = {"csv", "json", "text", "pandas", "parquet", "arrow", "sql", "xml", "generator", "imagefolder", "audiofolder", "webdataset"}
GATED = "is gated: its owner must let you in first. Pick an open dataset, or log in on a machine of your own (hf auth login)."


@dataclass(frozen=True)
class HubDataset:
    """One config of a dataset at one commit: its splits with their files in order, and the names of all its configs."""

    id: str
    revision: str
    config: str
    configs: tuple[str, ...]
    splits: Splits

    @property
    def total_bytes(self) -> int:
        """The size of all splits together."""
        return self.bytes_of(self.splits)

    def bytes_of(self, splits: Iterable[str]) -> int:
        """The size of these splits together; raises MtlError if one of them is not there."""
        wanted = set(splits)
        if missing := sorted(wanted - self.splits.keys()):
            raise MtlError(f"'{self.id}' has no split {missing[0][:100]!r}. Its splits are: {listed(self.splits)}.")
        return sum(file.bytes for split in wanted for file in self.splits[split])


def check_dataset_name(name: str) -> None:
    """Raises MtlError unless `name` can be the id of a Hub dataset; asks nobody. A file or folder of that name counts as no."""
    try:
        validate_repo_id(name)
        valid = bool(HUB_NAME.fullmatch(name)) and name not in READERS and not name.endswith(".ipynb") and not os.path.exists(name)
    except HFValidationError:
        valid = False
    if not valid:
        raise MtlError(f"{name[:100]!r} is not the id of a Hub dataset. Wanted a name such as stanfordnlp/sst2.")


def look_up(name: str, config: str = "", revision: str = "") -> HubDataset:
    """What the Hub tells of dataset `name` at `revision` (empty: the newest), its commit pinned; no file of it is fetched.

    Raises MtlError, with the reason, if there is no such dataset, config or revision, or no choice among several configs.
    """
    check_dataset_name(name)
    if (info := _ask(name, revision)) is None:
        raise MtlError(f"'{name}' has no revision {revision[:100]!r}. Leave it out to take the newest.")
    found = _found(info, config)
    if not found and not revision:  # made by a script, which the Hub may have run once, keeping the rows
        info = _ask(info.id, CONVERTED) or info
        found = _found(info, config)
    if not found:
        raise MtlError(f"'{name}' has no data files that can be read here ({', '.join(FORMATS)}). Code of a dataset never runs here: "
                       "pick a dataset that comes as plain files.")
    return HubDataset(info.id, info.sha, *found)


def download(dataset: HubDataset, splits: Sequence[str], progress: Callable[[str, float], None]) -> dict[str, list[Path]]:
    """The files of `splits` on this disk, fetched one after another at the pinned commit; for those already here nobody is asked.

    `progress` hears the file's name and the share of all bytes that is here, never falling, perhaps from another thread. Raises
    MtlError, with the reason; complete files stay, so that the next call goes on from there.
    """
    total, done, paths = dataset.bytes_of(splits), 0, {split: [] for split in splits}
    if total > MAX_BYTES:
        raise MtlError(f"'{dataset.id}' has {total / 1e9:.1f} GB in {listed(paths)}; the limit is {MAX_BYTES / 1e9:.0f} GB. "
                       "Pick a smaller dataset, or fewer splits.")
    for split, here in paths.items():
        for file in dataset.splits[split]:
            def tell(count: int, file: HubFile = file, before: int = done) -> None:
                progress(file.path, (before + min(count, file.bytes)) / total if total else 1.0)

            here.append(_fetch(dataset, file, tell))
            tell(file.bytes)
            done += file.bytes
    return paths


# Asking and fetching


def _ask(name: str, revision: str) -> DatasetInfo | None:
    """What the Hub tells of a dataset; None if there is no such revision."""
    try:
        with quiet() as token:
            info = HfApi(token=token).dataset_info(name, revision=revision or None, files_metadata=True, timeout=HUB_TIMEOUT)
            let_in = not info.gated or (token is None and get_token())
    except RevisionNotFoundError:
        return None
    except (httpx2.HTTPError, OSError) as error:
        raise _in_words(error, name) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:  # not of the Hub's shape: a login page on the way, perhaps
        raise MtlError(f"The Hub's answer about '{name}' cannot be read. Check the connection.") from error
    if not let_in:
        raise MtlError(f"'{name}' {GATED}")
    if not re.fullmatch("[0-9a-f]{40}", info.sha or "") or not HUB_NAME.fullmatch(info.id) or info.siblings is None:
        raise MtlError(f"The Hub tells no commit and no files of '{name}'. Pick another dataset.")
    return info


def _found(info: DatasetInfo, config: str) -> tuple[str, tuple[str, ...], Splits] | None:
    told = info.card_data.get("configs") if isinstance(info.card_data, DatasetCardData) else None
    return find(info.id, [HubFile(file.rfilename, file.size or 0) for file in info.siblings], told, config)


def _fetch(dataset: HubDataset, file: HubFile, tell: Callable[[int], None]) -> Path:
    """The file on this disk: from the cache if it is whole there, else from the Hub."""
    place = {"repo_id": dataset.id, "filename": file.path, "repo_type": "dataset", "revision": dataset.revision}
    cached = try_to_load_from_cache(**place)
    if isinstance(cached, str) and os.path.getsize(cached) == file.bytes:
        return Path(cached)
    bar, begun = _bar(tell), False
    try:
        with quiet() as token:
            # Asked first, because hf_hub_download goes on asking for half a minute when nobody answers.
            size = get_hf_file_metadata(hf_hub_url(**place), token=token, timeout=HUB_TIMEOUT).size
            if begun := size in (None, file.bytes):
                # Forced where the cache has the file, since it is not whole there.
                cached = hf_hub_download(**place, token=token, force_download=isinstance(cached, str), tqdm_class=bar)
                size = os.path.getsize(cached)
    except (httpx2.HTTPError, OSError, RuntimeError) as error:
        raise _in_words(error, dataset.id, file, bar.most if begun else None) from error
    if size != file.bytes:
        raise MtlError(f"{file.path!r} of '{dataset.id}' has {size or 0:,} bytes, but {file.bytes:,} were told. Look the dataset up again.")
    return Path(cached)


def _in_words(error: Exception, name: str, file: HubFile | None = None, received: int | None = None) -> MtlError:
    """What an error of huggingface_hub means for the user; `received` counts the bytes of a download that had begun."""
    status = error.response.status_code if isinstance(error, HfHubHTTPError) else 0
    if isinstance(error, GatedRepoError):
        reason = GATED
    elif file and isinstance(error, EntryNotFoundError | RevisionNotFoundError) and status:
        reason = f"has no {file.path!r} any more at the commit that was looked up. Look the dataset up again."
    elif status == 401 and "credentials" in error.response.headers.get("X-Error-Message", ""):
        reason = "was not given: the Hub does not accept this machine's access token. Log in again, or remove the token."
    elif status in (401, 404):
        reason = "is not on the Hub, or it is private. Check the name."
    elif 400 <= status < 500 and status not in (408, 429):
        reason = f"is refused by the Hub (status {status}). Pick another dataset."
    elif is_disk_full(error):
        reason = "does not fit on this disk, which is full. Make room and try again: complete files are kept."
    elif isinstance(error, OSError) and error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR):
        reason = "cannot be kept here: huggingface_hub's cache folder cannot be written to. Set HF_HOME to a folder that can."
    elif file and received is not None:
        came = min(received, file.bytes)
        reason = f"is not complete: {file.path!r} ended after {came:,} of {file.bytes:,} bytes. Try again: complete files are kept."
    elif status:
        reason = f"cannot be had now: the Hub is busy (status {status}). Try again in a minute."
    else:
        reason = ("is not wholly on this machine" if file else "cannot be looked up") + ": the Hub cannot be reached. Check the connection."
    return MtlError(f"'{name}' {reason}")


def _bar(tell: Callable[[int], None]) -> type[silent_tqdm]:
    """What huggingface_hub takes for a class of progress bars: tells how many bytes of a file are here, and keeps the most."""

    class Bar(silent_tqdm):
        most = 0

        def __init__(self, *args: object, initial: int = 0, **kwargs: object) -> None:
            self.n = initial

        def update(self, n: int | float | None = 1) -> None:
            self.n += int(n or 0)  # falls when a server cannot go on in the middle; a fast download has two bars for one file
            if self.n > Bar.most:
                Bar.most = self.n
                tell(self.n)

        def refresh(self, *args: object, **kwargs: object) -> None:
            pass

        set_postfix_str = refresh

    return Bar


# Presets. No hub could be reached where this was written: the names of columns, configs and splits are those that the datasets' pages
# and programs that use them give, and were never tried.


@dataclass(frozen=True)
class PresetDataset:
    """One dataset of a preset: each column's "role" or "role:task", and which of its splits is train, validation and test ('': none is)."""

    id: str
    config: str
    columns: dict[str, str]
    splits: dict[str, str]


@dataclass(frozen=True)
class Preset:
    """Datasets of the Hub that make a multi-task run together, with the choices made."""

    title: str
    about: str
    datasets: tuple[PresetDataset, ...]


_THREE = {"train": "train", "validation": "validation", "test": "test"}
_NO_VALIDATION = {**_THREE, "validation": ""}
_CONLL = PresetDataset("eriktks/conll2003", "", {
    "id": "ignore", "tokens": "tokens", "pos_tags": "ignore", "chunk_tags": "ignore", "ner_tags": "tags:ner"}, _THREE)
PRESETS = {
    "snips": Preset("SNIPS: intents and slots", "14,000 requests to a voice assistant: what is asked for, and the words that say it.", (
        PresetDataset("bkonkle/snips-joint-intent", "", {"input": "text", "intent": "class", "slots": "tags"}, _NO_VALIDATION),)),
    "atis": Preset("ATIS: intents and slots", "5,900 questions about flights, with places, dates and airlines marked.", (
        PresetDataset("tuetschek/atis", "", {"id": "ignore", "intent": "class", "text": "text", "slots": "tags"}, _NO_VALIDATION),)),
    "massive": Preset("MASSIVE, English: intents and slots", "16,500 requests to a voice assistant: 60 intents, 55 kinds of slots.", (
        PresetDataset("AmazonScience/massive", "en-US", {
            **dict.fromkeys(("id", "locale", "partition", "scenario", "utt", "worker_id", "slot_method", "judgments"), "ignore"),
            "annot_utt": "marked:slots", "intent": "class"}, _THREE),)),
    "conll2003-sst2": Preset("CoNLL-2003 and SST-2: entities and sentiment", "21,000 news sentences with names, 68,000 of film reviews.", (
        # the test labels of SST-2 were never published: all are -1
        _CONLL, PresetDataset("stanfordnlp/sst2", "", {
            "idx": "ignore", "sentence": "text", "label": "class:sentiment"}, {**_THREE, "test": ""}))),
    "wnut17-agnews": Preset("WNUT-17 and AG News: entities and topics", "5,700 posts with rare names, and 127,600 news in four topics.", (
        PresetDataset("leondz/wnut_17", "", {"id": "ignore", "tokens": "tokens", "ner_tags": "tags:ner"}, _THREE),
        PresetDataset("fancyzhx/ag_news", "", {"text": "text", "label": "class:topic"}, _NO_VALIDATION))),
    "conll2003-imdb": Preset("CoNLL-2003 and IMDB: entities and sentiment", "21,000 news sentences with names, and 50,000 film reviews.", (
        _CONLL, PresetDataset("stanfordnlp/imdb", "plain_text", {"text": "text", "label": "class:sentiment"}, _NO_VALIDATION))),
    "few-nerd": Preset("Few-NERD: coarse and fine entities", "188,000 sentences of Wikipedia, tagged twice: 8 kinds and 66 kinds.", (
        # its tags have no B- and I-: neighbouring words of one kind are one entity
        PresetDataset("DFKI-SLT/few-nerd", "supervised", {
            "id": "ignore", "tokens": "tokens", "ner_tags": "tags:coarse", "fine_ner_tags": "tags:fine"}, _THREE),)),
}
