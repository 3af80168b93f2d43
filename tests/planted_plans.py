"""Pieces whose plans are known to say what they are asked for: a linear map of levels that wander smoothly."""

import numpy as np

from meloctl.bridge.bridge_examples import PlannedPiece, SpanText, measured_wants

MAP = np.linalg.qr(np.random.default_rng(11).normal(size=(16, 16)))[0].astype(np.float32)
"""(16, 16) orthogonal: rows 0 to 7 are where the eight attributes stand in a plan."""

EMBEDDING = np.random.default_rng(12).normal(size=(8, 32)).astype(np.float32)


def planted_piece(bars: int, generator: np.random.Generator) -> PlannedPiece:
    """A piece: each of 16 numbers has a mean of its own and wanders around it; 8 of them are the levels."""
    mean, x = generator.normal(size=16) * 0.8, np.empty((bars, 16))
    x[0] = generator.normal(size=16) * 0.6
    for bar in range(1, bars):
        x[bar] = 0.8 * x[bar - 1] + 0.6 * 0.6 * generator.normal(size=16)
    numbers = (mean + x).astype(np.float32)
    return PlannedPiece(plans=np.clip(0.3 * numbers @ MAP, -1, 1), levels=numbers[:, :8])


def read_levels(plans: np.ndarray) -> np.ndarray:
    """(…, 8) the levels that plans (…, 16) stand for."""
    return (plans / 0.3 @ MAP.T)[..., :8]


def planted_caption(levels: np.ndarray, generator: np.random.Generator) -> SpanText:
    """Levels of bars (T, 8) as a text: "1.0 nan -0.5 …", the mean over the bars of what is said."""
    wants = measured_wants(levels, generator)
    return SpanText(" ".join(f"{x:.2f}" for x in wants.mean(axis=0)), wants)


def planted_embedding(text: str) -> np.ndarray:
    """(32,) a linear map of what the text says."""
    return np.nan_to_num(np.array([float(x) for x in text.split()], dtype=np.float32)) @ EMBEDDING
