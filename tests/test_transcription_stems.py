"""Stems on disk and mixes of them: made again alike, added up, and refused where files are damaged."""

import shutil

import numpy as np
import pytest

from analysis.errors import MeloError
from meloctl.score.soundfont import find_soundfont
from meloctl.transcription.sounds import mixes
from meloctl.transcription.sounds.fixed_mixes import fixed_mixes
from meloctl.transcription.sounds.mixes import draw_mix
from meloctl.transcription.sounds.note_samples import pitch_error
from meloctl.transcription.sounds.room import equalizer, octaves, transform_size
from meloctl.transcription.sounds.sound_sources import SoundFontSource, SoundSources
from meloctl.transcription.sounds.stem_building import build_stems
from meloctl.transcription.sounds.stem_library import STEM_RATE, StemLibrary

HOURS = 0.08


def build(folder, **options):
    font = SoundFontSource(family="timgm", path=find_soundfont())
    sources = SoundSources(split="train", fonts=(font,), packs=(), patches=())
    return build_stems(folder, sources, (), **{"hours": HOURS, "seed": 4, **options})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("stems")
    build(path)
    return path


@pytest.fixture(scope="module")
def library(folder):
    return StemLibrary(folder, "train")


def test_a_library_holds_stems_with_notes_and_drums_without(library):
    assert len(library.melodic) >= 8
    assert len(library.drums) == 8
    stem = library.read(library.melodic[0])
    assert stem.audio.dtype == np.float32
    assert len(stem.notes) >= 3
    assert 0.02 < stem.audio.std() < 0.2
    assert len(library.read(library.drums[0]).notes) == 0


def test_part_of_a_stem_has_its_notes_moved(library):
    whole, later = library.read(library.melodic[0]), library.read(library.melodic[0], 5.0, 4.0)
    assert np.array_equal(later.audio, whole.audio[5 * STEM_RATE : 9 * STEM_RATE])
    expected = (whole.notes.offset > 5) & (whole.notes.onset < 9)
    assert later.notes.onset == pytest.approx(whole.notes.onset[expected] - 5)


def test_a_build_goes_on_and_ends_alike(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "copy")
    files = sorted((tmp_path / "copy" / "train").iterdir())
    before = {path.name: path.read_bytes() for path in files}
    for path in files[:4]:
        path.unlink()
    done = []
    build(tmp_path / "copy", on_stems=lambda now, total: done.append((now, total)))
    assert {path.name: path.read_bytes() for path in sorted((tmp_path / "copy" / "train").iterdir())} == before
    assert done[-1][0] == done[-1][1]


def test_a_folder_of_another_plan_is_refused(folder):
    with pytest.raises(MeloError, match="stems of another plan"):
        build(folder, seed=5)


def test_damaged_stems_are_refused(folder, tmp_path):
    with pytest.raises(MeloError, match="no stems"):
        StemLibrary(tmp_path, "train")
    for suffix, message in ((".safetensors", "a damaged file"), (".npy", "cannot be read")):
        shutil.copytree(folder, tmp_path / suffix)
        path = next(path for path in sorted((tmp_path / suffix / "train").iterdir()) if path.suffix == suffix)
        path.write_bytes(path.read_bytes()[:40])
        with pytest.raises(MeloError, match=message):
            StemLibrary(tmp_path / suffix, "train")


def test_a_plain_mix_is_the_sum_of_its_stems(library, monkeypatch):
    chosen = [mixes._Chosen(stem=library.melodic[0], start_s=2.0), mixes._Chosen(stem=library.melodic[-1], start_s=7.0)]
    monkeypatch.setattr(mixes, "_drawn_stems", lambda *_: chosen)
    mix = draw_mix(library, np.random.default_rng(1), 6.0, parts=2, augment=False)
    stems = [library.read(one.stem, one.start_s, 6.0) for one in chosen]
    levels = [np.sqrt(np.square(stem.audio).mean()) for stem in stems]
    expected = sum(0.06 / level * stem.audio for stem, level in zip(stems, levels, strict=True))
    assert mix.samples == pytest.approx(expected, abs=1e-5)
    assert mix.instruments == tuple(stem.instrument for stem in stems)
    for part, stem in enumerate(stems):
        own = mix.notes.take(mix.notes.part == part)
        sounding = stem.notes.take((stem.notes.offset > 0.03) & (stem.notes.onset < 5.98))
        assert own.pitch.tolist() == sounding.pitch.tolist()
        assert own.onset == pytest.approx(sounding.onset)


def test_equal_generators_draw_equal_mixes(library):
    one, again, other = (draw_mix(library, np.random.default_rng(seed), 6.0) for seed in (7, 7, 8))
    assert np.array_equal(one.samples, again.samples)
    assert np.array_equal(one.notes.onset, again.notes.onset)
    assert len(one.samples) != len(other.samples) or not np.array_equal(one.samples, other.samples)


@pytest.mark.parametrize("parts", [0, 1, 2, 3, 5])
def test_a_mix_is_whole(library, parts):
    for seed in range(6):
        mix = draw_mix(library, np.random.default_rng([seed, parts]), 5.0, parts=parts)
        assert len(mix.samples) == 5 * STEM_RATE
        assert mix.samples.dtype == np.float32
        assert np.isfinite(mix.samples).all()
        assert np.abs(mix.samples).max() <= 1
        assert mix.parts == parts == len(mix.instruments)
        assert set(mix.notes.part.tolist()) <= set(range(parts))
        assert (mix.notes.offset <= 5.0).all()
        assert (mix.notes.onset < mix.notes.offset).all()


def test_labels_follow_speed_and_pitch(library):
    checked, right = 0, 0
    for seed in range(24):
        mix = draw_mix(library, np.random.default_rng([seed, 9]), 8.0, parts=1)
        for onset, offset, pitch in zip(mix.notes.onset, mix.notes.offset, mix.notes.pitch, strict=True):
            alone = ((mix.notes.onset < offset) & (mix.notes.offset > onset)).sum() == 1
            sound = mix.samples[round((onset + 0.03) * STEM_RATE) : round(offset * STEM_RATE)]
            if alone and onset > 0 and len(sound) > STEM_RATE // 4:
                checked += 1
                right += abs(pitch_error(sound, STEM_RATE, int(pitch))) <= 50
    assert checked > 30
    assert right >= 0.9 * checked


def test_fixed_mixes_are_fixed_and_have_different_instruments(library):
    one, again = (fixed_mixes(library, 2, 4, seconds=8.0) for _ in range(2))
    assert len(one) >= 1
    for mix, same in zip(one, again, strict=True):
        assert np.array_equal(mix.samples, same.samples)
        assert len(set(mix.instruments)) == 2
        assert set(mix.notes.part.tolist()) <= {0, 1}


def test_an_equalizer_is_smooth_and_bounded():
    octave = octaves(transform_size(22_050), STEM_RATE)
    for seed in range(20):
        response_db = 20 * np.log10(equalizer(np.random.default_rng(seed), octave))
        assert response_db.min() >= -30.1
        assert response_db.max() <= 18.1
