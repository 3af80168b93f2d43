"""A small report of songs with hostile names, and commands run in this process."""

import json
import random

from conftest import note, smf
from typer.testing import CliRunner

from meloctl.cli.main import app

HOSTILE = '<script>alert("1")<&script>'


def run(*arguments):
    """stdout of a command in this process; a user's mistake comes out as MeloError."""
    done = CliRunner().invoke(app, [str(a) for a in arguments])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.stdout


def write_song(path, seed, *, bass=True, drums=True, bars=16):
    """A tune of four bars, repeated, over a bass and a drum in time with it."""
    rng = random.Random(seed)
    tune = [rng.choice([60, 62, 64, 65, 67, 69]) for _ in range(16)]
    whole = (tune * bars)[: 4 * bars]
    parts = [[e for pitch in whole for e in note(pitch, 480)]]
    if bass:
        parts.append([(0, b"\xc1\x21")] + [e for p in whole[::4] for e in note(p - 24, 1920, channel=1)])
    if drums:
        parts.append([e for i in range(bars) for e in note(36 + i % 2, 480, rest=480 * 3 * (i > 0), channel=9)])
    path.write_bytes(smf(*parts))


def small_report(root):
    """stats, corpus check, derive-mask and report of twelve songs with hostile names, and of two files that are no music →
    (root, workspace, what report printed)."""
    corpus, work = root / 'songs <b>&"', root / "melo"
    corpus.mkdir()
    for i in range(12):
        write_song(corpus / f"{HOSTILE}{i}.mid", i, bars=12 + 2 * (i % 4))
    for i in range(2):
        (corpus / f"{HOSTILE}broken{i}.mid").write_text("no music")
    for command in (["stats", corpus], ["corpus", "check", corpus], ["derive-mask"]):
        run(*command, "--work", work)
    result = json.loads(run("report", "--work", work, "--json"))
    return root, work, result
