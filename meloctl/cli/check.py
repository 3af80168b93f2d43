"""meloctl corpus check: problems of a corpus, reported before training."""

from functools import partial

from meloctl.cli.common import Corpus, Json, Meter, Work, following, outcome, report, run_once, workspace


def check(
    corpus: Corpus,
    meter: Meter = None,
    work: Work = None,
    as_json: Json = False,
) -> None:
    """Report what in a corpus hurts training: unreadable files, copies, wrong bars, timing off the grid, odd parts.

    Example: meloctl corpus check corpus/
    """
    from meloctl.corpus.session import CheckOptions, plan_check, read_check, write_check

    plan = plan_check(CheckOptions(corpus=corpus, meter=meter))
    run = run_once(workspace(work), plan.recipe, partial(write_check, plan))
    lines, facts = read_check(run)
    advised = plan.meter or facts["meter_to_pass"]
    onward = following("stats", corpus, *(("--meter", advised) if advised else ()), work=work)
    report([*lines, "", outcome(run), onward], facts, as_json=as_json)
