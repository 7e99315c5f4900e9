"""Puts this checkout on the Hub as a Gradio Space, or brings that Space up to date: what belongs there, whether the Hub can start it, the
upload. Anybody may run it on a machine of their own; the page never does."""

import re
from pathlib import Path

import httpx2
import yaml
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, get_token
from huggingface_hub.errors import HfHubHTTPError

from mtl.data.hub.access import HUB_NAME, quiet
from mtl.errors import MtlError
from mtl.publishing.starter import copy_best
from mtl.runs.checkpoint import BEST
from mtl.runs.folder import CHECKPOINTS, Run
from mtl.scoring.measure import TEST, evaluated, read_measured

CHECKOUT = CHECKPOINTS.parent
STARTER = "checkpoints/starter"
PARTS = ("app.py", "mtl", STARTER, "requirements.txt", "README.md", "LICENSE")
OLDEST_PYTHON = 11  # 3.11: older ones have no pandas and numpy of requirements.txt
LONGEST_DESCRIPTION = 60  # characters that the Hub allows
REFUSALS = {401: "the Hub does not accept this machine's access token. Log in again: hf auth login",
            402: "the Hub wants a paid plan for a new Gradio Space on a CPU. Or make an empty one on its website, on ZeroGPU, then retry",
            403: "this access token has no right to write there. Check the owner's name, or log in with one that may write: hf auth login",
            404: "there is no such owner on the Hub, or nobody may see it. Check the name"}


def check_name(name: str) -> None:
    """Raises MtlError unless `name` is of the form OWNER/NAME."""
    if "/" not in name or not HUB_NAME.fullmatch(name):
        raise MtlError(f"{name[:100]!r} is not the name of a Space. Wanted your name on the Hub and the Space's, such as ann/mtl-studio.")


def check_front_matter() -> None:
    """Raises MtlError unless the front matter of README.md, from which the Hub builds a Space, fits the checkout."""
    text, pins = (CHECKOUT / "README.md").read_text(encoding="utf-8"), (CHECKOUT / "requirements.txt").read_text(encoding="utf-8")
    try:
        facts = yaml.safe_load(text.split("---\n")[1]) if text.startswith("---\n") else None
    except yaml.YAMLError as error:
        raise MtlError(f"README.md: its front matter is not YAML ({' '.join(str(error).split())}). Mend it, then try again.") from error
    facts = facts if isinstance(facts, dict) else {}
    gradio = re.search(r"^gradio==(\S+)", pins, re.M)[1]
    python = re.fullmatch(r"3\.(\d+)", facts["python_version"]) if isinstance(facts.get("python_version"), str) else None
    rules = {"title": (bool(facts.get("title")), "the name that the Space shows"),
             "sdk": (facts.get("sdk") == "gradio", "gradio"),
             "sdk_version": (facts.get("sdk_version") == gradio, f"{gradio}, as in requirements.txt"),
             "python_version": (bool(python) and int(python[1]) >= OLDEST_PYTHON, f'"3.{OLDEST_PYTHON}" or newer, in quotes'),
             "app_file": (facts.get("app_file") == "app.py", "app.py"),
             "short_description": (len(str(facts.get("short_description", ""))) <= LONGEST_DESCRIPTION,
                                   f"at most {LONGEST_DESCRIPTION} characters long")}
    for name, (is_right, wanted) in rules.items():
        if not is_right:
            raise MtlError(f"README.md: '{name}' in its front matter is {facts.get(name)!r}. Wanted: {wanted}. Mend it, then try again.")


def space_files(place: Path, run: Run | None = None) -> dict[str, Path]:
    """What belongs on a Space: path there -> file here. With `run`, its best checkpoint in place of the starter model, copied into the
    folder `place`. Raises MtlError if the front matter is wrong, a part is missing, the run has no such checkpoint or is in training."""
    starter = place / "starter" if run else CHECKOUT / STARTER
    if run:
        with run.hold():
            test = read_measured(run, TEST)
            copy_best(run, starter, evaluated(run, test) if test and test.checkpoint == BEST and test.is_of(run) else None, "run_card.md")
    found = {}
    for part in PARTS:
        top = starter if part == STARTER else CHECKOUT / part
        if not top.exists():
            raise MtlError(f"{part} is missing in {CHECKOUT}. Bring it back, then try again.")
        for file in sorted(top.rglob("*")) if top.is_dir() else [top]:
            inside = file.relative_to(top)
            if not file.is_dir() and not any(name.startswith(".") or name == "__pycache__" for name in inside.parts):
                found[f"{part}/{inside.as_posix()}".removesuffix("/.")] = file
    check_front_matter()
    return found


def send(name: str, files: dict[str, Path], private: bool = False) -> str:
    """Make `files` the whole content of the Space `name` in one commit, after creating it if there is none. Returns its address. Raises
    MtlError if there is no access token, the Hub refuses it or cannot be reached, or that Space holds something else."""
    with quiet():
        if not (token := get_token()):
            raise MtlError("This machine has no access token of the Hub. Log in: hf auth login. Or set HF_TOKEN to a token that may write.")
        api = HfApi(token=token)
        try:
            url = api.create_repo(name, repo_type="space", space_sdk="gradio", private=private or None, exist_ok=True)
            space = api.space_info(name)
            old = {file.rfilename for file in space.siblings} - {".gitattributes"}  # which says how the Hub stores large files
            if old - {"README.md"} and "mtl/__init__.py" not in old:
                raise MtlError(f"'{name}' holds something else, which would be removed. Choose another name, or delete that Space first.")
            if private and not space.private:
                raise MtlError(f"Everybody can see '{name}', which is there already. Make it private in its settings, or omit --private.")
            changes = [CommitOperationDelete(path) for path in sorted(old - files.keys())]
            changes += [CommitOperationAdd(path, file) for path, file in files.items()]
            api.create_commit(name, changes, commit_message="MTL Studio", repo_type="space")
        except (httpx2.HTTPError, OSError, RuntimeError, ValueError) as error:
            raise _explain(error, name) from error
    return str(url)


def _explain(error: Exception, name: str) -> MtlError:
    """What an error of huggingface_hub means for the user."""
    status = error.response.status_code if isinstance(error, HfHubHTTPError) else 0
    if status:
        reason = REFUSALS.get(status, f"the Hub answers with status {status}. Try again in a minute")
    elif isinstance(error, RuntimeError | ValueError):  # a name, a README or a file that it does not take
        reason = " ".join(str(error).split()).removesuffix(".")
    else:
        reason = "the Hub cannot be reached. Check the connection, and that HF_HUB_OFFLINE is not set"
    return MtlError(f"'{name}' was not brought up to date: {reason}.")
