"""Gates that a model learned, read out as a mask.

A gate is open between 0 (shut) and 1: how much weight a score keeps that passes it. Training prices open gates by their work,
so one that stays open has paid for itself. The rule is plain: an offset is shown when its gate ended at least half open.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from analysis.errors import MeloError
from analysis.json_file import refuse_unknown
from masks.describe import drums_reasons, format_offsets
from masks.spec import DRUMS, MOST_OFFSET, MaskSpec, near_and_far

FORMAT = "meloctl.gates/1"
GATES_FILE = "gates.json"
"""Where a run with gates keeps them."""

HALF = 0.5
"""An offset is shown when its gate is open this far."""

MOST_GATES = 64
"""Of one relation."""

_STILL = 0.1
"""Gates that moved less than this have learned nothing yet."""

_KEYS = {"format", "same", "cross", "drums", "summaries"}
_BEYOND = "beyond"


@dataclass(frozen=True, kw_only=True)
class Gate:
    """One gate; all three lie in 0..1."""

    prior: float
    """How open it began."""

    learned: float
    """How open it ended."""

    work: float
    """Share of dense causal attention's pairs of rows, in the training windows, that pass it; 0: it was never used."""

    @property
    def open(self) -> bool:
        """It was used, and ended at least half open."""
        return self.learned >= HALF and self.work > 0

    def in_words(self) -> str:
        """From what to what."""
        return f"{self.prior:.2f} → {self.learned:.2f}"

    @staticmethod
    def from_json(data: object, where: str) -> "Gate":
        """A gate from parsed JSON. Raises MeloError for anything else."""
        names = set(Gate.__dataclass_fields__)
        if not isinstance(data, dict) or set(data) != names:
            raise MeloError(f"{where}: must hold {', '.join(sorted(names))} and nothing else; train again")
        for name, value in data.items():
            if type(value) not in (int, float) or not 0 <= value <= 1:
                raise MeloError(f"{where}: {name} is {value!r:.40}; it must be a number from 0 to 1")
        return Gate(**data)


@dataclass(frozen=True, kw_only=True)
class GateCurve:
    """The gates of one relation."""

    offsets: Mapping[int, Gate]
    """{1: …, 2: …, up to the last offset that has a gate of its own}"""

    beyond: Gate
    """Of all farther bars."""

    @property
    def shown(self) -> list[int]:
        """Offsets whose gate is open."""
        return [k for k, gate in self.offsets.items() if gate.open]

    @property
    def unused(self) -> list[int]:
        """Offsets at which training had no pair of rows."""
        return [k for k, gate in self.offsets.items() if not gate.work]

    @property
    def everything(self) -> bool:
        """Every gate is open, and so is the one for all farther bars."""
        return self.beyond.open and len(self.shown) == len(self.offsets)

    @property
    def work(self) -> float:
        """Share of dense causal attention's pairs that pass the gates shown."""
        return sum(gate.work for gate in self.offsets.values() if gate.open) + self.beyond.work * self.everything

    def to_json(self) -> dict[str, Any]:
        """Part of the JSON object `meloctl.gates/1`."""
        return {**{str(k): asdict(gate) for k, gate in self.offsets.items()}, _BEYOND: asdict(self.beyond)}

    @staticmethod
    def from_json(data: object, where: str) -> "GateCurve":
        """A curve from parsed JSON. Raises MeloError for anything else."""
        n = len(data) - 1 if isinstance(data, dict) else 0
        expected = [*(str(k) for k in range(1, n + 1)), _BEYOND]
        if not isinstance(data, dict) or not 1 <= n <= MOST_GATES or set(data) != set(expected):
            raise MeloError(f'{where}: must hold gates 1 to n, n up to {MOST_GATES}, and "{_BEYOND}"; train again')
        *offsets, beyond = (Gate.from_json(data[key], f"{where}: {key}") for key in expected)
        return GateCurve(offsets=dict(enumerate(offsets, 1)), beyond=beyond)


@dataclass(frozen=True, kw_only=True)
class LearnedGates:
    """What a model with gates learned."""

    same: GateCurve
    cross: GateCurve
    drums: Literal["masked", "exempt"]
    """exempt: pairs of drums with another part passed no gate."""

    summaries: bool

    def to_json(self) -> dict[str, Any]:
        """The JSON object `meloctl.gates/1`."""
        curves = {"same": self.same.to_json(), "cross": self.cross.to_json()}
        return {"format": FORMAT, **curves, "drums": self.drums, "summaries": self.summaries}

    @staticmethod
    def from_json(data: object, *, where: str = "gates") -> "LearnedGates":
        """Gates from parsed JSON. Raises MeloError for anything else."""
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            raise MeloError(
                f'{where}: no gates (its "format" is not "{FORMAT}"); make them with: meloctl train --gates'
            )
        refuse_unknown(data, _KEYS, where)
        if data.get("drums") not in DRUMS or type(data.get("summaries")) is not bool:
            raise MeloError(f'{where}: "drums" must be one of {", ".join(DRUMS)}, "summaries" true or false')
        same, cross = (GateCurve.from_json(data.get(name), f"{where}: {name}") for name in ("same", "cross"))
        return LearnedGates(same=same, cross=cross, drums=data["drums"], summaries=data["summaries"])


def learned_mask(gates: LearnedGates) -> MaskSpec:
    """The mask that the gates ended as, with a reason for each choice; a next training may start its gates from it."""
    near, far = near_and_far(gates.cross.shown)
    work = gates.same.work + gates.cross.work
    return MaskSpec(
        same="full" if gates.same.everything else tuple(gates.same.shown),
        near=MOST_OFFSET if gates.cross.everything else near,
        far=() if gates.cross.everything else far,
        drums=gates.drums,
        summaries=gates.summaries,
        same_prior=_prior(gates.same),
        cross_prior=_prior(gates.cross),
        reasons=(
            f"Learned: an offset is shown when its gate ended at least {HALF:g} open. Of dense causal attention's pairs of rows "
            f"{work:.3f} pass the gates shown; one's own bar passes none.",
            *_unmoved(gates),
            *_reasons("Own part", gates.same),
            *_reasons("Other parts", gates.cross),
            *drums_reasons(gates.drums),
            f"Summaries: {'on' if gates.summaries else 'off'}, as in the model.",
        ),
        source={"rule": "learned"},
    )


def _prior(curve: GateCurve) -> dict[int, float]:
    return {0: 1.0, **{k: gate.learned for k, gate in curve.offsets.items()}}


def _unmoved(gates: LearnedGates) -> list[str]:
    """A warning where the gates are still what they began as."""
    moved = max(abs(g.learned - g.prior) for c in (gates.same, gates.cross) for g in c.offsets.values())
    return [f"Careful: no gate moved by more than {moved:.2f}. This is still the prior; train longer."] * (
        moved < _STILL
    )


def _reasons(name: str, curve: GateCurve) -> list[str]:
    """What was opened, shut and never used."""
    shown = curve.shown
    shut = [k for k, gate in curve.offsets.items() if gate.prior >= HALF and gate.work and not gate.open]
    verb = "is" if len(shown) < 2 else "are"
    lines = [f"{name}: {_moves(curve, shown) or 'no offset'} {verb} shown (open at the start → at the end)."]
    if shut:
        lines.append(f"{name}: {_moves(curve, shut)} began open and {'was' if len(shut) == 1 else 'were'} shut.")
    if curve.unused:
        lines.append(f"{name}: {format_offsets(curve.unused)} hidden: no pair of rows in training passed those gates.")
    if curve.beyond.open and not curve.everything:
        lines.append(
            f"{name}: the gate for all farther bars ended {curve.beyond.learned:.2f} open. Those bars are hidden all the same: "
            "a mask can show them only together with every nearer one."
        )
    return lines


def _moves(curve: GateCurve, offsets: Iterable[int]) -> str:
    return ", ".join(f"{k} ({curve.offsets[k].in_words()})" for k in offsets)
