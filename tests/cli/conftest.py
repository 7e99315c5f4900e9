"""The terminal, for its tests."""

import io
import subprocess

import pytest

from mtl.cli.main import main


@pytest.fixture
def mtl(tmp_path, monkeypatch, capsys):
    """Runs `python -m mtl ...` in this process, as torch takes seconds to load; its runs are in a folder of the test's own."""
    monkeypatch.setenv("MTL_RUNS", str(tmp_path / "runs"))

    def run(*arguments: str, stdin: str | bytes = "") -> subprocess.CompletedProcess:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(stdin)) if isinstance(stdin, bytes) else io.StringIO(stdin))
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        code, told = ended.value.code or 0, capsys.readouterr()
        failed = isinstance(code, str)  # Python prints it, and exits with 1
        return subprocess.CompletedProcess(arguments, 1 if failed else code, told.out, told.err + code if failed else told.err)

    run.root = tmp_path / "runs"
    return run
