"""Trains a text head on a frozen encoder's vectors: ridge regression in closed form, seconds of one core."""

import numpy as np

from analysis.arrays import Floats, Floats32
from meloctl.text.encoders import Encoder
from meloctl.text.head_examples import Examples, head_examples, plain_examples
from meloctl.text.text_head import TextHead, kernel

EXAMPLES = 24_000
LANDMARKS = 1_000
PROJECTED = 192
_SHARPNESS = 4.0
_RIDGE = 2.0

_FALSE = 0.02
"""Of texts of other things, the share that the threshold lets through."""

_BASE = 0.45
"""The least threshold."""


def train_head(encoder: Encoder, *, seed: int = 0, examples: int = EXAMPLES) -> TextHead:
    """A head for an encoder, trained on texts of the training half of lexicon and scenes; the same for the same seed."""
    random = np.random.default_rng(seed)
    plain = plain_examples("train")
    drawn = head_examples(examples, "train", random)
    made = Examples(
        texts=[*plain.texts, *drawn.texts],
        levels=np.concatenate([plain.levels, drawn.levels]),
        held_out=np.concatenate([plain.held_out, drawn.held_out]),
    )
    vectors = encoder.encode(made.texts)
    first = fit_head(
        vectors[~made.held_out], made.levels[~made.held_out], encoder.fingerprint, np.random.default_rng(seed)
    )
    music, _, _ = first(vectors[made.held_out])
    threshold = max(_BASE, float(np.quantile(music, 1 - _FALSE)))
    return fit_head(vectors, made.levels, encoder.fingerprint, np.random.default_rng(seed), threshold=threshold)


def fit_head(
    vectors_nE: Floats32, levels_nA: Floats, encoder: str, random: np.random.Generator, *, threshold: float = _BASE
) -> TextHead:
    """A head from vectors of texts and what they say.

    Args:
        vectors_nE: (n, E) of texts, at least LANDMARKS of them.
        levels_nA: (n, A) what they say, NaN for nothing.
        encoder: fingerprint of the encoder.
        random: chooses the landmarks.
        threshold: of the head.
    """
    chosen = vectors_nE[random.choice(len(vectors_nE), size=LANDMARKS, replace=False)]
    projection = np.linalg.svd(chosen, full_matrices=False)[2][:PROJECTED].T.astype(np.float16).astype(np.float32)
    landmarks = chosen @ projection
    landmarks /= np.linalg.norm(landmarks, axis=1, keepdims=True)
    landmarks = landmarks.astype(np.float16).astype(np.float32)
    near = kernel(vectors_nE, projection, landmarks, _SHARPNESS).astype(np.float64)
    among = kernel(chosen, projection, landmarks, _SHARPNESS).astype(np.float64)
    said = ~np.isnan(levels_nA)
    targets = np.concatenate([said.any(1, keepdims=True), said, np.nan_to_num(levels_nA)], axis=1)
    weights = np.linalg.solve(near.T @ near + _RIDGE * among + 1e-3 * np.eye(LANDMARKS), near.T @ targets)
    return TextHead(
        encoder=encoder,
        projection_ED=projection,
        landmarks_MD=landmarks,
        weights_M=weights.astype(np.float32),
        sharpness=_SHARPNESS,
        threshold=threshold,
    )
