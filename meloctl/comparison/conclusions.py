"""What a comparison found, in sentences, and what to know before one believes it."""

from collections.abc import Sequence
from typing import Any

from meloctl.evaluation.evaluation_text import FEW, number

DIFFERENT = 1.1
"""From so many times as much on, two runs' steps or sizes are told to differ."""


def clear(interval: Sequence[float | None]) -> bool:
    """Does a 95 % interval leave out 0?"""
    low, high = interval
    return low is not None and high is not None and (low > 0 or high < 0)


def marked(difference: float | None, interval: Sequence[float | None]) -> bool:
    """Is a difference clear, and large enough to be seen in three decimals?"""
    return difference is not None and abs(difference) >= 0.0005 and clear(interval)


def pair_in_words(of: str, to: str, difference: float, interval: Sequence[float | None]) -> str:
    """What can be said of two runs; the difference is that of `of` less that of `to`, in bits a note."""
    low, high = interval
    if low is None or high is None:
        more = "more" if difference > 0 else "less"
        return (
            f"{of} takes {number(abs(difference))} bits a note {more} than {to}; from one piece no interval can be told"
        )
    if not clear(interval):
        said = (
            f"{number(difference, sign=True)} bits a note, 95 %: {number(low, sign=True)} to {number(high, sign=True)}"
        )
        return f"no difference between {of} and {to} can be shown ({of} less {to}: {said})"
    low, high = sorted((abs(low), abs(high)))
    better = "better" if difference < 0 else "worse"
    return (
        f"{of} is {better} than {to} by {number(abs(difference))} bits a note (95 %: {number(low)} to {number(high)})"
    )


def verdict_of(facts: dict[str, Any]) -> list[str]:
    """The findings in sentences, the most important first."""
    runs, first = facts["runs"], facts["runs"][0]["letter"]
    lines = [_best(facts)] if len(runs) > 2 else []
    for pair in facts["pairs"]:
        if pair["to"] == first and pair["difference"] is not None:
            lines.append(_sentence(pair_in_words(pair["of"], first, pair["difference"], pair["interval"])))
    lines.append(_time(runs))
    if facts["music"]:
        lines.append(_music(runs))
    return lines


def notes_of(facts: dict[str, Any]) -> list[str]:
    """What to know before one believes it."""
    runs, heard = facts["runs"], facts["heard"]
    notes = []
    if facts["corpus"]["changed"]:
        notes.append(
            "Files of the corpus have changed since training; a piece may lie on another side than it did then"
        )
    if heard["side"] == "validation":
        notes.append("No piece was left to test on; validation pieces chose the best step of each run, and flatter it")
    if heard[heard["side"]]["pieces"] < FEW:
        notes.append(f"Fewer than {FEW} pieces: intervals are too narrow, and a verdict is a hint at most")
    if left := heard["left_out"]:
        whose = ", ".join(left["because_of"])
        notes.append(
            f"{left['rows']:,} of {left['of']:,} rows are left out for all runs, since they do not count for {whose}"
        )
    if len({run["context"] for run in runs}) > 1:
        notes.append(f"All runs hear windows of {heard['context']:,} rows, the smallest context among them")
    notes += _unequal(runs)
    notes.append(_luck(facts))
    if len(facts["pairs"]) > 1:
        notes.append(
            f"Each interval stands alone: of 20 as those of these {len(facts['pairs'])} pairs one misses the truth"
        )
    return notes


def _best(facts: dict[str, Any]) -> str:
    """Which run costs least, and from which others it can be told."""
    side = facts["heard"]["side"]
    known = [run for run in facts["runs"] if run["bits"][side]["bits_per_note"] is not None]
    if not known:
        return "No run was heard on a note."
    best = min(known, key=lambda run: run["bits"][side]["bits_per_note"])
    unclear = [
        ({pair["of"], pair["to"]} - {best["letter"]}).pop()
        for pair in facts["pairs"]
        if best["letter"] in (pair["of"], pair["to"]) and not clear(pair["interval"])
    ]
    said = f"{best['letter']} takes the fewest bits a note on {side} pieces: {number(best['bits'][side]['bits_per_note'])}; "
    if not unclear:
        return f"{said}it is better than every other run."
    others = [run["letter"] for run in facts["runs"] if run["letter"] not in (best["letter"], *unclear)]
    told = f"it is better than {' and '.join(others)}, but " if others else ""
    return f"{said}{told}no difference to {' and '.join(unclear)} can be shown."


def _time(runs: Sequence[dict[str, Any]]) -> str:
    times = ", ".join(f"{run['forward']['ratio']:.2f} for {run['letter']}" for run in runs[1:])
    return f"A forward pass takes so many times as long as {runs[0]['letter']}'s: {times}."


def _music(runs: Sequence[dict[str, Any]]) -> str:
    """In how many variants of Similarity Error each run is as near to the corpus as the corpus is to itself."""
    said = []
    for run in runs:
        if run["music"]:
            known = [e for e in run["music"]["similarity_error"] if None not in (e["error"], e["real_95"])]
            within = sum(e["error"] <= e["real_95"] for e in known)
            said.append(f"{within} of {len(known)} for {run['letter']}")
    return f"Bars come back as in the corpus by so many variants of Similarity Error: {', '.join(said)}."


def _unequal(runs: Sequence[dict[str, Any]]) -> list[str]:
    """Runs that did more steps, are larger, or learned to fill gaps as well, unlike others."""
    notes = []
    minutes, steps = ([n for run in runs if (n := run["training"][name])] for name in ("minutes", "steps"))
    if steps and max(steps) > DIFFERENT * min(steps):
        time = f" in {min(minutes):.1f} to {max(minutes):.1f} minutes" if minutes else ""
        notes.append(
            f"Training took {min(steps):,} to {max(steps):,} steps{time}: a run may be better only because it did more. Where "
            "minutes limit it, a busy machine does fewer; train with --epochs for equal ones"
        )
    sizes = [run["parameters"] / 1e6 for run in runs]
    if max(sizes) > DIFFERENT * min(sizes):
        notes.append(f"Models have {min(sizes):.1f}M to {max(sizes):.1f}M parameters")
    shares = [run["training"]["infill"] for run in runs]
    if min(shares) < max(shares):
        told = ", ".join(f"{run['letter']} {share:.0%}" for run, share in zip(runs, shares, strict=True))
        notes.append(
            f"Windows with gaps in training: {told}. To learn to fill them takes from plain music; for equal terms train "
            "with --infill 0"
        )
    return notes


def _luck(facts: dict[str, Any]) -> str:
    """What another seed of training would do: intervals over pieces know nothing of it."""
    said = "Intervals are over pieces: what another seed of training would change, they do not know"
    apart = [
        f"{pair['to']} and {pair['of']} by {number(abs(pair['difference']))}"
        for group in facts["seeds_apart"]
        for pair in facts["pairs"]
        if {pair["of"], pair["to"]} <= set(group) and pair["difference"] is not None
    ]
    if not apart:
        return f"{said} (train one again with --seed 1 to see)"
    return f"{said}. Runs that differ in their seed alone differ all the same: {', '.join(apart)} bits a note"


def _sentence(said: str) -> str:
    return f"{said[:1].upper()}{said[1:]}."
