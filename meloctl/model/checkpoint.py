"""Checkpoints: weights as safetensors, everything else as JSON. Nothing is unpickled.

model.safetensors   the best weights so far
model.json          architecture, sizes, vocabulary, mask and measured quality (format meloctl.checkpoint/4)
last.safetensors    the training state of an unfinished run: weights, optimizer moments, random state and progress
training.json       how a finished run went
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

import torch
from msgspec import Meta
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from analysis.atomic_write import atomic_write, atomic_write_text
from analysis.errors import MeloError
from analysis.json_spec import JsonSpec
from masks.spec import MaskSpec
from meloctl.model.config import ModelConfig
from meloctl.model.init import shapes_alone
from meloctl.model.meloformer.model import MeloFormer
from meloctl.model.registry import ARCHITECTURES, MELOFORMERS, Model, build, spec_of
from meloctl.rows.vocabulary import Vocabulary


class ModelJson(
    JsonSpec, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="format", tag="meloctl.checkpoint/4"
):
    """model.json. The first format did not name the architecture, the second had no infill, the third other field names."""

    noun: ClassVar[str] = "checkpoint"
    made_by: ClassVar[str] = "meloctl train"

    architecture: str
    model: dict[str, Any]
    """Of `ModelConfig`."""

    vocabulary: dict[str, Any]
    """Of `Vocabulary`."""

    mask: dict[str, Any] | None
    """Of `MaskSpec`; null where the architecture has no mask."""

    gated: bool
    infill: Annotated[float, Meta(ge=0, le=1)]
    quality: dict[str, Any]
    header_changes: tuple[Annotated[float, Meta(ge=0, le=1)], Annotated[float, Meta(ge=0, le=1)]] | None = None
    """Shares of bars that change a piece's time signature, and its tempo, for the first time; null where that is not known."""

    def __post_init__(self) -> None:
        if self.architecture not in ARCHITECTURES:
            raise MeloError(f"its architecture {self.architecture[:40]!r} is none of {', '.join(ARCHITECTURES)}")
        if self.architecture in MELOFORMERS:
            return
        for name, is_set in (("mask", self.mask is not None), ("gated", self.gated), ("infill", self.infill > 0)):
            if is_set:
                raise MeloError(f'"{name}" is set, which {self.architecture} does not take; the file is damaged')


@dataclass(frozen=True, kw_only=True)
class ModelDescription:
    """All of a trained model but its weights."""

    architecture: str
    """One of ARCHITECTURES."""

    config: ModelConfig
    vocabulary: Vocabulary
    spec: MaskSpec | None
    """The mask; None where the architecture has none."""

    gated: bool
    """Rows attend to all earlier rows through learnable gates; the mask gave the gates their first values."""

    infill: float
    """Share of its training windows that had masked bars; 0: it cannot infill."""

    quality: dict[str, Any]
    """{name: measured value}"""

    header_changes: tuple[float, float] | None = None
    """As in the models."""


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
        weights: {name: tensor} of the model, unsharded, on any device.
        infill: see `ModelDescription`.
    """
    save_tensors({k: v.detach().cpu().contiguous() for k, v in weights.items()}, folder / "model.safetensors")
    spec = spec_of(model)
    description = ModelJson(
        architecture=architecture,
        model=model.config.to_json(),
        vocabulary=model.vocabulary.to_json(),
        mask=spec.to_json() if spec else None,
        gated=isinstance(model, MeloFormer) and model.gates is not None,
        infill=infill,
        quality=quality,
        header_changes=model.header_changes,
    )
    atomic_write_text(folder / "model.json", description.to_text())


def read_description(folder: Path) -> ModelDescription:
    """The model.json of a folder. Raises MeloError when it is missing, damaged or of another version."""
    where = folder / "model.json"
    read = ModelJson.read(where)
    return ModelDescription(
        architecture=read.architecture,
        config=ModelConfig.from_json(read.model, where=f"{where}: model"),
        vocabulary=Vocabulary.from_json(read.vocabulary, where=f"{where}: vocabulary"),
        spec=MaskSpec.from_json(read.mask, where=f"{where}: mask") if read.architecture in MELOFORMERS else None,
        gated=read.gated,
        infill=read.infill,
        quality=read.quality,
        header_changes=read.header_changes,
    )


def load_model(folder: Path) -> tuple[Model, dict[str, Any]]:
    """A model that save_model wrote, in evaluation mode on the CPU, and its measured quality.

    Raises:
        MeloError: a file is missing, damaged or of another version, or the weights do not fit the sizes.
    """
    about, path = read_description(folder), folder / "model.safetensors"
    weights = load_tensors(path)
    misfit = MeloError(f"{path}: the weights do not fit the sizes in model.json; train again")
    if _n_layers(weights) < about.config.layers:
        raise misfit  # before a model of absurd depth is built
    with shapes_alone():
        model = build(about.architecture, about.config, about.vocabulary, about.spec, gated=about.gated)
    wanted = {name: (tensor.shape, tensor.dtype) for name, tensor in model.state_dict().items()}
    if wanted != {name: (tensor.shape, tensor.dtype) for name, tensor in weights.items()}:
        raise misfit
    if not all(bool(torch.isfinite(tensor).all()) for tensor in weights.values()):
        raise MeloError(f"{path}: some weights are not finite; train again")
    model.load_state_dict(weights, assign=True)
    model.header_changes = about.header_changes
    return model.eval(), about.quality


def _n_layers(weights: dict[str, Tensor]) -> int:
    """Number of layers that weights belong to, by their names: layers.0.norm.weight, encoder.layers.0.norm1.weight."""
    return len({match[0] for name in weights if (match := re.match(r"(.*\.)?layers\.\d+\.", name))})


def save_tensors(tensors: dict[str, Tensor], path: Path, metadata: dict[str, str] | None = None) -> None:
    """Write tensors and {key: text} of metadata as one safetensors file, atomically, with the permissions of the umask."""
    try:
        with atomic_write(path) as temporary:
            save_file(tensors, temporary, metadata)
            temporary.chmod(0o666 & ~_umask())  # safetensors makes it readable to its owner alone
    except SafetensorError as error:
        raise MeloError(f"{path}: cannot be written ({str(error)[:80]}); is the disk full?") from error


def _umask() -> int:
    """This process's umask, which can be read only by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def load_tensors(path: Path) -> dict[str, Tensor]:
    """{name: tensor} of a safetensors file. Raises MeloError when it is missing or damaged."""
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise MeloError(f"{path}: missing or damaged weights ({str(error)[:80]}); train again") from error


def load_metadata(path: Path) -> dict[str, str]:
    """{key: text} of the metadata of a safetensors file that load_tensors could read."""
    with safe_open(path, framework="pt") as file:
        return dict(file.metadata() or {})
