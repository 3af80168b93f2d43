"""Embeddings of many texts, kept in a file: a run that was stopped does not make them again. Shape letters: K texts, E width."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from analysis.arrays import Floats32
from analysis.errors import MeloError
from meloctl.model.checkpoint import load_metadata, load_tensors, save_tensors
from meloctl.progress import ProgressReporter
from meloctl.text.encoders import Encoder
from meloctl.workspace import text_hash

_AT_ONCE = 64


def text_embeddings(texts: Sequence[str], encoder: Encoder, path: Path, reporter: ProgressReporter) -> Floats32:
    """(K, E) embeddings of K texts: those of the file, where it holds those of these texts and this encoder; else made, and kept
    there."""
    key = text_hash(json.dumps([encoder.fingerprint, *texts]))
    if (kept := _kept(path, key)) is not None:
        return kept
    reporter.stage("reading captions", len(texts))
    parts = [np.zeros((0, encoder.width), dtype=np.float32)]
    for first in range(0, len(texts), _AT_ONCE):
        parts.append(encoder.encode(texts[first : first + _AT_ONCE]))
        reporter.advance(len(parts[-1]))
    embeddings = np.concatenate(parts)
    save_tensors({"embeddings": torch.from_numpy(embeddings)}, path, {"texts": key})
    return embeddings


def _kept(path: Path, key: str) -> Floats32 | None:
    """What a file holds, if it is of these texts; a damaged file is made again."""
    if not path.is_file():
        return None
    try:
        embeddings = load_tensors(path).get("embeddings")
    except MeloError:
        return None
    if embeddings is None or load_metadata(path).get("texts") != key:
        return None
    return np.asarray(embeddings.numpy(), dtype=np.float32)
