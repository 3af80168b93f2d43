"""A trained transcriber in one safetensors file: its weights, and in the header, as JSON, all else. Nothing is unpickled."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch

from analysis.errors import MeloError
from analysis.json_spec import JsonSpec, parse_json
from meloctl.model.checkpoint import load_metadata, load_tensors, save_tensors
from meloctl.model.init import shapes_alone
from meloctl.transcription.network import NetworkConfig, Transcriber
from meloctl.transcription.note_decoding import DecodingThresholds
from meloctl.transcription.part_weights import PartWeights

WEIGHTS = "transcriber.safetensors"
"""The file's name in a folder of weights."""

MADE_BY = "meloctl train-transcriber"
_HEADER = "transcriber"
_MAX_BYTES = 16 << 20


class TranscriberJson(
    JsonSpec, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="format", tag="meloctl.transcriber/1"
):
    """The header of the file."""

    noun: ClassVar[str] = "transcriber"
    made_by: ClassVar[str] = MADE_BY

    network: NetworkConfig
    thresholds: DecodingThresholds
    """Fitted on validation mixes."""

    parts: PartWeights
    """Fitted on validation mixes too."""

    quality: dict[str, Any]
    """What was measured on validation mixes."""


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainedTranscriber:
    """A network in evaluation mode, and how its posteriors are read."""

    network: Transcriber
    about: TranscriberJson


def save_transcriber(network: Transcriber, about: TranscriberJson, path: Path) -> None:
    """Write the file, whole."""
    tensors = {name: tensor.detach().contiguous() for name, tensor in network.state_dict().items()}
    save_tensors(tensors, path, {_HEADER: json.dumps(about.to_json())})


def load_transcriber(path: Path) -> TrainedTranscriber:
    """What save_transcriber wrote, on the CPU.

    Raises:
        MeloError: the file is missing, damaged, of another format, or its weights do not fit its sizes.
    """
    if path.is_file() and path.stat().st_size > _MAX_BYTES:
        raise MeloError(f"{path}: larger than a transcriber can be ({_MAX_BYTES >> 20} MiB); make one with: {MADE_BY}")
    try:
        weights = load_tensors(path)
    except MeloError as error:
        raise MeloError(f"{path}: missing or damaged weights of a transcriber; make one with: {MADE_BY}") from error
    text = load_metadata(path).get(_HEADER, "")
    about = TranscriberJson.from_json(parse_json(text, what="transcriber", where=str(path)), where=str(path))
    with shapes_alone():
        network = Transcriber(about.network)
    wanted = {name: (tensor.shape, tensor.dtype) for name, tensor in network.state_dict().items()}
    if wanted != {name: (tensor.shape, tensor.dtype) for name, tensor in weights.items()}:
        raise MeloError(f"{path}: the weights do not fit the sizes in the header; make one with: {MADE_BY}")
    if not all(bool(torch.isfinite(tensor).all()) for tensor in weights.values()):
        raise MeloError(f"{path}: some weights are not finite; make one with: {MADE_BY}")
    network.load_state_dict(weights, assign=True)
    return TrainedTranscriber(network=network.eval(), about=about)
