"""Datasets of the Hub: finds the data files of a name, with sizes, at a pinned commit, and downloads them. Reads no rows. A name comes from
a stranger: it is checked before the Hub is asked. Only files of rows are downloaded; no code of a dataset ever runs."""

import errno
import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx2
import huggingface_hub as hub
from huggingface_hub import DatasetCardData, DatasetInfo
from huggingface_hub.errors import EntryNotFoundError, GatedRepoError, HfHubHTTPError, RevisionNotFoundError
from huggingface_hub.utils import silent_tqdm

from mtl.data.hub.access import HUB_NAME, HUB_TIMEOUT, check_hub_name, quiet
from mtl.data.hub.files import FORMATS, HubFile, Splits, find, listed
from mtl.errors import MtlError, is_disk_full

MAX_BYTES = 2 * 10**9
CONVERTED = "refs/convert/parquet"  # the branch where the Hub itself keeps the rows of a dataset as Parquet
GATED = "is gated: its owner must let you in first. Pick an open dataset, or log in on a machine of your own (hf auth login)."


@dataclass(frozen=True)
class HubDataset:
    """One config of a dataset at one commit: its splits with their files in order."""

    id: str
    revision: str
    config: str
    splits: Splits

    def bytes_of(self, splits: Iterable[str]) -> int:
        """The size of these splits together; raises MtlError if one of them is not there."""
        wanted = set(splits)
        if missing := sorted(wanted - self.splits.keys()):
            raise MtlError(f"'{self.id}' has no split {missing[0][:100]!r}. Its splits are: {listed(self.splits)}.")
        return sum(file.bytes for split in wanted for file in self.splits[split])


def look_up(name: str, config: str = "", revision: str = "") -> HubDataset:
    """Dataset `name` at `revision` ('': newest), pinned; downloads nothing. Raises MtlError, also if one of its configs must be named."""
    check_hub_name(name, "dataset")
    if (info := _ask(name, revision)) is None:
        raise MtlError(f"'{name}' has no revision {revision[:100]!r}. Leave it out to take the newest.")
    found = _find(info, config)
    if not found and not revision:  # made by a script, which the Hub may have run once, keeping the rows
        info = _ask(info.id, CONVERTED) or info
        found = _find(info, config)
    if not found:
        raise MtlError(f"'{name}' has no data files that can be read here ({', '.join(FORMATS)}). Code of a dataset never runs here: "
                       "pick a dataset that comes as plain files.")
    return HubDataset(info.id, info.sha, *found)


def download(dataset: HubDataset, splits: Sequence[str], progress: Callable[[str, float], None]) -> dict[str, list[Path]]:
    """The files of `splits` on this disk, downloaded at the pinned commit unless they are here. `progress` gets the file's name and the
    share of all bytes that is here, which never falls, perhaps from another thread. Raises MtlError; complete files stay."""
    total, done, paths = dataset.bytes_of(splits), 0, {split: [] for split in splits}
    if total > MAX_BYTES:
        raise MtlError(f"'{dataset.id}' has {total / 1e9:.1f} GB in {listed(paths)}; the limit is {MAX_BYTES / 1e9:.0f} GB. "
                       "Pick a smaller dataset, or fewer splits.")
    for split, here in paths.items():
        for file in dataset.splits[split]:
            def report(count: int, file: HubFile = file, before: int = done) -> None:
                progress(file.path, (before + min(count, file.bytes)) / total if total else 1.0)

            here.append(_fetch(dataset, file, report))
            report(file.bytes)
            done += file.bytes
    return paths


def _ask(name: str, revision: str) -> DatasetInfo | None:
    """What the Hub has of a dataset; None if there is no such revision."""
    try:
        with quiet() as token:
            info = hub.HfApi(token=token).dataset_info(name, revision=revision or None, files_metadata=True, timeout=HUB_TIMEOUT)
            let_in = not info.gated or (token is None and hub.get_token())
    except RevisionNotFoundError:
        return None
    except (httpx2.HTTPError, OSError) as error:
        raise _explain(error, name) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:  # not of the Hub's shape: a login page on the way, perhaps
        raise MtlError(f"The Hub's answer about '{name}' cannot be read. Check the connection.") from error
    if not let_in:
        raise MtlError(f"'{name}' {GATED}")
    if not re.fullmatch("[0-9a-f]{40}", info.sha or "") or not HUB_NAME.fullmatch(info.id) or info.siblings is None:
        raise MtlError(f"The Hub's answer names no commit and no files of '{name}'. Pick another dataset.")
    return info


def _find(info: DatasetInfo, config: str) -> tuple[str, Splits] | None:
    card = info.card_data.get("configs") if isinstance(info.card_data, DatasetCardData) else None
    return find(info.id, [HubFile(file.rfilename, file.size or 0) for file in info.siblings], card, config)


def _fetch(dataset: HubDataset, file: HubFile, report: Callable[[int], None]) -> Path:
    place = {"repo_id": dataset.id, "filename": file.path, "repo_type": "dataset", "revision": dataset.revision}
    cached = hub.try_to_load_from_cache(**place)
    if isinstance(cached, str) and os.path.getsize(cached) == file.bytes:
        return Path(cached)
    bar, begun = _bar(report), False
    try:
        with quiet() as token:
            # Asked first, because hf_hub_download goes on asking for half a minute when nobody answers.
            size = hub.get_hf_file_metadata(hub.hf_hub_url(**place), token=token, timeout=HUB_TIMEOUT).size
            if begun := size in (None, file.bytes):
                # Forced where the cache has the file, since it is not whole there.
                cached = hub.hf_hub_download(**place, token=token, force_download=isinstance(cached, str), tqdm_class=bar)
                size = os.path.getsize(cached)
    except (httpx2.HTTPError, OSError, RuntimeError) as error:
        raise _explain(error, dataset.id, file, bar.most if begun else None) from error
    if size != file.bytes:
        raise MtlError(f"{file.path!r} of '{dataset.id}' has {size or 0:,} bytes, not the {file.bytes:,} that were looked up. "
                       "Look the dataset up again.")
    return Path(cached)


def _explain(error: Exception, name: str, file: HubFile | None = None, received: int | None = None) -> MtlError:
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
        reason = (f"is not complete: {file.path!r} ended after {min(received, file.bytes):,} of {file.bytes:,} bytes. "
                  "Try again: complete files are kept.")
    elif status:
        reason = f"cannot be had now: the Hub is busy (status {status}). Try again in a minute."
    else:
        reason = ("is not wholly on this machine" if file else "cannot be looked up") + ": the Hub cannot be reached. Check the connection."
    return MtlError(f"'{name}' {reason}")


def _bar(report: Callable[[int], None]) -> type[silent_tqdm]:
    """A class of progress bars for huggingface_hub, which reports how many bytes of a file are here. `most` is the largest count so far."""

    class Bar(silent_tqdm):
        most = 0

        def __init__(self, *args: object, initial: int = 0, **kwargs: object) -> None:
            self.n = initial

        def update(self, n: int | float | None = 1) -> None:
            self.n += int(n or 0)  # falls when a server cannot go on in the middle; a fast download has two bars for one file
            if self.n > Bar.most:
                Bar.most = self.n
                report(self.n)

        def refresh(self, *args: object, **kwargs: object) -> None:
            pass

        set_postfix_str = refresh

    return Bar
