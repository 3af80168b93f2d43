"""The models by name, an architecture and a size, as in `museformer/small`: what each is, and how to build it."""

import re
from dataclasses import dataclass

from torch import nn

from analysis.errors import MeloError
from masks.rules.baselines import museformer_mask
from masks.spec import MOST_OFFSET, MaskSpec
from meloctl.model.config import PRESETS, ModelConfig
from meloctl.model.encoder_decoder.model import EncoderDecoder, EncoderDecoderLayout
from meloctl.model.meloformer.layout import MeloFormerLayout
from meloctl.model.meloformer.model import MeloFormer
from meloctl.model.music_transformer.model import MusicTransformer, MusicTransformerLayout
from meloctl.rows.vocabulary import Vocabulary

ARCHITECTURES = {
    "meloformer": "rows under the mask, with bar summaries",
    "museformer": "MeloFormer under Museformer's mask",
    "dense": "MeloFormer in which a row sees every earlier row, without summaries",
    "music-transformer": "decoder with relative attention over all earlier rows (Huang et al., 2018)",
    "encoder-decoder": "primer bars → continuation, standard Transformer blocks",
}
"""{name: what it is}; the first is the default."""

MELOFORMERS = ("meloformer", "museformer", "dense")
"""Architectures of the class MeloFormer, which differ in the mask. The others have no mask."""

Model = MeloFormer | MusicTransformer | EncoderDecoder
"""Each has layout(pack), the model's input; forward(layout), the −ln p (N, F) of each field of each row; and loss_mask(pack),
(N,) the rows whose loss counts."""

Layout = MeloFormerLayout | MusicTransformerLayout | EncoderDecoderLayout
"""A pack as one of the models reads it."""

_LAYER = re.compile(r"(^|\.)layers\.\d+$")
"""Matches the names of a model's layers: `layers.0`, `encoder.layers.0`."""


@dataclass(frozen=True, kw_only=True)
class ModelName:
    """An architecture and a size."""

    architecture: str
    size: str

    def __str__(self) -> str:
        """The shortest text that `model_name` reads as this model."""
        return self.size if self.architecture == "meloformer" else f"{self.architecture}/{self.size}"

    @property
    def config(self) -> ModelConfig:
        """Its sizes."""
        return PRESETS[self.size]


def model_name(text: str | None, *, size: str) -> ModelName:
    """The model that a text names: "large", "museformer" or "museformer/large".

    Args:
        text: the name; None for the default architecture.
        size: the size where the text has none.

    Raises:
        MeloError: no such architecture or size.
    """
    words = [] if text is None else text.split("/")
    architecture = next((w for w in words if w in ARCHITECTURES), "meloformer")
    given = next((w for w in words if w in PRESETS), size)
    if words not in ([], [architecture], [given], [architecture, given]):
        raise MeloError(
            f"no such model; choose one of {', '.join(PRESETS)}, or an architecture "
            f"({', '.join(ARCHITECTURES)}), or both, as museformer/small",
            field="model",
            given=text,
        )
    return ModelName(architecture=architecture, size=given)


def takes_mask(architecture: str) -> bool:
    """True where the user chooses the mask."""
    return architecture == "meloformer"


def infills(architecture: str) -> bool:
    """True where it can learn to infill and to follow bar plans; the others do not know which bar a row belongs to."""
    return architecture in MELOFORMERS


def own_mask(architecture: str) -> MaskSpec | None:
    """The mask that an architecture always has; None for `meloformer`, which takes any, and for those without a mask."""
    if architecture == "museformer":
        return museformer_mask()
    if architecture == "dense":
        return MaskSpec(
            same="full",
            near=MOST_OFFSET,
            far=(),
            summaries=False,
            reasons=("Every earlier row is seen; nothing is hidden.", "Summaries: off, since they would add nothing."),
            source={"rule": "dense"},
        )
    return None


def spec_of(model: Model) -> MaskSpec | None:
    """The mask of a model; None for one without a mask."""
    return model.spec if isinstance(model, MeloFormer) else None


def build(
    architecture: str, config: ModelConfig, vocabulary: Vocabulary, spec: MaskSpec | None, *, gated: bool = False
) -> Model:
    """A model with initial weights from torch's random state.

    Args:
        architecture: one of ARCHITECTURES.
        spec: the mask of a MeloFormer; None for the others.
        gated: rows of a MeloFormer attend to all earlier rows through learnable gates.

    Raises:
        MeloError: a mask is missing, or given to an architecture that has none.
    """
    if spec is not None and architecture in MELOFORMERS:
        return MeloFormer(config, vocabulary, spec, gated=gated)
    if spec is None and architecture == "music-transformer":
        return MusicTransformer(config, vocabulary)
    if spec is None and architecture == "encoder-decoder":
        return EncoderDecoder(config, vocabulary)
    raise MeloError(
        f"{architecture}: {'needs a mask' if spec is None else 'takes no mask'}, or is no architecture at all"
    )


def layers_of(model: nn.Module) -> list[nn.Module]:
    """A model's layers in order: the units of activation checkpointing and of sharding."""
    return [m for name, m in model.named_modules() if _LAYER.search(name)]
