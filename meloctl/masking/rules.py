"""The rules of `meloctl derive-mask --rule`: the options that belong to each, and what it makes of them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from msgspec.structs import replace

from analysis.errors import MeloError
from analysis.offset_table_file import Curves, read_curves
from masks.cost.row_pairs import RowPairs, mean_pairs
from masks.rules.baselines import Drums, causal_mask, museformer_mask, random_mask, window_mask, with_priors
from masks.rules.budget import budget_mask
from masks.rules.seed import derive_mask
from masks.spec import DRUMS, MOST_OFFSET, MaskSpec
from meloctl import __version__
from meloctl.masking.costed_corpus import CostedCorpus, costed_corpus
from meloctl.progress import ProgressReporter
from meloctl.workspace import Recipe

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
_RECORDED = ("far", "share", "bars", "seed", "drums")
"""Options that a manifest records as such; files that were read are its inputs."""

_WITHOUT_CURVES = ("museformer", "window", "causal")
"""Rules that take nothing from the table but the priors of gates."""

PIECES = 200
"""Pieces in which a rule counts rows, at most."""


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
class RulePlan:
    """A rule with checked options and all inputs named."""

    recipe: Recipe
    derive: Callable[[ProgressReporter], MaskSpec]
    """Reads the pieces that the rule needs, and gives its mask."""


def plan_rule(rule: str, options: RuleOptions, table: Path, *, named: bool) -> RulePlan:
    """A rule's options and inputs, checked, as a recipe and a function that derives the mask.

    Args:
        rule: one of RULE_OPTIONS.
        options: as they were given.
        table: file of offsets; a finished run's manifest beside it names the corpus.
        named: the user named the table, so it is known by its file's name, otherwise by its run's.

    Raises:
        MeloError: no such rule, an option out of range or that the rule does not use, a corpus that is needed and gone.
    """
    _check(rule, options)
    curves = read_curves(table, both=rule not in _WITHOUT_CURVES)
    name = table.stem if named else table.parent.name
    label = name if named else name.rsplit("-", 1)[0]
    like = MaskSpec.read(options.like) if options.like else None
    corpus = costed_corpus(table, options.corpus) if "corpus" in RULE_OPTIONS[rule] else None
    values = {**vars(options), **{k: v for k, v in _DEFAULTS.items() if getattr(options, k) is None}}
    inputs: dict[str, Any] = {"table": str(table.resolve()), "numbers": curves.table_hash}
    if corpus:
        inputs |= corpus.to_json()
    if like:
        inputs["like"] = like.to_json()
    recipe = Recipe(
        stage="mask",
        command="derive-mask",
        inputs=inputs,
        options={"rule": rule, **{k: values[k] for k in RULE_OPTIONS[rule] if k in _RECORDED}},
        label=label if rule == "seed" else f"{label}-{rule}",
    )
    return RulePlan(
        recipe=recipe, derive=lambda progress: _derive(rule, values, curves, name, like, _pairs(corpus, progress))
    )


def _pairs(corpus: CostedCorpus | None, progress: ProgressReporter) -> RowPairs | None:
    return mean_pairs(corpus.read(PIECES, progress=progress)) if corpus else None


def _derive(
    rule: str, options: dict[str, Any], curves: Curves, name: str, like: MaskSpec | None, pairs: RowPairs | None
) -> MaskSpec:
    """The mask of a rule whose options were checked and completed."""
    drums = options["drums"]
    if rule == "seed":
        return derive_mask(curves, n_far=options["far"], drums=drums, version=__version__, corpus=name)
    if rule == "budget" and pairs:
        spec = budget_mask(curves, pairs, share=options["share"], drums=drums)
    elif rule == "random" and pairs:
        model = like or derive_mask(curves, drums=drums)
        spec = random_mask(model, pairs, np.random.default_rng(options["seed"]))
        spec = replace(spec, source={**spec.source, "seed": options["seed"]})
    elif rule == "museformer":
        spec = museformer_mask(drums=drums)
    elif rule == "window":
        spec = window_mask(options["bars"], drums=drums)
    else:
        spec = causal_mask()
    return with_priors(spec, curves, version=__version__, corpus=name)


def parse_drums(drums: str | None) -> Drums:
    """The option `drums`; masked where it is not given. Raises MeloError unless it is masked or exempt."""
    if drums not in (None, *DRUMS):
        raise MeloError("give masked or exempt", field="drums", given=drums)
    return "exempt" if drums == "exempt" else "masked"


def _check(rule: str, options: RuleOptions) -> None:
    if rule not in RULE_OPTIONS:
        raise MeloError(f"no such rule; choose one of {', '.join(RULE_OPTIONS)}", field="rule", given=rule)
    for option, value in vars(options).items():
        if value is not None and option not in RULE_OPTIONS[rule]:
            users = ", ".join(r for r, used in RULE_OPTIONS.items() if option in used)
            raise MeloError(f"not for `rule {rule}`; leave it out, or take a rule that uses it: {users}", field=option)
    parse_drums(options.drums)
    if options.like and options.drums:
        raise MeloError(
            "not beside `like`, whose mask says what becomes of drums; leave one of them out", field="drums"
        )
    if rule == "window" and options.bars is None:
        raise MeloError("give `bars N`, how many earlier bars to show", field="rule", given=rule)
    for option, value, low, high, what in (
        ("far", options.far, 0, 32, "how many far offsets to show"),
        ("bars", options.bars, 0, MOST_OFFSET, "how many earlier bars to show"),
        ("seed", options.seed, 0, 2**63 - 1, "a whole number"),
    ):
        if value is not None and not low <= value <= high:
            raise MeloError(f"give {what}, {low} to {high}", field=option, given=value)
    if options.share is not None and not 0 < options.share <= 1:
        raise MeloError(
            "give a share of dense causal attention's pairs of rows, over 0 and up to 1",
            field="share",
            given=options.share,
        )
