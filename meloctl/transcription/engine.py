"""From a recording to its transcription, piece by piece: magnitudes → posteriors → notes → parts.

Memory grows with the notes of a recording, not with its length.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import torch

from analysis.errors import MeloError
from meloctl.transcription.audio_file import AudioFile
from meloctl.transcription.constant_q import HOP, SAMPLE_RATE, ConstantQ
from meloctl.transcription.drum_hits import DrumHits, drums_sentence
from meloctl.transcription.network import BINS, FRAME_S
from meloctl.transcription.note_decoding import NoteDecoder
from meloctl.transcription.note_parts import part_confidences, part_notes
from meloctl.transcription.notes import NoteTable, Singles
from meloctl.transcription.options import TranscribeOptions
from meloctl.transcription.overview import OverviewBuilder
from meloctl.transcription.sound_check import speech_sentence
from meloctl.transcription.sound_posteriors import sound_posteriors
from meloctl.transcription.spectrogram import magnitude_blocks
from meloctl.transcription.transcribed_beats import transcribed_beats
from meloctl.transcription.transcriber_file import MADE_BY, WEIGHTS, TrainedTranscriber, load_transcriber
from meloctl.transcription.transcription import TranscribedPart, Transcription
from meloctl.transcription.tuning import TuningMeter

TUNING_S = 60.0
"""Seconds from which the tuning is measured."""

_IN_TUNE_CENTS = 5.0
"""A tuning nearer to 440 Hz than this is left alone."""

_CLEAR = 0.15
"""Least clearness of a tuning that is corrected."""

_TUNING_HOP, _TUNING_FRAMES = 2048, 256

_LEAD_IN_FRAMES = 64
"""Frames of silence (0.74 s) ahead of a recording, so that a note on its first sample has an onset; even."""


def weights_file(model: Path | None) -> Path:
    """The file of a transcriber: of a folder or as given; None for the one that comes with meloctl.

    Raises:
        MeloError: there is none.
    """
    if model is None:
        return Path(__file__).parent / "weights" / WEIGHTS
    path = model / WEIGHTS if model.is_dir() else model
    if not path.is_file():
        raise MeloError(f"give a folder with {WEIGHTS}, as {MADE_BY} makes it", field="model", given=model)
    return path


def transcribe_audio(
    path: Path, options: TranscribeOptions, on_seconds: Callable[[float], None] = lambda _: None
) -> Transcription:
    """The transcription of a file of sound.

    Args:
        path: the file.
        options: how to transcribe.
        on_seconds: called with so many more seconds of sound that are done.

    Raises:
        MeloError: the file cannot be read as sound, or the weights cannot be read.
    """
    trained = load_transcriber(weights_file(options.model))
    if trained.network.memory is not None:
        raise MeloError(
            "these weights have a memory, which a recording cannot be transcribed with; train some without",
            field="model",
            given=options.model,
        )
    overview, drums = OverviewBuilder(BINS, HOP / SAMPLE_RATE), DrumHits(HOP / SAMPLE_RATE)

    def on_magnitudes(magnitudes: Singles) -> None:
        overview.add(magnitudes)
        drums.add(magnitudes)
        on_seconds(magnitudes.shape[1] * HOP / SAMPLE_RATE)

    with AudioFile(path) as sound, torch.inference_mode():
        cents, blocks = _tuned(sound)
        notes = _notes(blocks, trained, cents, on_magnitudes)
    parts = part_notes(notes, options.parts, trained.about.parts)
    messages = []
    if sound.missing_s > 1.0:
        messages.append(f"The file states {sound.stated_s:,.0f} s and holds {sound.read_s:,.0f}: it was cut short.")
    said = speech_sentence(notes, sound.read_s) or drums_sentence(drums.hits(), notes, sound.read_s)
    if said:  # consonants are no drums
        messages.append(said)
    return Transcription(
        notes=parts,
        parts=tuple(TranscribedPart(confidence=value) for value in part_confidences(parts, trained.about.parts)),
        beats=transcribed_beats(parts, options),
        duration_s=sound.read_s,
        peak_db=float(20 * np.log10(sound.peak)) if sound.peak > 0 else -np.inf,
        tuning_cents=cents,
        overview=overview.overview(),
        messages=tuple(messages),
    )


def _notes(
    blocks: Iterable[Singles],
    trained: TrainedTranscriber,
    cents: float,
    on_magnitudes: Callable[[Singles], None],
) -> NoteTable:
    decoder = NoteDecoder(trained.about.thresholds, trained.network.config.timbre_width, FRAME_S)
    ahead = _LEAD_IN_FRAMES

    def recorded(magnitudes: Singles) -> None:
        nonlocal ahead
        skipped = min(ahead, magnitudes.shape[1])
        ahead -= skipped
        on_magnitudes(magnitudes[:, skipped:])

    silence = np.zeros(_LEAD_IN_FRAMES * HOP, np.float32)
    for tile in sound_posteriors(itertools.chain([silence], blocks), trained.network, cents, recorded):
        decoder.add(*tile)
    notes, lead_in = decoder.finish(), len(silence) / SAMPLE_RATE
    shifted = {"onset": np.maximum(notes.onset - lead_in, 0.0), "offset": np.maximum(notes.offset - lead_in, FRAME_S)}
    return NoteTable(**{**notes.columns(), **shifted})


def _tuned(sound: AudioFile) -> tuple[float, Iterator[Singles]]:
    """Cents that a recording's A lies above 440 Hz, from its first minute, 0 where that is small or not clear; and all blocks."""
    blocks, first = sound.blocks(), []
    for block in blocks:
        first.append(block)
        if sound.read_s >= TUNING_S:
            break
    meter, transform = TuningMeter(), ConstantQ(hop=_TUNING_HOP)
    for magnitudes in magnitude_blocks(first, transform, _TUNING_FRAMES):
        meter.add(magnitudes.numpy())
    clear = abs(meter.cents) >= _IN_TUNE_CENTS and meter.clearness >= _CLEAR
    return meter.cents if clear else 0.0, itertools.chain(first, blocks)
