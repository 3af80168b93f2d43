"""One decoding step of a MeloFormer as one compiled call: embedding, layers, attention over pages of cached keys.

Shape letters: B pieces, E rows and summaries computed together (rows first), C width, H query heads, G key and value heads,
D width of a head (padded to whole vectors), P pages, Y layers, V = Y + 1 places where bar plans are added.
"""

import math
from typing import NamedTuple

import numpy as np

from analysis.arrays import Floats32, Ints, Ints32, Words
from analysis.compiled import compiled_arithmetic, compiled_without_nan
from analysis.vector_product import VECTOR, vector_product
from meloctl.model.meloformer.packed_weights import BLOCK, LANES, PackedWeights
from meloctl.model.meloformer.page_loops import (
    BAR,
    CLOSED_BAR,
    MASKED,
    N_SUMMARY_VISIBLE,
    N_VISIBLE,
    PAGE,
    ROW,
    SUMMARY,
    SUMMARY2,
    Pages,
)
from meloctl.rows.vocabulary import POSITION

_EPSILON = np.float32(np.finfo(np.float32).eps)
"""Under the root of RMSNorm, as in torch."""

_POWERS = tuple(np.float32(np.log(2.0) ** k / np.prod(np.arange(1.0, k + 1))) for k in range(8))
"""Taylor coefficients of 2^x: within half a unit of 0 they give it to 1e-8."""

_LOW, _HIGH, _HALF = np.uint32(0xFFFF), np.uint32(0xFFFF0000), np.uint32(16)
"""Where two bfloat16 stand in a word."""

_LOG2E = np.float32(math.log2(math.e))


_add_one, _add_one_half = (vector_product(inputs=VECTOR, lanes=VECTOR, half=half) for half in (False, True))
_add_two, _add_two_half = (vector_product(inputs=VECTOR, lanes=VECTOR, rows=2, half=half) for half in (False, True))
_add_row, _add_row_half = (vector_product(inputs=BLOCK, lanes=LANES, half=half) for half in (False, True))
_add_four_rows, _add_four_rows_half = (
    vector_product(inputs=BLOCK, lanes=LANES, rows=4, half=half) for half in (False, True)
)


class Buffers(NamedTuple):
    """What a step writes on its way; rows are padded, so that they do not lie a multiple of 4 KiB apart."""

    x: Floats32
    """(E, C) rows and summaries."""

    normed: Floats32
    """(E, C)"""

    qkv: Floats32
    """(E, (H + 2 G) D), D without padding."""

    q: Floats32
    """(E, H D) rotated."""

    attended: Floats32
    """(E, H D)"""

    kv2: Floats32
    """(E, 2 G D), D without padding."""

    inner: Floats32
    """(E, 2 · inner width)"""

    rotation: Floats32
    """(E, 2, D / 2) cosines and sines."""

    scores: Floats32
    """(H / G, P · PAGE)"""

    piece_E: Ints
    """(E,) the piece of each row or summary."""


class PieceConditions(NamedTuple):
    """What bar plans add to the rows of each piece."""

    rows: Floats32
    """(R, V, C) to each row of a bar, see `PlanConditions`; the bars of a piece lie one after the other."""

    first_B: Ints
    """(B,) where those of a piece begin."""

    bars_B: Ints
    """(B,) how many bars of a piece have some, from its first on."""


@compiled_arithmetic
def step_pieces(
    first: int,
    rows_BF: Ints,
    weights: PackedWeights,
    conditions: PieceConditions,
    pages: Pages,
    buffers: Buffers,
    states_BC: Floats32,
) -> None:
    """Compute the states after one row of some pieces, whose places `place_rows` has found.

    Args:
        first: the first of the pieces; there are as many as rows.
        states_BC: gets the states of these pieces.
    """
    n, c, layers = len(rows_BF), len(weights.scale), len(weights.qkv)
    x, normed = buffers.x, buffers.normed
    n_all = _embed(first, rows_BF, weights, pages, buffers)
    for y in range(layers):
        _add_plans(y, first, n, conditions, pages, x)
        _norm(x, 0, n_all, c, normed)
        buffers.qkv[:n_all] = 0
        _product(weights.qkv[y], normed, buffers.qkv, 0, n_all)
        _rotate_and_write(y, n, n_all, weights, pages, buffers)
        if n_all > n:
            for e in range(n, n_all):
                b = buffers.piece_E[e]
                seen, bias = pages.summary_visible[b], pages.summary_bias[b]
                _attend(e, y, seen, bias, pages.state[b, N_SUMMARY_VISIBLE], weights, pages, buffers)
            _product(weights.out[y], buffers.attended, x, n, n_all - n)
            _norm(x, n, n_all - n, c, normed)
            buffers.kv2[n:n_all] = 0
            _product(weights.kv2[y], normed, buffers.kv2, n, n_all - n)
            for e in range(n, n_all):
                _write(e, y, SUMMARY2, buffers.kv2, 0, weights, pages, buffers)
        for e in range(n):
            b = buffers.piece_E[e]
            _attend(e, y, pages.visible[b], pages.bias[b], pages.state[b, N_VISIBLE], weights, pages, buffers)
        _product(weights.out[y], buffers.attended, x, 0, n)
        _feed(y, n if y == layers - 1 else n_all, weights, buffers)
    _norm(x, 0, n, c, normed)
    for e in range(n):
        for i in range(c):
            normed[e, i] *= weights.scale[i]
    _add_plans(layers, first, n, conditions, pages, normed)
    for e in range(n):
        for i in range(c):
            states_BC[first + e, i] = normed[e, i]


@compiled_arithmetic
def _embed(first: int, rows_BF: Ints, weights: PackedWeights, pages: Pages, buffers: Buffers) -> int:
    """Embeddings and rotations of rows, and of the summaries of bars that they close; how many there are of both."""
    n, c = len(rows_BF), len(weights.scale)
    n_all = n
    for e in range(n):
        b = first + e
        buffers.piece_E[e] = b
        buffers.x[e, :c] = 0
        for f in range(len(weights.first_F)):
            entry = weights.first_F[f] + rows_BF[e, f]
            for i in range(c):
                buffers.x[e, i] += weights.table[entry, i]
        _turn(e, pages.state[b, BAR], max(rows_BF[e, POSITION], 0), weights, buffers)
        if pages.state[b, N_SUMMARY_VISIBLE] > 0:
            buffers.piece_E[n_all] = b
            for i in range(c):  # for a whole array numba compiles the message of a misfit, which takes a second
                buffers.x[n_all, i] = weights.summary[i]
            _turn(n_all, pages.state[b, CLOSED_BAR], 0, weights, buffers)
            n_all += 1
    return n_all


@compiled_arithmetic
def _add_plans(place: int, first: int, n: int, conditions: PieceConditions, pages: Pages, x: Floats32) -> None:
    """Add to n rows, or states after them, what the plans of their bars add at a place."""
    for e in range(n):
        b = first + e
        bar = pages.state[b, BAR]
        if bar < conditions.bars_B[b]:
            of_bar = conditions.first_B[b] + bar
            for i in range(conditions.rows.shape[2]):
                x[e, i] += conditions.rows[of_bar, place, i]


@compiled_arithmetic
def _turn(e: int, bar: int, position: int, weights: PackedWeights, buffers: Buffers) -> None:
    """Cosines and sines of a bar and a position in it."""
    planes = len(weights.speed)
    for i in range(planes):
        of_bar, of_position = np.float32(bar) * weights.speed[i], np.float32(position) * weights.speed[i]
        buffers.rotation[e, 0, i], buffers.rotation[e, 1, i] = np.cos(of_bar), np.sin(of_bar)
        buffers.rotation[e, 0, planes + i], buffers.rotation[e, 1, planes + i] = (
            np.cos(of_position),
            np.sin(of_position),
        )


@compiled_arithmetic
def _rotate_and_write(y: int, n: int, n_all: int, weights: PackedWeights, pages: Pages, buffers: Buffers) -> None:
    """Rotate queries; write keys and values of rows and summaries to their slots."""
    true, d, qkv = weights.head_width, pages.keys.shape[2] * VECTOR, buffers.qkv
    half = true // 2
    for e in range(n_all):
        for h in range(weights.heads):
            for i in range(half):
                one, other = qkv[e, h * true + i], qkv[e, h * true + half + i]
                cos, sin = buffers.rotation[e, 0, i], buffers.rotation[e, 1, i]
                buffers.q[e, h * d + i] = one * cos - other * sin
                buffers.q[e, h * d + half + i] = one * sin + other * cos
        _write(e, y, ROW if e < n else SUMMARY, qkv, weights.heads * true, weights, pages, buffers)


@compiled_arithmetic
def _write(
    e: int, y: int, kind: int, kv: Floats32, at: int, weights: PackedWeights, pages: Pages, buffers: Buffers
) -> None:
    """Write keys, rotated, and values of a row or a summary to its slot; all heads stand in `kv` from column `at` on."""
    true, groups, b = weights.head_width, weights.kv_heads, buffers.piece_E[e]
    half = true // 2
    page, slot = pages.slot[b, kind, 0], pages.slot[b, kind, 1]
    for g in range(groups):
        head = y * groups + g
        for i in range(half):
            one, other = kv[e, at + g * true + i], kv[e, at + g * true + half + i]
            cos, sin = buffers.rotation[e, 0, i], buffers.rotation[e, 1, i]
            _put(pages.keys, page, head, i, slot, one * cos - other * sin, False)
            _put(pages.keys, page, head, half + i, slot, one * sin + other * cos, False)
        for i in range(true):
            _put(pages.values, page, head, i, slot, kv[e, at + (groups + g) * true + i], True)


@compiled_arithmetic
def _put(words: Words, page: int, head: int, i: int, slot: int, x: np.float32, by_lane: bool) -> None:
    """Write number i of a head of keys or values to a slot: i is a lane of values, and a row of keys."""
    block, at = i // VECTOR, i % VECTOR
    row, lane = (slot, at) if by_lane else (at, slot)
    bits = np.float32(x).view(np.uint32)
    if words.shape[3] == VECTOR:
        words[page, head, block, row, lane] = bits
        return
    rounded = np.uint32(bits + np.uint32(0x7FFF) + (bits >> _HALF & np.uint32(1)))
    other = words[page, head, block, row // 2, lane]
    if row % 2:
        words[page, head, block, row // 2, lane] = (rounded & _HIGH) | (other & _LOW)
    else:
        words[page, head, block, row // 2, lane] = (rounded >> _HALF) | (other & _HIGH)


@compiled_arithmetic
def _attend(
    e: int, y: int, visible: Ints32, bias: Floats32, n: int, weights: PackedWeights, pages: Pages, buffers: Buffers
) -> None:
    """Attention of one row or summary to the first n of some pages."""
    keys, values, q, scores, groups = pages.keys, pages.values, buffers.q, buffers.scores, weights.kv_heads
    heads, blocks, size, room = keys.shape[1], keys.shape[2], keys.shape[3] * PAGE, scores.shape[1]
    shared, d = weights.heads // groups, blocks * VECTOR
    buffers.attended[e] = 0
    for g in range(groups):
        q_at, out_at = e * q.shape[1] + g * shared * d, e * buffers.attended.shape[1] + g * shared * d
        for r in range(shared):
            for i in range(n * PAGE):
                scores[r, i] = bias[i]
        for p in range(n):
            at = (visible[p] * heads + y * groups + g) * blocks * size
            _add_blocks(scores, p * PAGE, room, q, q_at, d, keys, at, blocks, shared)
        for r in range(shared):
            _softmax(scores[r, : n * PAGE])
        for p in range(n):
            at = (visible[p] * heads + y * groups + g) * blocks * size
            for j in range(blocks):
                to = out_at + j * VECTOR
                _add_blocks(buffers.attended, to, d, scores, p * PAGE, room, values, at + j * size, 1, shared)


@compiled_arithmetic
def _add_blocks(
    out: Floats32,
    to: int,
    width: int,
    x: Floats32,
    come: int,
    x_width: int,
    words: Words,
    at: int,
    blocks: int,
    rows: int,
) -> None:
    """Add the product of blocks of keys or values and rows of x to `out`; see `vector_product`."""
    half = words.shape[3] < VECTOR
    r = 0
    while r < rows:
        if rows - r >= 2:
            if half:
                _add_two_half(out, to, width, x, come, x_width, words, at, blocks)
            else:
                _add_two(out, to, width, x, come, x_width, words, at, blocks)
            r, to, come = r + 2, to + 2 * width, come + 2 * x_width
        else:
            if half:
                _add_one_half(out, to, width, x, come, x_width, words, at, blocks)
            else:
                _add_one(out, to, width, x, come, x_width, words, at, blocks)
            r, to, come = r + 1, to + width, come + x_width


@compiled_arithmetic
def _softmax(scores: Floats32) -> None:
    """Scores of one head, as exponents of 2 → shares that sum to 1."""
    top = _highest(scores)
    total = np.float32(0)
    for i in range(len(scores)):
        share = _power_of_2(scores[i] - top)
        scores[i] = share
        total += share
    factor = np.float32(1) / total
    for i in range(len(scores)):
        scores[i] *= factor


@compiled_without_nan
def _highest(scores: Floats32) -> np.float32:
    top = MASKED
    for i in range(len(scores)):
        top = max(top, scores[i])
    return top


@compiled_arithmetic
def _feed(y: int, n: int, weights: PackedWeights, buffers: Buffers) -> None:
    """Add a layer's SwiGLU to n rows and summaries."""
    inner, width = buffers.inner, weights.inner.shape[1] * LANES // 2
    _norm(buffers.x, 0, n, len(weights.scale), buffers.normed)
    inner[:n] = 0
    _product(weights.inner[y], buffers.normed, inner, 0, n)
    for e in range(n):
        for i in range(width):
            gate = inner[e, i]
            inner[e, i] = gate / (np.float32(1) + _power_of_2(-_LOG2E * gate)) * inner[e, width + i]
    _product(weights.outer[y], inner, buffers.x, 0, n)


@compiled_arithmetic
def _power_of_2(x):  # type: ignore[no-untyped-def]
    """2^x of a float32, to 1e-7 of its value near 0; beyond ±126 that of ±126."""
    x = min(max(x, np.float32(-126.0)), np.float32(126.0))
    whole = np.floor(x + np.float32(0.5))
    x -= whole
    y = _POWERS[6] + x * _POWERS[7]
    y = _POWERS[5] + x * y
    y = _POWERS[4] + x * y
    y = _POWERS[3] + x * y
    y = _POWERS[2] + x * y
    y = _POWERS[1] + x * y
    y = _POWERS[0] + x * y
    return y * np.int32((np.int32(whole) + np.int32(127)) << np.int32(23)).view(np.float32)


@compiled_arithmetic
def _norm(x: Floats32, first: int, n: int, c: int, out: Floats32) -> None:
    """RMSNorm without a scale of n rows from `first` on."""
    for e in range(first, first + n):
        squares = np.float32(0)
        for i in range(c):
            squares += x[e, i] * x[e, i]
        factor = np.float32(1) / np.sqrt(squares / np.float32(c) + _EPSILON)
        for i in range(c):
            out[e, i] = x[e, i] * factor


@compiled_arithmetic
def _product(w: Words, x: Floats32, out: Floats32, first: int, n: int) -> None:
    """Add the product of weights (tiles, blocks, …, LANES) and rows of x to the same rows of `out`: n rows from `first` on.

    For four rows together each weight is read once.
    """
    half = w.shape[2] < BLOCK
    size, x_width, width = w.shape[2] * LANES, x.shape[1], out.shape[1]
    e, end = first, first + n
    while e < end:
        rows = 4 if end - e >= 4 else 1
        come, blocks = e * x_width, w.shape[1]
        for t in range(w.shape[0]):
            to, at = e * width + t * LANES, t * blocks * size
            if rows == 4:
                if half:
                    _add_four_rows_half(out, to, width, x, come, x_width, w, at, blocks)
                else:
                    _add_four_rows(out, to, width, x, come, x_width, w, at, blocks)
            elif half:
                _add_row_half(out, to, width, x, come, x_width, w, at, blocks)
            else:
                _add_row(out, to, width, x, come, x_width, w, at, blocks)
        e += rows
