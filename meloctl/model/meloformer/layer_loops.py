"""What stands between the matrix products of a layer in bf16, as compiled loops over rows: each reads and writes once.

Flat arrays; the residual stream is float32, what products read and write is bf16, two numbers a word. Widths are multiples of 32.
Every loop takes rows `first` to `end` − 1, so that threads can share them.
"""

import numba
import numpy as np

from meloctl.model.bf16_vectors import (
    add,
    load,
    load_half,
    multiply,
    multiply_add,
    neighbours,
    sigmoid,
    splat,
    store,
    store_half,
    store_words,
    subtract,
    total,
)

_compiled = numba.njit(nogil=True, cache=True, error_model="numpy", boundscheck=False)


@_compiled
def _scale_of(x, at, width, eps):
    """1 / √(mean of squares) of a row."""
    squares = splat(np.float32(0.0))
    for c in range(at, at + width, 16):
        squares = multiply_add(load(x, c), load(x, c), squares)
    return np.float32(1.0) / np.sqrt(total(squares) / np.float32(width) + np.float32(eps))


@_compiled
def normed(x, weight, width, eps, out, first, end):
    """RMSNorm of rows x (N, C) with its weight (C,), as bf16 (N, C)."""
    for row in range(first, end):
        at = row * width
        scale = splat(_scale_of(x, at, width, eps))
        for c in range(0, width, 32):
            a = multiply(multiply(load(x, at + c), scale), load(weight, c))
            b = multiply(multiply(load(x, at + c + 16), scale), load(weight, c + 16))
            store_words(out, (at + c) // 2, neighbours(a, b))


@_compiled
def normed_sum(x, added, weight, width, eps, summed, out, first, end):
    """summed = x + added (bf16), float32, and its RMSNorm as bf16; all (N, C)."""
    for row in range(first, end):
        at = row * width
        for c in range(at, at + width, 16):
            store(summed, c, add(load(x, c), load_half(added, c)))
    normed(summed, weight, width, eps, out, first, end)


@_compiled
def sums(x, added, width, out, first, end):
    """out = x + added (bf16), (N, C)."""
    for c in range(first * width, end * width, 16):
        store(out, c, add(load(x, c), load_half(added, c)))


@_compiled
def halves(x, width, out, first, end):
    """x (N, C) as bf16."""
    for c in range(first * width, end * width, 32):
        store_words(out, c // 2, neighbours(load(x, c), load(x, c + 16)))


@_compiled
def norm_backward(x, weight, slope, through, width, eps, dx, half, dweight, first, end):
    """dx = through + the gradient of x, where `slope` (N, C) in bf16 is that of its RMSNorm; `half` is dx as bf16.

    The weight's gradient is added to dweight (C,). `through` and dx may be one array.
    """
    for row in range(first, end):
        at = row * width
        scale = _scale_of(x, at, width, eps)
        by, dots = splat(scale), splat(np.float32(0.0))
        for c in range(0, width, 16):
            d, unit = load_half(slope, at + c), multiply(load(x, at + c), by)
            product = multiply(d, unit)
            store(dweight, c, add(load(dweight, c), product))
            dots = multiply_add(product, load(weight, c), dots)
        mean = splat(total(dots) / np.float32(width))
        for c in range(0, width, 32):
            unit = multiply(load(x, at + c), by)
            inner = subtract(multiply(load_half(slope, at + c), load(weight, c)), multiply(unit, mean))
            a = multiply_add(inner, by, load(through, at + c))
            unit = multiply(load(x, at + c + 16), by)
            inner = subtract(multiply(load_half(slope, at + c + 16), load(weight, c + 16)), multiply(unit, mean))
            b = multiply_add(inner, by, load(through, at + c + 16))
            store(dx, at + c, a)
            store(dx, at + c + 16, b)
            store_words(half, (at + c) // 2, neighbours(a, b))


@_compiled
def swiglu(both, hidden, out, first, end):
    """silu(gate) · inner (N, hidden) of `both` (N, 2 · hidden), gates first."""
    for row in range(first, end):
        gate, inner, at = 2 * row * hidden, (2 * row + 1) * hidden, row * hidden
        for c in range(0, hidden, 32):
            a, b = load_half(both, gate + c), load_half(both, gate + c + 16)
            a = multiply(multiply(a, sigmoid(a)), load_half(both, inner + c))
            b = multiply(multiply(b, sigmoid(b)), load_half(both, inner + c + 16))
            store_words(out, (at + c) // 2, neighbours(a, b))


@_compiled
def swiglu_backward(both, slope, hidden, dboth, out, first, end):
    """Gradient dboth (N, 2 · hidden) of `both` from that of its SwiGLU, `slope` (N, hidden); and the SwiGLU again, out."""
    one = splat(np.float32(1.0))
    for row in range(first, end):
        gate, inner, at = 2 * row * hidden, (2 * row + 1) * hidden, row * hidden
        for c in range(0, hidden, 16):
            a, b, d = load_half(both, gate + c), load_half(both, inner + c), load_half(slope, at + c)
            s = sigmoid(a)
            silu = multiply(a, s)
            store_half(out, at + c, multiply(silu, b))
            store_half(dboth, inner + c, multiply(d, silu))
            rise = multiply(s, add(one, multiply(a, subtract(one, s))))
            store_half(dboth, gate + c, multiply(multiply(d, b), rise))


@_compiled
def rotate(x, x_row, heads, width, rotation, first, end):
    """Rotate the first heads of rows x, bf16 with x_row numbers a row, in place; rotation (N, width): cosines, then sines."""
    half = width // 2
    for row in range(first, end):
        for head in range(heads):
            at = row * x_row + head * width
            for d in range(0, half, 16):
                cos, sin = load(rotation, row * width + d), load(rotation, row * width + half + d)
                a, b = load_half(x, at + d), load_half(x, at + half + d)
                store_half(x, at + d, subtract(multiply(a, cos), multiply(b, sin)))
                store_half(x, at + half + d, multiply_add(a, sin, multiply(b, cos)))


@_compiled
def rotate_back(x, x_row, heads, width, rotation, out, first, end):
    """Rows x (N, x_row) of float32 as bf16, their first heads rotated backwards: the gradient of `rotate`."""
    half = width // 2
    for row in range(first, end):
        for head in range(heads):
            at = row * x_row + head * width
            for d in range(0, half, 16):
                cos, sin = load(rotation, row * width + d), load(rotation, row * width + half + d)
                a, b = load(x, at + d), load(x, at + half + d)
                store_half(out, at + d, multiply_add(a, cos, multiply(b, sin)))
                store_half(out, at + half + d, subtract(multiply(b, cos), multiply(a, sin)))
        for c in range(row * x_row + heads * width, (row + 1) * x_row, 16):
            store_half(out, c, load(x, c))
