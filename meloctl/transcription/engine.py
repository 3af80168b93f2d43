"""From a recording to its transcription, chunk by chunk: magnitudes → posteriors → notes → parts.

Memory grows with the notes of a recording, not with its length.
"""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from analysis.errors import MeloError
from meloctl.transcription.audio_file import AudioFile
from meloctl.transcription.constant_q import FIRST_FREQUENCY, HOP, SAMPLE_RATE, ConstantQ
from meloctl.transcription.drum_hits import DrumHits, drums_sentence
from meloctl.transcription.network import BINS, PITCHES, TIME_STRIDE
from meloctl.transcription.note_decoding import NoteDecoder
from meloctl.transcription.note_parts import part_confidences, part_notes
from meloctl.transcription.notes import NoteTable, Singles
from meloctl.transcription.options import TranscribeOptions
from meloctl.transcription.overview import OverviewBuilder
from meloctl.transcription.spectrogram import magnitude_blocks, spectrogram_chunks
from meloctl.transcription.transcribed_beats import transcribed_beats
from meloctl.transcription.transcriber_file import MADE_BY, WEIGHTS, TrainedTranscriber, load_transcriber
from meloctl.transcription.transcription import TranscribedPart, Transcription
from meloctl.transcription.tuning import TuningMeter

CHUNK_FRAMES = 2048
"""Frames of the transform that are transcribed at a time: 24 s."""

TUNING_S = 60.0
"""Seconds from which the tuning is measured."""

_IN_TUNE_CENTS = 5.0
"""A tuning nearer to 440 Hz than this is left alone."""

_CLEAR = 0.15
"""Least clearness of a tuning that is corrected."""

_STRENGTH_TAPS = (0, 12, 19, 24)
"""Semitones of the harmonics 1 to 4, of which a note's loudness is made."""

FRAME_S = HOP * TIME_STRIDE / SAMPLE_RATE
"""Seconds from one frame of posteriors to the next."""


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
    cents = _tuning(path)
    overview, drums = OverviewBuilder(BINS, HOP / SAMPLE_RATE), DrumHits(HOP / SAMPLE_RATE)

    def on_magnitudes(magnitudes: Singles) -> None:
        overview.add(magnitudes)
        drums.add(magnitudes)
        on_seconds(magnitudes.shape[1] * HOP / SAMPLE_RATE)

    with AudioFile(path) as sound, torch.inference_mode():
        notes = _notes(sound.blocks(), trained, cents, on_magnitudes)
    parts = part_notes(notes, options.parts, trained.about.parts)
    messages = []
    if sound.missing_s > 1.0:
        messages.append(f"The file states {sound.stated_s:,.0f} s and holds {sound.read_s:,.0f}: it was cut short.")
    if said := drums_sentence(drums.hits(), notes, sound.read_s):
        messages.append(said)
    return Transcription(
        notes=parts,
        parts=tuple(TranscribedPart(confidence=value) for value in part_confidences(parts, trained.about.parts)),
        beats=transcribed_beats(parts),
        duration_s=sound.read_s,
        peak_db=float(20 * np.log10(sound.peak)) if sound.peak > 0 else -np.inf,
        tuning_cents=cents,
        overview=overview.overview(),
        messages=tuple(messages),
    )


def posteriors_of(
    blocks: Iterator[Singles], trained: TrainedTranscriber, cents: float, on_magnitudes: Callable[[Singles], None]
) -> Iterator[tuple[Singles, Singles, Singles, Singles]]:
    """Note and onset probabilities (88, T), timbre (D, 88, T) and strength (88, T) of sound, chunk by chunk.

    Args:
        blocks: samples (n,) each.
        trained: the network.
        cents: how far the sound's A lies above 440 Hz.
        on_magnitudes: called with the magnitudes (288, frames) of each stretch.
    """
    transform = ConstantQ(first_frequency=FIRST_FREQUENCY * 2 ** (cents / 1200))
    context = trained.network.context_frames + trained.network.context_frames % TIME_STRIDE
    magnitudes = magnitude_blocks(blocks, transform, CHUNK_FRAMES // 2)
    for chunk in spectrogram_chunks(magnitudes, CHUNK_FRAMES, context):
        found = trained.network(chunk.magnitudes[None])
        inside = slice(chunk.before // TIME_STRIDE, (chunk.before + chunk.frames + 1) // TIME_STRIDE)
        stretch = chunk.magnitudes[:, chunk.before : chunk.before + chunk.frames]
        on_magnitudes(stretch.numpy())
        yield (
            torch.sigmoid(found.note[0, :, inside]).numpy(),
            torch.sigmoid(found.onset[0, :, inside]).numpy(),
            found.timbre[0, :, :, inside].numpy(),
            _strength(stretch[:, ::TIME_STRIDE]).numpy(),
        )


def _notes(
    blocks: Iterator[Singles],
    trained: TrainedTranscriber,
    cents: float,
    on_magnitudes: Callable[[Singles], None],
) -> NoteTable:
    decoder = NoteDecoder(trained.about.thresholds, trained.network.config.timbre_width, FRAME_S)
    for chunk in posteriors_of(blocks, trained, cents, on_magnitudes):
        decoder.add(*chunk)
    return decoder.finish()


def _strength(magnitudes: Tensor) -> Tensor:
    """Magnitudes (288, T) → (88, T): the root of the energy of each pitch's first harmonics."""
    semitones = magnitudes.reshape(BINS // 3, 3, -1).amax(1)
    padded = torch.nn.functional.pad(semitones, (0, 0, 0, max(_STRENGTH_TAPS)))
    return torch.stack([padded[tap : tap + PITCHES] for tap in _STRENGTH_TAPS]).square().sum(0).sqrt()


def _tuning(path: Path) -> float:
    """Cents that a recording's A lies above 440 Hz, from its first minute; 0 where that is small or not clear."""
    meter, transform = TuningMeter(), ConstantQ()
    with AudioFile(path) as sound, torch.inference_mode():
        blocks = itertools.takewhile(lambda _: sound.read_s <= TUNING_S, sound.blocks())
        for magnitudes in magnitude_blocks(blocks, transform, CHUNK_FRAMES // 2):
            meter.add(magnitudes[:, ::4].numpy())
    return meter.cents if abs(meter.cents) >= _IN_TUNE_CENTS and meter.clearness >= _CLEAR else 0.0
