"""A plugin that raises is named in one sentence, whatever it raises and wherever it is called."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from potstill import plugins
from potstill.study.templates import DEMO_STUDY
from support.command_line import one_sentence, run_cli

MODULES = {
    "bad_source": """
        from potstill.problems.raw import SourceOptions as Options

        def read(options):
            yield {}["text"]
        """,
    "bad_solver": """
        from contextlib import contextmanager
        from pydantic import BaseModel

        class Options(BaseModel):
            model: str = "m"
            def identity(self):
                return {"model": self.model}

        @contextmanager
        def open_solver(options, ledger, *, stop=None):
            raise RuntimeError("no such\\nserver")
            yield
        """,
    "bad_answers": """
        from contextlib import contextmanager
        from pydantic import BaseModel

        class Options(BaseModel):
            model: str = "m"
            def identity(self):
                return {"model": self.model}

        class Solver:
            id, precision, ledger_model = "bad", "api", "m"
            def complete(self, asks, stage):
                yield 1 / 0

        @contextmanager
        def open_solver(options, ledger, *, stop=None):
            yield Solver()
        """,
}
ENTRIES = """
[potstill.problems]
bad-source = bad_source
[potstill.solvers]
bad-solver = bad_solver
bad-answers = bad_answers
"""


@pytest.fixture(autouse=True)
def _installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Install the three modules with their entry points."""
    import textwrap

    place = tmp_path / "site"
    info = place / "bad-0.1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: bad\nVersion: 0.1\n")
    (info / "entry_points.txt").write_text(ENTRIES)
    for name, text in MODULES.items():
        (place / f"{name}.py").write_text(textwrap.dedent(text))
    monkeypatch.syspath_prepend(str(place))
    plugins._registered.cache_clear()
    yield
    plugins._registered.cache_clear()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"problems": [{"source": "bad-source"}]},
            "the problem source 'bad-source' (bad_source) failed with KeyError: 'text'; mend",
        ),
        (
            {"teacher": {"solver": "bad-solver"}},
            "the solver 'bad-solver' (bad_solver) failed with RuntimeError: no such server; mend",
        ),
        (
            {"teacher": {"solver": "bad-answers"}},
            "the solver 'bad-answers' (bad_answers) failed with ZeroDivisionError: division by",
        ),
    ],
)
def test_a_plugin_that_raises_is_named(
    changes: dict[str, Any],
    says: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    raw = yaml.safe_load(DEMO_STUDY.read_text())
    raw["problems"] = [{"source": "pocket", "train": 4, "valid": 2, "heldout": 3}]
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(raw | changes))
    code, _, err = run_cli(capsys, monkeypatch, "run", path, "--out", tmp_path / "out")
    assert code == 2
    assert says in one_sentence(err)
