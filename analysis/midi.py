"""MIDI files in, out and into sound: the only file that knows a MIDI library.

symusic reads; miditoolkit is tried once where symusic refuses a small file that players forgive, and writes what we make.
Every file is hostile: it either gives a Piece or raises MeloError with a reason that a person understands.
"""

import io
import math
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from analysis.atomic import whole_file
from analysis.errors import MeloError
from analysis.piece import Bars, Notes, Part, Piece

if TYPE_CHECKING:
    from miditoolkit import MidiFile

_PAD = bytes(64)
"""Zeros after the last byte: where a damaged event runs past it, symusic reads these, not whatever lies behind."""

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
    if not data:
        raise MeloError("the file is empty")
    if data[:4] != b"MThd":
        raise MeloError("not a MIDI file: it does not start with MThd")
    if len(data) < 14:
        raise MeloError("damaged: the file ends inside its header")
    if data[12] & 0x80:
        raise MeloError("timed in video frames (SMPTE), not in quarter notes: it has no bars")
    if data[12:14] == b"\0\0":
        raise MeloError("damaged: 0 ticks per quarter note")

    _check_chunks(data)

    from symusic import Score

    try:
        raw = _of_symusic(Score.from_midi(data + _PAD))
    except (RuntimeError, ValueError) as error:
        raw = _second_opinion(data, str(error), limits)
    return _piece(raw, meter=meter, limits=limits)


def write_midi(piece: Piece, path: Path) -> None:
    """Write a piece as a MIDI file, one track a part, whole or not at all.

    MIDI has 15 channels for pitched parts; from the 16th on, parts share channels, and a player may give both one program.
    A reader that goes by tracks, as this one does, is not misled.
    """
    from miditoolkit import Instrument, MidiFile, Note, TempoChange, TimeSignature
    from mido import MidiFile as MidoFile

    out = MidiFile(ticks_per_beat=piece.ticks_per_quarter)
    bars = piece.bars
    for tick, n, d in zip(bars.stretch_tick.tolist(), bars.numerator.tolist(), bars.denominator.tolist(), strict=True):
        out.time_signature_changes.append(TimeSignature(n, d, tick))
    for tick, tempo in zip(piece.tempo_tick.tolist(), piece.tempo.tolist(), strict=True):
        out.tempo_changes.append(TempoChange(tempo, tick))
    notes = piece.notes
    for index, part in enumerate(piece.parts):
        mine = notes.part == index
        columns = (notes.velocity, notes.pitch, notes.onset_tick, notes.onset_tick + notes.duration_tick)
        rows = zip(*(c[mine].tolist() for c in columns), strict=True)
        out.instruments.append(Instrument(part.program, part.is_drum, part.name, [Note(*row) for row in rows]))
    with whole_file(path) as temporary:
        out.dump(temporary, charset="utf-8")
        written = MidoFile(temporary, charset="utf-8")
        for track in written.tracks:
            track[-1].time = 0  # miditoolkit ends a track one tick after its last event: that tick would open a bar
        written.save(temporary)


def _check_chunks(data: bytes) -> None:
    """Refuse a file whose chunks run past its end: symusic would read on, and crash or invent notes."""
    at = 8 + int.from_bytes(data[4:8], "big")
    while at + 8 <= len(data):
        at += 8 + int.from_bytes(data[at + 4 : at + 8], "big")
    if at > len(data):
        raise MeloError("damaged: the file ends inside a track")


def render_midi(path: Path, *, soundfont: Path, sample_rate: int) -> npt.NDArray[np.float32]:
    """The sound of a MIDI file, shape (samples, 2), by symusic's synthesizer."""
    from symusic import Score, Synthesizer

    synthesizer = Synthesizer(sf_path=str(soundfont), sample_rate=sample_rate)
    return np.asarray(synthesizer.render(Score(str(path)), stereo=True), dtype=np.float32).T


@dataclass(frozen=True, kw_only=True)
class _Raw:
    """What either library found, unchecked."""

    ticks_per_quarter: int
    parts: list[tuple[int, bool, str, dict[str, npt.NDArray[Any]]]]
    signatures: list[tuple[int, int, int]]
    tempos: list[tuple[int, float]]


def _bytes_of(path: Path, limits: Limits) -> bytes:
    """The bytes of a regular file; a pipe or a device is never opened for reading."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except (OSError, ValueError) as error:
        raise MeloError(f"cannot be opened: {(getattr(error, 'strerror', None) or str(error)).lower()}") from error
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise MeloError("not a regular file")
        if status.st_size > limits.file_bytes:
            raise MeloError(f"{status.st_size:,} bytes; at most {limits.file_bytes:,} are read")
        with open(handle, "rb", closefd=False) as file:
            return file.read(limits.file_bytes)
    finally:
        os.close(handle)


def _of_symusic(score: Any) -> _Raw:
    parts = []
    for track in score.tracks:
        columns = track.notes.numpy()
        if len(columns["time"]):
            parts.append((int(track.program), bool(track.is_drum), str(track.name), columns))
    return _Raw(
        ticks_per_quarter=int(score.ticks_per_quarter),
        parts=parts,
        signatures=[(int(t.time), int(t.numerator), int(t.denominator)) for t in score.time_signatures],
        tempos=[(int(t.time), float(t.qpm)) for t in score.tempos],
    )


def _second_opinion(data: bytes, complaint: str, limits: Limits) -> _Raw:
    """miditoolkit's reading of a file that symusic refused, data bytes above 127 brought down to 127."""
    reason = f"damaged: {complaint.removeprefix('MiniMidi: ').splitlines()[0].removesuffix(': iostream error')[:160]}"
    if len(data) > limits.forgiven_bytes:
        raise MeloError(reason)
    from miditoolkit import MidiFile

    try:
        return _of_miditoolkit(MidiFile(file=io.BytesIO(data), clip=True))
    except Exception as error:  # the parser raises anything at all on damaged bytes
        raise MeloError(reason) from error


def _of_miditoolkit(file: "MidiFile") -> _Raw:
    columns: Callable[[list[Any]], dict[str, npt.NDArray[Any]]] = lambda notes: {  # noqa: E731
        "time": np.array([n.start for n in notes], dtype=np.int64),
        "duration": np.array([n.end - n.start for n in notes], dtype=np.int64),
        "pitch": np.array([n.pitch for n in notes], dtype=np.int64),
        "velocity": np.array([n.velocity for n in notes], dtype=np.int64),
    }
    return _Raw(
        ticks_per_quarter=int(file.ticks_per_beat),
        parts=[(int(i.program), bool(i.is_drum), str(i.name), columns(i.notes)) for i in file.instruments if i.notes],
        signatures=[(int(t.time), int(t.numerator), int(t.denominator)) for t in file.time_signature_changes],
        tempos=[(int(t.time), float(t.tempo)) for t in file.tempo_changes],
    )


def _piece(raw: _Raw, *, meter: tuple[int, int] | None, limits: Limits) -> Piece:
    """A checked Piece from what a library found."""
    if not raw.parts:
        raise MeloError("holds no notes")
    _within(len(raw.parts), limits.parts, "parts")
    _within(sum(len(c["time"]) for *_, c in raw.parts), limits.notes, "notes")
    _within(max(len(raw.signatures), len(raw.tempos)), limits.changes, "time signatures or tempos")

    def column(name: str) -> npt.NDArray[np.int64]:
        return np.concatenate([c[name].astype(np.int64) for *_, c in raw.parts])

    index = np.repeat(np.arange(len(raw.parts)), [len(c["time"]) for *_, c in raw.parts])
    velocity = column("velocity") & 0xFF  # symusic keeps a byte above 127 as a negative number
    notes = Notes.of(column("time"), column("duration"), column("pitch"), np.clip(velocity, 1, 127), index)
    if notes.onset_tick[0] < 0 or notes.duration_tick.min() < 0:
        raise MeloError("damaged: its ticks run past 2^31")
    if notes.pitch.min() < 0 or notes.pitch.max() > 127:
        raise MeloError("damaged: a pitch above 127")
    signatures = [(0, *meter)] if meter else _signatures(raw)
    bars = Bars.of(signatures, raw.ticks_per_quarter)
    for _, n, d in signatures:
        _within(-(-4 * n // d), limits.bar_quarters, f"quarter notes in a bar of {n}/{d}")
    _within(int(bars.bar_of(notes.onset_tick[-1])) + 1, limits.bars, "bars")
    tick, tempo = _tempos(raw.tempos)
    return Piece(
        parts=tuple(Part(program=p & 0x7F, is_drum=drum, name=name) for p, drum, name, _ in raw.parts),
        notes=notes,
        bars=bars,
        tempo_tick=tick,
        tempo=tempo,
    )


def _signatures(raw: _Raw) -> list[tuple[int, int, int]]:
    if any(tick < 0 for tick, _, _ in raw.signatures):
        raise MeloError("damaged: its ticks run past 2^31")
    return raw.signatures


def _tempos(changes: list[tuple[int, float]]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Ticks ascending from 0 and the tempo from each on; the last of several at one tick counts."""
    at = {0: DEFAULT_TEMPO}
    for tick, tempo in sorted(changes, key=lambda c: c[0]):
        if tick < 0 or not math.isfinite(tempo) or tempo <= 0:
            raise MeloError(f"damaged: a tempo of {tempo:g} quarter notes a minute at tick {tick}")
        at[tick] = tempo
    return np.array(list(at), dtype=np.int64), np.array(list(at.values()), dtype=np.float64)


def _within(count: int, limit: int, what: str) -> None:
    if count > limit:
        raise MeloError(f"{count:,} {what}; at most {limit:,} are read")
