"""Everything that is found out about a set of pieces, as JSON: see `meloctl.evaluation/1` in docs/formats.md."""

import math
from pathlib import Path
from typing import Any

import numpy as np

from analysis.arrays import Floats
from analysis.near_duplicates import NEAR
from meloctl.evaluation.copying import LONG, SharedNotes, copied, nearest
from meloctl.evaluation.intervals import Estimate, difference_estimates, mean_estimates
from meloctl.evaluation.metrics import METRICS
from meloctl.evaluation.music_metrics import MusicMetrics
from meloctl.evaluation.similarity_error import VARIANTS, error_of_real, firm_curves, mean_curves, similarity_error

FORMAT = "meloctl.evaluation/1"

MOST_COMPARED = 100
"""At most so many reference pieces, drawn by lot, tell how much real pieces share among themselves."""

Shared = list[tuple[SharedNotes, tuple[float, int]]]
"""Of each piece: its runs, and (likeness, index) of its nearest piece."""


def known(value: float) -> float | None:
    """JSON has no NaN."""
    return float(value) if math.isfinite(value) else None


def told(estimate: Estimate) -> tuple[float | None, list[float | None]]:
    """(value, interval)"""
    return known(estimate.value), [known(estimate.low), known(estimate.high)]


def set_facts(judged: MusicMetrics, path: str, meter: str | None) -> dict[str, Any]:
    """What a set of pieces is."""
    return {
        "path": path,
        "meter": meter,
        "pieces": len(judged),
        "bars": int(judged.bars.sum()),
        "notes": int(judged.notes.sum()),
        "skipped": [{"path": str(s.path), "reason": s.reason} for s in judged.skipped],
    }


def metric_facts(
    mine: MusicMetrics, reference: MusicMetrics | None, random: np.random.Generator
) -> list[dict[str, Any]]:
    """Mean of each metric with its interval, and the distance to the reference."""
    ours = mean_estimates(mine.measures, random)
    theirs = mean_estimates(reference.measures, random) if reference else None
    apart = difference_estimates(mine.measures, reference.measures, random) if reference else None
    out = []
    for i, metric in enumerate(METRICS):
        mean, interval = told(ours[i])
        facts: dict[str, Any] = {"name": metric.name, "unit": metric.unit, "mean": mean, "interval": interval}
        facts["pieces"] = int(np.isfinite(mine.measures[:, i]).sum())
        if theirs and apart:
            facts["reference_mean"], facts["reference_interval"] = told(theirs[i])
            facts["difference"], facts["difference_interval"] = told(apart[i])
        out.append(facts)
    return out


def curves_of(judged: MusicMetrics) -> Floats:
    """(V, T + 1) L_t of a set, by variant."""
    return mean_curves(judged.pairs.sum(axis=0), judged.similarity.sum(axis=0))


def curve_facts(mine: MusicMetrics, reference: MusicMetrics | None) -> list[dict[str, Any]]:
    """L_t by variant, offsets 0 … T in order, null where there is no pair."""
    ours, theirs = curves_of(mine), curves_of(reference) if reference else None
    return [
        {
            "similarity": name,
            "relation": relation,
            "mean": [known(x) for x in ours[v]],
            **({"reference_mean": [known(x) for x in theirs[v]]} if theirs is not None else {}),
        }
        for v, (name, relation) in enumerate(VARIANTS)
    ]


def error_facts(mine: MusicMetrics, reference: MusicMetrics, random: np.random.Generator) -> list[dict[str, Any]]:
    """Similarity Error by variant, and what it is between real pieces."""
    ours, theirs = (firm_curves(s.pairs.sum(axis=0), s.similarity.sum(axis=0)) for s in (mine, reference))
    error = similarity_error(ours, theirs)
    real = error_of_real(reference.pairs, reference.similarity, len(mine), random)
    out = []
    for v, (name, relation) in enumerate(VARIANTS):
        chance = real[:, v][np.isfinite(real[:, v])] if len(reference) > 1 else real[:0, v]
        mean, most = (chance.mean(), np.percentile(chance, 95)) if len(chance) else (np.nan, np.nan)
        offsets = int(np.isfinite(ours[v, 1:] - theirs[v, 1:]).sum())
        out.append(
            {
                "similarity": name,
                "relation": relation,
                "offsets": offsets,
                "error": known(error[v]),
                "real": known(mean),
                "real_95": known(most),
            }
        )
    return out


def shared_with(judged: MusicMetrics, reference: MusicMetrics) -> Shared:
    """What each piece shares with the reference; a file that is in both is held against the others."""
    place = {str(Path(name).resolve()): i for i, name in enumerate(reference.names)}
    own = [place.get(str(Path(name).resolve()), -1) for name in judged.names]
    runs = copied(judged.steps, reference.steps, own=own)
    return list(zip(runs, nearest(judged.turns, reference.turns, own=own), strict=True))


def shared_among(reference: MusicMetrics, random: np.random.Generator) -> Shared:
    """The same of some pieces of the reference, each against all others."""
    some = np.sort(random.permutation(len(reference))[:MOST_COMPARED]).tolist()
    runs = copied([reference.steps[i] for i in some], reference.steps, own=some)
    return list(zip(runs, nearest([reference.turns[i] for i in some], reference.turns, own=some), strict=True))


def copying_facts(shared: Shared) -> dict[str, Any]:
    """A summary of what pieces share."""
    longest = np.array([c.longest for c, _ in shared])
    share = np.array([c.share for c, _ in shared])
    share = share[np.isfinite(share)]
    return {
        "pieces": len(shared),
        "longest_run_median": float(np.median(longest)),
        "longest_run_most": int(longest.max()),
        "copied_share_mean": float(share.mean()) if len(share) else None,
        "copied_share_most": float(share.max()) if len(share) else None,
        "nearest_median": float(np.median([n for _, (n, _) in shared])),
        "near_copies": sum(n >= NEAR for _, (n, _) in shared),
    }


def judging(mine: MusicMetrics, reference: MusicMetrics | None, *, seed: int, shared: Shared | None) -> dict[str, Any]:
    """All but the model: metrics, curves, errors, copies. `shared`: from `shared_with`, where there is a reference."""
    random = np.random.default_rng(seed)
    facts: dict[str, Any] = {
        "metrics": metric_facts(mine, reference, random),
        "curves": curve_facts(mine, reference),
    }
    if reference and shared is not None:
        facts["similarity_error"] = error_facts(mine, reference, random)
        among = shared_among(reference, random) if len(reference) > 1 else None
        facts["copying"] = {
            "run_counts_from": LONG,
            "near_copy_from": NEAR,
            **copying_facts(shared),
            "among_reference": copying_facts(among) if among else None,
        }
    return facts
