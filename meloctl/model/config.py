"""Sizes of a model, as a small frozen spec with a JSON form."""

from dataclasses import asdict, dataclass
from typing import Any

from analysis.errors import MeloError
from analysis.json_file import refuse_unknown

FORMAT = "meloctl.model/1"
_MOST = 1 << 20


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Sizes of a model: of a MeloFormer, or of the MeloFormer that a sibling is made as large as (`meloctl.model.sibling_sizes`).

    Raises:
        MeloError: on sizes that do not fit together.
    """

    layers: int
    width: int
    """Of rows and summaries between the layers."""

    heads: int
    """Query heads; each is width / heads wide."""

    kv_heads: int
    """Key and value heads; each serves heads / kv_heads query heads."""

    hidden: int
    """Width inside the SwiGLU."""

    field_hidden: int
    """Width inside each field's head."""

    dropout: float = 0.1
    """Share of each branch's outputs dropped in training."""

    context: int
    """Rows in a training window."""

    def __post_init__(self) -> None:
        sizes = asdict(self)
        for name in ("layers", "width", "heads", "kv_heads", "hidden", "field_hidden", "context"):
            if type(sizes[name]) is not int or not 1 <= sizes[name] <= _MOST:
                raise MeloError(f"model: {name} is {sizes[name]!r}; it must be a whole number, 1 to {_MOST:,}")
        if self.width % (4 * self.heads) or self.heads % self.kv_heads:
            raise MeloError(
                f"model: width {self.width} must be a multiple of 4 × heads ({self.heads}), "
                f"and heads of kv_heads ({self.kv_heads})"
            )
        if type(self.dropout) not in (int, float) or not 0 <= self.dropout < 1:
            raise MeloError(f"model: dropout is {self.dropout!r}; it must lie in 0 to 1")

    @property
    def head_width(self) -> int:
        """Width of one head."""
        return self.width // self.heads

    def to_json(self) -> dict[str, Any]:
        """The JSON object `meloctl.model/1`."""
        return {"format": FORMAT, **asdict(self)}

    @staticmethod
    def from_json(data: object, *, where: str = "model") -> "ModelConfig":
        """A config from parsed JSON. Raises MeloError for anything else."""
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            raise MeloError(f'{where}: not a model (its "format" is not "{FORMAT}")')
        sizes = {k: v for k, v in data.items() if k != "format"}
        names = set(ModelConfig.__dataclass_fields__)
        refuse_unknown(sizes, names, where)
        missing = sorted(names - set(sizes))
        if missing:
            raise MeloError(f"{where}: no {missing[0]!r} in it")
        return ModelConfig(**sizes)


PRESETS = {
    "tiny": ModelConfig(layers=4, width=192, heads=6, kv_heads=3, hidden=512, field_hidden=96, context=1024),
    "small": ModelConfig(layers=8, width=384, heads=6, kv_heads=3, hidden=1024, field_hidden=192, context=2048),
    "base": ModelConfig(layers=12, width=768, heads=12, kv_heads=6, hidden=2048, field_hidden=384, context=4096),
    "large": ModelConfig(layers=32, width=1024, heads=16, kv_heads=8, hidden=2688, field_hidden=512, context=8192),
}
"""small, base and large are within 15 % of the founding documents' 17M, 85M and 397M parameters; tiny is for CPUs."""
