from __future__ import annotations

import ast
import importlib
import pkgutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

import potstill

MODULES = sorted(
    m.name
    for m in pkgutil.walk_packages(potstill.__path__, "potstill.")
    if not m.name.rpartition(".")[2].startswith("_")
)


@pytest.mark.parametrize("name", MODULES)
def test_what_a_module_exports_is_there(name: str) -> None:
    module = importlib.import_module(name)
    for exported in getattr(module, "__all__", ()):
        assert getattr(module, exported) is not None


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['potstill', '--help']\n"
        "from potstill.cli.main import main\n"
        "try: main()\n"
        "except SystemExit as exc: assert not exc.code\n"
        "heavy = {'torch', 'transformers', 'mlx', 'sympy', 'scipy', 'matplotlib', 'openai', "
        "'pyarrow', 'pydantic', 'numpy', 'starlette'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "Usage: potstill" in done.stdout
    assert done.stderr.strip() == "[]"


def test_no_class_name_stands_for_two_things() -> None:
    classes = Counter(
        node.name
        for path in Path(potstill.__file__).parent.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.ClassDef)
    )
    assert len(classes) > 300
    # a plugin's settings are called so, whatever the plugin
    assert {name for name, count in classes.items() if count > 1} == {"Options"}
