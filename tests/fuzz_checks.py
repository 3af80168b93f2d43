"""What every file must satisfy, seen from the process that reads it: one outcome, quickly, in little memory, and the one
that the plain player comes to.

Nothing is imported before the first file but Python's own library, and then only what reading and rows need: the memory
that is measured is that of the whole process.
"""

import time
from collections.abc import Callable
from pathlib import Path

SECONDS = 1.0
"""Processor time that a file may take."""

MEGABYTES = 300
"""Peak memory of the process that reads it."""


def through(data: bytes) -> str:
    """Read a file, turn it into rows, back, and into rows again; "read", or "refused: " and the reason."""
    import numpy as np

    from analysis.errors import MeloError
    from analysis.midi import parse_midi
    from analysis.reading import Reading
    from meloctl.rows.codec import decode, encode
    from meloctl.rows.vocabulary import default_vocabulary

    try:
        piece = parse_midi(data)
    except MeloError as error:
        return f"refused: {error}"
    _assert_sound_piece(piece)
    mended = parse_midi(data, reading=Reading(pedal=True, fix_bars=True))
    _assert_sound_piece(mended)
    assert np.array_equal(mended.notes.onset_tick, piece.notes.onset_tick), "a reading moves notes"
    rows, _ = encode(piece, default_vocabulary())
    again, _ = encode(decode(rows, default_vocabulary()), default_vocabulary())
    assert np.array_equal(rows, again), "rows of the decoded piece differ"
    return "read"


def _assert_sound_piece(piece) -> None:
    """Every promise that a Piece makes."""
    import numpy as np

    n = piece.notes
    table = np.column_stack([n.onset_tick, n.part, n.pitch, n.duration_tick, n.velocity])
    promises = {
        "notes in order": np.array_equal(table, table[np.lexsort(table.T[::-1])]),
        "notes in range": np.all(table >= [0, 0, 0, 0, 1]) and np.all(table < [1 << 31, 64, 128, 1 << 31, 128]),
        "parts with notes": np.array_equal(np.unique(n.part), np.arange(len(piece.parts))),
        "tempo ticks ascending from 0": piece.tempo_tick[0] == 0 and np.all(np.diff(piece.tempo_tick) > 0),
        "tempos finite": np.all(np.isfinite(piece.tempo) & (piece.tempo > 0)),
        "bars": 1 <= piece.n_bars <= 10_000,
    }
    broken = [name for name, kept in promises.items() if not kept]
    if broken:
        raise AssertionError(", ".join(broken))


def attempt(check: Callable[[bytes], str], data: bytes) -> tuple[str, str, float, float]:
    """Outcome, what is wrong with it or "", seconds of processor time, and peak megabytes: those of the check, without the
    player's."""
    _reset_peak()
    outcome, finding, seconds = _tried(check, data)
    if seconds > SECONDS and not finding:
        outcome, finding, seconds = _tried(check, data)  # loops are compiled when they are first called
    megabytes = _peak()
    if check is through and not finding:
        finding = _beside_the_player(data)
    reason = outcome.removeprefix("refused: ")
    if not finding and (not reason.strip() or "\n" in outcome):
        finding = f"a reason that is not one line: {outcome!r}"
    if seconds > SECONDS:
        finding = finding or f"{seconds:.1f} seconds"
    if megabytes > MEGABYTES:
        finding = finding or f"{megabytes:.0f} MB"
    return outcome, finding, seconds, megabytes


def _tried(check: Callable[[bytes], str], data: bytes) -> tuple[str, str, float]:
    """Outcome, the exception or "", seconds of processor time."""
    start = time.process_time()
    try:
        return check(data), "", time.process_time() - start
    except BaseException as error:
        what = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        return what, what, time.process_time() - start


def _beside_the_player(data: bytes) -> str:
    """What the reader reads otherwise than the plain player plays it; "" if nothing."""
    from player_comparison import difference

    try:
        return difference(data)
    except Exception as error:
        return f"compared: {type(error).__name__}: {' '.join(str(error).split())[:200]}"


def _reset_peak() -> None:
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return  # the peak is then that of all files so far


def _peak() -> float:
    """Peak resident memory of this process in megabytes."""
    try:
        status = Path("/proc/self/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) / 1024
    except (OSError, IndexError):
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
