"""Checkpoints: weights as safetensors, everything else as JSON. Nothing is unpickled.

model.safetensors   the best weights so far
model.json          sizes, vocabulary, mask and measured quality (format meloctl.checkpoint/4)
last.safetensors    the training state of an unfinished run: weights, optimizer moments, random state, and its standing
training.json       how a finished run went
"""

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from analysis.atomic_write import atomic_write, atomic_write_text
from analysis.errors import MeloError
from analysis.json_file import read_json, refuse_unknown
from masks.spec import MaskSpec
from meloctl.model.config import ModelConfig
from meloctl.model.meloformer.model import MeloFormer
from meloctl.model.registry import ARCHITECTURES, MELOFORMERS, Model, build, spec_of
from meloctl.rows.vocabulary import Vocabulary

FORMAT = "meloctl.checkpoint/4"
"""The first format did not name the architecture, the second had no infill, the vocabulary of the third had other names."""

_TOLD = ("architecture", "mask", "gated", "infill", "quality")


@dataclass(frozen=True, kw_only=True)
class About:
    """What model.json says of a model."""

    architecture: str
    config: ModelConfig
    vocabulary: Vocabulary
    spec: MaskSpec | None
    """None where the architecture has no mask."""

    gated: bool
    """It hears through learnable gates, not under the mask, which says what they started from."""

    infill: float
    """Share of the windows that it was trained on in which a gap was filled; 0: it cannot fill any."""

    quality: dict[str, Any]


def save_model(
    model: Model,
    architecture: str,
    weights: dict[str, Tensor],
    folder: Path,
    quality: dict[str, Any],
    *,
    infill: float = 0.0,
) -> None:
    """Write model.safetensors, then model.json.

    Args:
        architecture: one of ARCHITECTURES.
        weights: of the model, by name; whole, on any device.
        infill: see `About`.
    """
    save_tensors({k: v.detach().cpu().contiguous() for k, v in weights.items()}, folder / "model.safetensors")
    spec = spec_of(model)
    about = {
        "format": FORMAT,
        "architecture": architecture,
        "model": model.config.to_json(),
        "vocabulary": model.vocabulary.to_json(),
        "mask": spec.to_json() if spec else None,
        "gated": isinstance(model, MeloFormer) and model.gates is not None,
        "infill": infill,
        "quality": quality,
    }
    atomic_write_text(folder / "model.json", json.dumps(about, indent=1, ensure_ascii=False) + "\n")


def read_about(folder: Path) -> About:
    """What model.json in a folder says. Raises MeloError when it is missing, damaged or of another version."""
    where = folder / "model.json"
    about = read_json(where, what="checkpoint")
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        raise MeloError(f'{where}: not a checkpoint (its "format" is not "{FORMAT}"); make one with: meloctl train')
    refuse_unknown(about, {"format", "model", "vocabulary", *_TOLD}, str(where))
    architecture, mask, gated, infill, quality = (about.get(k) for k in _TOLD)
    if not isinstance(architecture, str) or architecture not in ARCHITECTURES:
        raise MeloError(f"{where}: its architecture {str(architecture)[:40]!r} is none of {', '.join(ARCHITECTURES)}")
    if mask is not None and architecture not in MELOFORMERS:
        raise MeloError(f"{where}: a mask, which {architecture} does not take; the file is damaged")
    if type(gated) is not bool or (gated and architecture not in MELOFORMERS):
        raise MeloError(
            f'{where}: its "gated" is {str(gated)[:40]!r}; it must be true or false, as {architecture} allows'
        )
    infill = _share(infill, architecture, where)
    return About(
        architecture=architecture,
        config=ModelConfig.from_json(about.get("model"), where=f"{where}: model"),
        vocabulary=Vocabulary.from_json(about.get("vocabulary"), where=f"{where}: vocabulary"),
        spec=MaskSpec.from_json(mask, where=f"{where}: mask") if architecture in MELOFORMERS else None,
        gated=gated,
        infill=infill,
        quality=quality if isinstance(quality, dict) else {},
    )


def _share(infill: object, architecture: str, where: Path) -> float:
    """The share of windows with gaps. Raises MeloError where it is none, or the architecture fills none."""
    if isinstance(infill, int | float) and type(infill) is not bool and 0 <= infill <= (architecture in MELOFORMERS):
        return infill
    raise MeloError(
        f'{where}: its "infill" is {str(infill)[:40]!r}; it must be a share, 0 to 1, as {architecture} allows'
    )


def load_model(folder: Path) -> tuple[Model, dict[str, Any]]:
    """A model that save_model wrote, in evaluation mode on the CPU, and its quality.

    Raises:
        MeloError: missing, damaged, of another version, or weights that do not fit the sizes.
    """
    about, path = read_about(folder), folder / "model.safetensors"
    weights = load_tensors(path)
    misfit = MeloError(f"{path}: the weights do not fit the sizes in model.json; train again")
    if _depth(weights) < about.config.layers:
        raise misfit  # before a model of absurd depth is built
    with torch.device("meta"):
        model = build(about.architecture, about.config, about.vocabulary, about.spec, gated=about.gated)
    wanted = {name: (tensor.shape, tensor.dtype) for name, tensor in model.state_dict().items()}
    if wanted != {name: (tensor.shape, tensor.dtype) for name, tensor in weights.items()}:
        raise misfit
    if not all(bool(torch.isfinite(tensor).all()) for tensor in weights.values()):
        raise MeloError(f"{path}: some weights are not finite; train again")
    model.load_state_dict(weights, assign=True)
    return model.eval(), about.quality


def _depth(weights: dict[str, Tensor]) -> int:
    """How many layers weights belong to, by their names: layers.0.norm.weight, encoder.layers.0.norm1.weight."""
    return len({match[0] for name in weights if (match := re.match(r"(.*\.)?layers\.\d+\.", name))})


def save_tensors(tensors: dict[str, Tensor], path: Path, metadata: dict[str, str] | None = None) -> None:
    """Write tensors, and lines of metadata, as one safetensors file, whole, for whoever may read what this user writes."""
    try:
        with atomic_write(path) as temporary:
            save_file(tensors, temporary, metadata)
            temporary.chmod(0o666 & ~_umask())  # safetensors writes it for its owner alone
    except SafetensorError as error:
        raise MeloError(f"{path}: cannot be written ({str(error)[:80]}); is the disk full?") from error


def _umask() -> int:
    """What this process withholds of the files it makes; it can be read only by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Tensors of a safetensors file. Raises MeloError when it is missing or damaged."""
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise MeloError(f"{path}: missing or damaged weights ({str(error)[:80]}); train again") from error


def load_metadata(path: Path) -> dict[str, str]:
    """The lines of metadata of a safetensors file that load_tensors could read."""
    with safe_open(path, framework="pt") as file:
        return dict(file.metadata() or {})
