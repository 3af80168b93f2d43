"""meloctl corpus check: everything about a corpus that hurts training, said before training."""

from meloctl.cli.common import Corpus, Json, Meter, Work, following, progress, report, workspace, wrote


def check(
    corpus: Corpus,
    meter: Meter = None,
    work: Work = None,
    as_json: Json = False,
) -> None:
    """Say what in a corpus hurts training: unreadable files, copies, wrong bars, loose timing, odd parts.

    Example: meloctl corpus check corpus/
    """
    from analysis.corpus import find_files, fingerprint
    from analysis.errors import MeloError
    from analysis.json_file import read_json
    from analysis.piece import meter as parse_meter
    from meloctl.corpus.check_corpus import check_files, judge
    from meloctl.corpus.check_report import check_json, check_lines, write_report
    from meloctl.workspace import Recipe

    override = parse_meter(meter) if meter is not None else None
    meter = f"{override[0]}/{override[1]}" if override else None
    paths = find_files(corpus)
    space = workspace(work)
    recipe = Recipe(
        stage="check",
        command="corpus check",
        inputs={"corpus": str(corpus.resolve()), "fingerprint": fingerprint(paths, corpus)},
        options={"meter": meter},
        label=corpus.resolve().name,
    )
    run = space.finished(recipe)
    folder = space.folder(recipe)
    if not run:
        with progress() as reporter:
            reporter.stage("checking", len(paths))
            found = judge(check_files(paths, meter=override, on_file=reporter.advance))
        if not found.files:
            first = found.skipped[0]
            raise MeloError(
                f"no file in {corpus} could be read ({len(paths)} tried); the first, {first.path.name}: {first.reason}"
            )
        data = check_json(found, corpus=str(corpus.resolve()), meter=meter)
        files = write_report(data, found, folder)
        space.finish(recipe, files=files, results={"verdict": data["verdict"]})
        said = wrote(folder, files)
    else:
        said = f"Unchanged since {run.time}, nothing redone: {folder}/"
    told = read_json(folder / "check.json", what="corpus check", max_bytes=1 << 30)
    assert isinstance(told, dict)  # its hash is in the manifest
    advised = meter or told["meter_to_pass"]
    onward = following("stats", corpus, *(("--meter", advised) if advised else ()), work=work)
    report([*check_lines(told), "", said, onward], told, as_json=as_json)
