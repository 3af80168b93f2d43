"""A wheel, built and installed without a network: in an empty folder it writes 32 bars, and transcribes, with the weights that it
brought."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy as np
import pytest
import soundfile
from conftest import ROOT
from test_meloctl_weights import write_model

from analysis.midi import read_midi
from meloctl.weights.default_weights import CARD

OFFLINE = {
    **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), "http://127.0.0.1:9"),
    "PIP_NO_INDEX": "1",
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
}


def run(*words, cwd):
    """A command without network, without this checkout on its path → what it printed on both streams."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "MELOCTL"))}
    done = subprocess.run([*map(str, words)], cwd=cwd, env={**kept, **OFFLINE}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The folder of a fresh environment with the wheel; its requirements are those of this environment."""
    root = tmp_path_factory.mktemp("wheel")
    source = root / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for package in ("analysis", "masks", "meloctl"):
        shutil.copytree(ROOT / package, source / package, ignore=shutil.ignore_patterns("__pycache__"))
    weights = source / "meloctl" / "weights"
    if not (weights / "model.safetensors").is_file():  # a checkout from before they were trained
        made = write_model(root / "model")
        for name in ("model.safetensors", "model.json"):
            shutil.copy(made / name, weights)
        (weights / CARD).write_text("a model of a test\n")
    build = ("--no-deps", "--no-build-isolation", "--wheel-dir", root)
    run(sys.executable, "-m", "pip", "wheel", source, *build, cwd=root)
    run(sys.executable, "-m", "venv", root / "env", cwd=root)
    places = {name: sysconfig.get_path(name, vars={"base": str(root / "env")}) for name in ("purelib", "scripts")}
    (Path(places["purelib"]) / "requirements.pth").write_text(sysconfig.get_path("purelib") + "\n")
    run(Path(places["scripts"]) / "python", "-m", "pip", "install", "--no-deps", *root.glob("*.whl"), cwd=root)
    return Path(places["scripts"]), Path(places["purelib"])


@pytest.mark.slow
def test_a_wheel_writes_32_bars_in_an_empty_folder(installed, tmp_path):
    scripts, packages = installed
    found = run(scripts / "python", "-c", "import meloctl.cli; print(meloctl.__file__)", cwd=tmp_path)
    assert Path(found.strip()).is_relative_to(packages)
    weights = packages / "meloctl" / "weights"
    assert {"model.safetensors", "model.json", CARD} <= {p.name for p in weights.iterdir()}
    before = {p: p.stat().st_mtime_ns for p in weights.iterdir() if p.is_file()}
    said = run(scripts / "meloctl", "generate", "--bars", "32", cwd=tmp_path)
    assert "writing with the weights that came with meloctl, default-" in said
    assert f"card: {weights / CARD}" in said
    (midi,) = tmp_path.glob("melo/out/*/piece.mid")
    assert read_midi(midi).n_bars == 32
    assert (midi.parent / "piece.wav").is_file()
    assert {p: p.stat().st_mtime_ns for p in weights.iterdir() if p.is_file()} == before


@pytest.mark.slow
def test_a_wheel_transcribes_sound(installed, tmp_path):
    scripts, packages = installed
    brought = {path.name for path in (packages / "meloctl" / "transcription" / "weights").iterdir()}
    assert {"transcriber.safetensors", "CARD.md"} <= brought
    chord = sum(np.sin(2 * np.pi * 220 * k * np.arange(88_200) / 22_050) / k**2 for k in (1, 2, 3, 4, 5))
    soundfile.write(tmp_path / "a.wav", np.tile(0.2 * chord * np.exp(-np.arange(88_200) / 30_000), 4), 22_050)
    run(scripts / "meloctl", "transcribe", "a.wav", cwd=tmp_path)
    (midi,) = tmp_path.glob("melo/transcription/*/a.mid")
    assert (read_midi(midi).notes.pitch == 57).sum() >= 3
