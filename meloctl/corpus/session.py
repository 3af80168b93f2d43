"""One `meloctl corpus check`: the facts of each file, copies, findings, and the files that say so."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analysis.corpus import find_files, fingerprint
from analysis.errors import MeloError
from analysis.json_spec import read_json
from analysis.passed_over import passed_over
from analysis.reading import AS_IT_STANDS, READER, Reading
from meloctl.corpus.check_corpus import assess_files, check_files
from meloctl.corpus.check_report import check_json, check_lines, write_report
from meloctl.progress import ProgressReporter
from meloctl.workspace import Recipe, Run, RunOutput

FACTS = "check.json"


@dataclass(frozen=True, kw_only=True)
class CheckOptions:
    """What `meloctl corpus check` was given."""

    corpus: Path
    """A folder of MIDI files, one file, or a text file with a path a line."""

    reading: Reading = AS_IT_STANDS
    """How the files are read."""


@dataclass(frozen=True, kw_only=True)
class CheckPlan:
    """What will be checked."""

    recipe: Recipe
    paths: Sequence[Path]
    reading: Reading
    passed_over: Mapping[str, int]
    """Files of music in other forms, by ending."""


def plan_check(options: CheckOptions) -> CheckPlan:
    """Find the files of a corpus; nothing is written. Raises MeloError where there is none."""
    paths, corpus = find_files(options.corpus), options.corpus.resolve()
    other = passed_over(options.corpus)
    return CheckPlan(
        recipe=Recipe(
            stage="check",
            command="corpus check",
            inputs={
                "corpus": str(corpus),
                "fingerprint": fingerprint(paths, options.corpus),
                "passed_over": dict(other),
                "reader": READER,
            },
            options=options.reading.to_json(),
            label=corpus.name,
        ),
        paths=paths,
        reading=options.reading,
        passed_over=other,
    )


def write_check(plan: CheckPlan, folder: Path, reporter: ProgressReporter) -> RunOutput:
    """Check the files of a plan and write check.json and check.csv into a folder; `reporter` gets one stage, a step a file.

    Raises:
        MeloError: no file could be read.
    """
    corpus = plan.recipe.inputs["corpus"]
    reporter.stage("checking", len(plan.paths))
    found = assess_files(check_files(plan.paths, reading=plan.reading, on_file=reporter.advance))
    if not found.files:
        first = found.skipped[0]
        raise MeloError(
            f"no file in {corpus} could be read ({len(plan.paths)} tried); the first, {first.path.name}: {first.reason}"
        )
    data = check_json(found, corpus=corpus, reading=plan.reading, passed_over=plan.passed_over)
    return RunOutput(files=write_report(data, found, folder), results={"summary": data["summary"]})


def read_check(run: Run) -> tuple[list[str], dict[str, Any]]:
    """A finished check as lines for people, and as its JSON object."""
    facts = read_json(run.folder / FACTS, what="corpus check", max_bytes=1 << 30)
    assert isinstance(facts, dict)  # its hash is in the manifest
    return check_lines(facts), facts
