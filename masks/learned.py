"""Gates that a model learned, read out as a mask.

A gate is open between 0 (shut) and 1: how much weight a score keeps that passes it. Training prices open gates by their work,
so one that stays open has paid for itself. The rule is plain: an offset is shown when its gate ended at least half open.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from analysis.errors import MeloError
from analysis.json_file import refuse_unknown
from masks.describe import drums_in_words, offsets_in_words
from masks.spec import DRUMS, MOST_OFFSET, MaskSpec, near_and_far

FORMAT = "meloctl.gates/1"
HALF = 0.5
"""An offset is shown when its gate is open this far."""

_STILL = 0.1
"""Gates that moved less than this have learned nothing yet."""

_KEYS = {"format", "same", "cross", "drums", "summaries"}
_CURVE_KEYS = {"prior", "learned", "work", "beyond"}


@dataclass(frozen=True, kw_only=True)
class GateCurve:
    """The gates of one relation."""

    prior: Mapping[int, float]
    """{offset ≥ 1: how open it started}"""

    learned: Mapping[int, float]
    """{the same offsets: how open it ended}"""

    work: Mapping[int, float]
    """{the same offsets: share of dense causal attention's pairs in the training windows that pass it}; 0: never used."""

    beyond: float
    """How open the gate for all farther bars ended."""

    @property
    def shown(self) -> list[int]:
        """Offsets whose gate was used, and ended at least half open."""
        return [k for k in sorted(self.learned) if self.learned[k] >= HALF and self.work[k] > 0]

    @property
    def unused(self) -> list[int]:
        """Offsets that no training window was long enough to hold."""
        return [k for k in sorted(self.work) if not self.work[k]]

    @property
    def everything(self) -> bool:
        """Every gate that was used is open, and so is the one for all farther bars."""
        return self.beyond >= HALF and not self.unused and len(self.shown) == len(self.learned)

    def to_json(self) -> dict[str, Any]:
        """Part of the JSON object `meloctl.gates/1`."""
        curves = {name: {str(k): v for k, v in getattr(self, name).items()} for name in ("prior", "learned", "work")}
        return {**curves, "beyond": self.beyond}

    @staticmethod
    def from_json(data: object, where: str) -> "GateCurve":
        """A curve from parsed JSON. Raises MeloError for anything else."""
        if not isinstance(data, dict) or set(data) != _CURVE_KEYS:
            raise MeloError(f"{where}: must hold {', '.join(sorted(_CURVE_KEYS))} and nothing else; train again")
        prior, learned, work = (_shares(data[name], f"{where}: {name}") for name in ("prior", "learned", "work"))
        if not set(prior) == set(learned) == set(work) or not learned:
            raise MeloError(f"{where}: prior, learned and work must name the same offsets, at least one; train again")
        (beyond,) = _shares({"1": data["beyond"]}, f"{where}: beyond").values()
        return GateCurve(prior=prior, learned=learned, work=work, beyond=beyond)


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
    work = sum(curve.work[k] for curve in (gates.same, gates.cross) for k in curve.shown)
    return MaskSpec(
        same="full" if gates.same.everything else tuple(gates.same.shown),
        near=MOST_OFFSET if gates.cross.everything else near,
        far=() if gates.cross.everything else far,
        drums=gates.drums,
        summaries=gates.summaries,
        same_prior={0: 1.0, **gates.same.learned},
        cross_prior={0: 1.0, **gates.cross.learned},
        reasons=(
            f"Learned: an offset is shown when its gate ended at least {HALF:g} open. The offsets shown hold {work:.3f} of dense "
            "causal attention's pairs of rows, beside one's own bar.",
            *_unmoved(gates),
            *_reasons("Own part", gates.same),
            *_reasons("Other parts", gates.cross),
            *drums_in_words(gates.drums),
            f"Summaries: {'on' if gates.summaries else 'off'}, as in the model.",
        ),
        source={"rule": "learned"},
    )


def _unmoved(gates: LearnedGates) -> list[str]:
    """A warning where the gates are still what they began as."""
    moved = max(abs(c.learned[k] - c.prior[k]) for c in (gates.same, gates.cross) for k in c.learned)
    return [f"Careful: no gate moved by more than {moved:.2f}. This is still the prior; train longer."] * (
        moved < _STILL
    )


def _reasons(name: str, curve: GateCurve) -> list[str]:
    """What was opened, shut and never used."""
    shown, started = set(curve.shown), {k for k, v in curve.prior.items() if v >= HALF}
    opened = ", ".join(f"{k} ({curve.prior[k]:.2f} → {curve.learned[k]:.2f})" for k in curve.shown)
    shut = ", ".join(f"{k} ({curve.prior[k]:.2f} → {curve.learned[k]:.2f})" for k in sorted(started - shown))
    lines = [
        f"{name}: {opened or 'no offset'} {'is' if len(shown) < 2 else 'are'} shown (open at the start → at the end)."
    ]
    if shut:
        lines.append(f"{name}: {shut} began open and {'was' if len(started - shown) == 1 else 'were'} shut.")
    if curve.unused:
        lines.append(
            f"{name}: {offsets_in_words(curve.unused)} hidden: no training window was long enough to teach those gates."
        )
    if curve.beyond >= HALF and not curve.everything:
        lines.append(
            f"{name}: the gate for all farther bars ended {curve.beyond:.2f} open. Those bars are hidden all the same: "
            "a mask can show them only together with every nearer one."
        )
    return lines


def _shares(data: object, where: str) -> dict[int, float]:
    """{offset: number in 0..1} from parsed JSON."""
    if not isinstance(data, dict):
        raise MeloError(f"{where}: must be an object of offset: number")
    out = {}
    for key, value in data.items():
        known = (
            isinstance(key, str) and len(key) <= 5 and key.isascii() and key.isdigit() and 1 <= int(key) <= MOST_OFFSET
        )
        if not known or type(value) not in (int, float) or not 0 <= value <= 1:
            raise MeloError(f"{where}: {str(key)[:20]!r}: {value!r:.40} is not an offset with a number from 0 to 1")
        out[int(key)] = float(value)
    return out
