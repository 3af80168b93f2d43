"""A thousand generated files over masks, instruments, metres and seeds: exact, valid everywhere, and what was asked for."""

import os
import shutil
import subprocess

import numpy as np
import pytest
import torch
from miditoolkit import MidiFile
from symusic import Score
from test_meloctl_model import small
from test_meloctl_model_decoder import V

from analysis.midi import read_midi, write_midi
from masks.rules.baselines import museformer_mask, window_mask
from masks.spec import MOST_OFFSET, MaskSpec
from meloctl.generation.parse_options import parts_of, tempo_of, time_signature_of
from meloctl.generation.piece_writer import Constraints, PieceWriter
from meloctl.generation.sampler import Sampling, generate
from meloctl.rows.codec import decode
from meloctl.rows.grammar import check_rows
from meloctl.score.playable import playable

MASKS = {
    "diary": MaskSpec(same="full", near=2, far=(4,), summaries=True),
    "museformer": museformer_mask(),
    "window": window_mask(4),
    "dense": MaskSpec(same="full", near=MOST_OFFSET, far=(), summaries=False),
    "drums exempt": MaskSpec(same=(1, 2, 4), near=0, far=(4,), summaries=True, drums="exempt"),
}
INSTRUMENTS = ("piano", "piano,bass,drums", "violin,violin,viola,cello", "drums", "14,14,flute,guitar,drums", None)
METRES = ("4/4", "3/4", "7/8", "5/16", "12/8", None)
TOGETHER = 20


def files(folder, masks, rounds):
    """(path, bars, parts asked for, metre) of so many rounds of pieces under each mask, written as `meloctl generate` does."""
    for mask_at, name in enumerate(masks):
        model = small(MASKS[name], layers=1).float()
        for n in range(rounds):
            asked, metre = INSTRUMENTS[(n + mask_at) % len(INSTRUMENTS)], METRES[(n // 2) % len(METRES)]
            wish = Constraints(
                bars=1 + (3 * n) % 11,
                parts=None if asked is None else parts_of(asked, V),
                time_signature=None if metre is None else time_signature_of(metre, V),
                tempo=tempo_of(60 + 10 * n, V),
            )
            seeds = range(1000 * mask_at + 100 * n, 1000 * mask_at + 100 * n + TOGETHER)
            writers = [PieceWriter(vocabulary=V, wish=wish, random=np.random.default_rng(seed)) for seed in seeds]
            generate(model, writers, Sampling(top_p=0.98))
            for seed, writer in zip(seeds, writers, strict=True):
                rows = np.stack(writer.rows)
                assert check_rows(rows, V) == []
                path = folder / f"{name.replace(' ', '-')}-{n}-{seed}.mid"
                write_midi(playable(decode(rows, V), wish.bars), path)
                yield path, wish, metre


def check(path, wish, metre):
    """Raises where a file is not what was asked for, in our reader, in symusic or in miditoolkit."""
    piece, score, toolkit = read_midi(path), Score(str(path)), MidiFile(path)
    assert piece.n_bars == wish.bars
    if metre:
        assert {piece.bars.signature(b) for b in range(wish.bars)} == {tuple(map(int, metre.split("/")))}
    assert score.end() <= int(piece.bars.start_tick(wish.bars))
    notes = [sum(len(t.notes) for t in tracks) for tracks in (score.tracks, toolkit.instruments)]
    assert notes == [len(piece.notes)] * 2
    if wish.parts is not None:
        wanted = sorted(V.program_of(instrument) for instrument, _ in wish.parts)
        for found in (piece.parts, score.tracks, toolkit.instruments):
            assert sorted((0 if p.is_drum else p.program, p.is_drum) for p in found) == wanted


def test_sixty_files(tmp_path):
    found = list(files(tmp_path, ["diary"], 3))
    for told in found:
        check(*told)
    assert len(found) == 60


@pytest.mark.slow
def test_a_thousand_files(tmp_path):
    found = list(files(tmp_path, MASKS, 10))
    for told in found:
        check(*told)
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


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # models this small wait for each other more than they work
    yield
    torch.set_num_threads(before)
