"""A thousand generated files over masks, instruments, meters and seeds: exact, valid everywhere, and under their constraints."""

import os
import shutil
import subprocess

import pytest
from miditoolkit import MidiFile
from small_models import V, row_writers, small
from symusic import Score

from analysis.midi import read_midi
from analysis.midi_write import write_midi
from masks.rules.baselines import museformer_mask, window_mask
from masks.spec import MOST_OFFSET, MaskSpec
from meloctl.generation.constraints import Constraints
from meloctl.generation.options import Sampling
from meloctl.generation.parse_options import parse_instruments, parse_meter, parse_tempo
from meloctl.generation.sampler import generate
from meloctl.rows.codec import decode
from meloctl.rows.grammar import check_rows
from meloctl.score.playable import playable

pytestmark = pytest.mark.usefixtures("one_thread")

MASKS = {
    "diary": MaskSpec(same="full", near=2, far=(4,), summaries=True),
    "museformer": museformer_mask(),
    "window": window_mask(4),
    "dense": MaskSpec(same="full", near=MOST_OFFSET, far=(), summaries=False),
    "drums exempt": MaskSpec(same=(1, 2, 4), near=0, far=(4,), summaries=True, drums="exempt"),
}
INSTRUMENTS = ("piano", "piano,bass,drums", "violin,violin,viola,cello", "drums", "14,14,flute,guitar,drums", None)
METERS = ("4/4", "3/4", "7/8", "5/16", "12/8", None)
TOGETHER = 20


def files(folder, masks, rounds):
    """(path, constraints, meter) of so many rounds of pieces under each mask, written as `meloctl generate` does."""
    for mask_at, name in enumerate(masks):
        model = small(MASKS[name], layers=1).float()
        for n in range(rounds):
            instruments, meter = INSTRUMENTS[(n + mask_at) % len(INSTRUMENTS)], METERS[(n // 2) % len(METERS)]
            constraints = Constraints(
                bars=1 + (3 * n) % 11,
                parts=None if instruments is None else parse_instruments(instruments, V),
                time_signature=None if meter is None else parse_meter(meter, V),
                tempo=parse_tempo(60 + 10 * n, V),
            )
            seeds = range(1000 * mask_at + 100 * n, 1000 * mask_at + 100 * n + TOGETHER)
            writers = row_writers(constraints, seeds)
            generate(model, writers, Sampling(top_p=0.98))
            for i, seed in enumerate(seeds):
                rows = writers.rows(i)
                assert check_rows(rows, V) == []
                path = folder / f"{name.replace(' ', '-')}-{n}-{seed}.mid"
                write_midi(playable(decode(rows, V)), path)
                yield path, constraints, meter


def assert_holds(path, constraints, meter):
    """Assert that a file keeps its constraints, in our reader, in symusic or in miditoolkit."""
    piece, score, toolkit = read_midi(path), Score(str(path)), MidiFile(path)
    assert piece.n_bars == constraints.bars
    if meter:
        assert {piece.bars.signature(b) for b in range(constraints.bars)} == {tuple(map(int, meter.split("/")))}
    assert score.end() <= int(piece.bars.start_tick(constraints.bars))
    notes = [sum(len(t.notes) for t in tracks) for tracks in (score.tracks, toolkit.instruments)]
    assert notes == [len(piece.notes)] * 2
    if constraints.parts is not None:
        wanted = sorted(V.program_of(instrument) for instrument, _ in constraints.parts)
        for found in (piece.parts, score.tracks, toolkit.instruments):
            assert sorted((0 if p.is_drum else p.program, p.is_drum) for p in found) == wanted


def test_sixty_files(tmp_path):
    found = list(files(tmp_path, ["diary"], 3))
    for file in found:
        assert_holds(*file)
    assert len(found) == 60


@pytest.mark.slow
def test_a_thousand_files(tmp_path):
    found = list(files(tmp_path, MASKS, 10))
    for file in found:
        assert_holds(*file)
    assert len(found) == 1000
    program = shutil.which("mscore3") or shutil.which("mscore") or shutil.which("musescore3")
    if program is None:
        pytest.skip("all 1,000 files are right; MuseScore is not installed, so none was opened in it")
    for path, *_ in found[:: len(found) // 20]:
        out = path.with_suffix(".musicxml")
        done = subprocess.run(
            [program, "-o", str(out), str(path)],
            env={**os.environ, "QT_QPA_PLATFORM": "offscreen", "XDG_RUNTIME_DIR": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, f"{path.name}: {done.stderr[-500:]}"
        assert "<note" in out.read_text()
