"""Puts the weights of a finished training into the package, with their card.

    python maintenance/ship_weights.py RUN [--machine TEXT] [--out FOLDER]

RUN is a run of `meloctl train` on the corpus that free_corpus.py gathers, as WORK/model/NAME. Its model is measured on the pieces
that are held out (validation and test), set by set, on the CPU in float32. Written into FOLDER (default: meloctl/weights) are
model.safetensors, model.json and CARD.md, from maintenance/card.md; and metrics.csv of the run into maintenance/training.csv.
"""

import argparse
import json
import shutil
from pathlib import Path
from string import Template
from typing import Any

from analysis.atomic_write import atomic_write_text
from analysis.corpus import find_files, fingerprint
from analysis.json_spec import read_json
from analysis.reading import Reading
from meloctl.dataset.corpus_rows import corpus_rows
from meloctl.dataset.windows import windows
from meloctl.evaluation.held_out import SIDES
from meloctl.evaluation.window_loss import NO_LOSS, LossTotals, window_loss
from meloctl.model.checkpoint import load_model, read_description
from meloctl.progress import SilentReporter
from meloctl.rows.vocabulary import FIELDS
from meloctl.weights.default_weights import CARD, FOLDER
from meloctl.workspace import Run, file_hash, read_run

HERE = Path(__file__).parent
LIMIT_BYTES = 16_000_000
"""The most that weights in the repository may take."""

SHOWN = ("pitch", "duration", "position", "velocity")
"""Fields whose share of the bits the card shows; the table's last column is all others."""


def losses_by_set(run: Run) -> dict[str, tuple[int, LossTotals]]:
    """{set: (number of held-out pieces, their loss)} of a run's model; a set is a folder of the corpus."""
    corpus, about = Path(run.manifest_value("inputs", "corpus")), read_description(run.folder)
    paths = find_files(corpus)
    shard = corpus_rows(
        run.folder.parent.parent / "cache",
        paths,
        about.vocabulary,
        SilentReporter(),
        corpus=str(corpus),
        fingerprint=fingerprint(paths, corpus),
        reading=Reading.from_json(run.manifest.inputs, where=run.folder.name),
    )
    if len(shard) != len(paths):
        raise SystemExit(
            f"error: {len(paths) - len(shard)} files of {corpus} cannot be read; take them out, and train again"
        )
    model, _ = load_model(run.folder)
    found: dict[str, tuple[int, LossTotals]] = {}
    for i, (path, side) in enumerate(zip(paths, shard.split, strict=True)):
        if side not in SIDES:
            continue
        name = path.relative_to(corpus).parts[0]
        pieces, loss = found.get(name, (0, NO_LOSS))
        for window in windows([shard.piece(i)], about.config.context, about.vocabulary):
            loss += window_loss(model, window)
        found[name] = pieces + 1, loss
    return found


def score_table(found: dict[str, tuple[int, LossTotals]]) -> str:
    """The losses by set as a table: bits a note, and how many of them each field takes."""
    whole = NO_LOSS
    for _, loss in found.values():
        whole += loss
    lines = [
        f"| set | held-out pieces | notes | bits a note | {' | '.join(SHOWN)} | the rest |",
        "|---" * (len(SHOWN) + 5) + "|",
    ]
    for name, (pieces, loss) in [*sorted(found.items()), ("all", (sum(n for n, _ in found.values()), whole))]:
        bits = [loss.nll[FIELDS.index(field)] / sum(loss.nll) * loss.bits / loss.notes for field in SHOWN]
        rest = loss.bits / loss.notes - sum(bits)
        cells = [f"{x:.2f}" for x in (loss.bits / loss.notes, *bits, rest)]
        lines.append(f"| {name} | {pieces} | {loss.notes:,} | {' | '.join(cells)} |")
    return "\n".join(lines)


def source_table(sources: dict[str, dict[str, Any]]) -> str:
    """The sets of the corpus as a table."""
    lines = ["| set | from | files | licence | credit |", "|---|---|---|---|---|"]
    lines += [
        f"| {s['name']} | {s['source']} | {s['files']} | {s['licence']} | {s['credit']} |" for s in sources.values()
    ]
    return "\n".join(lines)


def card(run: Run, machine: str) -> str:
    """The model card of a run."""
    facts, options = run.manifest_value("results", "training"), run.manifest.options
    about, corpus = read_description(run.folder), Path(run.manifest_value("inputs", "corpus"))
    sources = read_json(corpus / "SOURCES.json", what="sources of the corpus")
    assert isinstance(sources, dict)
    assert about.spec
    text = (HERE / "card.md").read_text(encoding="utf-8")
    return Template(text).substitute(
        name=f"default-{file_hash(run.folder / 'model.safetensors')[:8]}",
        hash=file_hash(run.folder / "model.safetensors"),
        model=facts["model"],
        parameters=f"{facts['parameters'] / 1e6:.1f}M",
        context=f"{about.config.context:,}",
        plan_width=about.config.plan_width,
        rule=about.spec.source.get("rule", "unknown"),
        minutes=f"{options['minutes']:g}",
        plans=f"{options['plans']:g}",
        seed=options["seed"],
        spent=f"{facts['seconds'] / 60:.0f}",
        steps=f"{facts['steps']:,}",
        best_step=f"{facts['step']:,}",
        rows_per_second=f"{facts['rows_per_second']:,.0f}",
        threads=facts["threads"],
        machine=machine,
        date=run.time[:10],
        bits=f"{facts['bits_per_note']:.2f}",
        unigram=f"{facts['unigram_bits_per_note']:.2f}",
        bigram=f"{facts['bigram_bits_per_note']:.2f}",
        versions=json.dumps(run.manifest.versions),
        sources=source_table(sources),
        scores=score_table(losses_by_set(run)),
    )


def main() -> None:
    """Parse, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--machine", default="2 cores, no GPU")
    parser.add_argument("--out", type=Path, default=FOLDER)
    given = parser.parse_args()
    run = read_run(given.run, made_by="meloctl train")
    size = (given.run / "model.safetensors").stat().st_size
    if size > LIMIT_BYTES:
        raise SystemExit(f"error: the weights take {size:,} bytes; the repository holds {LIMIT_BYTES:,} at most")
    text = card(run, given.machine)
    given.out.mkdir(parents=True, exist_ok=True)
    for name in ("model.safetensors", "model.json"):
        shutil.copyfile(given.run / name, given.out / name)
    atomic_write_text(given.out / CARD, text)
    if given.out == FOLDER:
        shutil.copyfile(given.run / "metrics.csv", HERE / "training.csv")
    print(text)


if __name__ == "__main__":
    main()
