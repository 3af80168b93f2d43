"""The parts of evaluation.json that describe music: see `meloctl.evaluation/2` in docs/formats.md."""

import math
from pathlib import Path
from typing import Any

import numpy as np

from analysis.arrays import Floats
from analysis.intervals import Estimate, difference_estimates, mean_estimates
from analysis.near_duplicates import NEAR
from analysis.reading import Reading
from meloctl.evaluation.copying import COPIED_NOTES, SharedNotes, nearest_pieces, shared_notes
from meloctl.evaluation.metrics import METRICS
from meloctl.evaluation.music_metrics import MusicMetrics
from meloctl.evaluation.similarity_error import VARIANTS, error_of_real, firm_curves, mean_curves, similarity_error

FORMAT = "meloctl.evaluation/2"

HISTOGRAM_BINS = 20

MOST_COMPARED = 100
"""At most so many random pieces of the reference are compared with its other pieces."""

Shared = list[tuple[SharedNotes, tuple[float, int]]]
"""Of each piece: the runs of notes that it shares, and (Jaccard index, index) of its nearest piece."""


def finite_or_none(value: float) -> float | None:
    """The number, None for NaN and infinity, which JSON lacks."""
    return float(value) if math.isfinite(value) else None


def estimate_json(estimate: Estimate) -> tuple[float | None, list[float | None]]:
    """The value and its 95 % interval [low, high]; None where NaN."""
    return finite_or_none(estimate.value), [finite_or_none(estimate.low), finite_or_none(estimate.high)]


def music_set_json(music: MusicMetrics, path: str, reading: Reading) -> dict[str, Any]:
    """What a set of pieces holds: number of pieces, bars and notes, skipped files."""
    return {
        "path": path,
        **reading.to_json(),
        "pieces": len(music),
        "bars": int(music.bars.sum()),
        "notes": int(music.notes.sum()),
        "skipped": [{"path": str(s.path), "reason": s.reason} for s in music.skipped],
    }


def metrics_json(
    music: MusicMetrics, reference: MusicMetrics | None, random: np.random.Generator
) -> list[dict[str, Any]]:
    """Mean over pieces of each metric with its interval, and its difference to the reference.

    Args:
        music: the evaluated pieces.
        reference: real pieces; None leaves the difference out.
        random: draws the resamples of the intervals.
    """
    means = mean_estimates(music.metrics, random)
    reference_means = mean_estimates(reference.metrics, random) if reference else None
    differences = difference_estimates(music.metrics, reference.metrics, random) if reference else None
    out = []
    for i, metric in enumerate(METRICS):
        mean, interval = estimate_json(means[i])
        entry: dict[str, Any] = {"name": metric.name, "unit": metric.unit, "mean": mean, "interval": interval}
        entry["pieces"] = int(np.isfinite(music.metrics[:, i]).sum())
        if reference_means and differences:
            entry["reference_mean"], entry["reference_interval"] = estimate_json(reference_means[i])
            entry["difference"], entry["difference_interval"] = estimate_json(differences[i])
        out.append(entry)
    return out


def histograms_json(music: MusicMetrics, reference: MusicMetrics | None) -> list[dict[str, Any]]:
    """Histogram over pieces of each metric, of both sets on the same edges; no edges where no piece has the metric."""
    out = []
    for i, metric in enumerate(METRICS):
        sets = {"share": music.metrics[:, i]}
        if reference:
            sets["reference_share"] = reference.metrics[:, i]
        finite = {name: values[np.isfinite(values)] for name, values in sets.items()}
        every = np.concatenate(list(finite.values()))
        low, high = (float(every.min()), float(every.max())) if len(every) else (0.0, 0.0)
        edges = np.linspace(low, high if high > low else low + 1, HISTOGRAM_BINS + 1) if len(every) else np.zeros(0)
        shares = {
            name: (np.histogram(values, edges)[0] / max(len(values), 1)).tolist() if len(every) else []
            for name, values in finite.items()
        }
        out.append({"name": metric.name, "unit": metric.unit, "edges": edges.tolist(), **shares})
    return out


def mean_curves_of(music: MusicMetrics) -> Floats:
    """(V, T + 1) L_t of all pieces together, by variant and offset."""
    return mean_curves(music.pairs.sum(axis=0), music.similarity.sum(axis=0))


def curves_json(music: MusicMetrics, reference: MusicMetrics | None) -> list[dict[str, Any]]:
    """L_t of each variant at offsets 0 … T, None where no pair of bars is so far apart."""
    curves, reference_curves = mean_curves_of(music), mean_curves_of(reference) if reference else None
    out = []
    for v, (name, relation) in enumerate(VARIANTS):
        entry = {"similarity": name, "relation": relation, "mean": [finite_or_none(x) for x in curves[v]]}
        if reference_curves is not None:
            entry["reference_mean"] = [finite_or_none(x) for x in reference_curves[v]]
        out.append(entry)
    return out


def similarity_error_json(
    music: MusicMetrics, reference: MusicMetrics, random: np.random.Generator
) -> list[dict[str, Any]]:
    """Similarity Error of each variant, and that of random real pieces.

    Args:
        music: the evaluated pieces.
        reference: real pieces.
        random: draws the real pieces.
    """
    curves, reference_curves = (firm_curves(s.pairs.sum(axis=0), s.similarity.sum(axis=0)) for s in (music, reference))
    error = similarity_error(curves, reference_curves)
    real = error_of_real(reference.pairs, reference.similarity, len(music), random)
    out = []
    for v, (name, relation) in enumerate(VARIANTS):
        finite = real[:, v][np.isfinite(real[:, v])] if len(reference) > 1 else real[:0, v]
        mean, most = (finite.mean(), np.percentile(finite, 95)) if len(finite) else (np.nan, np.nan)
        out.append(
            {
                "similarity": name,
                "relation": relation,
                "offsets": int(np.isfinite(curves[v, 1:] - reference_curves[v, 1:]).sum()),
                "error": finite_or_none(error[v]),
                "real": finite_or_none(mean),
                "real_95": finite_or_none(most),
            }
        )
    return out


def shared_with_reference(music: MusicMetrics, reference: MusicMetrics) -> Shared:
    """What each piece shares with the reference; a file that is in both is compared with the others alone."""
    place = {str(Path(path).resolve()): i for i, path in enumerate(reference.paths)}
    same = [place.get(str(Path(path).resolve()), -1) for path in music.paths]
    runs = shared_notes(music.note_steps, reference.note_steps, same=same)
    return list(zip(runs, nearest_pieces(music.shingles, reference.shingles, same=same), strict=True))


def shared_within_reference(reference: MusicMetrics, random: np.random.Generator) -> Shared:
    """What at most MOST_COMPARED random pieces of the reference share with its other pieces."""
    some = np.sort(random.permutation(len(reference))[:MOST_COMPARED]).tolist()
    runs = shared_notes([reference.note_steps[i] for i in some], reference.note_steps, same=some)
    nearest = nearest_pieces([reference.shingles[i] for i in some], reference.shingles, same=some)
    return list(zip(runs, nearest, strict=True))


def copying_json(shared: Shared) -> dict[str, Any]:
    """Summary over pieces of what they share."""
    longest = np.array([notes.longest for notes, _ in shared])
    share = np.array([notes.share for notes, _ in shared])
    share = share[np.isfinite(share)]
    return {
        "pieces": len(shared),
        "longest_run_median": float(np.median(longest)),
        "longest_run_most": int(longest.max()),
        "copied_share_mean": float(share.mean()) if len(share) else None,
        "copied_share_most": float(share.max()) if len(share) else None,
        "nearest_median": float(np.median([similarity for _, (similarity, _) in shared])),
        "near_copies": sum(similarity >= NEAR for _, (similarity, _) in shared),
    }


def music_json(
    music: MusicMetrics, reference: MusicMetrics | None, *, seed: int, shared: Shared | None
) -> dict[str, Any]:
    """Metrics, histograms and curves of music, and with a reference Similarity Error and copies.

    Args:
        music: the evaluated pieces.
        reference: real pieces, or None.
        seed: of the resamples and of the random pieces.
        shared: from `shared_with_reference`; None where there is no reference.
    """
    random = np.random.default_rng(seed)
    out: dict[str, Any] = {
        "metrics": metrics_json(music, reference, random),
        "histograms": histograms_json(music, reference),
        "curves": curves_json(music, reference),
    }
    if reference and shared is not None:
        out["similarity_error"] = similarity_error_json(music, reference, random)
        within = shared_within_reference(reference, random) if len(reference) > 1 else None
        out["copying"] = {
            "run_counts_from": COPIED_NOTES,
            "near_copy_from": NEAR,
            **copying_json(shared),
            "among_reference": copying_json(within) if within else None,
        }
    return out
