"""Recordings made for tests, and an engine that transcribes them without a network: by the sine that sounds in each second."""

import os
import time
from pathlib import Path

import numpy as np
import soundfile

from analysis.errors import MeloError
from meloctl.beats.beats import Beats
from meloctl.transcription.notes import NoteTable
from meloctl.transcription.overview import OverviewBuilder
from meloctl.transcription.transcription import TranscribedPart, Transcription

RATE = 22_050


def write_sines(path: Path, pitches, *, level=0.5):
    """A recording of one sine a second; pitch 0 is silence."""
    time_s = np.arange(RATE) / RATE
    sound = [level * bool(p) * np.sin(2 * np.pi * 440 * 2 ** ((p - 69) / 12) * time_s) for p in pitches]
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.concatenate(sound), RATE)
    return path


def transcribe_sines(path: Path, options, on_seconds=lambda seconds: None):
    """The transcription of a recording of `write_sines`: low notes are one part, high ones another."""
    sound, _ = soundfile.read(path)
    if path.stem == "kills":
        os._exit(3)
    if path.stem == "broken":
        raise MeloError("ends in the middle of a frame")
    if path.stem == "slow":
        time.sleep(60)
    builder = OverviewBuilder(288, 1.0)
    onsets, pitches = [], []
    for second, samples in enumerate(np.split(sound, len(sound) // RATE)):
        spectrum = np.abs(np.fft.rfft(samples))
        column = np.zeros((288, 1), np.float32)
        if spectrum.max() > 1:
            pitch = round(69 + 12 * np.log2(spectrum.argmax() / 440))
            onsets.append(float(second))
            pitches.append(pitch)
            column[3 * (pitch - 21) + 1] = spectrum.max()
        builder.add(column)
        on_seconds(1.0)
    high = np.array(pitches, dtype=int) >= 60
    n_parts = options.parts or 1 + int(high.any() and not high.all())
    peak = np.abs(sound).max(initial=0.0)
    return Transcription(
        notes=NoteTable.of(onsets, np.array(onsets) + 0.9, pitches, part=high * (n_parts > 1)),
        parts=tuple([TranscribedPart(confidence=0.75), TranscribedPart()][:n_parts]),
        beats=Beats(
            times_s=np.arange(len(sound) // RATE + 1.0),
            downbeat=np.arange(len(sound) // RATE + 1) % 4 == 0,
            metre=(4, 4),
        ),
        duration_s=len(sound) / RATE,
        peak_db=float(20 * np.log10(peak)) if peak else -np.inf,
        overview=builder.overview(),
        messages=("This is more like speech.",) if path.stem == "speech" else (),
    )
