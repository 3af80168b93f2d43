"""Bars moved to the accents: where they lie beside the file's bar lines, signatures that put the bar lines there."""

from dataclasses import replace

from analysis.bar_phase import ShiftedStretch, shifted_stretches
from analysis.piece import Bars, Piece


def mend_bars(piece: Piece) -> Piece:
    """The piece with bar lines at its accents, where these are sure; the same piece where nothing is to be moved.

    A stretch at the beginning of a signature is preceded by a short bar, as a pickup is; where a stretch begins or ends later,
    one bar is shorter or longer than the others. Notes stay where they are.
    """
    stretches = shifted_stretches(piece)
    if not stretches:
        return piece
    bars = piece.bars
    of_signature = bars.signature_index([s.first_bar for s in stretches]).tolist()
    signatures: list[tuple[int, int, int]] = []
    ends = [*bars.first_bar[1:].tolist(), piece.n_bars]
    for i, end in enumerate(ends):
        mine = [s for s, at in zip(stretches, of_signature, strict=True) if at == i]
        signatures += _signatures(bars, i, mine, end)
    return replace(piece, bars=Bars.of(signatures, bars.ticks_per_quarter))


def _signatures(bars: Bars, i: int, stretches: list[ShiftedStretch], end: int) -> list[tuple[int, int, int]]:
    """(tick, numerator, denominator) of signature i and of the odd bars that its stretches, before the bar `end`, call for."""
    numerator, denominator = int(bars.numerator[i]), int(bars.denominator[i])
    start, tpq = int(bars.signature_tick[i]), bars.ticks_per_quarter
    found = [(start, numerator, denominator)]
    if not stretches:
        return found
    length = 4 * tpq * numerator // denominator
    line = start  # from which bars of full length follow
    first, stop = int(bars.first_bar[i]), int(bars.start_tick(end))
    for bar, shift in _changes(stretches, first, end):
        phase = round(shift * tpq) % length
        if bar:
            middle = start + bar * length - length // 2
            odd_bar = line + max(middle - line, 0) // length * length
            behind = odd_bar + length // 2 + 1
        else:
            odd_bar, behind = start, start + tpq // 2  # nothing sounds in a shorter bar
        next_line = behind + (start + phase - behind) % length
        if next_line >= stop:
            continue
        found.append((odd_bar, *_signature_of(next_line - odd_bar, tpq, denominator)))
        found.append((next_line, numerator, denominator))
        line = next_line
    return found


def _changes(stretches: list[ShiftedStretch], first: int, end: int) -> list[tuple[int, float]]:
    """(bars behind the bar `first`, shift in quarters) of each change of phase before the bar `end`."""
    found = []
    for s, next_bar in zip(stretches, [*(s.first_bar for s in stretches[1:]), end], strict=True):
        found.append((s.first_bar - first, s.shift))
        if (behind := s.first_bar + s.bars) < next_bar:
            found.append((behind - first, 0.0))
    return found


def _signature_of(ticks: int, ticks_per_quarter: int, denominator: int) -> tuple[int, int]:
    """A signature for one bar of so many ticks, in quarters or the file's own unit where that is exact; else one a little longer,
    which the next signature cuts short.
    """
    for unit in (max(denominator, 4), 8):
        count, rest = divmod(ticks * unit, 4 * ticks_per_quarter)
        if not rest:
            return count, unit
    return -(-ticks * 64 // (4 * ticks_per_quarter)), 64
