"""Imports point one way, analysis ◄ masks ◄ meloctl, and torch stays in meloctl."""

import ast
import subprocess
import sys

import pytest
from conftest import ROOT

MAY = {
    "analysis": {"analysis"},
    "masks": {"analysis", "masks"},
    "meloctl": {"analysis", "masks", "meloctl"},
}
HEAVY = {"torch", "accelerate", "tensorboard"}


def imported(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (a.name.split(".")[0] for a in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module.split(".")[0]


@pytest.mark.parametrize("package", MAY)
def test_imports_point_one_way(package):
    files = sorted((ROOT / package).rglob("*.py"))
    assert len(files) > 5
    for path in files:
        names = set(imported(path))
        assert names & set(MAY) <= MAY[package], path
        if package != "meloctl":
            assert not names & HEAVY, path


def test_only_one_file_knows_a_midi_library():
    knows = {
        path.name
        for package in MAY
        for path in (ROOT / package).rglob("*.py")
        if set(imported(path)) & {"symusic", "miditoolkit", "mido", "pretty_midi"}
    }
    assert knows == {"midi.py"}


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["stats", "--help"], ["train", "--help"], ["generate", "--help"], ["play", "--help"]],
)
def test_help_needs_nothing_heavy(arguments):
    code = (
        "import sys; from meloctl.cli.main import app\n"
        f"try: app({arguments!r})\nexcept SystemExit: pass\n"
        "print([m for m in ('torch', 'numpy', 'matplotlib', 'pandas', 'symusic', 'music21') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert "Usage:" in done.stdout
