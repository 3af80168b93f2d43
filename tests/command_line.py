"""Runs meloctl as users do: in a process of its own, or, where only the answer matters, in this one."""

import contextlib
import io
import json
import os
import random
import subprocess
import sys
from unittest import mock

from conftest import note, smf

from meloctl.cli import main


def meloctl(*arguments, work, cwd=None):
    """`meloctl ARGUMENTS` in a process of its own, in the workspace `work` → status, stdout, stderr."""
    environment = {**os.environ, "MELOCTL_WORK": str(work)}
    command = [sys.executable, "-m", "meloctl", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=cwd, timeout=300)


def meloctl_here(*arguments, work):
    """The same in this process, which has imported what the command needs."""
    out, err = io.StringIO(), io.StringIO()
    command = ["meloctl", *map(str, arguments)]
    with (
        mock.patch.object(sys, "argv", command),
        mock.patch.dict(os.environ, {"MELOCTL_WORK": str(work)}),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            main.run()
            status = 0
        except SystemExit as end:
            status = end.code or 0
    return subprocess.CompletedProcess(command, status, out.getvalue(), err.getvalue())


def facts(*arguments, work, run=meloctl_here):
    """The object that `meloctl ARGUMENTS --json` prints."""
    done = run(*arguments, "--json", work=work)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def mistake(*arguments, work, status=1):
    """The one line that a mistake ends in."""
    done = meloctl_here(*arguments, work=work)
    assert done.returncode == status, (done.stdout, done.stderr)
    assert done.stdout == ""
    lines = [
        line for line in done.stderr.splitlines() if not line.startswith(("measuring", "transcribing", "Starting;"))
    ]
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("meloctl")
    return lines[0]


def write_corpus(folder, files=24, seed=5):
    """Little songs of two parts: a tune of four bars, twice, over a bass."""
    random.seed(seed)
    folder.mkdir(parents=True)
    for i in range(files):
        tune = [random.choice([60, 62, 64, 65, 67]) for _ in range(16)]
        high = [e for pitch in tune * 2 for e in note(pitch, 480)]
        low = [(0, b"\xc1\x21")] + [e for pitch in tune[::4] * 2 for e in note(pitch - 24, 1920, channel=1)]
        (folder / f"{i:02d}.mid").write_bytes(smf(high, low))
    return folder


def only(folder):
    (found,) = [p for p in folder.iterdir() if p.is_dir()]
    return found


def everything_under(folder):
    return sorted(str(p) for p in folder.rglob("*"))
