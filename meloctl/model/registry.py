"""Which models there are, by name: an architecture and a size, as `museformer/small`. All are trained and measured alike."""

import re
from dataclasses import dataclass

from torch import nn

from analysis.errors import MeloError
from masks.rules.baselines import museformer_mask
from masks.spec import MOST_OFFSET, MaskSpec
from meloctl.model.config import PRESETS, ModelConfig
from meloctl.model.encoder_decoder import model as encoder_decoder
from meloctl.model.encoder_decoder.model import EncoderDecoder
from meloctl.model.meloformer import layout
from meloctl.model.meloformer.model import MeloFormer
from meloctl.model.music_transformer import model as music_transformer
from meloctl.model.music_transformer.model import MusicTransformer
from meloctl.rows.vocabulary import Vocabulary

ARCHITECTURES = {
    "meloformer": "rows under the mask, with bar summaries",
    "museformer": "MeloFormer under Museformer's mask",
    "dense": "MeloFormer in which a row sees every earlier row, without summaries",
    "music-transformer": "decoder with relative attention over all earlier rows (Huang et al., 2018)",
    "encoder-decoder": "primer bars → continuation, standard Transformer blocks",
}
"""{architecture: what it is}; the first is the default."""

MELOFORMERS = ("meloformer", "museformer", "dense")
"""Architectures that are a MeloFormer; they differ in the mask. The others have none."""

Model = MeloFormer | MusicTransformer | EncoderDecoder
"""Any of them: layout(pack) says what a pack looks like to it, forward(layout) what each field of each row costs, and
counted(pack), at once, which rows' costs count."""


Layout = layout.MeloFormerLayout | music_transformer.MusicTransformerLayout | encoder_decoder.EncoderDecoderLayout
"""What a pack looks like to one of them."""

_LAYER = re.compile(r"(^|\.)layers\.\d+$")
"""Names of a model's layers: `layers.0`, `encoder.layers.0`."""


@dataclass(frozen=True, kw_only=True)
class ModelName:
    """An architecture and a size."""

    architecture: str
    size: str

    def __str__(self) -> str:
        """As --model takes it, in its shortest form."""
        return self.size if self.architecture == "meloformer" else f"{self.architecture}/{self.size}"

    @property
    def config(self) -> ModelConfig:
        """Its sizes."""
        return PRESETS[self.size]


def model_name(text: str | None, *, size: str) -> ModelName:
    """The model that --model names: "large", "museformer" or "museformer/large".

    Args:
        text: what was given; None is the default architecture.
        size: where none is named.

    Raises:
        MeloError: no such architecture or size.
    """
    words = [] if text is None else text.split("/")
    architecture = next((w for w in words if w in ARCHITECTURES), "meloformer")
    given = next((w for w in words if w in PRESETS), size)
    if words not in ([], [architecture], [given], [architecture, given]):
        raise MeloError(
            f"--model {text}: no such model; choose one of {', '.join(PRESETS)}, or an architecture "
            f"({', '.join(ARCHITECTURES)}), or both, as museformer/small"
        )
    return ModelName(architecture=architecture, size=given)


def takes_mask(architecture: str) -> bool:
    """Does it work under a mask of the user's?"""
    return architecture == "meloformer"


def infills(architecture: str) -> bool:
    """Can it learn to fill gaps? The others do not know which bar a row that is written last belongs to."""
    return architecture in MELOFORMERS


def own_mask(architecture: str) -> MaskSpec | None:
    """The mask that belongs to an architecture; None where it has none. `meloformer` takes any, so none is its own."""
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
    """The mask that a model works under; None for one that has none."""
    return model.spec if isinstance(model, MeloFormer) else None


def build(
    architecture: str, config: ModelConfig, vocabulary: Vocabulary, spec: MaskSpec | None, *, gated: bool = False
) -> Model:
    """A fresh model; its first weights come from torch's random state.

    Args:
        spec: of a MeloFormer; None for the others.
        gated: a MeloFormer hears all earlier rows through learnable gates.

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
    """A model's layers, in order: what is compiled, checkpointed and put together one at a time."""
    return [m for name, m in model.named_modules() if _LAYER.search(name)]
