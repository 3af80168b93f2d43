"""A bridge on disk: bridge.safetensors with the weights, bridge.json with all else. Nothing is unpickled."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

import torch
from msgspec import Meta

from analysis.atomic_write import atomic_write_text
from analysis.errors import MeloError
from analysis.json_spec import JsonSpec
from meloctl.bridge.bridge_network import BridgeNetwork, BridgeSizes
from meloctl.bridge.bridge_schedule import BridgeSchedule
from meloctl.model.checkpoint import load_tensors, save_tensors
from meloctl.model.init import shapes_alone
from meloctl.rows.attribute_scale import AttributeScale

WEIGHTS, DESCRIPTION = "bridge.safetensors", "bridge.json"
MADE_BY = "meloctl train-bridge"
_MAX_BYTES = 64 << 20

Hash = Annotated[str, Meta(pattern="^[0-9a-f]{16}$")]


class PlannedModel(JsonSpec, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The music model whose plans a bridge makes."""

    weights: Hash
    """`meloctl.workspace.file_hash` of its weights."""

    plan_width: Annotated[int, Meta(ge=1, le=256)]


class FrozenEncoder(JsonSpec, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The text encoder whose embeddings a bridge was trained on."""

    name: Annotated[str, Meta(min_length=1, max_length=200)]
    fingerprint: Hash


class BridgeJson(
    JsonSpec, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="format", tag="meloctl.bridge/1"
):
    """bridge.json."""

    noun: ClassVar[str] = "bridge"
    made_by: ClassVar[str] = MADE_BY

    music_model: PlannedModel
    encoder: FrozenEncoder
    attributes: tuple[str, ...]
    """The order of the attributes in wants."""

    scale: AttributeScale
    """What a level is."""

    sizes: BridgeSizes
    schedule: BridgeSchedule
    quality: dict[str, Any]
    """What was measured on held-out pieces."""

    def __post_init__(self) -> None:
        if len(self.attributes) != self.sizes.attributes or len(set(self.attributes)) != len(self.attributes):
            raise MeloError("attributes does not name as many attributes as sizes says")
        if self.music_model.plan_width != self.sizes.plan_width:
            raise MeloError("music_model.plan_width and sizes.plan_width are two widths of one plan")
        if self.sizes.width % (2 * self.sizes.heads):
            raise MeloError("sizes.width must be a multiple of twice sizes.heads")


@dataclass(frozen=True, kw_only=True, eq=False)
class Bridge:
    """A trained bridge, in evaluation mode."""

    network: BridgeNetwork
    about: BridgeJson


def save_bridge(network: BridgeNetwork, about: BridgeJson, folder: Path) -> None:
    """Write bridge.safetensors, then bridge.json."""
    save_tensors({name: tensor.contiguous() for name, tensor in network.state_dict().items()}, folder / WEIGHTS)
    atomic_write_text(folder / DESCRIPTION, about.to_text())


def load_bridge(folder: Path, *, model_weights: str, encoder_fingerprint: str) -> Bridge:
    """The bridge that save_bridge wrote, on the CPU.

    Args:
        folder: that holds its two files.
        model_weights: `file_hash` of the weights of the music model that is to read the plans.
        encoder_fingerprint: of the encoder whose embeddings it is to read.

    Raises:
        MeloError: a file is missing, damaged or of another version; a bridge of another music model or another encoder.
    """
    about = BridgeJson.read(folder / DESCRIPTION)
    if about.music_model.weights != model_weights:
        raise MeloError(
            f"{folder / DESCRIPTION}: a bridge of another music model (weights {about.music_model.weights}, these are "
            f"{model_weights}); make one for this model: {MADE_BY}"
        )
    if about.encoder.fingerprint != encoder_fingerprint:
        raise MeloError(
            f"{folder / DESCRIPTION}: a bridge of another text encoder ({about.encoder.name}, fingerprint "
            f"{about.encoder.fingerprint}, this one's is {encoder_fingerprint}); make one for it: {MADE_BY}"
        )
    return Bridge(network=_load_network(folder / WEIGHTS, about), about=about)


def _load_network(path: Path, about: BridgeJson) -> BridgeNetwork:
    """The weights of a description. Raises MeloError where they do not fit it."""
    if path.is_file() and path.stat().st_size > _MAX_BYTES:
        raise MeloError(f"{path}: larger than a bridge can be ({_MAX_BYTES >> 20} MiB); make one with: {MADE_BY}")
    try:
        weights = load_tensors(path)
    except MeloError as error:
        raise MeloError(f"{path}: missing or damaged weights of a bridge; make one with: {MADE_BY}") from error
    with shapes_alone():
        network = BridgeNetwork(about.sizes, about.schedule)
    wanted = {name: (tensor.shape, tensor.dtype) for name, tensor in network.state_dict().items()}
    if wanted != {name: (tensor.shape, tensor.dtype) for name, tensor in weights.items()}:
        raise MeloError(f"{path}: the weights do not fit the sizes in {DESCRIPTION}; make a bridge with: {MADE_BY}")
    if not all(bool(torch.isfinite(tensor).all()) for tensor in weights.values()):
        raise MeloError(f"{path}: some weights are not finite; make a bridge with: {MADE_BY}")
    if not bool((weights["plan_deviation"] > 0).all()):
        raise MeloError(f"{path}: a deviation of plans is not above 0; make a bridge with: {MADE_BY}")
    network.load_state_dict(weights, assign=True)
    return network.eval()
