"""Single notes to train on: their pitch and onset are measured, and notes that are off are dropped."""

import io
import struct
import tarfile
from pathlib import Path

import numpy as np
import pytest
import soundfile

from analysis.errors import MeloError
from meloctl.score.soundfont import find_soundfont, read_soundfont
from meloctl.transcription.sounds import sound_sources
from meloctl.transcription.sounds.additive import additive_instrument
from meloctl.transcription.sounds.drum_patterns import drum_track
from meloctl.transcription.sounds.gus_patches import PatchFile, find_patches, patch_notes
from meloctl.transcription.sounds.note_player import RATE, Style, drawn_style, play
from meloctl.transcription.sounds.note_samples import (
    NoteSample,
    SampledInstrument,
    checked_note,
    onset_sample,
    pitch_error,
    transposed,
)
from meloctl.transcription.sounds.performing import performed
from meloctl.transcription.sounds.program_uses import PROGRAM_USES
from meloctl.transcription.sounds.sample_packs import SamplePack, find_packs, pack_notes
from meloctl.transcription.sounds.sound_codecs import CODECS, coded
from meloctl.transcription.sounds.soundfont_notes import program_notes
from meloctl.transcription.sounds.training_music import Line, random_line, sorted_line, split_of

PLAIN = Style(
    **dict.fromkeys(Style.__dataclass_fields__, 0.0) | {"release_s": 0.05, "lead_s": 0.05, "swell_db": (0.0, 0.0, 0.0)}
)
"""A style that changes nothing."""


def tone(frequency, seconds=1.0, rate=RATE, harmonics=(1, 2, 3, 4, 5, 6)):
    """(n,) a tone with harmonics that fall by their number."""
    time = np.arange(round(seconds * rate)) / rate
    return sum(np.sin(2 * np.pi * frequency * h * time) / h for h in harmonics).astype(np.float32) * np.float32(0.1)


def hertz(pitch):
    return 440 * 2 ** ((pitch - 69) / 12)


def instrument(*, monophonic=True, sustained=True, pitches=range(48, 85, 3)):
    """Steady tones that rise within 5 ms."""
    rise = np.minimum(np.arange(2 * RATE) / (0.005 * RATE), 1).astype(np.float32)
    notes = tuple(
        NoteSample(
            pitch=pitch,
            samples=tone(hertz(pitch), 2.0) * rise,
            onset=onset_sample(tone(hertz(pitch), 2.0) * rise, RATE),
        )
        for pitch in pitches
    )
    return SampledInstrument(
        name="tones", family="tones", rate=RATE, notes=notes, sustained=sustained, monophonic=monophonic
    )


@pytest.mark.parametrize("pitch", [36, 60, 84])
@pytest.mark.parametrize("cents", [-25, 0, 20])
def test_the_error_of_a_pitch_is_measured(pitch, cents):
    assert pitch_error(tone(hertz(pitch + cents / 100)), RATE, pitch) == pytest.approx(cents, abs=6)


@pytest.mark.parametrize(
    ("octaves", "harmonics"),
    [(1, (1, 2, 3, 4)), (-1, (1, 2, 3, 4, 5, 6)), (1, (1,)), (-1, (1, 3, 5, 7))],
)
def test_an_octave_error_is_found(octaves, harmonics):
    sound = tone(hertz(60 + 12 * octaves), harmonics=harmonics)
    assert pitch_error(sound, RATE, 60) == pytest.approx(1200 * octaves, abs=6)


@pytest.mark.parametrize("harmonics", [(1,), (1, 3, 5, 7), (2, 3, 4, 5, 6)])
def test_no_octave_error_where_partials_are_missing(harmonics):
    assert abs(pitch_error(tone(hertz(57), harmonics=harmonics), RATE, 57)) <= 6


def test_an_onset_is_where_the_level_comes_within_15_db():
    # a rise of .2 s to full level: −15 dB is 10^(−15/20) = .178 of it, .0356 s after its beginning at .1 s
    rise = np.clip((np.arange(RATE) / RATE - 0.1) / 0.2, 0, 1).astype(np.float32)
    assert onset_sample(tone(440) * rise, RATE) / RATE == pytest.approx(0.1 + 0.178 * 0.2, abs=0.006)


def test_notes_that_cannot_be_used_say_why():
    silence = np.zeros(RATE, np.float32)
    assert checked_note(silence, RATE, 60) == "silent"
    assert checked_note(np.concatenate([tone(440, 0.05), silence]), RATE, 69) == "too short"
    assert checked_note(tone(440), RATE, 68) == "+100 cents off"
    note = checked_note(np.concatenate([silence, tone(440), silence]), RATE, 69)
    assert note.onset / RATE < 0.02
    assert len(note.samples) / RATE == pytest.approx(1, abs=0.03)


def test_an_additive_instrument_is_drawn_by_its_seed():
    one, again, other = additive_instrument(1), additive_instrument(1), additive_instrument(2)
    assert np.array_equal(one.notes[0].samples, again.notes[0].samples)
    assert len(one.notes) >= 8
    assert not np.array_equal(one.notes[0].samples[:1000], other.notes[0].samples[:1000])


def test_transposing_moves_pitch_and_speed():
    higher = transposed(instrument(), 5)
    assert higher.range == (51, 91)
    line = sorted_line(np.array([0.2]), np.array([1.0]), np.array([65]))
    sound, _ = play(line, higher, PLAIN, np.random.default_rng(0), 1.5)
    assert abs(pitch_error(sound[RATE // 3 : RATE // 3 + RATE // 2], RATE, 65)) <= 6


@pytest.mark.parametrize("monophonic", [True, False])
def test_labels_lie_where_notes_were_planted(monophonic):
    onset = np.array([0.2, 0.7, 1.0, 1.6])
    line = sorted_line(onset, np.array([0.6, 1.0, 1.5, 5.2]), np.array([60, 64, 64, 71]))
    sound, notes = play(line, instrument(monophonic=monophonic), PLAIN, np.random.default_rng(0), 6)
    assert notes.onset == pytest.approx(onset, abs=0.008)
    assert notes.offset == pytest.approx(
        [0.6, 1.0, 1.5, 5.2], abs=0.05
    )  # the last is longer than its sample, which is repeated
    assert notes.pitch.tolist() == [60, 64, 64, 71]
    for start, pitch in zip((0.3, 1.1, 4.5), (60, 64, 71), strict=True):
        assert abs(pitch_error(sound[round(start * RATE) : round((start + 0.3) * RATE)], RATE, pitch)) <= 6


def test_a_slow_attack_moves_the_label():
    style = Style(**{**PLAIN.__dict__, "attack_s": 0.3})
    line = sorted_line(np.array([0.5]), np.array([1.4]), np.array([60]))
    _, notes = play(line, instrument(), style, np.random.default_rng(0), 2)
    assert 0.51 < notes.onset[0] < 0.65


def test_a_struck_note_ends_where_it_has_faded():
    fading = instrument(sustained=False)
    time = np.arange(2 * RATE, dtype=np.float32) / RATE
    faded = tuple(
        NoteSample(pitch=note.pitch, samples=note.samples * np.exp(-time / 0.1), onset=note.onset)
        for note in fading.notes
    )
    line = sorted_line(np.array([0.1]), np.array([1.9]), np.array([60]))
    _, notes = play(line, SampledInstrument(**{**fading.__dict__, "notes": faded}), PLAIN, np.random.default_rng(0), 2)
    assert notes.offset[0] == pytest.approx(0.1 + 0.1 * 32 / 8.686, abs=0.03)  # 8.686 dB in a time constant of .1 s


def test_vibrato_is_present():
    style = Style(**{**PLAIN.__dict__, "vibrato_cents": 40.0, "vibrato_hz": 5.0})
    line = sorted_line(np.array([0.1]), np.array([2.1]), np.array([69]))
    sound, _ = play(line, instrument(), style, np.random.default_rng(0), 2.2)
    window = RATE // 20
    track = [pitch_error(sound[i : i + window], RATE, 69) for i in range(RATE // 2, RATE * 19 // 10, RATE // 50)]
    assert 35 < np.ptp(track) < 110
    turns = np.diff(np.sign(track - np.mean(track))) != 0
    assert 9 <= turns.sum() <= 19  # two a period: 14 in 1.4 s


@pytest.mark.parametrize("seed", range(6))
def test_an_instrument_that_plays_one_note_at_a_time_does(seed):
    rng = np.random.default_rng(seed)
    line = performed(random_line(rng, 10), instrument(), rng)
    assert (line.offset[:-1] <= line.onset[1:]).all()
    assert (line.offset - line.onset >= 0.05).all()
    assert line.pitch.min() >= 46
    assert line.pitch.max() <= 86
    sound, notes = play(line, instrument(), drawn_style(instrument(), rng), rng, 10)
    assert len(notes) >= 0.9 * len(line)
    assert np.isfinite(sound).all()


@pytest.mark.parametrize("seed", range(6))
def test_a_note_ends_before_the_next_on_its_pitch(seed):
    rng = np.random.default_rng(seed)
    line = performed(random_line(rng, 10), instrument(monophonic=False, sustained=False), rng)
    for pitch in np.unique(line.pitch):
        same = line.take(line.pitch == pitch)
        assert (same.offset[:-1] <= same.onset[1:]).all()


def test_a_program_of_timgm_is_in_tune():
    notes = program_notes(read_soundfont(find_soundfont()), "timgm", 71, 90)
    assert notes.dropped == ()
    assert [note.pitch for note in notes.notes] == list(range(50, 90, 3))
    assert all(note.onset < 0.2 * notes.rate for note in notes.notes)


@pytest.mark.parametrize("codec", range(len(CODECS)))
def test_a_codec_does_not_move_sound_in_time(codec):
    class First:
        def integers(self, _):
            return codec

        def uniform(self, *_):
            return 0.9

    sound = np.zeros(44_100, np.float32)
    sound[11_025:33_075] = tone(523, 1.0, 22_050)
    back = coded(sound, 22_050, First())
    assert len(back) == len(sound)
    assert onset_sample(back, 22_050) == pytest.approx(11_025, abs=150)
    assert not np.array_equal(back, sound)


def test_drums_are_drawn_by_their_seed():
    sounds = {36: tone(60, 0.1), 38: tone(200, 0.1), 42: tone(5000, 0.05)}
    one, again = (drum_track(sounds, RATE, np.random.default_rng(3), 2.0) for _ in range(2))
    assert np.array_equal(one, again)
    assert np.abs(one).max() > 0.05


def test_movements_of_a_work_are_in_one_split():
    assert len({split_of(Path(f"sq1234-m{i}.mid")) for i in range(9)}) == 1
    splits = [split_of(Path(f"jsf_{i}.mid")) for i in range(2000)]
    assert 0.77 < splits.count("train") / 2000 < 0.83
    assert 0.08 < splits.count("test") / 2000 < 0.12


def pack_file(folder, files):
    path = folder / "tonejs-instrument-kazoo-mp3-1.0.0.tgz"
    with tarfile.open(path, "w:gz") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(f"package/{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def mp3(samples):
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, RATE, format="MP3", subtype="MPEG_LAYER_III")
    return buffer.getvalue()


def test_a_pack_of_notes_is_read_and_checked(tmp_path):
    sound = np.pad(tone(440), (RATE // 5, RATE // 5))
    pack_file(tmp_path, {"A4.mp3": mp3(sound), "As4.mp3": mp3(sound), "index.js": b"x"})
    (pack,) = find_packs(tmp_path)
    assert pack.instrument == "kazoo"
    notes = pack_notes(pack)
    assert [note.pitch for note in notes.notes] == [69]
    assert notes.dropped == ("pitch 70: -100 cents off",)


@pytest.mark.parametrize("data", [b"", b"no archive", b"\x1f\x8b\x08" + bytes(40)])
def test_what_is_no_pack_is_refused(tmp_path, data):
    path = tmp_path / "tonejs-instrument-kazoo-mp3-1.0.0.tgz"
    path.write_bytes(data)
    with pytest.raises(MeloError, match="not a sample pack"):
        pack_notes(SamplePack(instrument="kazoo", path=path))


def test_a_pack_with_other_files_is_refused(tmp_path):
    path = pack_file(tmp_path, {"A4.mp3": b"no MP3"})
    with pytest.raises(MeloError, match="cannot be decoded"):
        pack_notes(SamplePack(instrument="kazoo", path=path))
    path = pack_file(tmp_path, {"readme.txt": b"x"})
    with pytest.raises(MeloError, match=r"no notes named like A4\.mp3"):
        pack_notes(SamplePack(instrument="kazoo", path=path))


def patch_bytes(frequency, looped):
    """A patch of one sample of .2 s, 16 bits, at 22,050 Hz, that repeats a hundred periods where it is looped."""
    period = 50  # samples: 441 Hz
    wave = (tone(441, 0.2, 22_050) * 32767).astype("<i2").tobytes()
    loop = (2 * period * 2, 2 * period * 62)
    sample = struct.pack(
        "<7s B 3I H 3I h B 6B 6B 3B 3B B H H 36x",
        *(b"one", 0, len(wave), *loop, 22_050, 0, 0, frequency, 0, 7),
        *([0] * 18),
        *(1 | (4 if looped else 0), 60, 1024),
    )
    return b"GF1PATCH110\0ID#000002\0".ljust(129, b"\0") + bytes(63) + bytes(6) + b"\1" + bytes(40) + sample + wave


def test_a_patch_is_read_tuned_and_its_loop_repeated(tmp_path):
    path = tmp_path / "071_Clarinet.pat"
    path.write_bytes(patch_bytes(441_000, True))
    (patch,) = find_patches(tmp_path)
    (note,) = patch_notes(patch).notes
    assert note.pitch == 69
    assert len(note.samples) > 2 * RATE
    assert abs(pitch_error(note.samples[:RATE], RATE, 69)) <= 5  # 441 Hz is read as the 440 Hz of its pitch


@pytest.mark.parametrize(
    ("data", "message"),
    [(b"GF1PATCH110", "damaged patch"), (b"RIFF", "not a Gravis"), (patch_bytes(441_000, True)[:250], "damaged")],
)
def test_a_damaged_patch_is_refused(tmp_path, data, message):
    path = tmp_path / "071_Clarinet.pat"
    path.write_bytes(data)
    with pytest.raises(MeloError, match=message):
        patch_notes(PatchFile(program=71, path=path))


def test_no_source_names_the_packages(tmp_path, monkeypatch):
    monkeypatch.setattr(sound_sources, "FONT_FOLDERS", (tmp_path,))
    monkeypatch.setattr(sound_sources, "PATCH_FOLDERS", ())
    monkeypatch.setattr(sound_sources, "_wheel", list)
    for split, words in (
        ("train", "apt install fluid-soundfont-gm"),
        ("test", "opl3-soundfont"),
        ("validation", "violin"),
    ):
        with pytest.raises(MeloError, match=words):
            sound_sources.find_sources(split)


def test_lines_are_sorted():
    line = sorted_line(np.array([1.0, 0.0, 0.0]), np.array([2.0, 1.0, 1.0]), np.array([60, 62, 61]))
    assert isinstance(line, Line)
    assert line.pitch.tolist() == [61, 62, 60]


def test_programs_have_ranges_that_instruments_have():
    assert len(PROGRAM_USES) > 80
    for use in PROGRAM_USES.values():
        assert 20 < use.low < use.high - 15
        assert use.high < 108
        assert use.weight > 0
    assert (PROGRAM_USES[40].low, PROGRAM_USES[40].monophonic, PROGRAM_USES[40].sustained) == (55, True, True)
    assert (PROGRAM_USES[0].monophonic, PROGRAM_USES[0].sustained) == (False, False)
