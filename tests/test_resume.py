"""Killed at any moment and resumed, a run ends with the weights, the optimizer and the log of an unbroken one."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_runs_killed_with_sigkill_at_random_moments_end_bit_for_bit_like_unbroken_ones():
    script = ROOT / "tests" / "bench" / "kill_and_resume.py"
    result = subprocess.run([sys.executable, script, "--kills", "4"], capture_output=True, text=True, cwd=ROOT)
    summary = json.loads(result.stdout.strip().splitlines()[-1])
    assert summary["runs"] == summary["identical"] == 4, result.stdout + result.stderr[-2000:]
