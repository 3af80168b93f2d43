"""Compiled loops that sample rows: what the next value of a row may be, what the model makes of it, and the choice.

The rules are those of `NewBars` and of the grammar of rows; tests/plain_writer.py has them in plain Python. Every piece draws
one uniform number a field and row, used or not.

Shape letters: B pieces, G pieces that are not done yet, L rows, F fields, T new bars, C width, V values of a field.
"""

import math
from typing import Any

import numpy as np

from analysis.arrays import Floats, Floats32, Ints
from analysis.compiled import compiled
from meloctl.generation.constraints import MOST_EMPTY, MOST_ROWS_IN_BAR
from meloctl.rows.vocabulary import (
    ABSENT,
    DURATION,
    HEADER_FIELDS,
    INSTANCE,
    INSTRUMENT,
    NOTE_FIELDS,
    PITCH,
    POSITION,
    TEMPO,
    TIME_SIGNATURE,
)
from meloctl.score.key import PRIOR_QUARTERS

REDRAW = 1 << 20
"""What a uniform number is multiplied by for another one, of its later digits."""


@compiled
def sample_rows(
    states_GC: Floats32,
    going: Ints,
    pieces: Any,
    bars: Any,
    uniform_GF: Floats,
    tables: Any,
    heads: Any,
    choice: tuple[float, float, int],
    rows_GF: Ints,
) -> bool:
    """Sample the next row of each piece that is not done; False where the model's numbers are not finite.

    Args:
        states_GC: that predict the rows.
        going: (G,) which of the B pieces they are.
        pieces: (B,) records of `RowWriters`.
        bars: (B, T) BAR.
        uniform_GF: numbers from 0 up to 1.
        tables: RowTables.
        heads: HeadWeights.
        choice: temperature, top-p and top-k, 0 for none.
        rows_GF: to be filled.
    """
    for g in range(len(going)):
        piece, its_bars, row, state = pieces[going[g]], bars[going[g]], rows_GF[g], states_GC[g].copy()
        row[:] = ABSENT
        last = INSTRUMENT
        for step in range(1 + len(NOTE_FIELDS)):
            field = INSTRUMENT
            if step and row[INSTRUMENT] == tables.end:
                break
            if step and row[INSTRUMENT] == piece.opener:
                if step > len(HEADER_FIELDS):
                    break
                field = HEADER_FIELDS[step - 1]
            elif step:
                field = NOTE_FIELDS[step - 1]
            if step:
                known = heads.known[heads.first[last] + row[last]]
                for i in range(len(state)):
                    state[i] += known[i]
            weights = np.zeros(tables.sizes[field])
            weigh_values(field, row, piece, its_bars, tables, weights)
            uniform = uniform_GF[g, field]
            if row[INSTRUMENT] == piece.opener and step:
                uniform = _keep_or_change(field, piece, its_bars, weights, uniform)
            if field == INSTRUMENT:
                value = _sample_instrument(state, weights, piece, tables, heads, choice, uniform)
            else:
                value = _sample_value(field, state, weights, heads, choice, uniform)
            if value < 0:
                return False
            if field == INSTRUMENT and (value == piece.opener or value == tables.end):
                value = tables.end if piece.bars_opened == piece.n_bars else piece.opener
            row[field] = value
            last = field
    return True


@compiled
def append_rows(rows_GF: Ints, going: Ints, pieces: Any, bars: Any, tables: Any, written_BLF: Any) -> int:
    """Add a row to each piece that is not done, and return how many bars that closes; arguments as in `sample_rows`.

    Args:
        written_BLF: the rows of all pieces, with room for one more.
    """
    closed = 0
    for g in range(len(going)):
        piece, row = pieces[going[g]], rows_GF[g]
        for f in range(len(row)):  # for a whole array numba compiles the message of a misfit, which takes a second
            written_BLF[going[g], piece.n_rows, f] = row[f]
        piece.n_rows += 1
        if row[INSTRUMENT] != piece.opener and row[INSTRUMENT] != tables.end:
            _add_note(row, piece, bars[going[g]], tables)
            continue
        if piece.bars_opened:
            closed += 1
            plays = piece.notes_in_bar > 0 or bars[going[g], piece.bars_opened - 1].has_kept_note
            piece.empty_bars = 0 if plays else piece.empty_bars + 1
        if row[INSTRUMENT] == tables.end:
            piece.done = 1
            continue
        piece.bars_opened += 1
        piece.notes_in_bar = 0
        piece.steps = tables.bar_steps[row[TIME_SIGNATURE]]
        piece.header[0], piece.header[1] = row[TIME_SIGNATURE], row[TEMPO]
        piece.least[:] = 0
        piece.least[0] = tables.drums
    return closed


@compiled
def _add_note(row: Ints, piece: Any, bars: Any, tables: Any) -> None:
    """Take a note into account."""
    instrument, instance, position, pitch = row[INSTRUMENT], row[INSTANCE], row[POSITION], row[PITCH]
    piece.notes_in_bar += 1
    piece.new_notes += 1
    if piece.required[instrument, instance]:
        piece.required[instrument, instance] = 0
        piece.n_required -= 1
    if not piece.may_play[instrument, instance]:
        piece.may_play[instrument, instance] = 1
        piece.last_instance[instrument] = max(piece.last_instance[instrument], instance)
        piece.free_parts -= 1
        piece.free_pitched -= instrument != tables.drums
    if instrument != tables.drums:
        piece.quarters[pitch % 12] += tables.quarters[row[DURATION]]
    pitch += 1  # the least note after this one, with carry
    while pitch < tables.sizes[PITCH] and not _may_sound(pitch, instrument, piece, bars, tables):
        pitch += 1
    pitch = row[PITCH] + 1 if pitch < tables.sizes[PITCH] else pitch
    if pitch == tables.sizes[PITCH]:
        position, pitch = position + 1, 0
    if position >= piece.steps:
        instance, position = instance + 1, 0
    if instance == tables.sizes[INSTANCE]:
        instrument, instance = instrument + 1, 0
    piece.least[0], piece.least[1], piece.least[2], piece.least[3] = instrument, instance, position, pitch


@compiled
def weigh_values(field: int, row: Ints, piece: Any, bars: Any, tables: Any, weights: Floats) -> None:
    """Set the factors on the model's probabilities of a field's values, given the fields before it; 0 where not allowed.

    Args:
        field: index into FIELDS.
        row: (F,) the row so far.
        piece: record of `RowWriters`.
        bars: (T,) BAR.
        tables: RowTables.
        weights: (V,) zeros to be filled.
    """
    least = piece.least
    if field == INSTRUMENT:
        _weigh_instruments(piece, bars, tables, weights)
    elif field == INSTANCE:
        instrument = row[INSTRUMENT]
        required = _required_part(piece)
        last = len(weights) - 1
        if required // len(weights) == instrument:
            last = required % len(weights)
        open_to_all = not piece.parts_are_given and not _is_full(instrument, piece, tables)
        most = piece.last_instance[instrument] + 1 if open_to_all else -1  # parts of an instrument enter in their order
        for n in range(least[1] if instrument == least[0] else 0, last + 1):
            weights[n] = 1.0 if n <= most or piece.may_play[instrument, n] else 0.0
    elif field == POSITION:
        same = row[INSTRUMENT] == least[0] and row[INSTANCE] == least[1]
        weights[least[2] if same else 0 : piece.steps] = 1.0
    elif field == PITCH:
        same = row[INSTRUMENT] == least[0] and row[INSTANCE] == least[1] and row[POSITION] == least[2]
        for pitch in range(least[3] if same else 0, len(weights)):
            weights[pitch] = 1.0 if _may_sound(pitch, row[INSTRUMENT], piece, bars, tables) else 0.0
        if piece.has_key and row[INSTRUMENT] != tables.drums:
            weigh_by_key(piece.key_shares, piece.quarters, weights)
    else:
        fixed = ABSENT
        if field == TIME_SIGNATURE:
            fixed = bars[piece.bars_opened].time_signature
        if field == TEMPO:
            fixed = bars[piece.bars_opened].tempo
        if fixed == ABSENT:
            weights[:] = 1.0
        else:
            weights[fixed] = 1.0


@compiled
def _keep_or_change(field: int, piece: Any, bars: Any, weights: Floats, uniform: float) -> float:
    """Decide whether a header's field stays what it was, if that is not left to the model: then that value alone keeps its
    weight (V,), or all others do. Returns the uniform number with which to go on. Whether the time signature of a piece's first
    bar stays is the model's to say: that bar may be a pickup."""
    which = 0 if field == TIME_SIGNATURE else 1
    before, rate, bar = piece.header[which], piece.header_changes[which], bars[piece.bars_opened]
    given = bar.time_signature if field == TIME_SIGNATURE else bar.tempo
    if rate > 1 or before == ABSENT or given != ABSENT:
        return uniform
    if field == TIME_SIGNATURE and piece.bars_before + piece.bars_opened == 1:
        return uniform
    if uniform < rate:
        weights[before] = 0.0
        return uniform / rate
    weights[:] = 0.0
    weights[before] = 1.0
    return uniform


@compiled
def _weigh_instruments(piece: Any, bars: Any, tables: Any, weights: Floats) -> None:
    """Set which instruments the next row may have: those of parts that may play, and those that close the bar."""
    if piece.bars_opened == 0:
        weights[piece.opener] = 1.0
        return
    least = piece.least
    required = _required_part(piece)
    last = piece.bars_opened == piece.n_bars
    needs_note = piece.empty_bars >= MOST_EMPTY and not bars[piece.bars_opened - 1].has_kept_note
    needs_note |= last and (piece.last_bar_needs_note or (piece.needs_note and piece.new_notes == 0))
    if required < 0 and (piece.notes_in_bar > 0 or not needs_note):
        weights[piece.opener] = weights[tables.end] = 1.0
    stop = tables.end if required < 0 else required // tables.sizes[INSTANCE] + 1
    if piece.notes_in_bar >= MOST_ROWS_IN_BAR:
        if required >= 0:
            weights[stop - 1] = 1.0
        return
    for instrument in range(max(least[0], tables.drums), stop):
        first = least[1] if instrument == least[0] else 0
        open_to_all = not piece.parts_are_given and not _is_full(instrument, piece, tables)
        if open_to_all or piece.last_instance[instrument] >= first:
            weights[instrument] = 1.0


@compiled
def _required_part(piece: Any) -> int:
    """The next part that must get a note in this bar, instrument times instances plus instance; -1 for none."""
    if piece.n_required == 0 or 2 * piece.bars_opened < piece.n_bars:
        return -1
    instances = piece.required.shape[1]
    for part in range(piece.least[0] * instances + piece.least[1], piece.required.size):
        if piece.required[part // instances, part % instances]:
            return part
    return -1


@compiled
def _is_full(instrument: int, piece: Any, tables: Any) -> bool:
    """Whether no further part of an instrument may enter."""
    fits = piece.drums_fit if instrument == tables.drums else piece.free_pitched > 0
    return piece.free_parts <= 0 or not fits


@compiled
def _may_sound(pitch: int, instrument: int, piece: Any, bars: Any, tables: Any) -> bool:
    """Whether an instrument may play a pitch in the open bar."""
    if not tables.in_range[instrument, pitch]:
        return False
    if not piece.has_key or instrument == tables.drums:
        return True
    return piece.key_pitches[bars[piece.bars_opened - 1].tonic_chord_only, pitch] != 0


@compiled
def weigh_by_key(shares: Floats, quarters: Floats, weights: Floats) -> None:
    """Multiply the weights (128,) of pitches by (expected share of the pitch class / share so far)².

    A pitch class that sounded less than music in the key has of it becomes likelier; in a piece that is in the key all factors
    are near 1.

    Args:
        shares: (12,) of the sounding time, how much music in the key gives each pitch class.
        quarters: (12,) summed length of the notes of each pitch class so far, in quarters.
    """
    total = PRIOR_QUARTERS
    for pitch_class in range(12):
        total += quarters[pitch_class]
    for pitch in range(len(weights)):
        expected = shares[pitch % 12]
        share = (quarters[pitch % 12] + PRIOR_QUARTERS * expected) / total
        weights[pitch] *= (expected / share) ** 2 if share > 0 else 0.0


@compiled
def _sample_instrument(
    state_C: Floats32,
    weights: Floats,
    piece: Any,
    tables: Any,
    heads: Any,
    choice: tuple[float, float, int],
    uniform: float,
) -> int:
    """An instrument sampled as `_sample_value` does. One of which only a new part may play, since its others are over,
    is drawn only where top-p would leave the new one among its instances: mostly the model means a part that is over."""
    while True:
        value = _sample_value(INSTRUMENT, state_C, weights, heads, choice, uniform)
        if value < 0 or value == piece.opener or value == tables.end:
            return value
        new = piece.last_instance[value] + 1
        if new == 0 or value != piece.least[0] or new > piece.least[1]:
            return value
        state = state_C + heads.known[heads.first[INSTRUMENT] + value]
        logits = head_logits(INSTANCE, state, heads, 0, tables.sizes[INSTANCE])
        if np.exp(logits[new] - logits.max()) >= (1 - choice[1]) * np.exp(logits - logits.max()).sum():
            return value
        weights[value] = 0.0
        uniform = uniform * REDRAW % 1.0


@compiled
def _sample_value(
    field: int, state_C: Floats32, weights: Floats, heads: Any, choice: tuple[float, float, int], uniform: float
) -> int:
    """A value of a field sampled from the model's probabilities times the weights (V,); -1 where those are not finite."""
    low, high = 0, len(weights)
    while weights[low] == 0:
        low += 1
    while weights[high - 1] == 0:
        high -= 1
    if high == low + 1:
        return low
    chosen = choose(head_logits(field, state_C, heads, low, high), weights[low:high], choice, uniform)
    return low + chosen if chosen >= 0 else chosen


@compiled
def head_logits(field: int, state_C: Floats32, heads: Any, low: int, high: int) -> Floats32:
    """(high - low,) logits of a field's values low to high, given the state (C,) conditioned on the fields before it."""
    squares = 0.0
    for x in state_C:
        squares += x * x
    scale = np.float32(1 / math.sqrt(squares / len(state_C) + np.finfo(np.float32).eps))
    normed, hidden = np.empty_like(state_C), heads.inner_bias[field].copy()
    for i in range(len(state_C)):
        normed[i] = state_C[i] * scale
    _add_product(normed, heads.inner[field], 0, hidden)
    for i in range(len(hidden)):
        hidden[i] = hidden[i] / (np.float32(1) + math.exp(-hidden[i]))
    first, stop = heads.first[field], heads.first[field + 1]
    outer = heads.outer[first * len(hidden) : stop * len(hidden)].reshape(len(hidden), stop - first)
    logits = heads.outer_bias[first + low : first + high].copy()
    _add_product(hidden, outer, low, logits)
    return logits


@compiled
def _add_product(x: Floats32, weights: Floats32, first: int, out: Floats32) -> None:
    """Add x (inputs,) times weights (inputs, outputs), of which the outputs from `first` on, to out: in one order everywhere."""
    stop, whole = first + len(out), len(x) - len(x) % 4
    for i in range(0, whole, 4):
        a, b = weights[i][first:stop], weights[i + 1][first:stop]  # slices that numba knows to be contiguous
        c, d = weights[i + 2][first:stop], weights[i + 3][first:stop]
        for j in range(len(out)):
            out[j] += x[i] * a[j] + x[i + 1] * b[j] + x[i + 2] * c[j] + x[i + 3] * d[j]
    for i in range(whole, len(x)):
        a = weights[i][first:stop]
        for j in range(len(out)):
            out[j] += x[i] * a[j]


@compiled
def choose(logits: Floats32, weights: Floats, choice: tuple[float, float, int], uniform: float) -> int:
    """One of V values, by softmax(logits / temperature) · weights within top-p and top-k; -1 where those are not finite.

    Args:
        logits: (V,)
        weights: (V,) of which one is above 0; where a weight is 0 the logit does not matter.
        choice: temperature, top-p and top-k, 0 for none.
        uniform: from 0 up to 1; it chooses among the values that are left, in the order in which they stand.
    """
    temperature, top_p, top_k = choice
    scores, highest = np.empty(len(logits)), -np.inf
    for i in range(len(logits)):
        scores[i] = np.float64(logits[i]) / temperature if weights[i] > 0 else -np.inf
        if not scores[i] < np.inf:
            return -1
        highest = max(highest, scores[i])
    if highest == -np.inf:
        return -1
    total = 0.0
    probability = scores  # up to a factor
    for i in range(len(logits)):
        probability[i] = weights[i] * math.exp(scores[i] - highest) if weights[i] > 0 else 0.0
        total += probability[i]
    if top_p < 1 or top_k > 0:
        total = _keep_likeliest(probability, total, top_p, top_k if top_k > 0 else len(logits))
    at, reached, chosen = uniform * total, 0.0, -1
    for i in range(len(logits)):
        if probability[i] > 0:
            chosen = i
            reached += probability[i]
            if reached > at:
                break
    return chosen


@compiled
def _keep_likeliest(probability: Floats, total: float, top_p: float, top_k: int) -> float:
    """Set to 0 all but the likeliest values that reach top-p, at most top-k; of equal ones the first stay. Returns their sum.

    Args:
        probability: (V,) up to a factor, `total` in all.
    """
    heap, n = np.empty(len(probability), dtype=np.int64), 0  # the likeliest value on top
    least = (1 - top_p) * total / len(probability)
    for i in range(len(probability)):
        if probability[i] > least:  # all others together are not more than what top-p leaves out
            heap[n] = i
            n += 1
        else:
            probability[i] = 0.0
    for at in range(n // 2 - 1, -1, -1):
        _sift_down(heap, at, n, probability)
    reached, kept, enough = 0.0, 0, top_p * total if top_p < 1 else np.inf
    while n > 0 and kept < top_k and reached < enough:
        reached += probability[heap[0]]
        kept += 1
        n -= 1
        heap[0], heap[n] = heap[n], heap[0]
        _sift_down(heap, 0, n, probability)
    for i in range(n):
        probability[heap[i]] = 0.0
    total = 0.0
    for i in range(len(probability)):
        total += probability[i]
    return total


@compiled
def _sift_down(heap: Ints, at: int, n: int, probability: Floats) -> None:
    """Move an entry of the heap of n values down to where it belongs."""
    value = heap[at]
    while 2 * at + 1 < n:
        child = 2 * at + 1
        if child + 1 < n and _is_likelier(heap[child + 1], heap[child], probability):
            child += 1
        if not _is_likelier(heap[child], value, probability):
            break
        heap[at] = heap[child]
        at = child
    heap[at] = value


@compiled
def _is_likelier(value: int, other: int, probability: Floats) -> bool:
    """Whether a value comes before another: by its probability, then by its place."""
    if probability[value] == probability[other]:
        return value < other
    return probability[value] > probability[other]
