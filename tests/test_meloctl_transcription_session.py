"""`meloctl transcribe` with an engine that knows sines: files, runs that are not made twice, mistakes, several processes."""

import errno
import json
import os
import signal
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import soundfile
from command_line import everything_under, facts, meloctl_here, mistake
from conftest import ROOT, wait_until
from small_transcriptions import transcribe_sines, write_sines

from analysis.errors import MeloError
from analysis.midi import read_midi
from meloctl.transcription.notes import NoteTable
from meloctl.transcription.sound_check import check_sound, speech_sentence
from meloctl.transcription.transcription import TranscribedPart, Transcription

TUNE = (48, 60, 64, 67, 48, 72, 71, 69)


@pytest.fixture
def sines(monkeypatch, tmp_path):
    """The engine is `transcribe_sines`; a folder for recordings."""
    weights = tmp_path / "weights"
    weights.write_bytes(b"none")
    engine = types.ModuleType("meloctl.transcription.engine")
    engine.transcribe_audio, engine.weights_file = transcribe_sines, lambda model: weights
    monkeypatch.setitem(sys.modules, "meloctl.transcription.engine", engine)
    file = types.ModuleType("meloctl.transcription.transcriber_file")
    file.load_transcriber = lambda path: None
    monkeypatch.setitem(sys.modules, "meloctl.transcription.transcriber_file", file)
    folder = tmp_path / "recordings"
    folder.mkdir()
    return folder


def test_a_recording_becomes_midi_and_a_picture_once(sines, tmp_path):
    song = write_sines(sines / "my song.wav", TUNE)
    done = meloctl_here("transcribe", song, work=tmp_path / "melo")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == f"{song}: 8 notes in 2 parts, 0:08, 2 bars of 4/4, about 60 quarter notes a minute"
    assert lines[2].split() == ["Part", "1", "2", "C3", "to", "C3", "100", "%", "75", "%"]
    assert lines[3].split() == ["Part", "2", "6", "C4", "to", "C5", "100", "%", "100", "%"]
    [midi] = (tmp_path / "melo").rglob("*.mid")
    assert lines[4:] == [
        f"Wrote {midi.parent}/: my_song.mid, my_song.png",
        f"Next: meloctl play {midi.parent}",
        f"Next: meloctl stats {midi.parent}",
    ]
    piece = read_midi(midi)
    assert sorted(piece.notes.pitch.tolist()) == sorted(TUNE)
    assert piece.note_bar.tolist() == [0] * 4 + [1] * 4
    assert midi.with_suffix(".png").read_bytes().startswith(b"\x89PNG")

    again = meloctl_here("transcribe", song, work=tmp_path / "melo")
    assert "Unchanged since" in again.stdout
    other = facts("transcribe", song, "--parts", "1", work=tmp_path / "melo")
    assert [part["notes"] for part in other["parts"]] == [8]
    assert other["sound"] == str(song)
    assert other["path"] != str(midi)


def test_out_is_a_copy_and_other_music_is_not_overwritten(sines, tmp_path):
    song, out = write_sines(sines / "a.wav", TUNE), tmp_path / "copies" / "a.mid"
    found = facts("transcribe", song, "--out", out, work=tmp_path)
    assert out.read_bytes() == Path(found["path"]).read_bytes()
    assert facts("transcribe", song, "--out", out, work=tmp_path)["out"] == str(out)
    assert facts("transcribe", song, "--out", out.parent, work=tmp_path)["out"] == str(out)
    said = mistake("transcribe", song, "--parts", "1", "--out", out, work=tmp_path)
    assert said == f"meloctl: {out}: exists already, and is other music; name another file or folder with --out"
    assert out.read_bytes() == Path(found["path"]).read_bytes()


def test_three_recordings_with_a_broken_one_by_two_processes(sines, tmp_path):
    good, other = write_sines(sines / "a.wav", TUNE), write_sines(sines / "sub" / "a.flac", TUNE[:4])
    broken, kills = write_sines(sines / "broken.wav", TUNE[:2]), write_sines(sines / "kills.wav", TUNE[:2])
    (sines / "empty.wav").touch()
    out = tmp_path / "midi"
    done = meloctl_here("transcribe", sines, "--out", out, "--jobs", "2", work=tmp_path / "melo")
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert lines[0].startswith(f"{good}: 8 notes in 2 parts")
    assert lines[1:4] == [
        f"{broken}: ends in the middle of a frame",
        f"{sines}/empty.wav: the file is empty",
        f"{kills}: its process ended: too little memory, or a damaged file",
    ]
    assert lines[4].startswith(f"{other}: 4 notes")
    assert lines[5] == f"2 of 5 recordings transcribed, 3 cannot be: {out}/"
    assert lines[7] == f"Next: meloctl stats {out}"
    assert sorted(path.relative_to(out) for path in out.rglob("*.mid")) == [*map(type(out), ("a.mid", "sub/a.mid"))]
    kills.unlink()
    again = meloctl_here("transcribe", sines, "--out", out, "--json", work=tmp_path / "melo")
    assert again.returncode == 1
    objects = [json.loads(line) for line in again.stdout.splitlines()]
    assert [(entry.get("error"), entry.get("notes")) for entry in objects] == [
        (None, 8),
        ("ends in the middle of a frame", None),
        ("the file is empty", None),
        (None, 4),
    ]


def test_what_must_be_known_of_each_of_several_is_said(sines, tmp_path):
    write_sines(sines / "a.wav", TUNE)
    write_sines(sines / "speech.wav", TUNE)
    done = meloctl_here("transcribe", sines, work=tmp_path / "melo")
    lines = done.stdout.splitlines()
    assert [line.split(":")[0] for line in lines[:2]] == [f"{sines}/a.wav", f"{sines}/speech.wav"]
    assert lines[2] == "  This is more like speech."


def test_copies_of_a_recording_are_one_run(sines, tmp_path):
    for folder in ("one", "two"):
        write_sines(sines / folder / "a.wav", TUNE)
    out = tmp_path / "midi"
    done = meloctl_here("transcribe", sines, "--out", out, work=tmp_path / "melo")
    assert done.returncode == 0, done.stderr
    assert (out / "one" / "a.mid").read_bytes() == (out / "two" / "a.mid").read_bytes()
    assert len(list((tmp_path / "melo").rglob("*.mid"))) == 1


def test_a_full_disk_is_named(sines, tmp_path, monkeypatch):
    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("meloctl.transcription.session.draw_transcription", full)
    said = mistake("transcribe", write_sines(sines / "a.wav", TUNE), work=tmp_path / "melo")
    assert said == f"meloctl: {tmp_path}/melo: no space left on device; what is done is kept, the same command goes on"


def test_silence_is_named(sines, tmp_path):
    said = mistake("transcribe", write_sines(sines / "a.wav", (0, 0)), work=tmp_path)
    assert said == f"meloctl: {sines}/a.wav: no music found: the file is silent (every sample is 0)"
    said = mistake("transcribe", write_sines(sines / "b.flac", (60,), level=8e-5), work=tmp_path)
    assert said.endswith("no music found: the file is silent (peak −81 dB)")
    assert not everything_under(tmp_path / "transcription")


def notes_of(onset, length, duration_s=10.0, confidence=0.6):
    onset = np.asarray(onset)
    return Transcription(
        notes=NoteTable.of(
            onset,
            onset + length,
            np.full(len(onset), 60),
            part=np.zeros(len(onset)),
            confidence=np.full(len(onset), confidence),
        ),
        parts=(TranscribedPart(),),
        beats=None,
        duration_s=duration_s,
        peak_db=-3.0,
    )


def test_speech_is_named_and_music_is_not():
    def said(*arguments, **more):
        return speech_sentence(notes_of(*arguments, **more).notes, 10.0)

    words = said(np.arange(0, 10, 0.4), 0.1)
    assert words.startswith(
        "Few steady pitches: half of the notes are shorter than 0.10 s, and they sound for 25 % of the time."
    )
    assert said(np.arange(0, 10, 0.4), 0.3) is None
    assert said(np.arange(0, 10, 0.4), 0.1, confidence=0.8) is None
    assert said(np.arange(0, 10, 0.125), 0.1) is None  # fast, but it never pauses
    assert "25 %" in said(np.repeat(np.arange(0, 10, 0.4), 8), 0.1)  # chords sound no longer than their notes
    assert said([1.0, 2.0], 0.1) is None
    assert said([], 0.1) is None


def test_recordings_without_music_are_refused():
    with pytest.raises(MeloError, match=r"too short: 0\.01 s of sound; give at least 0\.1 s"):
        check_sound(notes_of([], 0.1, duration_s=0.01))
    with pytest.raises(MeloError, match="no note stands out of the sound"):
        check_sound(notes_of([], 0.1))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["{}/none.wav"], "none.wav: no such file or folder; give a recording"),
        (["{}/nothing"], "nothing: no recording in it; give a folder of WAV, FLAC, OGG or MP3 files"),
        (["{}/phone"], "1 recording of formats that cannot be read (a.m4a); make a WAV file of it"),
        (["{}/phone/a.m4a"], ".m4a cannot be read; make a WAV file of it, as with ffmpeg -i a.m4a a.wav"),
        (["/dev/zero"], "/dev/zero: no regular file"),
        (["{}/text.wav"], "text.wav: no sound that can be read (format not recognised)"),
        (["{}/a.wav", "--parts", "0"], "--parts 0: give how many parts play, 1 to 16"),
        (["{}/a.wav", "--jobs", "0"], "--jobs 0: give how many recordings to transcribe at a time"),
        (["{}/a.wav", "--tempo", "9"], "--tempo 9: give quarter notes a minute, 20 to 400"),
        (["{}/a.wav", "--meter", "3/5"], "meter '3/5' is not a time signature"),
        (["{}/folder", "--out", "{}/b.mid"], "names one MIDI file, but a folder of recordings was given"),
        (["{}/a.wav", "--out", "{}/text.wav"], "text.wav: not a folder; name a folder, or a file that ends in .mid"),
        (["{}/long.wav"], "hours of sound; at most 12 are transcribed"),
        (["{}/a.wav", "--work", "{}/text.wav"], "text.wav: not a folder; name a workspace folder"),
    ],
)
def test_mistakes_are_one_line_and_nothing_is_written(sines, tmp_path, arguments, says):
    write_sines(sines / "a.wav", (60,))
    write_sines(sines / "folder" / "a.wav", (60,))
    (sines / "nothing").mkdir()
    (sines / "phone").mkdir()
    (sines / "phone" / "a.m4a").write_bytes(b"0" * 100)
    (sines / "text.wav").write_text("Lorem ipsum dolor sit amet, consectetur adipiscing elit")
    long = soundfile.SoundFile(sines / "long.wav", "w", 1, 1, "PCM_U8")
    long.write(np.zeros(12 * 3600 + 1))
    long.close()
    said = mistake("transcribe", *(a.replace("{}", str(sines)) for a in arguments), work=tmp_path / "melo")
    assert says in said
    assert not (tmp_path / "melo").exists()


def test_a_recording_that_may_not_be_read(sines, tmp_path):
    song = write_sines(sines / "a.wav", (60,))
    song.chmod(0)
    if os.access(song, os.R_OK):
        pytest.skip("this user may read everything")
    assert mistake("transcribe", song, work=tmp_path).endswith("a.wav: cannot be read: permission denied")


def test_what_is_done_before_ctrl_c_is_kept(sines, tmp_path):
    code = (
        "import sys, types, pathlib; from small_transcriptions import transcribe_sines\n"
        "engine = types.ModuleType('meloctl.transcription.engine'); engine.transcribe_audio = transcribe_sines\n"
        "engine.weights_file = lambda model: pathlib.Path(__file__)\n"
        "engine.load_transcriber = lambda path: None\n"
        "sys.modules[engine.__name__] = sys.modules['meloctl.transcription.transcriber_file'] = engine\n"
        "if __name__ == '__main__':\n    from meloctl.cli.main import run\n    run()\n"
    )
    (tmp_path / "main.py").write_text(code)
    write_sines(sines / "a.wav", TUNE[:2])
    write_sines(sines / "slow.wav", TUNE[:2])
    out = tmp_path / "midi"
    process = subprocess.Popen(
        [sys.executable, "main.py", "transcribe", sines, "--jobs", "2", "--out", out, "--work", tmp_path / "melo"],
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"},
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    )
    wait_until((out / "a.mid").exists)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Stopped: 1 of 2 recordings transcribed; what is done is kept" in said
    assert "Traceback" not in said
