"""Attention under tiles in bf16, forward and backward, as compiled loops over blocks of a tile.

A tile's keys are taken in chunks that fit the cache, packed once as `vdpbf16ps` reads them, and used by all blocks of queries
and all query heads that share them. Scores are float32, in units of log 2, and never leave the cache; sums are float32.

Flat arrays, their indices in brackets, heads h of H, key heads g of G, width D of a head: q, o, do, dq (row, h, D); k, v, dk, dv
(row, g, D); m, lse, delta (row, h). bf16 arrays are uint32, two numbers a word. See `bf16_kernel` for the plan's arrays.
"""

import numba
import numpy as np

from meloctl.model.attention.tiled.row_tile import QUERY_BLOCK as BLOCK
from meloctl.model.bf16_vectors import (
    add,
    exp2,
    first_of,
    high,
    interleaved_first,
    interleaved_last,
    largest,
    load,
    load_words,
    low,
    maximum,
    multiply,
    multiply_add,
    neighbours,
    pairs,
    product_8x32,
    splat,
    store,
    store_words,
    subtract,
    total,
    transpose_16x16,
    where_shown,
)

CHUNK = 256
"""Keys that are packed together."""

_ROW = CHUNK + 16  # between two rows of keys or scores: no power of two, or they would share few places of the cache
_HALF = _ROW // 2
_NONE = np.float32(-np.inf)

_compiled = numba.njit(nogil=True, cache=True, error_model="numpy", boundscheck=False)


@_compiled
def _product(a, a0, a_row, b, b0, b_row, c, c0, c_row, m, n, k, to_add):
    """C (m, n) = A (m, 2k) · B (2k, n); m a multiple of 8, n of 32."""
    for j in range(0, n, 32):
        for i in range(0, m, 8):
            product_8x32(a, a0 + i * a_row, a_row, b, b0 + j, b_row, c, c0 + i * c_row + j, c_row, k, to_add)


@_compiled
def _gather(x, x_row, x0, rows, first, n, padded, words, out):
    """Rows as they are, out (padded, words); 0 behind the n-th."""
    for i in range(n):
        at = rows[first + i] * x_row + x0
        for d in range(0, words, 16):
            store_words(out, i * words + d, load_words(x, at + d))
    out[n * words : padded * words] = 0


@_compiled
def _columns(x, n, words, out):
    """x (n, words) as `_gather` leaves it, n a multiple of 16, → out (words, n)."""
    for j in range(0, n, 16):
        for d in range(0, words, 16):
            transpose_16x16(x, j * words + d, words, out, d * _ROW + j, _ROW)


@_compiled
def _row_pairs(x, n, words, out):
    """x (n, words) → out (n / 2, 2 · words), which pairs each two rows that follow one another."""
    for i in range(0, n, 2):
        for d in range(0, words, 16):
            a, b = load_words(x, i * words + d), load_words(x, (i + 1) * words + d)
            store_words(out, i * words + 2 * d, interleaved_first(a, b))
            store_words(out, i * words + 2 * d + 16, interleaved_last(a, b))


@_compiled
def _pair_columns(x, n, words, spare, out):
    """x (n, words), n ≤ BLOCK, → out (2 · words, BLOCK / 2), which pairs two rows of x that follow one another."""
    _row_pairs(x, n, words, spare)
    for d in range(0, 2 * words, 16):
        transpose_16x16(spare, d, 2 * words, out, d * (BLOCK // 2), BLOCK // 2)


@_compiled
def _hide(scores, n_rows, n_b, lo, n_keys, hi, first, causal, mask, mask0, mask_row):
    """Scores at lo..lo + n_keys − 1 of rows become −inf from `hi` on, where hidden, and in rows from the n_b-th on.

    Args:
        first: key of the first row under a causal mask.
        mask0: of the first row and key 0; −1 for no mask.
    """
    for i in range(n_rows):
        limit = min(hi, first + i + 1) if causal else hi
        if i >= n_b:
            limit = 0
        if mask0 >= 0 and i < n_b:
            for j in range(lo, lo + n_keys, 16):
                s = where_shown(load(scores, i * _ROW + j), mask, mask0 + i * mask_row + j)
                store(scores, i * _ROW + j, first_of(s, limit - j))
        else:
            for j in range(max(lo, limit // 16 * 16), lo + n_keys, 16):
                store(scores, i * _ROW + j, first_of(load(scores, i * _ROW + j), limit - j))


@_compiled
def forward(
    q, q_row, k, v, kv_row, heads, kv_heads, width, scale, tiles, q_rows, k_rows, low_high, mask, items, o, m, sums_of
):
    """Outputs that are not divided yet, the largest score and the sum of each query, for some (group of tiles, key head)."""
    words, shared = width // 2, heads // kv_heads
    keys, values = np.empty(words * _ROW, np.uint32), np.empty(CHUNK // 2 * width, np.uint32)
    block, scores = np.empty(BLOCK * words, np.uint32), np.empty(BLOCK * _ROW, np.float32)
    shares, out = np.empty(BLOCK * _HALF, np.uint32), np.empty(BLOCK * width, np.float32)
    spare, base = np.empty(CHUNK * words, np.uint32), np.empty(BLOCK, np.float32)
    most, kept = np.zeros(BLOCK, np.float32), np.empty(BLOCK, np.float32)
    unit = splat(np.float32(scale))
    for item in range(len(items)):
        g = items[item, 2]
        for t in range(items[item, 0], items[item, 1]):
            q0, n_q, k0, n_k, ranges, mask0, causal = tiles[t]
            for chunk in range(0, n_k, CHUNK):
                n = min(CHUNK, n_k - chunk)
                padded = (n + 31) // 32 * 32
                _gather(k, kv_row, g * words, k_rows, k0 + chunk, n, padded, words, spare)
                _columns(spare, padded, words, keys)
                _gather(v, kv_row, g * words, k_rows, k0 + chunk, n, padded, words, spare)
                _row_pairs(spare, padded, words, values)
                for h in range(g * shared, (g + 1) * shared):
                    for first in range(0, n_q, BLOCK):
                        lo = max(low_high[ranges + first // BLOCK, 0] - chunk, 0) // 32 * 32
                        hi = min(low_high[ranges + first // BLOCK, 1] - chunk, n)
                        if hi <= lo:
                            continue
                        n_b = min(BLOCK, n_q - first)
                        n_rows, n_keys = (n_b + 7) // 8 * 8, (hi - lo + 31) // 32 * 32
                        _gather(q, q_row, h * words, q_rows, q0 + first, n_b, n_rows, words, block)
                        _product(block, 0, words, keys, lo, _ROW, scores, lo, _ROW, n_rows, n_keys, words, False)
                        if mask0 >= 0 or causal or hi < lo + n_keys:
                            at = mask0 + first * n_k + chunk if mask0 >= 0 else -1
                            _hide(scores, n_b, n_b, lo, n_keys, hi, first - chunk, causal, mask, at, n_k)
                        for i in range(n_b):
                            top = splat(_NONE)
                            for j in range(i * _ROW + lo, i * _ROW + lo + n_keys, 32):
                                top = maximum(top, maximum(load(scores, j), load(scores, j + 16)))
                            most[i] = largest(top)
                        for i in range(n_b):
                            row = q_rows[q0 + first + i] * heads + h
                            new = max(m[row], most[i] * np.float32(scale))
                            base[i] = -new if new != _NONE else np.float32(0.0)
                            most[i] = m[row] + base[i]
                            m[row] = new
                        for i in range(0, BLOCK, 16):
                            store(kept, i, exp2(load(most, i)))
                        for i in range(n_b):
                            row = q_rows[q0 + first + i] * heads + h
                            lower, sums = splat(base[i]), splat(np.float32(0.0))
                            for j in range(lo, lo + n_keys, 32):
                                a = exp2(multiply_add(load(scores, i * _ROW + j), unit, lower))
                                b = exp2(multiply_add(load(scores, i * _ROW + j + 16), unit, lower))
                                sums = add(sums, add(a, b))
                                store_words(shares, i * _HALF + j // 2, neighbours(a, b))
                            sums_of[row] = sums_of[row] * kept[i] + total(sums)
                            share = splat(kept[i])
                            for d in range(0, width, 16):
                                store(out, i * width + d, multiply(load(o, row * width + d), share))
                        _product(
                            shares, lo // 2, _HALF, values, lo // 2 * width, width, out, 0, width, n_rows, width,
                            n_keys // 2, True,
                        )  # fmt: skip
                        for i in range(n_b):
                            row = q_rows[q0 + first + i] * heads + h
                            for d in range(0, width, 16):
                                store(o, row * width + d, load(out, i * width + d))


@_compiled
def finish(o, m, sums_of, width, out):
    """Divide outputs (rows, D) by their sums, as bf16 words; m becomes the log-sum-exp, +inf for a row without keys."""
    for row in range(len(m)):
        share = np.float32(1.0) / sums_of[row] if sums_of[row] != 0 else np.float32(0.0)
        m[row] = m[row] + np.log2(sums_of[row]) if sums_of[row] != 0 else np.float32(np.inf)
        by = splat(share)
        for d in range(0, width, 32):
            a, b = load(o, row * width + d), load(o, row * width + d + 16)
            store_words(out, (row * width + d) // 2, neighbours(multiply(a, by), multiply(b, by)))


@_compiled
def row_products(a, b, words, out):
    """Σ a · b of each row of `words` words, a multiple of 16."""
    for row in range(len(out)):
        sums = splat(np.float32(0.0))
        for d in range(0, words, 16):
            x, y = load_words(a, row * words + d), load_words(b, row * words + d)
            sums = multiply_add(low(x), low(y), multiply_add(high(x), high(y), sums))
        out[row] = total(sums)


@_compiled
def _add_columns(x, rows, first, n, padded, x_row, x0, width, spare, out):
    """Columns x (width, padded) are added to rows of out, the n first of them."""
    for j in range(0, padded, 16):
        for d in range(0, width, 16):
            transpose_16x16(x, d * _ROW + j, _ROW, spare, d, width)
        for i in range(j, min(j + 16, n)):
            at = rows[first + i] * x_row + x0
            for d in range(0, width, 16):
                store(out, at + d, add(load(out, at + d), load(spare, (i - j) * width + d)))


@_compiled
def backward(
    q,
    q_row,
    k,
    v,
    kv_row,
    do,
    heads,
    kv_heads,
    width,
    scale,
    tiles,
    q_rows,
    k_rows,
    low_high,
    mask,
    items,
    lse,
    delta,
    dq,
    dq_row,
    dk,
    dv,
    dkv_row,
):
    """Gradients of q, k and v, added to dq, dk and dv, for some (group of tiles, key head)."""
    words, shared = width // 2, heads // kv_heads
    keys, values = np.empty(words * _ROW, np.uint32), np.empty(words * _ROW, np.uint32)
    key_pairs = np.empty(CHUNK // 2 * width, np.uint32)
    block, grad = np.empty(BLOCK * words, np.uint32), np.empty(BLOCK * words, np.uint32)
    block_t, grad_t = np.empty(BLOCK * words, np.uint32), np.empty(BLOCK * words, np.uint32)
    scores, through = np.empty(BLOCK * _ROW, np.float32), np.empty(BLOCK * _ROW, np.float32)
    shares, slopes = np.empty(BLOCK // 2 * _ROW, np.uint32), np.empty(BLOCK // 2 * _ROW, np.uint32)
    slope_rows, out = np.empty(BLOCK * _HALF, np.uint32), np.empty(BLOCK * width, np.float32)
    dk_t, dv_t = np.empty(width * _ROW, np.float32), np.empty(width * _ROW, np.float32)
    spare, wide = np.empty(CHUNK * words, np.uint32), np.empty(16 * width, np.float32)
    unit, factor = splat(np.float32(scale)), splat(np.float32(scale * np.log(2.0)))
    for item in range(len(items)):
        g = items[item, 2]
        for t in range(items[item, 0], items[item, 1]):
            q0, n_q, k0, n_k, ranges, mask0, causal = tiles[t]
            for chunk in range(0, n_k, CHUNK):
                n = min(CHUNK, n_k - chunk)
                padded = (n + 31) // 32 * 32
                _gather(v, kv_row, g * words, k_rows, k0 + chunk, n, padded, words, spare)
                _columns(spare, padded, words, values)
                _gather(k, kv_row, g * words, k_rows, k0 + chunk, n, padded, words, spare)
                _columns(spare, padded, words, keys)
                _row_pairs(spare, padded, words, key_pairs)
                dk_t[:] = 0
                dv_t[:] = 0
                for h in range(g * shared, (g + 1) * shared):
                    for first in range(0, n_q, BLOCK):
                        lo = max(low_high[ranges + first // BLOCK, 0] - chunk, 0) // 32 * 32
                        hi = min(low_high[ranges + first // BLOCK, 1] - chunk, n)
                        if hi <= lo:
                            continue
                        n_b = min(BLOCK, n_q - first)
                        n_rows, n_keys = (n_b + 7) // 8 * 8, (hi - lo + 31) // 32 * 32
                        _gather(q, q_row, h * words, q_rows, q0 + first, n_b, n_rows, words, block)
                        _gather(do, heads * words, h * words, q_rows, q0 + first, n_b, n_rows, words, grad)
                        _pair_columns(block, n_rows, words, spare, block_t)
                        _pair_columns(grad, n_rows, words, spare, grad_t)
                        _product(block, 0, words, keys, lo, _ROW, scores, lo, _ROW, n_rows, n_keys, words, False)
                        _product(grad, 0, words, values, lo, _ROW, through, lo, _ROW, n_rows, n_keys, words, False)
                        if mask0 >= 0 or causal or hi < lo + n_keys or n_b < n_rows:
                            at = mask0 + first * n_k + chunk if mask0 >= 0 else -1
                            _hide(scores, n_rows, n_b, lo, n_keys, hi, first - chunk, causal, mask, at, n_k)
                        for i in range(0, n_rows, 2):
                            row = q_rows[q0 + min(first + i, n_q - 1)] * heads + h
                            base, inner = splat(-lse[row]), splat(delta[row])
                            row = q_rows[q0 + min(first + i + 1, n_q - 1)] * heads + h
                            base_b, inner_b = splat(-lse[row]), splat(delta[row])
                            for j in range(lo, lo + n_keys, 32):
                                x, y = i * _ROW + j, (i + 1) * _ROW + j
                                a0 = exp2(multiply_add(load(scores, x), unit, base))
                                a1 = exp2(multiply_add(load(scores, x + 16), unit, base))
                                b0 = exp2(multiply_add(load(scores, y), unit, base_b))
                                b1 = exp2(multiply_add(load(scores, y + 16), unit, base_b))
                                store_words(shares, i // 2 * _ROW + j, pairs(a0, b0))
                                store_words(shares, i // 2 * _ROW + j + 16, pairs(a1, b1))
                                a0 = multiply(multiply(subtract(load(through, x), inner), factor), a0)
                                a1 = multiply(multiply(subtract(load(through, x + 16), inner), factor), a1)
                                b0 = multiply(multiply(subtract(load(through, y), inner_b), factor), b0)
                                b1 = multiply(multiply(subtract(load(through, y + 16), inner_b), factor), b1)
                                store_words(slopes, i // 2 * _ROW + j, pairs(a0, b0))
                                store_words(slopes, i // 2 * _ROW + j + 16, pairs(a1, b1))
                                store_words(slope_rows, i * _HALF + j // 2, neighbours(a0, a1))
                                store_words(slope_rows, (i + 1) * _HALF + j // 2, neighbours(b0, b1))
                        half_rows = n_rows // 2
                        _product(
                            slope_rows, lo // 2, _HALF, key_pairs, lo // 2 * width, width, out, 0, width, n_rows, width,
                            n_keys // 2, False,
                        )  # fmt: skip
                        for i in range(n_b):
                            row = q_rows[q0 + first + i] * dq_row + h * width
                            for d in range(0, width, 16):
                                at = row + d
                                store(dq, at, add(load(dq, at), load(out, i * width + d)))
                        half = BLOCK // 2
                        _product(grad_t, 0, half, shares, lo, _ROW, dv_t, lo, _ROW, width, n_keys, half_rows, True)
                        _product(block_t, 0, half, slopes, lo, _ROW, dk_t, lo, _ROW, width, n_keys, half_rows, True)
                _add_columns(dk_t, k_rows, k0 + chunk, n, padded, dkv_row, g * width, width, wide, dk)
                _add_columns(dv_t, k_rows, k0 + chunk, n, padded, dkv_row, g * width, width, wide, dv)
