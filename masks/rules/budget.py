"""The budget rule: the most similar offsets within a share of dense causal attention's pairs of rows."""

from typing import Literal

from msgspec.structs import replace

from analysis.errors import MeloError
from analysis.offset_table_file import Curves
from masks.cost.row_pairs import RowPairs
from masks.cost.similarity_recall import RelationOffset, least_similar, measured_offsets
from masks.describe import density, drums_reasons, format_offsets
from masks.rules.seed import left_out
from masks.spec import MaskSpec, near_and_far

_ROUNDING = 1e-12


def budget_mask(
    curves: Curves, pairs: RowPairs, *, share: float, drums: Literal["masked", "exempt"] = "masked"
) -> MaskSpec:
    """The mask of the offsets with the most excess similarity (see `masks.cost.similarity_recall`) per pair of rows.

    The own bar is always shown. Then offsets are chosen one by one, the most excess per pair of rows first, of equal ones the
    nearer and then the own part's; one that no longer fits is passed over. Offsets with too few pairs are treated as the
    seed's rule treats them, unmeasured ones are not chosen.

    Args:
        curves: similarity by offset.
        pairs: of the pieces that the mask is for.
        share: of dense causal attention's pairs of rows, over 0 and up to 1; never exceeded.
        drums: "exempt" shows every pair of drums with another part, at the cost of the share.

    Raises:
        MeloError: no offset ≥ 1 in one of the curves, or a share that is smaller than that of the own bar.
    """
    if not 0 < share <= 1:
        reason = "give a share of dense causal attention's pairs of rows, over 0 and up to 1"
        raise MeloError(reason, field="share", given=share)
    least = MaskSpec(same=(), near=0, far=(), drums=drums, summaries=True)
    spent = least_share = density(least, pairs)
    if spent > share:
        what = "the bar itself costs" if drums == "masked" else "the bar itself and drums that are not masked cost"
        reason = f"too small: {what} {spent:.4f} of dense causal attention's pairs of rows; give more"
        raise MeloError(reason, field="share", given=share)
    taken: list[RelationOffset] = []
    passed: list[RelationOffset] = []
    for choice in _best_first(measured_offsets(curves, pairs), pairs, drums):
        cost = _pairs_of(choice, pairs, drums) / pairs.total
        if spent + cost <= share + _ROUNDING:
            spent += cost
            taken.append(choice)
        else:
            passed.append(choice)
    shown = {r: sorted(c.offset for c in taken if c.relation == r) for r in ("same", "cross")}
    near, far = near_and_far(shown["cross"])
    spec = replace(least, same=tuple(shown["same"]), near=near, far=far)
    used = density(spec, pairs)
    return replace(
        spec,
        reasons=(
            f"Budget: {used:.3f} of dense causal attention's pairs of rows are shown, {share:.3f} are allowed. "
            f"Of these, one's own bar {'takes' if drums == 'masked' else 'and drums take'} {least_share:.3f}.",
            _order(least_similar(curves), taken, passed),
            *(_chosen(name, relation, taken) for name, relation in (("Own part", "same"), ("Other parts", "cross"))),
            *drums_reasons(drums),
            "Summaries: on. Of what the mask hides, one vector for each earlier bar is left.",
            *left_out(curves),
        ),
        source={"rule": "budget", "share": share, "used": used},
    )


def _pairs_of(choice: RelationOffset, pairs: RowPairs, drums: str) -> float:
    """Pairs of rows that showing an offset adds: where drums are masked, another part may be drums."""
    also = pairs.at("drums", choice.offset) if choice.relation == "cross" and drums == "masked" else 0.0
    return pairs.at(choice.relation, choice.offset) + also


def _best_first(every: list[RelationOffset], pairs: RowPairs, drums: str) -> list[RelationOffset]:
    """Offsets by excess similarity per pair of rows, highest first."""
    per_pair = {c: c.excess / _pairs_of(c, pairs, drums) for c in every}
    return sorted(every, key=lambda c: (-per_pair[c], c.offset, c.relation != "same"))


def _order(least: RelationOffset, taken: list[RelationOffset], passed: list[RelationOffset]) -> str:
    text = (
        f"Order: the most similar first, by similarity above that of the least similar offset ({_name(least)}, "
        f"{least.similarity:.3f}), per pair of rows."
    )
    if taken:
        text += f" First {_name(taken[0])} ({taken[0].similarity:.3f}), last {_name(taken[-1])} ({taken[-1].similarity:.3f})."
    return text + (
        f" The first that does not fit into the budget: {_name(passed[0])} ({passed[0].similarity:.3f})."
        if passed
        else " Every offset that was measured well enough fits."
    )


def _chosen(name: str, relation: str, taken: list[RelationOffset]) -> str:
    mine = sorted((c for c in taken if c.relation == relation), key=lambda c: c.offset)
    if not mine:
        return f"{name}: no earlier bar."
    low, high = min(c.similarity for c in mine), max(c.similarity for c in mine)
    similarity = f"{low:.3f} to {high:.3f}" if len(mine) > 1 else f"{low:.3f}"
    return f"{name}: {format_offsets([c.offset for c in mine])} back ({similarity})."


def _name(choice: RelationOffset) -> str:
    return f"{'own part' if choice.relation == 'same' else 'other parts'} {choice.offset} back"
