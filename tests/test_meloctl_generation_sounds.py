"""Sounds that are rendered beside what else there is to do."""

from threading import Event

import pytest

from analysis.errors import MeloError
from meloctl.generation import sounds
from meloctl.generation.sounds import sounds_beside
from meloctl.score.render import TooLongForSoundError


def files(folder, n):
    return [folder / f"piece-{i}.mid" for i in range(n)]


def test_sounds_are_rendered_while_the_block_runs(tmp_path, monkeypatch):
    began, drawn = Event(), Event()

    def write(midi, path, *, soundfont, threads, on_minute):
        began.set()
        assert drawn.wait(60)
        path.write_bytes(b"sound")

    monkeypatch.setattr(sounds, "write_sound", write)
    with sounds_beside(files(tmp_path, 3), ending="flac", soundfont=tmp_path / "a.sf2") as futures:
        assert began.wait(60)  # what the block does, it does while sound is made
        drawn.set()
        assert [future.result() for future in futures] == [""] * 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["piece-0.flac", "piece-1.flac", "piece-2.flac"]


def test_too_long_is_said_and_other_errors_name_the_music(tmp_path, monkeypatch):
    def write(midi, path, **_):
        if midi.stem == "piece-0":
            raise TooLongForSoundError(f"{midi}: 3.00 hours of music")
        raise MeloError("the soundfont is damaged")

    monkeypatch.setattr(sounds, "write_sound", write)
    with sounds_beside(files(tmp_path, 2), ending="wav", soundfont=tmp_path / "a.sf2") as (long, broken):
        assert long.result() == "No sound is written: 3.00 hours of music"
        with pytest.raises(
            MeloError, match=r"the soundfont is damaged; the music is written, without sound: .*piece-1"
        ):
            broken.result()


def test_an_interrupt_ends_what_is_rendered_and_begins_nothing_more(tmp_path, monkeypatch):
    begun = []
    rendering = Event()

    def write(midi, path, *, soundfont, threads, on_minute):
        begun.append(midi)
        rendering.set()
        while True:
            on_minute()

    monkeypatch.setattr(sounds, "write_sound", write)
    monkeypatch.setattr(sounds, "usable_cores", lambda: 1)

    def interrupted():
        with sounds_beside(files(tmp_path, 3), ending="wav", soundfont=tmp_path / "a.sf2"):
            assert rendering.wait(60)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert begun == files(tmp_path, 1)


def test_without_a_soundfont_there_are_no_sounds(tmp_path):
    with sounds_beside(files(tmp_path, 3), ending="none", soundfont=None) as futures:
        assert futures == []
