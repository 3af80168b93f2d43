"""meloctl plans: the plan and the attributes of every bar of a corpus."""

from functools import partial

from meloctl.cli.common import (
    Corpus,
    FixBars,
    Json,
    Meter,
    Pedal,
    PlannedModel,
    Work,
    importing,
    outcome,
    report,
    run_once,
    say,
    workspace,
)


def plans(
    corpus: Corpus,
    model: PlannedModel = None,
    meter: Meter = None,
    pedal: Pedal = False,
    fix_bars: FixBars = False,
    work: Work = None,
    as_json: Json = False,
) -> None:
    """Write the plan that a model has of every bar and the bar's attributes as arrays, draw them, and test what plans say.

    Plans are what --like and --text steer music with. Beside the arrays (plans.npy, attributes.npy, and plans.json, which says
    whose bars they are) stands a picture of all bars along the two principal components of their plans. A linear probe of each
    attribute, fitted to the training pieces, is judged on the others.

    Example: meloctl plans corpus/
    """
    with importing():
        from analysis.reading import Reading
        from meloctl.plans.plan_lines import plan_lines
        from meloctl.plans.session import PlansOptions, plan_plans, write_corpus_plans

    space = workspace(work)
    reading = Reading.of(meter, pedal=pedal, fix_bars=fix_bars)
    plan = plan_plans(space, PlansOptions(corpus=corpus, reading=reading, model=model))
    run = run_once(space, plan.recipe, partial(write_corpus_plans, plan, space.cache))
    for message in run.manifest_value("results", "messages"):
        say(message)
    measured = run.manifest_value("results", "plans")
    report([*plan_lines(measured), outcome(run)], {**measured, "path": str(run.folder)}, as_json=as_json)
