"""The README's tree names every module and nothing else, its twin in Chinese stays in step, links lead somewhere."""

import re

import pytest
from conftest import ROOT

from meloctl.model.config import PRESETS

READMES = ["README.md", "README.zh.md"]


def tree(name):
    """Every .py path that the indented tree of a README names."""
    text = (ROOT / name).read_text(encoding="utf-8")
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


@pytest.mark.parametrize("name", READMES)
def test_the_tree_names_every_module_and_nothing_else(name):
    modules = {
        str(p.relative_to(ROOT))
        for package in ("analysis", "masks", "meloctl")
        for p in (ROOT / package).rglob("*.py")
        if p.name != "__init__.py"
    }
    assert tree(name) == modules


def code_blocks(name):
    """Indented lines before the tree, comments left out: commands and what they print."""
    text = (ROOT / name).read_text(encoding="utf-8")
    text = text[: re.search(r"^    analysis/ ", text, re.M).start()]
    return [line.split("  #")[0].rstrip() for line in text.splitlines() if line.startswith("    ")]


def test_the_chinese_readme_is_in_step():
    english, chinese = (code_blocks(name) for name in READMES)
    assert len(english) > 20
    assert english == chinese
    headings = [len(re.findall(r"^## ", (ROOT / n).read_text(encoding="utf-8"), re.M)) for n in READMES]
    assert headings[0] == headings[1]


@pytest.mark.parametrize("name", [*READMES, "CONTRIBUTING.md"])
def test_links_lead_somewhere(name):
    links = re.findall(r"\]\(([^)]+)\)", (ROOT / name).read_text(encoding="utf-8"))
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


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
