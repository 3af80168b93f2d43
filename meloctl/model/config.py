"""ModelConfig: the sizes of a model, a frozen spec with a JSON form; and the presets by name."""

from typing import Annotated, ClassVar

from msgspec import Meta

from analysis.errors import MeloError
from analysis.json_spec import JsonSpec

PLAN_NOISE = 0.3
"""Default of `ModelConfig.plan_noise`: a bar's plan of 16 numbers carries at most 28.8 bits."""

Size = Annotated[int, Meta(ge=1, le=1 << 20)]


class ModelConfig(
    JsonSpec, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="format", tag="meloctl.model/1"
):
    """Sizes of a MeloFormer, or of the MeloFormer whose parameter count a sibling matches (`meloctl.model.sibling_sizes`).

    Raises:
        MeloError: on sizes out of range, or that do not fit together.
    """

    noun: ClassVar[str] = "model"
    made_by: ClassVar[str] = "meloctl train"

    layers: Size
    width: Size
    """Channels of rows and summaries between the layers (C)."""

    heads: Size
    """Query heads; each is width / heads wide."""

    kv_heads: Size
    """Key and value heads; each serves heads / kv_heads query heads."""

    hidden: Size
    """Width inside the SwiGLU."""

    field_hidden: Size
    """Width inside each field's head."""

    dropout: Annotated[float, Meta(ge=0, lt=1)] = 0.0
    """Share of each branch's outputs that is dropped in training."""

    context: Size
    """Rows of a training window."""

    plan_width: Annotated[int, Meta(ge=0, le=1 << 10)] = 0
    """Numbers of a bar plan (D), see `meloctl.model.bar_plans`; 0: the model knows no plans."""

    plan_noise: Annotated[float, Meta(gt=0, le=1000)] = PLAN_NOISE
    """Standard deviation of the noise that is added to each number of a plan in training."""

    def __post_init__(self) -> None:
        self.check()
        if self.width % (4 * self.heads):
            raise MeloError(f"width {self.width} must be a multiple of 4 × heads ({self.heads})")
        if self.heads % self.kv_heads:
            raise MeloError(f"heads ({self.heads}) must be a multiple of kv_heads ({self.kv_heads})")

    @property
    def head_width(self) -> int:
        """Width of one head (D)."""
        return self.width // self.heads


PRESETS = {
    "tiny": ModelConfig(layers=4, width=192, heads=6, kv_heads=3, hidden=512, field_hidden=96, context=1024),
    "small": ModelConfig(layers=8, width=384, heads=6, kv_heads=3, hidden=1024, field_hidden=192, context=2048),
    "base": ModelConfig(layers=12, width=768, heads=12, kv_heads=6, hidden=2048, field_hidden=384, context=4096),
    "large": ModelConfig(layers=32, width=1024, heads=16, kv_heads=8, hidden=2688, field_hidden=512, context=8192),
}
"""small, base and large are within 15 % of the founding documents' 17M, 85M and 397M parameters; tiny is for CPUs."""
