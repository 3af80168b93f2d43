"""`meloctl derive-mask` and `meloctl mask compare` as functions: options in, a finished run or a comparison out."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from analysis.atomic_write import atomic_write_text
from analysis.errors import MeloError
from analysis.offset_table_file import read_curves
from masks.cost.compare_masks import MaskCost, compare_masks, conclusion, rules_to_compare, table_lines
from masks.describe import describe_mask, reach
from masks.rules.learned import LearnedGates
from masks.spec import MaskSpec
from meloctl.masking.costed_corpus import costed_corpus
from meloctl.masking.from_model import learned_recipe, learned_spec, read_gates
from meloctl.masking.rules import RuleOptions, parse_drums, plan_rule
from meloctl.progress import ProgressReporter
from meloctl.workspace import Run, RunOutput, Workspace

MAX_PIECES = 10_000
"""Pieces on which masks are compared, at most."""


@dataclass(frozen=True, kw_only=True)
class DeriveOptions:
    """The options of `meloctl derive-mask` as they were given; None where they were not."""

    rule: str | None = None
    """One of `meloctl.masking.rules.RULE_OPTIONS`; None for the seed's."""

    table: Path | None = None
    """File of offsets; None for the workspace's latest."""

    from_model: Path | None = None
    """Folder of a training run whose gates become the mask, instead of a rule."""

    rule_options: RuleOptions = field(default_factory=RuleOptions)


def derive_mask_run(space: Workspace, options: DeriveOptions, *, progress: ProgressReporter) -> Run:
    """A finished run of stage "mask" with mask.json and mask.png; from a model's gates also gates.png.

    Raises:
        MeloError: options that contradict each other or are out of range, inputs that are missing or damaged.
    """
    if options.from_model is None:
        table = options.table or latest_table(space)
        plan = plan_rule(options.rule or "seed", options.rule_options, table, named=options.table is not None)
        return space.once(plan.recipe, lambda folder: _write_mask(folder, plan.derive(progress)))
    if options.rule or options.table or options.rule_options != RuleOptions():
        reason = "reads out what a model learned: it takes no rule, no table and no option of a rule"
        raise MeloError(reason, field="from_model")
    model, gates = options.from_model, read_gates(options.from_model)
    return space.once(learned_recipe(model), lambda folder: _write_mask(folder, learned_spec(gates, model), gates))


def latest_table(space: Workspace) -> Path:
    """The table of offsets of the workspace's latest `meloctl stats`. Raises MeloError where there is none."""
    return space.latest("stats").folder / "offsets.json"


def mask_of_run(run: Run) -> MaskSpec:
    """The mask of a finished run of stage "mask"."""
    return MaskSpec.from_json(run.manifest_value("results", "mask"))


def mask_lines(spec: MaskSpec) -> list[str]:
    """A mask for people: what it shows, the reasons, and its receptive field in bars."""
    one, two = reach(spec, 1), reach(spec, 2)
    return [
        describe_mask(spec),
        *(f"  {reason}" for reason in spec.reasons),
        f"Receptive field: of offsets 0 to 32, one layer reaches {len(one['same'])} in a row's own part and "
        f"{len(one['cross'])} in other parts, two layers reach {len(two['same'])} and {len(two['cross'])}, without summaries.",
    ]


def _write_mask(folder: Path, spec: MaskSpec, gates: LearnedGates | None = None) -> RunOutput:
    from masks.mask_picture import draw_gates, draw_mask

    atomic_write_text(folder / "mask.json", spec.to_text())
    draw_mask(spec, folder / "mask.png")
    if gates is None:
        return RunOutput(files=["mask.json", "mask.png"], results={"mask": spec.to_json()})
    draw_gates(gates, folder / "gates.png")
    results = {"mask": spec.to_json(), "gates": gates.to_json()}
    return RunOutput(files=["mask.json", "mask.png", "gates.png"], results=results)


@dataclass(frozen=True, kw_only=True)
class MaskCompareOptions:
    """The options of `meloctl mask compare`."""

    masks: tuple[Path, ...] = ()
    """Mask files to compare with the rules' masks."""

    table: Path
    """File of offsets."""

    corpus: Path | None = None
    """MIDI in which rows are counted; None for what the table was measured on."""

    pieces: int = 20
    """Pieces of the corpus to sample, 1 to MAX_PIECES."""

    drums: str | None = None
    """masked or exempt; None for masked."""


@dataclass(frozen=True, kw_only=True)
class MaskComparison:
    """The masks of all rules, and given ones, on sampled pieces of a corpus."""

    options: MaskCompareOptions
    corpus: Path
    files: int
    """Of the corpus."""

    pieces: int
    """That were sampled and could be read."""

    measure: str
    table_hash: str
    specs: dict[str, list[MaskSpec]]
    """{name: masks} of each rule, and of each file."""

    costs: list[MaskCost]
    """The mean over each name's masks."""

    @property
    def conclusion(self) -> str:
        """What the numbers say, in one sentence."""
        return conclusion(self.costs)

    def lines(self) -> list[str]:
        """The comparison for people."""
        heading = f"{self.pieces} of {self.files} pieces of {self.corpus}, similarity {self.measure} from {self.options.table}"
        return [heading, *table_lines(self.costs), self.conclusion]

    def to_json(self) -> dict[str, Any]:
        """What `meloctl mask compare --json` prints."""
        return {
            "corpus": str(self.corpus),
            "pieces": self.pieces,
            "table": self.table_hash,
            "measure": self.measure,
            "masks": [
                {**cost.to_json(), "specs": [spec.to_json() for spec in self.specs[cost.name]]} for cost in self.costs
            ],
            "conclusion": self.conclusion,
        }


def compare_on_corpus(options: MaskCompareOptions, *, progress: ProgressReporter) -> MaskComparison:
    """The masks of all rules and those of mask files, costed on sampled pieces of a corpus.

    Raises:
        MeloError: an option out of range, a file that is no mask, a corpus that is needed and gone.
    """
    if not 1 <= options.pieces <= MAX_PIECES:
        raise MeloError(f"give how many pieces to take, 1 to {MAX_PIECES}", field="pieces", given=options.pieces)
    given = {str(path): [MaskSpec.read(path)] for path in options.masks}
    drums = parse_drums(options.drums)
    curves = read_curves(options.table)
    corpus = costed_corpus(options.table, options.corpus)
    rows = corpus.read(options.pieces, progress=progress)
    specs = {**rules_to_compare(curves, rows, random=np.random.default_rng(0), drums=drums), **given}
    progress.stage("comparing", sum(map(len, specs.values())))
    return MaskComparison(
        options=options,
        corpus=corpus.corpus,
        files=len(corpus.paths),
        pieces=len(rows),
        measure=curves.measure,
        table_hash=curves.table_hash,
        specs=specs,
        costs=compare_masks(specs, curves, rows, on_mask=progress.advance),
    )
