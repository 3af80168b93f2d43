"""The tree of docs/architecture.md names every module and nothing else, both READMEs are in step, links lead somewhere."""

import re

import pytest
from conftest import ROOT

from meloctl.model.config import PRESETS

READMES = ["README.md", "README.zh.md"]


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
