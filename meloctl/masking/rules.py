"""What `meloctl derive-mask --rule` offers: each rule, the options that belong to it, and the pieces it is costed on."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from analysis.corpus import find_files, fingerprint
from analysis.errors import MeloError
from analysis.json_file import read_json
from analysis.offset_table_file import Curves, read_curves
from analysis.piece import meter as parse_meter
from masks.cost.row_pairs import PieceRows, mean_pairs
from masks.cost.sample import read_piece_rows, sample_files
from masks.rules.baselines import causal_mask, museformer_mask, random_mask, window_mask, with_priors
from masks.rules.budget import budget_mask
from masks.rules.seed import derive_mask
from masks.spec import DRUMS, MOST_OFFSET, MaskSpec, read_spec
from meloctl import __version__
from meloctl.cli.common import progress
from meloctl.workspace import MANIFEST, Recipe

RULE_OPTIONS: dict[str, tuple[str, ...]] = {
    "seed": ("far", "drums"),
    "budget": ("share", "drums", "corpus"),
    "museformer": ("drums",),
    "window": ("bars", "drums"),
    "causal": (),
    "random": ("seed", "like", "drums", "corpus"),
}
"""{rule: the options that it uses}"""

_DEFAULTS = {"far": 1, "share": 0.3, "seed": 0, "drums": "masked"}
_OPTIONS = ("far", "share", "bars", "seed", "drums")
"""What the manifest records as options; files that were read are its inputs."""

PIECES = 200
"""Pieces on which a rule counts rows, at most."""

Drums = Literal["masked", "exempt"]


@dataclass(frozen=True, kw_only=True)
class RuleOptions:
    """The options of a rule as they were given; None where they were not."""

    far: int | None = None
    share: float | None = None
    bars: int | None = None
    seed: int | None = None
    like: Path | None = None
    drums: str | None = None
    corpus: Path | None = None


@dataclass(frozen=True, kw_only=True)
class CostedCorpus:
    """A corpus on whose pieces masks are costed."""

    corpus: Path
    paths: list[Path]
    fingerprint: str
    meter: str | None

    def read(self, most: int) -> list[PieceRows]:
        """Rows per cell of at most so many of its pieces, chosen by hash, with a progress bar."""
        chosen = sample_files(self.paths, self.corpus, most)
        with progress() as reporter:
            reporter.stage("counting rows", len(chosen))
            meter = parse_meter(self.meter) if self.meter else None
            return read_piece_rows(chosen, meter=meter, on_file=reporter.advance)

    def to_json(self) -> dict[str, Any]:
        """As a manifest records it."""
        return {"corpus": str(self.corpus), "fingerprint": self.fingerprint, "meter": self.meter}


@dataclass(frozen=True, kw_only=True)
class Derivation:
    """A rule with all it needs."""

    recipe: Recipe
    make: Callable[[], MaskSpec]


_UNMEASURED = ("museformer", "window", "causal")
"""Rules that take nothing from the table but where gates start from."""


def plan_derivation(rule: str, told: RuleOptions, table: Path, *, named: bool) -> Derivation:
    """Check a rule's options and say what it will do.

    Args:
        rule: one of RULE_OPTIONS.
        told: the options.
        table: file of offsets; a finished run's manifest beside it names the corpus.
        named: the user named the table, so it is known by its file's name, otherwise by its run's.

    Raises:
        MeloError: no such rule, an option out of range or that the rule does not use, a corpus that is needed and gone.
    """
    _check(rule, told)
    curves = read_curves(table, both=rule not in _UNMEASURED)
    name = table.stem if named else table.parent.name
    label = name if named else name.rsplit("-", 1)[0]
    like = read_spec(told.like) if told.like else None
    counted = costed_corpus(table, told.corpus) if "corpus" in RULE_OPTIONS[rule] else None
    values = {**vars(told), **{k: v for k, v in _DEFAULTS.items() if getattr(told, k) is None}}
    inputs: dict[str, Any] = {"table": str(table.resolve()), "numbers": curves.table_hash}
    if counted:
        inputs |= counted.to_json()
    if like:
        inputs["like"] = like.to_json()
    recipe = Recipe(
        stage="mask",
        command="derive-mask",
        inputs=inputs,
        options={"rule": rule, **{k: values[k] for k in RULE_OPTIONS[rule] if k in _OPTIONS}},
        label=label if rule == "seed" else f"{label}-{rule}",
    )
    return Derivation(recipe=recipe, make=lambda: _made(rule, values, curves, name, like, counted))


def _made(
    rule: str, told: dict[str, Any], curves: Curves, name: str, like: MaskSpec | None, counted: CostedCorpus | None
) -> MaskSpec:
    """The mask of a rule whose options were checked."""
    drums, pairs = told["drums"], mean_pairs(counted.read(PIECES)) if counted else None
    if rule == "seed":
        return derive_mask(curves, n_far=told["far"], drums=drums, version=__version__, corpus=name)
    if rule == "budget" and pairs:
        spec = budget_mask(curves, pairs, share=told["share"], drums=drums)
    elif rule == "random" and pairs:
        model = like or derive_mask(curves, drums=drums)
        spec = random_mask(model, pairs, np.random.default_rng(told["seed"]))
        spec = replace(spec, source={**spec.source, "seed": told["seed"]})
    elif rule == "museformer":
        spec = museformer_mask(drums=drums)
    elif rule == "window":
        spec = window_mask(told["bars"], drums=drums)
    else:
        spec = causal_mask()
    return with_priors(spec, curves, version=__version__, corpus=name)


def costed_corpus(table: Path, corpus: Path | None) -> CostedCorpus:
    """The corpus that `corpus` names, or else the manifest beside the table.

    Raises:
        MeloError: neither names one, or it is gone.
    """
    manifest = table.parent / MANIFEST
    told = read_json(manifest, what="manifest") if manifest.is_file() else {}
    inputs, options = (told.get(k) if isinstance(told, dict) else None for k in ("inputs", "options"))
    measured = inputs.get("corpus") if isinstance(inputs, dict) else None
    meter = options.get("meter") if isinstance(options, dict) else None
    if corpus is None and not isinstance(measured, str):
        raise MeloError(f"{table}: does not say on which corpus it was measured; name a folder of MIDI with --corpus")
    found = corpus or Path(str(measured))
    if corpus is None and not found.exists():
        raise MeloError(
            f"{found}: the corpus that was measured is gone, and rows are counted in it; name one with --corpus"
        )
    paths = find_files(found)
    same = isinstance(measured, str) and found.resolve() == Path(measured).resolve()
    return CostedCorpus(
        corpus=found.resolve(),
        paths=paths,
        fingerprint=fingerprint(paths, found),
        meter=meter if same and isinstance(meter, str) else None,
    )


def check_drums(drums: str | None) -> Drums:
    """Raises MeloError unless it is masked, exempt or not given, which means masked."""
    if drums not in (None, *DRUMS):
        raise MeloError(f"--drums {drums}: give masked or exempt")
    return "exempt" if drums == "exempt" else "masked"


def _check(rule: str, told: RuleOptions) -> None:
    if rule not in RULE_OPTIONS:
        raise MeloError(f"--rule {rule}: no such rule; choose one of {', '.join(RULE_OPTIONS)}")
    for option, value in vars(told).items():
        if value is not None and option not in RULE_OPTIONS[rule]:
            users = ", ".join(r for r, options in RULE_OPTIONS.items() if option in options)
            raise MeloError(f"--{option} is not for --rule {rule}; leave it out, or take a rule that uses it: {users}")
    check_drums(told.drums)
    if told.like and told.drums:
        raise MeloError("--drums beside --like: the mask that --like names says what becomes of drums; leave one out")
    if rule == "window" and told.bars is None:
        raise MeloError("--rule window: give --bars N, how many earlier bars to see")
    for option, value, low, high, what in (
        ("far", told.far, 0, 32, "how many far offsets to show"),
        ("bars", told.bars, 0, MOST_OFFSET, "how many earlier bars to see"),
        ("seed", told.seed, 0, 2**63 - 1, "a whole number"),
    ):
        if value is not None and not low <= value <= high:
            raise MeloError(f"--{option} {value}: give {what}, {low} to {high}")
    if told.share is not None and not 0 < told.share <= 1:
        raise MeloError(f"--share {told.share:g}: give a share of dense causal attention's work, over 0 and up to 1")
