"""meloctl corpus check: everything about a corpus that hurts training, said before training."""

from pathlib import Path

from meloctl.cli.common import Corpus, Json, Meter, Work, following, outcome, progress, report, workspace


def check(
    corpus: Corpus,
    meter: Meter = None,
    work: Work = None,
    as_json: Json = False,
) -> None:
    """Say what in a corpus hurts training: unreadable files, copies, wrong bars, loose timing, odd parts.

    Example: meloctl corpus check corpus/
    """
    from meloctl.corpus.session import CheckOptions, plan_check, read_check, write_check
    from meloctl.workspace import RunOutput

    plan = plan_check(CheckOptions(corpus=corpus, meter=meter))

    def make(folder: Path) -> RunOutput:
        with progress() as bar:
            task = bar.add_task("checking", total=len(plan.paths))
            return write_check(plan, folder, on_file=lambda: bar.advance(task))

    run = workspace(work).once(plan.recipe, make)
    lines, facts = read_check(run)
    advised = plan.meter or facts["meter_to_pass"]
    onward = following("stats", corpus, *(("--meter", advised) if advised else ()), work=work)
    report([*lines, "", outcome(run), onward], facts, as_json=as_json)
