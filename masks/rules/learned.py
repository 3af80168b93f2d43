"""Gates that a model learned, read out as a mask.

A gate is open between 0 (shut) and 1: the share that it leaves of a pair's attention weight. Training adds a cost for open gates,
by the pairs of rows that pass them, so one that stays open lowers the loss by more than it costs. The rule is plain: an offset
is shown when its gate ended at least half open.
"""

from collections.abc import Iterable, Mapping
from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from analysis.errors import MeloError
from analysis.json_spec import JsonSpec
from masks.describe import drums_reasons, format_offsets
from masks.spec import MOST_OFFSET, MaskSpec, near_and_far

GATES_FILE = "gates.json"
"""The file of a training run's gates, in its folder."""

HALF = 0.5
"""An offset is shown when its gate is open this far."""

MOST_GATES = 64
"""Of one relation."""

_MOVED = 0.1
"""Gates of which none moved by so much have learned nothing yet."""

Share = Annotated[float, Meta(ge=0, le=1)]
GateOffset = Annotated[int, Meta(ge=1, le=MOST_GATES)]


class Gate(JsonSpec, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The gate of one relation at one offset, or at all farther ones."""

    noun: ClassVar[str] = "gate"

    prior: Share
    """How open it began."""

    learned: Share
    """How open it ended."""

    density: Share
    """Share of dense causal attention's pairs of rows, in the training windows, that pass it; 0: it was never used."""

    @property
    def open(self) -> bool:
        """It was used, and ended at least half open."""
        return self.learned >= HALF and self.density > 0

    def in_words(self) -> str:
        """How open it began and ended, as "0.30 → 0.90"."""
        return f"{self.prior:.2f} → {self.learned:.2f}"


class GateCurve(JsonSpec, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The gates of one relation."""

    noun: ClassVar[str] = "curve of gates"

    offsets: Mapping[GateOffset, Gate]
    """{1: …, 2: …, up to the last offset that has a gate of its own}"""

    beyond: Gate
    """Of all farther bars."""

    def __post_init__(self) -> None:
        if not self.offsets or sorted(self.offsets) != list(range(1, len(self.offsets) + 1)):
            raise MeloError(f"offsets must hold gates 1 to n, n up to {MOST_GATES}; train again")

    @property
    def shown(self) -> list[int]:
        """Offsets whose gate is open, ascending."""
        return [k for k, gate in sorted(self.offsets.items()) if gate.open]

    @property
    def unused(self) -> list[int]:
        """Offsets at which training had no pair of rows, ascending."""
        return [k for k, gate in sorted(self.offsets.items()) if not gate.density]

    @property
    def all_open(self) -> bool:
        """Every gate is open, and so is the one for all farther bars."""
        return self.beyond.open and len(self.shown) == len(self.offsets)

    @property
    def density(self) -> float:
        """Share of dense causal attention's pairs of rows that pass the gates of the offsets shown."""
        return sum(gate.density for gate in self.offsets.values() if gate.open) + self.beyond.density * self.all_open


class LearnedGates(
    JsonSpec, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="format", tag="meloctl.gates/2"
):
    """The gates of a trained model."""

    noun: ClassVar[str] = "file of gates"
    made_by: ClassVar[str] = "meloctl train --gates"

    same: GateCurve
    cross: GateCurve
    drums: Literal["masked", "exempt"]
    """exempt: pairs of drums with another part passed no gate."""

    summaries: bool
    """Rows also attended to one summary vector of each earlier bar."""


def learned_mask(gates: LearnedGates) -> MaskSpec:
    """The mask of the offsets whose gates ended open, with a reason for each choice, and what the gates learned as its priors."""
    near, far = near_and_far(gates.cross.shown)
    density = gates.same.density + gates.cross.density
    return MaskSpec(
        same="full" if gates.same.all_open else tuple(gates.same.shown),
        near=MOST_OFFSET if gates.cross.all_open else near,
        far=() if gates.cross.all_open else far,
        drums=gates.drums,
        summaries=gates.summaries,
        same_prior=_prior(gates.same),
        cross_prior=_prior(gates.cross),
        reasons=(
            f"Learned: an offset is shown when its gate ended at least {HALF:g} open. Of dense causal attention's pairs of rows "
            f"{density:.3f} pass the gates shown; one's own bar passes none.",
            *_unmoved(gates),
            *_reasons("Own part", gates.same),
            *_reasons("Other parts", gates.cross),
            *drums_reasons(gates.drums),
            f"Summaries: {'on' if gates.summaries else 'off'}, as in the model.",
        ),
        source={"rule": "learned"},
    )


def _prior(curve: GateCurve) -> dict[int, float]:
    return {0: 1.0, **{k: gate.learned for k, gate in sorted(curve.offsets.items())}}


def _unmoved(gates: LearnedGates) -> list[str]:
    """A warning where the gates are still what they began as."""
    moved = max(abs(g.learned - g.prior) for c in (gates.same, gates.cross) for g in c.offsets.values())
    return [f"Careful: no gate moved by more than {moved:.2f}. This is still the prior; train longer."] * (
        moved < _MOVED
    )


def _reasons(name: str, curve: GateCurve) -> list[str]:
    """Lines that name the offsets whose gates are open, were shut, and were never used."""
    shown = curve.shown
    shut = [k for k, gate in sorted(curve.offsets.items()) if gate.prior >= HALF and gate.density and not gate.open]
    verb = "is" if len(shown) < 2 else "are"
    lines = [f"{name}: {_moves(curve, shown) or 'no offset'} {verb} shown (open at the start → at the end)."]
    if shut:
        lines.append(f"{name}: {_moves(curve, shut)} began open and {'was' if len(shut) == 1 else 'were'} shut.")
    if curve.unused:
        lines.append(f"{name}: {format_offsets(curve.unused)} hidden: no pair of rows in training passed those gates.")
    if curve.beyond.open and not curve.all_open:
        lines.append(
            f"{name}: the gate for all farther bars ended {curve.beyond.learned:.2f} open. Those bars are hidden all the same: "
            "a mask can show them only together with every nearer one."
        )
    return lines


def _moves(curve: GateCurve, offsets: Iterable[int]) -> str:
    return ", ".join(f"{k} ({curve.offsets[k].in_words()})" for k in offsets)
