"""An encoder in a sentence-transformers folder, run by transformers: nothing is downloaded, unpickled or executed from it."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from analysis.arrays import Floats32
from analysis.errors import MeloError
from analysis.json_spec import read_json

INSTALL = "'meloctl[encoders]'"
MAX_JSON_BYTES = 1 << 20
MOST_TOKENS = 512
BATCH = 32
"""Texts of one forward pass."""

_MODULES = ("Transformer", "Pooling", "Normalize")
_DECIDING = ("model.safetensors", "*.json", "*.txt", "*.model", "1_Pooling/config.json")
_POOLINGS = {"pooling_mode_mean_tokens": "mean", "pooling_mode_cls_token": "cls"}


class FolderEncoder:
    """The transformer of a sentence-transformers folder with its mean or first token; weights in model.safetensors alone.

    Args:
        folder: it holds modules.json, config.json, model.safetensors, a tokenizer, and 1_Pooling/config.json.

    Raises:
        MeloError: it is no such folder, or transformers is not installed.
    """

    def __init__(self, folder: Path) -> None:
        self.name = folder.resolve().name
        self._pooling = _pooling(folder)
        self.fingerprint = _fingerprint(folder)
        self._tokenizer, self._model = _load(folder)
        self.width = _width(folder, self._encode)

    def encode(self, texts: Sequence[str]) -> Floats32:
        """The vectors (n, E) of n texts, each of length 1."""
        parts = [self._encode(list(texts[i : i + BATCH])) for i in range(0, len(texts), BATCH)]
        return np.concatenate([np.zeros((0, self.width), np.float32), *parts])

    def _encode(self, texts: list[str]) -> Floats32:
        tokens = self._tokenizer(texts, padding=True, truncation=True, max_length=MOST_TOKENS, return_tensors="pt")
        states: Floats32 = self._model(**tokens).last_hidden_state.float().numpy()  # (n, tokens, E)
        if self._pooling == "mean":
            shown = tokens["attention_mask"].numpy()[:, :, None].astype(np.float32)
            vectors = (states * shown).sum(1) / shown.sum(1)
        else:
            vectors = states[:, 0]
        return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.float32(1e-12))


def _pooling(folder: Path) -> str:
    """ "mean" or "cls", how the folder says that the states of tokens become one vector."""
    if not folder.is_dir():
        raise MeloError(
            'no such folder; give "use", "e5", or a sentence-transformers folder', field="encoder", given=str(folder)
        )
    for name in ("modules.json", "config.json", "model.safetensors"):
        if not (folder / name).is_file():
            raise MeloError(
                f"not a sentence-transformers folder with safetensors weights: it has no {name}",
                field="encoder",
                given=str(folder),
            )
    modules = read_json(folder / "modules.json", what="list of modules", max_bytes=MAX_JSON_BYTES)
    kinds = [str(m.get("type", "")).rpartition(".")[2] if isinstance(m, dict) else "" for m in _listed(modules)]
    if kinds not in (list(_MODULES[:2]), list(_MODULES)):
        raise MeloError(
            f"made of {', '.join(kinds) or 'nothing'}; only Transformer, Pooling and Normalize can be run",
            field="encoder",
            given=str(folder),
        )
    config = read_json(folder / "1_Pooling" / "config.json", what="pooling's settings", max_bytes=MAX_JSON_BYTES)
    chosen = (
        [key for key, on in config.items() if key.startswith("pooling_mode_") and on]
        if isinstance(config, dict)
        else []
    )
    if len(chosen) != 1 or chosen[0] not in _POOLINGS:
        raise MeloError(
            f"pools by {', '.join(chosen) or 'nothing'}; only the mean of tokens and the first token can be run",
            field="encoder",
            given=str(folder),
        )
    return _POOLINGS[chosen[0]]


def _listed(data: Any) -> list[Any]:
    return data if isinstance(data, list) else []


def _fingerprint(folder: Path) -> str:
    """Of the weights and all that decides how texts go through them."""
    digest = hashlib.sha256()
    for path in sorted(path for pattern in _DECIDING for path in folder.glob(pattern) if path.is_file()):
        with path.open("rb") as file:
            digest.update(path.relative_to(folder).as_posix().encode() + hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:16]


def _load(folder: Path) -> tuple[Any, Any]:
    """The tokenizer and the model, frozen."""
    try:
        from transformers import AutoModel, AutoTokenizer, logging
    except ImportError as error:
        raise MeloError(f"a folder's encoder needs transformers; install it with: pip install {INSTALL}") from error
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    safe = {"local_files_only": True, "trust_remote_code": False}
    try:
        tokenizer = AutoTokenizer.from_pretrained(str(folder), **safe)
        model, found = AutoModel.from_pretrained(str(folder), use_safetensors=True, output_loading_info=True, **safe)
    except Exception as error:  # whatever a damaged file makes of transformers
        reason = " ".join(str(error).split())[:160]
        raise MeloError(f"transformers cannot load it: {reason}", field="encoder", given=str(folder)) from error
    missing = sorted(key for key in found["missing_keys"] if "pooler" not in key)
    if missing or found["mismatched_keys"]:
        raise MeloError(
            f"its weights lack {missing[0] if missing else found['mismatched_keys'][0][0]}",
            field="encoder",
            given=str(folder),
        )
    return tokenizer, model.eval().requires_grad_(False)


def _width(folder: Path, encode: Callable[[list[str]], Floats32]) -> int:
    """E, found by encoding a text: models of other kinds than text encoders fail here."""
    try:
        vectors = encode(["calm and slow"])
    except Exception as error:
        reason = " ".join(str(error).split())[:160]
        raise MeloError(f"this model does not encode texts: {reason}", field="encoder", given=str(folder)) from error
    if not np.isfinite(vectors).all():
        raise MeloError("its vectors are not finite numbers", field="encoder", given=str(folder))
    return vectors.shape[1]
