from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys

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
