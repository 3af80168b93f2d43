"""Docstrings: every public function has one; where more than one array comes in, Args say what each of them is."""

import ast
import re

import pytest
from test_imports import modules

ARRAY = re.compile(r"\b(Tensor|Ints|Floats|Bools|NDArray|ArrayLike|Rows|Row)\b")


def public_functions(tree, prefix=""):
    """(name, node) of public functions and methods at the top of a module and of its public classes."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            yield prefix + node.name, node
        elif isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from public_functions(node, f"{node.name}.")


def array_arguments(function):
    """Names of the arguments whose annotation names an array type."""
    arguments = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    return [a.arg for a in arguments if a.annotation and ARRAY.search(ast.unparse(a.annotation).replace("'", ""))]


def lacks(function):
    """What the docstring of a function lacks, "" for nothing."""
    text = ast.get_docstring(function) or ""
    if not text:
        return "no docstring"
    arrays = array_arguments(function)
    if len(arrays) > 1 and "Args:" not in text:
        return f"no Args for {', '.join(arrays)}"
    return ""


@pytest.mark.parametrize("package", ["analysis", "masks", "meloctl"])
def test_arrays_are_described(package):
    missing = [
        f"{name}.{function}: {lacks(node)}"
        for name, path in modules().items()
        if name.split(".")[0] == package
        for function, node in public_functions(ast.parse(path.read_text(encoding="utf-8")))
        if lacks(node)
    ]
    assert missing == []


def test_what_lacks_is_found():
    bare = ast.parse("def f(q_LD: Tensor, k_MD: Tensor, n: int) -> Tensor:\n    'Attend.'").body[0]
    assert lacks(bare) == "no Args for q_LD, k_MD"
    assert lacks(ast.parse("def f(x): pass").body[0]) == "no docstring"
    assert lacks(ast.parse("def f(a: Ints): 'One array.'").body[0]) == ""
