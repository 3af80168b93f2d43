"""The layers of the house: who may import whom, no circles, one meaning a name, torch in meloctl alone."""

import ast
import subprocess
import sys
from collections import defaultdict
from graphlib import CycleError, TopologicalSorter

import pytest
from conftest import ROOT

LAYERS = (
    ("analysis",),
    ("masks",),
    ("meloctl", "meloctl.progress", "meloctl.formatting", "meloctl.openmp", "meloctl.machine", "meloctl.threads"),
    ("meloctl.workspace", "meloctl.html"),
    ("meloctl.weights", "meloctl.beats"),
    ("meloctl.rows",),
    ("meloctl.dataset",),
    ("meloctl.model",),
    ("meloctl.score", "meloctl.corpus", "meloctl.stats", "meloctl.masking", "meloctl.text"),
    ("meloctl.plans",),
    ("meloctl.bridge",),
    ("meloctl.training", "meloctl.generation"),
    ("meloctl.transcription",),
    ("meloctl.evaluation", "meloctl.report", "meloctl.play"),
    ("meloctl.comparison",),
    ("meloctl.cli",),
    ("meloctl.__main__",),
)
"""A package imports itself and packages of lower layers, never one beside it or above."""

HEAVY = {"torch", "accelerate", "tensorboard"}
SAME_CLASS_NAMES = {"Layer", "LayerWeights"}
SAME_FILE_NAMES = {"session", "options", "model", "decoder", "layout", "plan", "planner", "kernel"}
"""Names that stand in several folders and mean the same in each. Files of meloctl/cli are named like their command."""


def modules():
    """{name: path} of every module of the three packages."""
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for package in ("analysis", "masks", "meloctl")
        for path in sorted((ROOT / package).rglob("*.py"))
    }


def imported(path, known=()):
    """Names of the modules that a file imports, inside functions too; of our own those in `known`."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield whole if whole in known else node.module


def import_graph():
    """{module: modules of ours that it imports}."""
    known = modules()
    return {name: {other for other in imported(path, known) if other in known} for name, path in known.items()}


def package_of(module):
    """ "analysis", "masks", or the part of meloctl that a module belongs to."""
    parts = module.split(".")
    return ".".join(parts[:2]) if parts[0] == "meloctl" else parts[0]


def upward_imports(graph, layers):
    """(module, imported module) of each import that leads to a layer that is not lower, or to a package in no layer."""
    level = {package: i for i, layer in enumerate(layers) for package in layer}
    return [
        (module, other)
        for module, others in graph.items()
        for other in others
        if package_of(module) != package_of(other)
        and not level.get(package_of(other), len(layers)) < level.get(package_of(module), -1)
    ]


def test_imports_point_down():
    graph = import_graph()
    assert len(graph) > 150
    assert upward_imports(graph, LAYERS) == []


def test_an_upward_import_is_found():
    graph = import_graph()
    assert upward_imports({**graph, "meloctl.rows.codec": {"meloctl.dataset.packs"}}, LAYERS) == [
        ("meloctl.rows.codec", "meloctl.dataset.packs")
    ]
    assert upward_imports({"analysis.cells": {"masks.spec"}}, LAYERS) == [("analysis.cells", "masks.spec")]
    assert upward_imports({"meloctl.play.roll": {"meloctl.report.sources"}}, LAYERS) != []
    assert upward_imports({"meloctl.unheard_of.x": {"analysis.cells"}}, LAYERS) != []


def test_no_circles():
    try:
        list(TopologicalSorter(import_graph()).static_order())
    except CycleError as error:
        pytest.fail(f"a circle of imports: {' -> '.join(error.args[1])}")


def test_torch_stays_in_meloctl():
    for name, path in modules().items():
        if not name.startswith("meloctl"):
            assert not {other.split(".")[0] for other in imported(path)} & HEAVY, name


def test_no_file_needs_a_library_for_midi_and_one_needs_one_for_scores():
    libraries = {"symusic", "miditoolkit", "mido", "pretty_midi", "music21"}
    knows = {name for name, path in modules().items() if {m.split(".")[0] for m in imported(path)} & libraries}
    assert knows == {"meloctl.corpus.chorales"}


def test_only_one_file_knows_the_synthesizer():
    knows = {name for name, path in modules().items() if "midirenderer" in set(imported(path))}
    assert knows == {"meloctl.score.synthesizer"}


def test_no_two_public_classes_of_one_name():
    places = defaultdict(list)
    for name, path in modules().items():
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(name)
    assert len(places) > 100
    assert {k: v for k, v in places.items() if len(v) > 1 and k not in SAME_CLASS_NAMES} == {}


def test_file_names_repeat_only_where_they_mean_the_same():
    places = defaultdict(list)
    for name, path in modules().items():
        if path.name != "__init__.py" and package_of(name) != "meloctl.cli":
            places[path.stem].append(name)
    assert {k: v for k, v in places.items() if len(v) > 1 and k not in SAME_FILE_NAMES} == {}


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["stats", "--help"],
        ["train", "--help"],
        ["generate", "--help"],
        ["transcribe", "--help"],
        ["play", "--help"],
    ],
)
def test_help_needs_nothing_heavy(arguments):
    code = (
        "import sys; from meloctl.cli.main import app\n"
        f"try: app({arguments!r})\nexcept SystemExit: pass\n"
        "print([m for m in ('torch', 'numpy', 'matplotlib', 'pandas', 'numba', 'music21') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert "Usage:" in done.stdout


def test_a_model_is_loaded_without_what_takes_long_to_import():
    # torch draws weights on the meta device, and decorates functions that are not to be compiled, with its compiler: two seconds
    code = """
import sys
import meloctl.generation.session
from masks.spec import MaskSpec
from meloctl.model.config import PRESETS
from meloctl.model.init import shapes_alone
from meloctl.model.registry import ARCHITECTURES, MELOFORMERS, build
from meloctl.rows.vocabulary import default_vocabulary

mask = MaskSpec(same="full", near=2, far=(4,), summaries=True)
with shapes_alone():
    for architecture in ARCHITECTURES:
        own = mask if architecture in MELOFORMERS else None
        build(architecture, PRESETS["tiny"], default_vocabulary(), own)
print([m for m in ('torch._dynamo', 'sympy', 'scipy', 'accelerate', 'pandas', 'matplotlib', 'mido') if m in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
