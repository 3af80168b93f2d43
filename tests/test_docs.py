"""The tree of docs/architecture.md names every module and nothing else, both READMEs are in step, links lead somewhere."""

import re

import pytest
from conftest import ROOT

from meloctl.model.config import PRESETS

READMES = ["README.md", "README.zh.md"]
DOCS = [*READMES, "CONTRIBUTING.md", "CHANGELOG.md", "findings/README.md"]
DOCS += sorted(f"docs/{p.name}" for p in (ROOT / "docs").glob("*.md"))
FOLDERS = "analysis|masks|meloctl|tests|benchmarks|maintenance|findings|docs|data"


def tree():
    """Every .py path that the indented tree of docs/architecture.md names."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    start = re.search(r"^    analysis/ ", text, re.M).start()
    folders, found = [], set()
    for line in text[start:].splitlines():
        if not line.startswith("    "):
            break
        depth = (len(line) - len(line.lstrip())) // 2 - 2
        folders = folders[:depth]
        for word in line.split():
            if word.endswith(".py"):
                found.add("/".join([*folders, word]))
            else:
                if word.endswith("/"):
                    folders.append(word[:-1])
                break
    return found


def test_the_tree_names_every_module_and_nothing_else():
    modules = {
        str(p.relative_to(ROOT))
        for package in ("analysis", "masks", "meloctl")
        for p in (ROOT / package).rglob("*.py")
        if p.name != "__init__.py"
    }
    assert tree() == modules


def code_blocks(name):
    """Indented lines, comments left out: commands and what they print."""
    text = (ROOT / name).read_text(encoding="utf-8")
    return [line.split("  #")[0].rstrip() for line in text.splitlines() if line.startswith("    ")]


def test_the_chinese_readme_is_in_step():
    english, chinese = (code_blocks(name) for name in READMES)
    assert len(english) > 20
    assert english == chinese
    headings = [len(re.findall(r"^## ", (ROOT / n).read_text(encoding="utf-8"), re.M)) for n in READMES]
    assert headings[0] == headings[1]


@pytest.mark.parametrize("name", READMES)
def test_a_readme_is_short(name):
    assert (ROOT / name).read_text(encoding="utf-8").count("\n") <= 150


@pytest.mark.parametrize("name", [*READMES, "CONTRIBUTING.md", "docs/architecture.md", "findings/README.md"])
def test_links_lead_somewhere(name):
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", (ROOT / name).read_text(encoding="utf-8"))
    assert links
    assert [link for link in links if not ((ROOT / name).parent / link).exists()] == []


def test_the_list_of_findings_is_complete():
    listed = set(re.findall(r"\]\((\S+\.sh)\)", (ROOT / "findings" / "README.md").read_text(encoding="utf-8")))
    assert listed == {path.name for path in (ROOT / "findings").glob("*.sh")} != set()


def test_the_documented_commands_exist():
    from meloctl.cli.main import app

    groups = {group.name: group.typer_instance for group in app.registered_groups}
    names = {command.name for command in app.registered_commands}
    for group, inner in groups.items():
        names |= {f"{group} {c.name or c.callback.__name__}" for c in inner.registered_commands}
    table = re.search(r"^\| command .*?\n\n", (ROOT / "README.md").read_text(encoding="utf-8"), re.M | re.S)[0]
    cells = [re.split(r"(?<!\\)\|", row)[1] for row in table.splitlines()[2:] if row]
    words = [re.match(r"[a-z-]+(?: [a-z]+)?", code)[0] for cell in cells for code in re.findall(r"`([^`]*)`", cell)]
    listed = set(words)
    assert listed == names


@pytest.mark.parametrize("name", READMES)
def test_the_table_of_models_is_the_presets(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    for preset, config in PRESETS.items():
        assert f"| {preset} | {config.layers} | {config.width} |" in text


@pytest.mark.parametrize("name", ["conventions.md"])
def test_the_tests_that_hold_a_convention_exist(name):
    named = set(re.findall(r"`(test_\w+\.py)`", (ROOT / "docs" / name).read_text(encoding="utf-8")))
    assert len(named) > 5
    assert [n for n in named if not (ROOT / "tests" / n).is_file()] == []


def files_named(text):
    """Paths of files of this repository that a text names: from its root, or a file of tests by its name alone."""
    paths = re.findall(rf"(?<![\w/.-])((?:{FOLDERS})/[\w./-]*\.(?:py|md|sh|json|png|css|js))\b", text)
    return {path for path in paths if path != "findings/NAME.sh"} | {
        f"tests/{name}" for name in re.findall(r"(?<![\w/])(test_\w+\.py)", text)
    }


@pytest.mark.parametrize("name", DOCS)
def test_the_files_that_docs_name_exist(name):
    named = files_named((ROOT / name).read_text(encoding="utf-8"))
    assert sorted(path for path in named if not (ROOT / path).is_file()) == []


def test_docs_name_files():
    assert files_named("see `tests/a.py`, (docs/b.md) and test_c.py; melo/mask/d.json is none of ours") == {
        "tests/a.py",
        "docs/b.md",
        "tests/test_c.py",
    }
    assert len({path for name in DOCS for path in files_named((ROOT / name).read_text(encoding="utf-8"))}) > 30


def test_the_formats_are_those_of_the_code():
    code = "".join(
        p.read_text(encoding="utf-8")
        for folder in ("analysis", "masks", "meloctl")
        for p in (ROOT / folder).rglob("*.py")
    )
    tags = set(re.findall(r'(?:tag|FORMAT)\b[^="\n]*= ?"(meloctl\.\w+/\d+)"', code)) - {
        "meloctl.window/1"
    }  # an example
    text = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8").split("## Changed keys")[0]
    assert len(tags) > 8
    assert set(re.findall(r"meloctl\.\w+/\d+", text)) == tags
