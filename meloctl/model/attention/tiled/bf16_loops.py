"""Attention under tiles in bf16, forward and backward, as compiled loops over blocks of a tile.

A tile's keys are taken in chunks that fit the cache, packed once as `vdpbf16ps` reads them, and used by all blocks of queries
and all query heads that share them. Scores are float32, in units of log 2, and never leave the cache; sums are float32.

Flat arrays, their indices in brackets, heads h of H, key heads g of G, width D of a head: q, o, do, dq (row, h, D); k, v, dk, dv
(row, g, D); m, lse, delta (row, h). bf16 arrays are uint32, two numbers a word. See `bf16_kernel` for the plan's arrays.
"""

import numba
import numpy as np

from meloctl.model.attention.tiled.bf16_vectors import (
    add,
    exp2,
    first_of,
    high,
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
    where_shown,
)
from meloctl.model.attention.tiled.row_tile import QUERY_BLOCK as BLOCK

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
def _pack_columns(x, x_row, x0, rows, first, n, padded, words, out):
    """Rows as columns: out (words, padded) pairs neighbours of a row; 0 behind the n-th."""
    for j in range(n):
        at = rows[first + j] * x_row + x0
        for d in range(words):
            out[d * _ROW + j] = x[at + d]
    for j in range(n, padded):
        for d in range(words):
            out[d * _ROW + j] = 0


@_compiled
def _pack_pairs(x, x_row, x0, rows, first, n, padded, words, out):
    """out (padded / 2, 2 · words) pairs each two rows that follow one another; 0 behind the n-th."""
    for j in range(0, padded, 2):
        at = j * words
        even, odd = 0, 0
        if j < n:
            even = rows[first + j] * x_row + x0
        if j + 1 < n:
            odd = rows[first + j + 1] * x_row + x0
        for d in range(words):
            a = x[even + d] if j < n else np.uint32(0)
            b = x[odd + d] if j + 1 < n else np.uint32(0)
            out[at + 2 * d] = (a & np.uint32(0xFFFF)) | (b << np.uint32(16))
            out[at + 2 * d + 1] = (a >> np.uint32(16)) | (b & np.uint32(0xFFFF0000))


@_compiled
def _gather(x, x_row, x0, rows, first, n, padded, words, out):
    """Rows as they are, out (padded, words); 0 behind the n-th."""
    for i in range(n):
        at = rows[first + i] * x_row + x0
        for d in range(words):
            out[i * words + d] = x[at + d]
    for i in range(n * words, padded * words):
        out[i] = 0


@_compiled
def _transpose_pairs(x, n, words, out):
    """x (n, words) as `_gather` leaves it → out (2 · words, BLOCK / 2), which pairs two rows of x that follow one another."""
    for i in range(0, n, 2):
        for d in range(words):
            a, b = x[i * words + d], x[(i + 1) * words + d]
            out[2 * d * (BLOCK // 2) + i // 2] = (a & np.uint32(0xFFFF)) | (b << np.uint32(16))
            out[(2 * d + 1) * (BLOCK // 2) + i // 2] = (a >> np.uint32(16)) | (b & np.uint32(0xFFFF0000))


@_compiled
def _hide(scores, at, lo, n_keys, limit, mask, mask_row):
    """Scores of a row at lo..lo + n_keys − 1 become −inf where the mask hides them, and from `limit` on."""
    for j in range(lo, lo + n_keys, 16):
        s = load(scores, at + j)
        if mask_row >= 0:
            s = where_shown(s, mask, mask_row + j)
        store(scores, at + j, first_of(s, limit - j))


@_compiled
def forward(
    q, q_row, k, v, kv_row, heads, kv_heads, width, scale, tiles, q_rows, k_rows, low_high, mask, items, o, m, sums_of
):
    """Outputs that are not divided yet, the largest score and the sum of each query, for some (group of tiles, key head)."""
    words, shared = width // 2, heads // kv_heads
    keys, values = np.empty(words * _ROW, np.uint32), np.empty(CHUNK // 2 * width, np.uint32)
    block, scores = np.empty(BLOCK * words, np.uint32), np.empty(BLOCK * _ROW, np.float32)
    shares, out = np.empty(BLOCK * _HALF, np.uint32), np.empty(BLOCK * width, np.float32)
    unit = splat(np.float32(scale))
    for item in range(len(items)):
        g = items[item, 2]
        for t in range(items[item, 0], items[item, 1]):
            q0, n_q, k0, n_k, ranges, mask0, causal = tiles[t]
            for chunk in range(0, n_k, CHUNK):
                n = min(CHUNK, n_k - chunk)
                padded = (n + 31) // 32 * 32
                _pack_columns(k, kv_row, g * words, k_rows, k0 + chunk, n, padded, words, keys)
                _pack_pairs(v, kv_row, g * words, k_rows, k0 + chunk, n, padded, words, values)
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
                        for i in range(n_b):
                            row = q_rows[q0 + first + i] * heads + h
                            limit = min(hi, first + i + 1 - chunk) if causal else hi
                            mask_row = mask0 + (first + i) * n_k + chunk if mask0 >= 0 else -1
                            if mask_row >= 0 or limit < lo + n_keys:
                                _hide(scores, i * _ROW, lo, n_keys, limit, mask, mask_row)
                            most = splat(_NONE)
                            for j in range(i * _ROW + lo, i * _ROW + lo + n_keys, 32):
                                most = maximum(most, maximum(load(scores, j), load(scores, j + 16)))
                            old = m[row]
                            new = max(old, largest(most) * np.float32(scale))
                            base = splat(-new if new != _NONE else np.float32(0.0))
                            sums = splat(np.float32(0.0))
                            for j in range(lo, lo + n_keys, 32):
                                a = exp2(multiply_add(load(scores, i * _ROW + j), unit, base))
                                b = exp2(multiply_add(load(scores, i * _ROW + j + 16), unit, base))
                                sums = add(sums, add(a, b))
                                store_words(shares, i * _HALF + j // 2, neighbours(a, b))
                            kept = exp2(add(splat(old), base))
                            sums_of[row] = sums_of[row] * (total(kept) * np.float32(1 / 16)) + total(sums)
                            m[row] = new
                            for d in range(0, width, 16):
                                store(out, i * width + d, multiply(load(o, row * width + d), kept))
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
def _add_columns(x, rows, first, n, x_row, x0, width, out):
    """Columns x (width, n) are added to rows of out."""
    for j in range(n):
        at = rows[first + j] * x_row + x0
        for d in range(width):
            out[at + d] += x[d * _ROW + j]


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
    dk,
    dv,
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
    unit, factor = splat(np.float32(scale)), splat(np.float32(scale * np.log(2.0)))
    for item in range(len(items)):
        g = items[item, 2]
        for t in range(items[item, 0], items[item, 1]):
            q0, n_q, k0, n_k, ranges, mask0, causal = tiles[t]
            for chunk in range(0, n_k, CHUNK):
                n = min(CHUNK, n_k - chunk)
                padded = (n + 31) // 32 * 32
                _pack_columns(k, kv_row, g * words, k_rows, k0 + chunk, n, padded, words, keys)
                _pack_columns(v, kv_row, g * words, k_rows, k0 + chunk, n, padded, words, values)
                _pack_pairs(k, kv_row, g * words, k_rows, k0 + chunk, n, padded, words, key_pairs)
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
                        _transpose_pairs(block, n_rows, words, block_t)
                        _transpose_pairs(grad, n_rows, words, grad_t)
                        _product(block, 0, words, keys, lo, _ROW, scores, lo, _ROW, n_rows, n_keys, words, False)
                        _product(grad, 0, words, values, lo, _ROW, through, lo, _ROW, n_rows, n_keys, words, False)
                        for i in range(0, n_rows, 2):
                            for at in range(i, i + 2):
                                limit = (min(hi, first + at + 1 - chunk) if causal else hi) if at < n_b else 0
                                mask_row = mask0 + (first + at) * n_k + chunk if mask0 >= 0 and at < n_b else -1
                                if mask_row >= 0 or limit < lo + n_keys:
                                    _hide(scores, at * _ROW, lo, n_keys, limit, mask, mask_row)
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
                            row = q_rows[q0 + first + i] * heads + h
                            for d in range(0, width, 16):
                                at = row * width + d
                                store(dq, at, add(load(dq, at), load(out, i * width + d)))
                        half = BLOCK // 2
                        _product(grad_t, 0, half, shares, lo, _ROW, dv_t, lo, _ROW, width, n_keys, half_rows, True)
                        _product(block_t, 0, half, slopes, lo, _ROW, dk_t, lo, _ROW, width, n_keys, half_rows, True)
                _add_columns(dk_t, k_rows, k0 + chunk, n, kv_heads * width, g * width, width, dk)
                _add_columns(dv_t, k_rows, k0 + chunk, n, kv_heads * width, g * width, width, dv)
