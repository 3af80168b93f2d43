"""What a mask costs and how far it hears, from counts of rows alone, never from the L×L matrix."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from masks.spec import MaskSpec


def in_words(spec: MaskSpec) -> str:
    """The mask in one line."""
    own = (
        "every earlier bar"
        if spec.same == "full"
        else f"offsets {offsets_in_words(spec.same)}"
        if spec.same
        else "its own bar"
    )
    near = f"offsets 0 to {spec.near}" if spec.near else "the same bar"
    far = f", and {offsets_in_words(spec.far)} back" if spec.far else ""
    return f"Own part: {own}. Other parts: {near}{far}. Summaries: {'on' if spec.summaries else 'off'}."


def offsets_in_words(offsets: Sequence[int]) -> str:
    """1, 2, 3, 4, 8 as "1–4, 8"."""
    runs: list[list[int]] = []
    for k in offsets:
        if runs and k == runs[-1][-1] + 1:
            runs[-1].append(k)
        else:
            runs.append([k])
    return ", ".join(str(r[0]) if len(r) == 1 else f"{r[0]}–{r[-1]}" for r in runs)


def density(spec: MaskSpec, rows: npt.NDArray[np.int64]) -> float:
    """Share of dense causal attention's pairs that the mask shows, 0..1.

    Args:
        spec: the mask.
        rows: (P, T) rows in each cell, header rows as one of the P parts.
    """
    n_bars = rows.shape[1]
    total = rows.sum(axis=0)
    shown = float((total * (total + 1) // 2).sum())
    for offset in range(1, n_bars):
        later, earlier = rows[:, offset:], rows[:, :-offset]
        same = float((later * earlier).sum())
        every = float((total[offset:] * total[:-offset]).sum())
        shown += same * spec.sees("same", offset) + (every - same) * spec.sees("cross", offset)
    n = float(total.sum())
    return shown / (n * (n + 1) / 2) if n else 0.0


def reach(spec: MaskSpec, layers: int, *, bars: int = 33) -> dict[str, list[int]]:
    """Which offsets below `bars` a row hears from through `layers` layers of row attention, summaries left out.

    Returns:
        {"same": offsets within its own part, "cross": offsets in a given other part}, for a piece of three parts or more.
    """
    same = np.array([spec.sees("same", k) for k in range(bars)])
    cross = np.array([spec.sees("cross", k) for k in range(bars)])
    own, other = np.eye(1, bars, dtype=np.bool_)[0], np.zeros(bars, dtype=np.bool_)
    for _ in range(layers):
        own, other = (
            _sum(own, same) | _sum(other, cross),
            _sum(other, same) | _sum(own, cross) | _sum(other, cross),
        )
    return {"same": np.flatnonzero(own).tolist(), "cross": np.flatnonzero(other).tolist()}


def _sum(a: npt.NDArray[np.bool_], b: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Offsets that are one of `a` plus one of `b`."""
    return np.convolve(a.astype(int), b.astype(int))[: len(a)] > 0
