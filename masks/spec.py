"""MaskSpec: which earlier rows a row may attend to, by relation and offset, with the reasons. Polarity: True = may attend."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from analysis.arrays import Bools
from analysis.errors import MeloError
from analysis.json_file import read_json, refuse_unknown

FORMAT = "meloctl.mask/1"
MOST_OFFSET = 10_000
"""No offset is larger: no piece that is read has more bars."""

MASK_RELATIONS = ("same", "cross", "drums")
"""What two rows may be to each other: of one part; of two parts, neither of them drums; of two parts, drums among them."""

DRUMS = ("masked", "exempt")

_KEYS = {"format", "same", "cross", "drums", "summaries", "priors", "reasons", "source"}


@dataclass(frozen=True, kw_only=True)
class MaskSpec:
    """What a row of part p in bar b may attend to among rows that are not later in generation order.

    Its own part (`same`): its own bar, and every earlier bar or those at some offsets. Other parts (`cross`): bars at
    offsets 0..near, and those at the offsets `far`. Header rows are a part of their own. Nothing later is ever seen.
    Between drums and another part (`drums`) the mask says what it says across parts, or, when drums are exempt, shows
    every earlier bar. What a drums part sees of itself is `same`.

    Raises:
        MeloError: on values that contradict each other or lie outside their range.
    """

    same: Literal["full"] | tuple[int, ...]
    """"full", or the offsets ≥ 1 seen in one's own part, ascending; offset 0 is always seen."""

    near: int
    """Other parts are seen at offsets 0..near."""

    far: tuple[int, ...]
    """Offsets beyond `near` at which other parts are also seen, ascending."""

    drums: Literal["masked", "exempt"] = "masked"
    """"exempt": what measures of pitch, which say nothing about drums, would hide between drums and other parts is shown."""

    summaries: bool
    """Rows also see one summary vector of each earlier bar."""

    same_prior: Mapping[int, float] = field(default_factory=dict)
    """{offset: similarity} measured within a part; the gates start from it."""

    cross_prior: Mapping[int, float] = field(default_factory=dict)
    """{offset: similarity} measured across parts."""

    reasons: tuple[str, ...] = ()
    """One line for each choice."""

    source: Mapping[str, Any] = field(default_factory=dict)
    """Where it comes from: corpus, hash of the table, rule, version."""

    def __post_init__(self) -> None:
        if self.same != "full":
            _check_offsets("same", self.same, lowest=1)
        if type(self.near) is not int or not 0 <= self.near <= MOST_OFFSET:
            raise MeloError(f"cross.near is {self.near!r}; it must be a whole number of bars, 0 to {MOST_OFFSET}")
        _check_offsets("cross.far", self.far, lowest=self.near + 1)
        if self.drums not in DRUMS:
            raise MeloError(f'drums is {self.drums!r}; it must be "masked" or "exempt"')
        if type(self.summaries) is not bool:
            raise MeloError(f"summaries is {self.summaries!r}; it must be true or false")

    def sees(self, relation: str, offset: int) -> bool:
        """May a row attend to rows of that relation (one of MASK_RELATIONS), `offset` ≥ 0 bars back?

        Raises:
            ValueError: no such relation.
        """
        if relation not in MASK_RELATIONS:
            raise ValueError(f"relation {relation!r} is not one of {', '.join(MASK_RELATIONS)}")
        if relation == "same":
            return offset == 0 or self.same == "full" or offset in self.same
        exempt = relation == "drums" and self.drums == "exempt"
        return exempt or offset <= self.near or offset in self.far

    def to_json(self) -> dict[str, Any]:
        """The JSON object `meloctl.mask/1`."""
        return {
            "format": FORMAT,
            "same": "full" if self.same == "full" else list(self.same),
            "cross": {"near": self.near, "far": list(self.far)},
            "drums": self.drums,
            "summaries": self.summaries,
            "priors": {
                "same": {str(k): v for k, v in self.same_prior.items()},
                "cross": {str(k): v for k, v in self.cross_prior.items()},
            },
            "reasons": list(self.reasons),
            "source": dict(self.source),
        }

    @staticmethod
    def from_json(data: object, *, where: str = "mask") -> "MaskSpec":
        """A spec from parsed JSON; `where` names it in errors. Unknown keys are refused."""
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            raise MeloError(f'{where}: not a mask (its "format" is not "{FORMAT}"); make one with: meloctl derive-mask')
        refuse_unknown(data, _KEYS, where)
        cross, priors, same = data.get("cross"), data.get("priors", {}), data.get("same")
        if not isinstance(cross, dict) or not isinstance(priors, dict):
            raise MeloError(f'{where}: "cross" and "priors" must be objects')
        refuse_unknown(cross, {"near", "far"}, f"{where}: cross")
        refuse_unknown(priors, {"same", "cross"}, f"{where}: priors")
        reasons, source = data.get("reasons", []), data.get("source", {})
        if (
            not isinstance(reasons, list)
            or not all(isinstance(r, str) for r in reasons)
            or not isinstance(source, dict)
        ):
            raise MeloError(f'{where}: "reasons" must be a list of lines and "source" an object')
        far = cross.get("far")
        if not isinstance(far, list) or (same != "full" and not isinstance(same, list)):
            raise MeloError(f'{where}: "same" must be "full" or a list of offsets, "cross.far" a list of offsets')
        try:
            return MaskSpec(
                same="full" if same == "full" else tuple(same),
                near=cross.get("near"),  # type: ignore[arg-type]
                far=tuple(far),
                drums=data.get("drums", "masked"),
                summaries=data.get("summaries"),  # type: ignore[arg-type]
                same_prior=_prior(priors.get("same", {})),
                cross_prior=_prior(priors.get("cross", {})),
                reasons=tuple(reasons),
                source=source,
            )
        except MeloError as error:
            raise MeloError(f"{where}: {error}") from error


def read_spec(path: Path) -> MaskSpec:
    """A spec from a file. Raises MeloError when it is missing or not a mask."""
    return MaskSpec.from_json(read_json(path, what="mask"), where=str(path))


def spec_text(spec: MaskSpec) -> str:
    """The file's text."""
    return json.dumps(spec.to_json(), indent=1, ensure_ascii=False) + "\n"


def visible_offsets(spec: MaskSpec, n_offsets: int) -> Bools:
    """(3, n_offsets) `spec.sees` of each of MASK_RELATIONS at offsets 0, 1, …: True = may attend."""
    visible = [[spec.sees(relation, k) for k in range(n_offsets)] for relation in MASK_RELATIONS]
    return np.array(visible, dtype=np.bool_)


def near_and_far(offsets: Iterable[int]) -> tuple[int, tuple[int, ...]]:
    """Offsets ≥ 1 as `near` (how far the run from 1 on reaches, 0 where 1 is not among them) and `far` (the others)."""
    chosen, near = set(offsets), 0
    while near + 1 in chosen:
        near += 1
    return near, tuple(sorted(k for k in chosen if k > near))


def _check_offsets(name: str, offsets: tuple[int, ...], *, lowest: int) -> None:
    whole = all(type(k) is int and lowest <= k <= MOST_OFFSET for k in offsets)
    if not whole or list(offsets) != sorted(set(offsets)):
        raise MeloError(
            f"{name} is {list(offsets)!r}; it must hold offsets {lowest} to {MOST_OFFSET}, ascending, each once"
        )


def _prior(data: object) -> dict[int, float]:
    if not isinstance(data, dict):
        raise MeloError("a prior must be an object of offset: similarity")
    prior = {}
    for key, value in data.items():
        if not (isinstance(key, str) and len(key) <= 5 and key.isascii() and key.isdigit() and str(int(key)) == key):
            raise MeloError(f"a prior's offset {str(key)[:20]!r} is not a whole number of bars, 0 to 99999")
        if type(value) not in (int, float) or not 0 <= value <= 1:
            raise MeloError(f"the prior at offset {key} is {value!r}; a similarity lies in 0 to 1")
        prior[int(key)] = float(value)
    return prior
