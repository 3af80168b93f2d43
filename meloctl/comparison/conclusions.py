"""Conclusions of a comparison in sentences, and notes on how far they can be trusted."""

from collections.abc import Sequence
from typing import Any

from meloctl.evaluation.evaluation_text import FEW_PIECES, beyond_real, excludes_zero
from meloctl.formatting import capitalised, interval, listed, number, one_decimal, percent

UNEQUAL = 1.1
"""Ratio from which two runs' numbers of steps or parameters are noted as different."""

_SHOWN = 0.0005
"""The least difference that three decimals show."""


def is_marked(difference: float | None, ends: Sequence[float | None]) -> bool:
    """True where the interval of a difference excludes 0, and three decimals show the difference."""
    return difference is not None and abs(difference) >= _SHOWN and excludes_zero(ends)


def pair_sentence(run: str, baseline: str, difference: float, ends: Sequence[float | None]) -> str:
    """What a pair of runs shows, without capital and full stop.

    Args:
        run: letter of one run.
        baseline: letter of the run that it is compared with.
        difference: bits a note of `run` minus those of `baseline`.
        ends: [low, high] of its 95 % interval.
    """
    low, high = ends
    if low is None or high is None:
        more = "more" if difference > 0 else "less"
        return f"{run} takes {number(abs(difference))} bits a note {more} than {baseline}; one piece gives no interval"
    if not excludes_zero(ends):
        text = f"{number(difference, sign=True)} bits a note, 95 %: {interval(ends, sign=True)}"
        return f"no difference between {run} and {baseline} can be shown ({run} less {baseline}: {text})"
    better = "better" if difference < 0 else "worse"
    size = interval(sorted((abs(low), abs(high))))
    return f"{run} is {better} than {baseline} by {number(abs(difference))} bits a note (95 %: {size})"


def conclusions(comparison: dict[str, Any]) -> list[str]:
    """The findings in sentences, the most important first, from the object of comparison.json."""
    runs, first = comparison["runs"], comparison["runs"][0]["letter"]
    lines = [_best_run(comparison)] if len(runs) > 2 else []
    for pair in comparison["pairs"]:
        if pair["baseline"] == first and pair["difference"] is not None:
            text = pair_sentence(pair["run"], first, pair["difference"], pair["interval"])
            lines.append(f"{capitalised(text)}.")
    lines.append(_forward_time(runs))
    if comparison["music"]:
        lines.append(_music(runs))
    return lines


def notes(comparison: dict[str, Any]) -> list[str]:
    """What limits the conclusions, from the object of comparison.json."""
    runs, held_out = comparison["runs"], comparison["held_out"]
    lines = []
    if comparison["corpus"]["changed"]:
        lines.append("Files of the corpus have changed since training; a piece may be on another side of the split now")
    if held_out["side"] == "validation":
        lines.append("No test piece is left; validation pieces chose the best step of each run, and flatter it")
    if held_out[held_out["side"]]["pieces"] < FEW_PIECES:
        lines.append(f"Fewer than {FEW_PIECES} pieces: intervals are too narrow, and conclusions are hints at most")
    if left := held_out["left_out"]:
        lines.append(
            f"{left['rows']:,} of {left['of']:,} rows are left out for all runs, since {listed(left['because_of'])} "
            f"{'does' if len(left['because_of']) == 1 else 'do'} not predict them"
        )
    if len({run["context"] for run in runs}) > 1:
        lines.append(f"All runs read windows of {held_out['context']:,} rows, the smallest context among them")
    lines += _unequal_runs(runs)
    lines.append(_training_seeds(comparison))
    if (pairs := len(comparison["pairs"])) > 1:
        lines.append(
            f"Each interval is for one pair: of 20 like those of these {pairs} pairs, one misses the true value"
        )
    return lines


def _best_run(comparison: dict[str, Any]) -> str:
    """The run with the least loss, and the runs that it is better than."""
    side = comparison["held_out"]["side"]
    scored = [run for run in comparison["runs"] if run["bits"][side]["bits_per_note"] is not None]
    if not scored:
        return "No held-out piece has a note."
    best = min(scored, key=lambda run: run["bits"][side]["bits_per_note"])
    unclear = [
        ({pair["run"], pair["baseline"]} - {best["letter"]}).pop()
        for pair in comparison["pairs"]
        if best["letter"] in (pair["run"], pair["baseline"]) and not excludes_zero(pair["interval"])
    ]
    text = f"{best['letter']} takes the fewest bits a note on {side} pieces: {number(best['bits'][side]['bits_per_note'])}; "
    if not unclear:
        return f"{text}it is better than every other run."
    others = [run["letter"] for run in comparison["runs"] if run["letter"] not in (best["letter"], *unclear)]
    better = f"it is better than {listed(others)}, but " if others else ""
    return f"{text}{better}no difference to {listed(unclear)} can be shown."


def _forward_time(runs: Sequence[dict[str, Any]]) -> str:
    ratios = ", ".join(f"{run['forward']['ratio']:.2f} for {run['letter']}" for run in runs[1:])
    return f"Time of a forward pass, as a multiple of {runs[0]['letter']}'s: {ratios}."


def _music(runs: Sequence[dict[str, Any]]) -> str:
    """In how many variants of Similarity Error each run is as near to the corpus as random pieces of the corpus are."""
    text = []
    for run in runs:
        if run["music"]:
            errors = [e for e in run["music"]["similarity_error"] if None not in (e["error"], e["real_95"])]
            within = sum(not beyond_real(e) for e in errors)
            text.append(f"{within} of {len(errors)} for {run['letter']}")
    return f"Variants of Similarity Error in which bars repeat as in the corpus: {', '.join(text)}."


def _unequal_runs(runs: Sequence[dict[str, Any]]) -> list[str]:
    """Notes on runs that took more steps than others, have more parameters, or were trained with another share of infill."""
    lines = []
    minutes, steps = ([n for run in runs if (n := run["training"][name])] for name in ("minutes", "steps"))
    if steps and max(steps) > UNEQUAL * min(steps):
        time = f" in {one_decimal(min(minutes))} to {one_decimal(max(minutes))} minutes" if minutes else ""
        lines.append(
            f"Training took {min(steps):,} to {max(steps):,} steps{time}: a run may be better only because it took more. Where "
            "minutes are the limit, a busy machine takes fewer; train for equal epochs instead"
        )
    sizes = [run["parameters"] / 1e6 for run in runs]
    if max(sizes) > UNEQUAL * min(sizes):
        lines.append(f"Models have {min(sizes):.1f}M to {max(sizes):.1f}M parameters")
    shares = [run["training"]["infill"] for run in runs]
    if min(shares) < max(shares):
        each = ", ".join(f"{run['letter']} {percent(share)}" for run, share in zip(runs, shares, strict=True))
        lines.append(
            f"Share of training windows with masked bars: {each}. Learning to infill takes from plain music; for equal terms "
            "train all with the same share"
        )
    return lines


def _training_seeds(comparison: dict[str, Any]) -> str:
    """That intervals do not cover the seed of training, with the differences between runs of other seeds if there are any."""
    text = "Intervals cover the choice of pieces, not the seed of training"
    differences = [
        f"{pair['baseline']} and {pair['run']} by {number(abs(pair['difference']))}"
        for group in comparison["seed_groups"]
        for pair in comparison["pairs"]
        if {pair["run"], pair["baseline"]} <= set(group) and pair["difference"] is not None
    ]
    if not differences:
        return f"{text} (train one again with another seed to see)"
    return f"{text}. Runs that differ in their seed alone differ as well: {', '.join(differences)} bits a note"
