"""Sizes with which the sibling models have as many parameters as a MeloFormer, so that architectures are compared."""

from analysis.errors import MeloError
from meloctl.model.config import ModelConfig


def meloformer_layer_parameters(config: ModelConfig) -> int:
    """Number of parameters of one MeloFormer layer with summaries."""
    c = config.width
    return 2 * c * c + 4 * config.kv_heads * config.head_width * c + 3 * c * config.hidden + 3 * c


def feed_forward_width(config: ModelConfig, *, besides: int, each: int, name: str, give: str) -> int:
    """Width inside a sibling's feed-forward layers with which its layers have as many parameters as those of a MeloFormer.

    Args:
        besides: parameters of all its layers at a width of 0.
        each: parameters that all its layers gain with each 1 of width.
        name: of the sibling's architecture.
        give: in the error, what would help.

    Raises:
        MeloError: even at a width of 1 it would have more.
    """
    allowed = config.layers * meloformer_layer_parameters(config)
    if besides + each > allowed:
        raise MeloError(
            f"{name}: its layers have at least {besides + each:,} parameters, those of a MeloFormer of this size "
            f"{allowed:,}, so the sizes cannot match; give {give}"
        )
    return round((allowed - besides) / each)
