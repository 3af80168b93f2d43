"""MIDI files in, out and into sound: the only file that knows a MIDI library.

symusic reads; miditoolkit is tried once where symusic refuses a small file that players forgive, and writes what we make.
Every file is hostile: it either gives a Piece or raises MeloError with a reason that a person understands.
"""

import io
import math
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from analysis.arrays import Floats, Ints
from analysis.atomic_write import atomic_write
from analysis.errors import MeloError
from analysis.midi_bytes import MOST_TICKS, prepare
from analysis.midi_container import unwrap
from analysis.piece import Bars, Notes, Part, Piece

if TYPE_CHECKING:
    from miditoolkit import MidiFile

DEFAULT_TEMPO = 120.0
"""Quarter notes a minute until a file says otherwise (Standard MIDI Files 1.0)."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a file may hold. A hostile file is refused before it takes memory."""

    file_bytes: int = 16 << 20
    """Size of the file."""

    forgiven_bytes: int = 32 << 10
    """Size of a file that the slow second reader is given."""

    bars: int = 10_000
    """Bars up to the last onset."""

    bar_quarters: int = 128
    """Length of a bar in quarter notes."""

    notes: int = 500_000
    """Notes in all parts."""

    parts: int = 64
    """Parts with notes."""

    changes: int = 50_000
    """Time signatures, and tempos, each."""


def read_midi(path: Path, *, meter: tuple[int, int] | None = None, limits: Limits = Limits()) -> Piece:
    """Read one MIDI file.

    Args:
        path: a regular file, or a link to one.
        meter: (numerator, denominator) that overrides every time signature of the file.
        limits: what the file may hold.

    Raises:
        MeloError: not a file, not MIDI, damaged, over a limit, or without notes. The message is the reason alone.
    """
    return parse_midi(_bytes_of(path, limits), meter=meter, limits=limits)


def parse_midi(data: bytes, *, meter: tuple[int, int] | None = None, limits: Limits = Limits()) -> Piece:
    """The same from the bytes of a file."""
    plain, _ = unwrap(data, most_bytes=limits.file_bytes)
    return _piece(_raw(plain, limits), meter=meter, limits=limits)


def write_midi(piece: Piece, path: Path) -> None:
    """Write a piece as a MIDI file, whole or not at all; see `midi_bytes`."""
    data = midi_bytes(piece)
    with atomic_write(path) as partial:
        partial.write_bytes(data)


def midi_bytes(piece: Piece) -> bytes:
    """A piece as a MIDI file of format 1: a track of time signatures and tempos, then one a part. Tracks end at the piece's end.

    A port of MIDI has 15 channels for pitched parts: the 16th part begins a second port. All drums are on channel 10 of the first.
    """
    from mido import Message, MetaMessage, MidiFile, MidiTrack, bpm2tempo

    bars, notes = piece.bars, piece.notes
    signatures = zip(
        bars.signature_tick.tolist(), bars.numerator.tolist(), bars.denominator.tolist(), strict=True
    )
    tempos = zip(piece.tempo_tick.tolist(), piece.tempo.tolist(), strict=True)
    head = [
        *((tick, 0, MetaMessage("time_signature", numerator=n, denominator=d)) for tick, n, d in signatures),
        *((tick, 0, MetaMessage("set_tempo", tempo=bpm2tempo(tempo))) for tick, tempo in tempos),
    ]
    out = MidiFile(type=1, ticks_per_beat=piece.ticks_per_quarter, charset="utf-8")
    out.tracks.append(MidiTrack(_timed(head, piece.end_tick)))
    pitched = 0
    for index, part in enumerate(piece.parts):
        port, channel = (0, 9) if part.is_drum else divmod(pitched, 15)
        pitched += not part.is_drum
        channel += channel >= 9 and not part.is_drum
        setup = [MetaMessage("track_name", name=part.name)] if part.name else []
        setup += [MetaMessage("midi_port", port=port)] if port else []
        setup.append(Message("program_change", channel=channel, program=part.program))
        mine = notes.take(notes.part == index)
        events = [(0, -1, message) for message in setup] + _note_messages(mine, channel)
        out.tracks.append(MidiTrack(_timed(events, piece.end_tick)))
    buffer = io.BytesIO()
    out.save(file=buffer)
    return buffer.getvalue()


def _note_messages(notes: Notes, channel: int) -> "list[tuple[int, int, Any]]":
    """(tick, place in the tick, message): ends of notes first, then notes of no length, then note-ons."""
    from mido import Message

    found = []
    columns = (notes.onset_tick, notes.duration_tick, notes.pitch, notes.velocity)
    for onset, duration, pitch, velocity in zip(*(c.tolist() for c in columns), strict=True):
        on = Message("note_on", channel=channel, note=pitch, velocity=velocity)
        off = Message("note_off", channel=channel, note=pitch)
        found += [(onset, 2 if duration else 1, on), (onset + duration, 0 if duration else 1, off)]
    return found


def _timed(events: "list[tuple[int, int, Any]]", end_tick: int) -> "list[Any]":
    """Messages of (tick, place in the tick, message) in order, each with its delta time, and End of Track at a tick or behind
    them."""
    from mido import MetaMessage

    found, now = [], 0
    ordered = sorted(events, key=lambda event: event[:2])
    end = max([end_tick, *(tick for tick, _, _ in ordered[-1:])])
    for tick, _, message in [*ordered, (end, 0, MetaMessage("end_of_track"))]:
        found.append(message.copy(time=tick - now))
        now = tick
    return found


def render_midi(path: Path, *, soundfont: Path, sample_rate: int) -> npt.NDArray[np.float32]:
    """The sound of a MIDI file, shape (samples, 2), by symusic's synthesizer."""
    from symusic import Score, Synthesizer

    synthesizer = Synthesizer(sf_path=str(soundfont), sample_rate=sample_rate)
    return np.asarray(synthesizer.render(Score(str(path)), stereo=True), dtype=np.float32).T


@dataclass(frozen=True, kw_only=True)
class _Raw:
    """What either library found, unchecked."""

    ticks_per_quarter: int
    parts: list[Part]
    columns: list[dict[str, npt.NDArray[Any]]]
    """Notes of each part: time, duration, pitch and velocity."""

    signatures: list[tuple[int, int, int]]
    tempos: list[tuple[int, float]]


def _bytes_of(path: Path, limits: Limits) -> bytes:
    """The bytes of a regular file; a pipe or a device is never opened for reading."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except (OSError, ValueError) as error:
        raise MeloError(f"cannot be opened: {_os_message(error)}") from error
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise MeloError("not a regular file")
        if status.st_size > limits.file_bytes:
            raise MeloError(f"{status.st_size:,} bytes; at most {limits.file_bytes:,} are read")
        return os.read(handle, status.st_size)
    except OSError as error:
        raise MeloError(f"cannot be read: {_os_message(error)}") from error
    finally:
        os.close(handle)


def _os_message(error: OSError | ValueError) -> str:
    return (getattr(error, "strerror", None) or str(error)).lower()


def _raw(data: bytes, limits: Limits) -> _Raw:
    from symusic import Score

    readable = prepare(data)
    try:
        return _of_symusic(Score.from_midi(readable), limits)
    except MemoryError as error:
        raise MeloError("damaged: it asks for more memory than there is") from error
    except (RuntimeError, ValueError, LookupError) as error:
        return _second_opinion(data, str(error), limits)


def _of_symusic(score: Any, limits: Limits) -> _Raw:
    """Counted before it is copied: symusic holds a note in 12 bytes, Python a tempo in 100."""
    tracks = [(track, n) for track in score.tracks if (n := track.note_num())]
    _within_all(limits, len(tracks), sum(n for _, n in tracks), len(score.time_signatures), len(score.tempos))
    return _Raw(
        ticks_per_quarter=int(score.ticks_per_quarter),
        parts=[Part(program=t.program & 0x7F, is_drum=t.is_drum, name=t.name) for t, _ in tracks],
        columns=[t.notes.numpy() for t, _ in tracks],
        signatures=[(int(t.time), int(t.numerator), int(t.denominator)) for t in score.time_signatures],
        tempos=[(int(t.time), float(t.qpm)) for t in score.tempos],
    )


_COMPLAINTS = {
    "Unexpected EOF": "an event runs past the end of its track",
    "Unexpected running status": "a data byte where an event must begin",
}
"""What symusic says, by its first words, and what it means."""


def _second_opinion(data: bytes, complaint: str, limits: Limits) -> _Raw:
    """miditoolkit's reading of a file that symusic refused, data bytes above 127 brought down to 127."""
    message = " ".join(complaint.removeprefix("MiniMidi: ").split())[:160]
    reason = f"damaged: {next((plain for start, plain in _COMPLAINTS.items() if message.startswith(start)), message)}"
    if len(data) > limits.forgiven_bytes:
        raise MeloError(reason)
    from miditoolkit import MidiFile

    try:
        raw = _of_miditoolkit(MidiFile(file=io.BytesIO(data), clip=True))
    except Exception as error:  # the parser raises anything at all on damaged bytes
        raise MeloError(reason) from error
    _within_all(limits, len(raw.parts), sum(len(c["time"]) for c in raw.columns), len(raw.signatures), len(raw.tempos))
    return raw


def _of_miditoolkit(file: "MidiFile") -> _Raw:
    lines = [i for i in file.instruments if i.notes]
    rows = [np.array([(n.start, n.end - n.start, n.pitch, n.velocity) for n in i.notes], dtype=np.int64) for i in lines]
    return _Raw(
        ticks_per_quarter=int(file.ticks_per_beat),
        parts=[Part(program=int(i.program), is_drum=bool(i.is_drum), name=str(i.name)) for i in lines],
        columns=[dict(zip(("time", "duration", "pitch", "velocity"), row.T, strict=True)) for row in rows],
        signatures=[(int(t.time), int(t.numerator), int(t.denominator)) for t in file.time_signature_changes],
        tempos=[(int(t.time), float(t.tempo)) for t in file.tempo_changes],
    )


def _piece(raw: _Raw, *, meter: tuple[int, int] | None, limits: Limits) -> Piece:
    """A checked Piece from what a library found."""
    if not raw.parts:
        raise MeloError("holds no notes")
    notes = _notes(raw)
    if notes.onset_tick[0] < 0:
        raise MeloError("damaged: its ticks run past 2^31")
    signatures = [(0, *meter)] if meter else _signatures(raw)
    bars = Bars.of(signatures, raw.ticks_per_quarter)
    for _, n, d in signatures:
        _within(-(-4 * n // d), limits.bar_quarters, f"quarter notes in a bar of {n}/{d}")
    _within(int(bars.bar_of(notes.onset_tick[-1])) + 1, limits.bars, "bars")
    tick, tempo = _tempos(raw.tempos)
    return Piece(
        parts=tuple(raw.parts),
        notes=notes,
        bars=bars,
        tempo_tick=tick,
        tempo=tempo,
    )


def _notes(raw: _Raw) -> Notes:
    def column(name: str) -> npt.NDArray[Any]:
        return np.concatenate([columns[name] for columns in raw.columns])

    onset, duration, pitch, velocity = map(column, ("time", "duration", "pitch", "velocity"))
    if onset.dtype != np.int32 and max(onset.max(), duration.max()) >= MOST_TICKS:
        raise MeloError("damaged: its ticks run past 2^31")
    if pitch.min() < 0:  # symusic gives a byte above 127 as a negative number
        raise MeloError("damaged: a pitch above 127")
    if velocity.min() < 1:
        velocity = np.clip(velocity.astype(np.int64) & 0xFF, 1, 127)
    parts = np.arange(len(raw.parts), dtype=np.uint8 if len(raw.parts) <= 256 else np.int64)
    part = np.repeat(parts, [len(columns["time"]) for columns in raw.columns])
    return Notes.of(onset, duration, pitch.view(np.uint8) if pitch.dtype == np.int8 else pitch, velocity, part)


def _signatures(raw: _Raw) -> list[tuple[int, int, int]]:
    if any(tick < 0 for tick, _, _ in raw.signatures):
        raise MeloError("damaged: its ticks run past 2^31")
    return raw.signatures


def _tempos(changes: list[tuple[int, float]]) -> tuple[Ints, Floats]:
    """Ticks ascending from 0 and the tempo from each on; the last of several at one tick counts."""
    at = {0: DEFAULT_TEMPO}
    for tick, tempo in sorted(changes, key=lambda c: c[0]):
        if tick < 0 or not math.isfinite(tempo) or tempo <= 0:
            raise MeloError(f"damaged: a tempo of {tempo:g} quarter notes a minute at tick {tick}")
        at[tick] = tempo
    return np.array(list(at), dtype=np.int64), np.array(list(at.values()), dtype=np.float64)


def _within_all(limits: Limits, parts: int, notes: int, signatures: int, tempos: int) -> None:
    _within(parts, limits.parts, "parts")
    _within(notes, limits.notes, "notes")
    _within(max(signatures, tempos), limits.changes, "time signatures or tempos")


def _within(count: int, limit: int, what: str) -> None:
    if count > limit:
        raise MeloError(f"{count:,} {what}; at most {limit:,} are read")
