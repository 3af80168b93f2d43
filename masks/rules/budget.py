"""The rule of a budget: the most alike offsets that a given share of dense causal attention's work pays for."""

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
    """The offsets with the most likeness (see `masks.cost.similarity_recall`) for their work, as many as the share pays for.

    One's own bar is always seen. Then offsets are taken one by one, the most likeness per pair of rows first, of equal
    ones the nearer and then one's own part's; one that no longer fits is passed over. Offsets with too few pairs
    are treated as the seed's rule treats them, unmeasured ones are not chosen.

    Args:
        curves: similarity by offset.
        pairs: pairs of rows, of the pieces that the mask is for.
        share: of the pairs of rows that dense causal attention sees, over 0 and up to 1; never exceeded.
        drums: "exempt" shows drums everything, and the budget pays for it.

    Raises:
        MeloError: no offset ≥ 1 in one of the curves, or a share that does not pay for one's own bar.
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
    for choice in _by_worth(measured_offsets(curves, pairs), pairs, drums):
        work = _work(choice, pairs, drums) / pairs.total
        if spent + work <= share + _ROUNDING:
            spent += work
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
            "Summaries: on. What the mask hides is still heard through one vector for each earlier bar.",
            *left_out(curves),
        ),
        source={"rule": "budget", "share": share, "used": used},
    )


def _work(choice: RelationOffset, pairs: RowPairs, drums: str) -> float:
    """Pairs of rows that a choice costs: where drums are masked, another part may be drums."""
    also = pairs.work("drums", choice.offset) if choice.relation == "cross" and drums == "masked" else 0.0
    return pairs.work(choice.relation, choice.offset) + also


def _by_worth(every: list[RelationOffset], pairs: RowPairs, drums: str) -> list[RelationOffset]:
    worth = {c: c.likeness / _work(c, pairs, drums) for c in every}
    return sorted(every, key=lambda c: (-worth[c], c.offset, c.relation != "same"))


def _order(least: RelationOffset, taken: list[RelationOffset], passed: list[RelationOffset]) -> str:
    said = (
        f"Order: the most alike first, by similarity above that of the least alike offset ({_name(least)}, "
        f"{least.similarity:.3f}), for the pairs of rows that it costs."
    )
    if taken:
        said += f" First {_name(taken[0])} ({taken[0].similarity:.3f}), last {_name(taken[-1])} ({taken[-1].similarity:.3f})."
    return said + (
        f" The first that the budget does not pay for: {_name(passed[0])} ({passed[0].similarity:.3f})."
        if passed
        else " It pays for every offset that was measured well enough."
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
