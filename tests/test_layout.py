"""Where the tests' code stands: what several share in tests/support, and no test in another."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent
FILES = sorted(path.relative_to(TESTS) for path in TESTS.rglob("*.py"))


def modules_of(source: str) -> set[str]:
    """The last names of all modules that a source imports, at its top or deep in a function."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {node.module or "", *(alias.name for alias in node.names)}
    return {name.rpartition(".")[2] for name in found}


def imported_tests(modules: set[str]) -> set[str]:
    tests = {path.stem for path in FILES if path.stem.startswith("test_")}
    return modules & (tests | {"conftest"})


def is_loose(path: Path) -> bool:
    named = path.name == "conftest.py" or path.stem.startswith("test_")
    return not named and path.parts[0] != "support"


def test_no_module_imports_a_test() -> None:
    imported = {str(path): modules_of((TESTS / path).read_text("utf-8")) for path in FILES}
    assert not {path: found for path, names in imported.items() if (found := imported_tests(names))}


def test_what_tests_share_stands_in_support() -> None:
    assert not [str(path) for path in FILES if is_loose(path)]
    assert not [str(p) for p in FILES if p.parts[0] == "support" and p.name.startswith("test_")]


@pytest.mark.parametrize(
    "source",
    ["import test_cli", "from test_cli import run_cli", "def f():\n    from tests import conftest"],
)
def test_an_import_of_a_test_is_seen(source: str) -> None:
    assert imported_tests(modules_of(source))


@pytest.mark.parametrize(
    ("name", "loose"),
    [("a.py", True), ("b/c.py", True), ("b/conftest.py", False), ("support/d.py", False)],
)
def test_a_loose_helper_is_seen(name: str, loose: bool) -> None:
    assert is_loose(Path(name)) == loose
