"""The text head: kernel ridge regression on a frozen encoder's vector of a few words, for words that no table explains.

It says whether the words speak of music at all, of which attributes, and at which levels. Shape letters: n texts, E numbers of
an encoder's vector, D of its projection, M landmarks, A attributes.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from analysis.arrays import Floats, Floats32
from analysis.atomic_write import atomic_write
from analysis.errors import MeloError
from meloctl.rows.attributes import ATTRIBUTES
from meloctl.text.lexicon import STRONGEST

MAX_BYTES = 8 << 20
_FORMAT = "meloctl.text_head/1"


@dataclass(frozen=True, kw_only=True, eq=False)
class TextHead:
    """Landmarks among the vectors of texts, and what is known of texts near them."""

    encoder: str
    """Fingerprint of the encoder."""

    projection_ED: Floats32
    landmarks_MD: Floats32
    """Of length 1."""

    weights_M: Floats32
    """(M, 1 + 2 A): speaks of music; speaks of each attribute; level times that."""

    sharpness: float
    """The kernel is exp(sharpness (cosine - 1))."""

    threshold: float
    """Words that speak of music at less than this speak of nothing."""

    def __call__(self, vectors_nE: Floats32) -> tuple[Floats, Floats, Floats]:
        """Of vectors (n, E): whether texts speak of music (n,), and of each attribute (n, A), 0 to 1; levels (n, A), -2 to 2."""
        near = kernel(vectors_nE, self.projection_ED, self.landmarks_MD, self.sharpness)
        out = (near @ self.weights_M).astype(np.float64)
        n = len(ATTRIBUTES)
        said = out[:, 1 : 1 + n].clip(0, 1)
        levels = (out[:, 1 + n :] / np.maximum(said, 0.1)).clip(-STRONGEST, STRONGEST)
        return out[:, 0].clip(0, 1), said, levels


def kernel(vectors_nE: Floats32, projection_ED: Floats32, landmarks_MD: Floats32, sharpness: float) -> Floats32:
    """(n, M) likeness of texts to landmarks, 0 to 1.

    Args:
        vectors_nE: (n, E) of the texts.
        projection_ED: (E, D) applied to them.
        landmarks_MD: (M, D) of length 1.
        sharpness: of the kernel.
    """
    projected = vectors_nE @ projection_ED
    projected /= np.maximum(np.linalg.norm(projected, axis=1, keepdims=True), np.float32(1e-6))
    return np.exp(np.float32(sharpness) * (projected @ landmarks_MD.T - 1))


_TENSORS = {"projection_ED": np.float16, "landmarks_MD": np.float16, "weights_M": np.float32}


def save_head(head: TextHead, path: Path) -> None:
    """Write a head as safetensors, whole."""
    tensors = {name: np.ascontiguousarray(getattr(head, name), dtype=kind) for name, kind in _TENSORS.items()}
    about = {
        "format": _FORMAT,
        "encoder": head.encoder,
        "attributes": ",".join(ATTRIBUTES),
        "sharpness": repr(head.sharpness),
        "threshold": repr(head.threshold),
    }
    with atomic_write(path) as partial:
        partial.write_bytes(save(tensors, metadata=about))


def load_head(path: Path, *, fingerprint: str, width: int) -> TextHead:
    """A head that `save_head` wrote, for the encoder that it was trained on: with this fingerprint, and E = `width`.

    Raises:
        MeloError: no such file, a damaged one, or one of another encoder or version.
    """
    again = "make it again with: python maintenance/text_head.py"
    try:
        if path.stat().st_size > MAX_BYTES:
            raise MeloError(f"{path}: larger than a text head can be ({MAX_BYTES >> 20} MiB)")
        with safe_open(path, framework="numpy") as file:
            about = file.metadata() or {}
            tensors = {name: file.get_tensor(name).astype(np.float32) for name in file.keys()}  # noqa: SIM118
        same = about["format"] == _FORMAT and about["attributes"] == ",".join(ATTRIBUTES)
        numbers = {name: float(about[name]) for name in ("sharpness", "threshold")}
        made_for = about["encoder"]
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise MeloError(f"{path}: cannot read the text head: {reason}") from error
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise MeloError(f"{path}: damaged, it is not a text head; {again}") from error
    if not same:
        raise MeloError(f"{path}: a text head of another version of meloctl; {again}")
    if made_for != fingerprint:
        raise MeloError(f"{path}: made for another text encoder ({made_for[:16]}, not {fingerprint}); {again}")
    if not _whole(tensors, width) or not all(map(np.isfinite, numbers.values())):
        raise MeloError(f"{path}: damaged, its numbers are not those of a text head; {again}")
    return TextHead(
        encoder=made_for,
        projection_ED=tensors["projection_ED"],
        landmarks_MD=tensors["landmarks_MD"],
        weights_M=tensors["weights_M"],
        sharpness=numbers["sharpness"],
        threshold=numbers["threshold"],
    )


def _whole(tensors: dict[str, Floats32], width: int) -> bool:
    """Whether tensors are those of a head for vectors of a width."""
    if set(tensors) != set(_TENSORS) or any(tensor.ndim != 2 for tensor in tensors.values()):
        return False
    (landmarks, projected), outputs = tensors["landmarks_MD"].shape, 1 + 2 * len(ATTRIBUTES)
    shapes = {
        "projection_ED": (width, projected),
        "landmarks_MD": (landmarks, projected),
        "weights_M": (landmarks, outputs),
    }
    return all(tensors[name].shape == shape and np.isfinite(tensors[name]).all() for name, shape in shapes.items())
