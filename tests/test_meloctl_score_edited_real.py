"""One bar of a part of real files is replaced: all else stays; FluidSynth plays the same before it, MuseScore finds its bars."""

import re
import shutil
import subprocess
from collections import Counter

import numpy as np
import pytest
import soundfile
from edited_files import events_of, fill, go_on, is_note, masked_places, notes_of
from plain_player import play
from small_models import V

from analysis.errors import MeloError
from analysis.midi import parse_source
from meloctl.rows.parts import part_ids
from meloctl.score.soundfont import find_soundfont

SETS = ("asap", "band", "chorales", "lieder", "pop909", "quartets")


def one_bar(data, seed):
    """A bar of a part that has notes in it, both chosen by the seed: (bars, parts)."""
    piece, random = parse_source(data).piece, np.random.default_rng(seed)
    part = int(random.integers(len(piece.parts)))
    bar = int(random.choice(np.unique(piece.note_bar[piece.notes.part == part])))
    return range(bar, bar + 1), (part_ids(piece.parts, V)[part],)


def check_infill(data, seed):
    """Replace one bar of one part; all events but the notes that go, and all notes that stay, are found by a plain reader."""
    infill, edited = fill(data, *one_bar(data, seed), seed=seed)
    factor = edited.source.piece.ticks_per_quarter // infill.piece.ticks_per_quarter
    before, after = events_of(data, factor=factor), events_of(edited.data)
    assert Counter(e for e in before.elements() if not is_note(e)) == Counter(
        e for e in after.elements() if not is_note(e)
    )
    old, masked = play(data), masked_places(infill)
    mine = [n for n in old.notes if (n.track, n.on) in masked]
    end = int(infill.piece.bars.start_tick(infill.bars.stop)) + infill.piece.bar_tolerance
    held = [n for n in mine if n.end > end and infill.bars.stop < old.n_bars]  # into bars that are kept
    gone = before - after
    assert gone.total() <= 2 * len(mine) - len(held)
    assert {(e[0], e[4][0]) for e in gone} <= {(n.track, n.pitch) for n in mine}
    kept = notes_of(data, factor=factor, which=lambda n: (n.track, n.on) not in masked)
    assert kept - notes_of(edited.data) == Counter()
    assert play(edited.data).n_bars == old.n_bars
    return infill, edited


@pytest.mark.parametrize("name", SETS)
def test_all_events_outside_of_one_bar_of_one_part_stay(real, name):
    files = real(name)
    for seed, path in enumerate(files[:: -(-len(files) // 3)]):
        check_infill(path.read_bytes(), seed)


@pytest.mark.slow
@pytest.mark.parametrize("name", SETS)
def test_all_events_outside_of_one_bar_of_one_part_stay_in_every_file(real, name):
    counts = Counter()
    for seed, path in enumerate(real(name)):
        data = path.read_bytes()
        try:
            parse_source(data)
        except MeloError:
            continue
        try:
            check_infill(data, seed)
            counts["kept"] += 1
        except MeloError as error:
            counts[str(error)] += 1
    assert set(counts) <= {"kept", NOTHING_KEPT}, counts


NOTHING_KEPT = (
    "infill: nothing would be kept; give fewer bars with `bars_range` or fewer parts with `parts`, or write a new piece: "
    "meloctl generate --bars"
)


@pytest.mark.parametrize("name", SETS)
def test_new_bars_behind_real_files_leave_all_that_they_have(real, name):
    for seed, path in enumerate(real(name)[:2]):
        data = path.read_bytes()
        prompt, edited = go_on(data, None, 2, seed=seed)
        factor = edited.source.piece.ticks_per_quarter // prompt.piece.ticks_per_quarter
        lost = events_of(data, factor=factor) - events_of(edited.data)
        assert lost.total() == prompt.kept.left_out.total()
        assert notes_of(data, factor=factor) - notes_of(edited.data) == Counter()


# what other programs make of it


@pytest.fixture
def fluidsynth(tmp_path):
    """Renders a file: (samples, 2)."""
    program, font = shutil.which("fluidsynth"), find_soundfont()
    if program is None:
        pytest.skip("FluidSynth is not installed")

    def render(data):
        midi, wav = tmp_path / "a.mid", tmp_path / "a.wav"
        midi.write_bytes(data)
        subprocess.run(
            [program, "-n", "-i", "-q", "-r", "22050", "-F", wav, font, midi],
            check=True,
            capture_output=True,
            timeout=300,
        )
        return soundfile.read(wav)[0]

    return render


@pytest.mark.parametrize("name", ["band", "pop909", "asap"])
def test_the_sound_before_the_gap_is_the_same_to_60_decibels(real, name, fluidsynth):
    data = real(name)[1].read_bytes()
    piece = parse_source(data).piece
    middle = piece.n_bars // 2
    part = int(piece.notes.part[piece.note_bar >= middle][0])
    bar = int(piece.note_bar[(piece.notes.part == part) & (piece.note_bar >= middle)][0])
    _, edited = fill(data, range(bar, bar + 1), (part_ids(piece.parts, V)[part],))
    before, after = fluidsynth(data), fluidsynth(edited.data)
    seconds = float(piece.seconds_at(int(piece.bars.start_tick(bar)) - piece.bar_tolerance))
    end = int(22050 * seconds)
    assert end > 22050
    kept = before[:end]
    level = np.sqrt(np.mean(kept**2))
    assert level > 1e-3
    difference = np.sqrt(np.mean((after[:end] - kept) ** 2))
    assert difference <= 1e-3 * level
    rest = slice(end, end + 22050)
    assert np.abs(after[rest] - before[rest]).max() > 1e-3  # the gap itself sounds otherwise


@pytest.fixture
def musescore_bars(tmp_path):
    """Bars that MuseScore 3 finds in a file."""
    program = shutil.which("mscore3")
    if program is None:
        pytest.skip("MuseScore 3 is not installed")

    def bars(data):
        midi, score = tmp_path / "a.mid", tmp_path / "a.musicxml"
        midi.write_bytes(data)
        score.unlink(missing_ok=True)
        subprocess.run(
            [program, "-platform", "offscreen", "-o", score, midi], check=True, capture_output=True, timeout=300
        )
        first_part = score.read_text(encoding="utf-8").split("</part>")[0]
        return len(re.findall(r"<measure[ >]", first_part))

    return bars


def musescore_agrees(path, seed, musescore_bars):
    data = path.read_bytes()
    _, edited = fill(data, *one_bar(data, seed), seed=seed)
    found = musescore_bars(data)
    assert found > 0
    assert musescore_bars(edited.data) == found, path


def test_musescore_opens_the_file_and_finds_the_same_bars(real, musescore_bars):
    for name in ("band", "quartets", "lieder"):
        musescore_agrees(real(name)[2], 1, musescore_bars)


@pytest.mark.slow
def test_musescore_finds_the_same_bars_in_fifty_files(real, musescore_bars):
    """Of music that is not performed freely: where it is, as in `asap`, MuseScore guesses bars from the notes that it finds."""
    paths = [path for name in SETS if name != "asap" for path in real(name)[:: len(real(name)) // 10][:10]]
    assert len(paths) == 50
    for seed, path in enumerate(paths):
        musescore_agrees(path, seed, musescore_bars)
