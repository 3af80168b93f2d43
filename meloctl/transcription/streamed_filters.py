"""The filters of the transcribing network over a window of frames, compiled to machine code: several taps in one pass."""

import numpy as np

from analysis.compiled import compiled_arithmetic


@compiled_arithmetic
def filter_block(  # type: ignore[no-untyped-def]  # compiled by numba
    window, along_time, along_pitch, time_taps, pitch_taps, dilation, bias, filtered, rest
):
    """Write into `filtered` (rows, frames, C) the sum of both filters, and into `rest` the input in the middle plus `bias` (C,).

    Args:
        window: (half the pitch taps + rows + half of them, (time taps − 1) × dilation + frames, C).
        along_time: (5n, C), of which the first `time_taps` count and the others are 0.
        along_pitch: (5m, C), of which the first `pitch_taps` count and the others are 0.
        time_taps: odd.
        pitch_taps: odd, or 0 for no filter along pitch.
        dilation: frames from one time tap to the next.
        bias: (C,).
        filtered: what is written.
        rest: what is written.
    """
    rows, frames, channels = filtered.shape
    reach, edge = dilation * (time_taps // 2), pitch_taps // 2
    for k in range(rows):
        found, row, middle = filtered[k], window[k + edge], window[k + edge, reach:]
        for t in range(frames):
            for c in range(channels):
                found[t, c] = 0
                rest[k, t, c] = middle[t, c] + bias[c]
        for j in range(0, len(along_time), 5):
            last = time_taps - 1
            a, b, c = dilation * j, dilation * min(j + 1, last), dilation * min(j + 2, last)
            d, e = dilation * min(j + 3, last), dilation * min(j + 4, last)
            _add_five(found, along_time[j : j + 5], row[a:], row[b:], row[c:], row[d:], row[e:])
        for j in range(0, len(along_pitch), 5):
            last = pitch_taps - 1
            a, b, c = k + j, k + min(j + 1, last), k + min(j + 2, last)
            d, e = k + min(j + 3, last), k + min(j + 4, last)
            _add_five(
                found,
                along_pitch[j : j + 5],
                window[a, reach:],
                window[b, reach:],
                window[c, reach:],
                window[d, reach:],
                window[e, reach:],
            )


@compiled_arithmetic
def _add_five(found, weights, a, b, c, d, e):  # type: ignore[no-untyped-def]  # compiled by numba
    """Add to `found` (frames, C) five inputs of at least as many frames, each times its weight of (5, C)."""
    v, w, x, y, z = weights[0], weights[1], weights[2], weights[3], weights[4]
    for t in range(len(found)):
        row, p, q, r, s, u = found[t], a[t], b[t], c[t], d[t], e[t]
        for i in range(len(row)):
            row[i] += v[i] * p[i] + w[i] * q[i] + x[i] * r[i] + y[i] * s[i] + z[i] * u[i]


@compiled_arithmetic
def filter_bins(window, weights, bias, found):  # type: ignore[no-untyped-def]  # compiled by numba
    """Write into `found` (rows, out, frames) what filters of 5 frames give of the rows around, below 0 made 0.

    Args:
        window: (rows, in, phases, 4 / phases + frames) frames 0, phases, 2 × phases, … and those that follow each of them.
        weights: (out, in, rows of a filter, 5).
        bias: (out,).
        found: what is written.
    """
    rows, channels, frames = found.shape
    phases, reach = window.shape[2], weights.shape[2] // 2
    for k in range(rows):
        for o in range(channels):
            row = found[k, o]
            for t in range(frames):
                row[t] = bias[o]
            for near in range(max(k - reach, 0), min(k + reach + 1, rows)):
                for i in range(window.shape[1]):
                    x, taps = window[near, i], weights[o, i, near - k + reach]
                    a, b, c = x[0], x[1 % phases, 1 // phases :], x[2 % phases, 2 // phases :]
                    d, e = x[3 % phases, 3 // phases :], x[4 % phases, 4 // phases :]
                    for t in range(frames):
                        row[t] += taps[0] * a[t] + taps[1] * b[t] + taps[2] * c[t] + taps[3] * d[t] + taps[4] * e[t]
            for t in range(frames):
                row[t] = max(row[t], np.float32(0))
