"""How large the siblings are: as large as the MeloFormer of the same sizes, so that what is compared is the architecture."""

from analysis.errors import MeloError
from meloctl.model.config import ModelConfig


def meloformer_layer(config: ModelConfig) -> int:
    """Parameters of a layer of MeloFormer with summaries."""
    c = config.width
    return 2 * c * c + 4 * config.kv_heads * config.head_width * c + 3 * c * config.hidden + 3 * c


def feed_forward_width(config: ModelConfig, *, besides: int, each: int, name: str, give: str) -> int:
    """Width inside a sibling's feed-forward layers with which all its layers hold as much as those of MeloFormer.

    Args:
        besides: parameters of all its layers at a width of 0.
        each: parameters that one more of width adds to all its layers.
        name: the sibling, as --model knows it.
        give: what would help where it is too large.

    Raises:
        MeloError: even at a width of 1 it would hold more.
    """
    allowed = config.layers * meloformer_layer(config)
    if besides + each > allowed:
        raise MeloError(
            f"{name}: its layers hold {besides + each:,} parameters or more, those of a MeloFormer of this size "
            f"{allowed:,}, so it cannot be made as large; give {give}"
        )
    return round((allowed - besides) / each)
