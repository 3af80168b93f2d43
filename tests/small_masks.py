"""Masks, curves and gates small enough to check by hand."""

from analysis.offset_table_file import Curves
from masks.rules.learned import Gate, GateCurve, LearnedGates
from masks.spec import MaskSpec

SEED = MaskSpec(
    same="full",
    near=2,
    far=(4,),
    summaries=True,
    same_prior={1: 0.5},
    cross_prior={0: 0.25},
    reasons=("because",),
    source={"rule": "seed"},
)


def curves(same, cross, pairs=None):
    return Curves(measure="pc-jaccard", same=same, cross=cross, pairs=pairs or {}, table_hash="0")


def gate_curve(learned, *, prior=None, density=None, beyond=0.0, beyond_density=0.1):
    """Offsets that are not named are shut."""
    offsets = range(1, max(learned) + 1)
    return GateCurve(
        offsets={
            k: Gate(prior=(prior or {}).get(k, 0.3), learned=learned.get(k, 0.25), density=(density or {}).get(k, 0.1))
            for k in offsets
        },
        beyond=Gate(prior=0.3, learned=beyond, density=beyond_density),
    )


def learned_gates(same, cross, **change):
    return LearnedGates(**{"same": same, "cross": cross, "drums": "masked", "summaries": True, **change})


LEARNED_GATES = learned_gates(
    gate_curve({4: 0.1, 6: 0.9, 12: 0.5}, prior={4: 0.7, 12: 0.4}, density={6: 0.07, 12: 0.02}),
    gate_curve({1: 0.8, 2: 0.6, 5: 0.7}),
)
