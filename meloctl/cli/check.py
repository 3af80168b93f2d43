"""meloctl corpus check: problems of a corpus, reported before training."""

from functools import partial

from meloctl.cli.common import (
    Corpus,
    FixBars,
    Json,
    Meter,
    Pedal,
    Work,
    following,
    outcome,
    report,
    run_once,
    workspace,
)


def check(
    corpus: Corpus,
    meter: Meter = None,
    pedal: Pedal = False,
    fix_bars: FixBars = False,
    work: Work = None,
    as_json: Json = False,
) -> None:
    """Report what in a corpus hurts training: unreadable files, copies, wrong bars, timing off the grid, odd parts.

    Example: meloctl corpus check corpus/
    """
    from analysis.reading import Reading
    from meloctl.corpus.session import CheckOptions, plan_check, read_check, write_check

    plan = plan_check(CheckOptions(corpus=corpus, reading=Reading.of(meter, pedal=pedal, fix_bars=fix_bars)))
    run = run_once(workspace(work), plan.recipe, partial(write_check, plan))
    lines, facts = read_check(run)
    options = [f"--{key}" for key, given in (("pedal", pedal), ("fix-bars", fix_bars)) if given]
    if advised := facts["meter"] or facts["meter_to_pass"]:
        options += ["--meter", advised]
    onward = following("stats", corpus, *options, work=work)
    report([*lines, "", outcome(run), onward], facts, as_json=as_json)
