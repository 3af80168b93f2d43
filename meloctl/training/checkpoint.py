"""Checkpoints: weights as safetensors, everything else as JSON. Nothing is unpickled.

model.safetensors   the best weights so far
model.json          sizes, vocabulary, mask and measured quality (format meloctl.checkpoint/1)
last.safetensors    the training state of an unfinished run: weights, optimizer moments, random state, and its standing
training.json       how a finished run went
"""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from analysis.atomic import whole_file, write_text
from analysis.errors import MeloError
from analysis.json_file import read_json, refuse_unknown
from masks.spec import MaskSpec
from meloctl.model.config import ModelConfig
from meloctl.model.meloformer import MeloFormer
from meloctl.rows.vocabulary import Vocabulary

FORMAT = "meloctl.checkpoint/1"


def save_model(model: MeloFormer, folder: Path, quality: dict[str, Any]) -> None:
    """Write model.safetensors, then model.json."""
    save_tensors(
        {k: v.detach().cpu().contiguous() for k, v in model.state_dict().items()}, folder / "model.safetensors"
    )
    about = {
        "format": FORMAT,
        "model": model.config.to_json(),
        "vocabulary": model.vocabulary.to_json(),
        "mask": model.spec.to_json(),
        "quality": quality,
    }
    write_text(folder / "model.json", json.dumps(about, indent=1, ensure_ascii=False) + "\n")


def load_model(folder: Path) -> tuple[MeloFormer, dict[str, Any]]:
    """A model that save_model wrote, in evaluation mode on the CPU, and its quality.

    Raises:
        MeloError: missing, damaged, of another version, or weights that do not fit the sizes.
    """
    where = folder / "model.json"
    about = read_json(where, what="checkpoint")
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        raise MeloError(f'{where}: not a checkpoint (its "format" is not "{FORMAT}"); make one with: meloctl train')
    refuse_unknown(about, {"format", "model", "vocabulary", "mask", "quality"}, str(where))
    config = ModelConfig.from_json(about.get("model"), where=f"{where}: model")
    vocabulary = Vocabulary.from_json(about.get("vocabulary"), where=f"{where}: vocabulary")
    spec = MaskSpec.from_json(about.get("mask"), where=f"{where}: mask")
    path = folder / "model.safetensors"
    weights = load_tensors(path)
    misfit = MeloError(f"{path}: the weights do not fit the sizes in model.json; train again")
    if len({name.split(".")[1] for name in weights if name.startswith("layers.")}) != config.layers:
        raise misfit  # before a model of absurd depth is built
    with torch.device("meta"):
        model = MeloFormer(config, vocabulary, spec)
    wanted = {name: (tensor.shape, tensor.dtype) for name, tensor in model.state_dict().items()}
    if wanted != {name: (tensor.shape, tensor.dtype) for name, tensor in weights.items()}:
        raise misfit
    if not all(bool(torch.isfinite(tensor).all()) for tensor in weights.values()):
        raise MeloError(f"{path}: some weights are not finite; train again")
    model.load_state_dict(weights, assign=True)
    quality = about.get("quality")
    return model.eval(), quality if isinstance(quality, dict) else {}


def save_tensors(tensors: dict[str, Tensor], path: Path, metadata: dict[str, str] | None = None) -> None:
    """Write tensors, and lines of metadata, as one safetensors file, whole."""
    try:
        with whole_file(path) as temporary:
            save_file(tensors, temporary, metadata)
    except SafetensorError as error:
        raise MeloError(f"{path}: cannot be written ({str(error)[:80]}); is the disk full?") from error


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


def optimizer_tensors(optimizer: torch.optim.Optimizer, model: nn.Module) -> dict[str, Tensor]:
    """AdamW's moments and step counts, by the name of their parameter."""
    out = {}
    for name, parameter in model.named_parameters():
        for key, value in optimizer.state.get(parameter, {}).items():
            out[f"{key}.{name}"] = torch.as_tensor(value).detach().cpu().contiguous()
    return out


def restore_optimizer(optimizer: torch.optim.Optimizer, model: nn.Module, tensors: dict[str, Tensor]) -> None:
    """Put back what optimizer_tensors took.

    Raises:
        KeyError, ValueError: a tensor is missing or of another shape.
    """
    for name, parameter in model.named_parameters():
        moments = {key: tensors[f"{key}.{name}"] for key in ("exp_avg", "exp_avg_sq")}
        if any(m.shape != parameter.shape or m.dtype != parameter.dtype for m in moments.values()):
            raise ValueError(f"the moments of {name} do not fit")
        on_device = {key: m.to(parameter.device) for key, m in moments.items()}
        optimizer.state[parameter] = {"step": tensors[f"step.{name}"].reshape(()), **on_device}
