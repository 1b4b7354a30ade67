"""A plugin that raises is named in one sentence, whatever it raises and wherever it is called."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import potstill
from potstill import plugins
from potstill.study.schema import load_study
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
OPTIONS = """
from potstill.problems.raw import RawProblem, SourceOptions
from pydantic import BaseModel

class Options(SourceOptions):
    pass

class Asked(BaseModel):
    model: str = "m"
    def identity(self):
        return {"model": self.model}
"""
MODULES["shapes"] = (
    OPTIONS
    + """
import sys
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace as Module
from potstill.chat import Completion
from potstill.records import Finish

def problem(**changes):
    whole = {"id": "a", "text": "What is 2 + 2?", "key": "4", "source": "s"}
    return RawProblem(**(whole | changes))

nothing = None
mapping = {"Options": Options}
number = 3
no_read = Module(Options=Options)
no_options = Module(read=lambda options: [])
function_options = Module(Options=lambda **x: None, read=lambda options: [])
int_ids = Module(Options=Options, read=lambda options: [problem(id=7)])
int_keys = Module(Options=Options, read=lambda options: [problem(key=4)])
int_groups = Module(Options=Options, read=lambda options: [problem(groups={"year": 2020})])
rows = Module(Options=Options, read=lambda options: [{"id": "a"}])

def gone(options):
    raise ConnectionError("the host is gone")

first = Module(Options=Options, read=gone)
second = Module(Options=Options, read=gone)
reads_none = Module(Options=Options, read=lambda options: None)
exits = Module(Options=Options, read=lambda options: sys.exit("no licence"))
unopened = Module(Options=Asked)
unnamed = Module(Options=Options, open_solver=lambda options, ledger, stop: None)
no_context = Module(Options=Asked, open_solver=lambda options, ledger, stop: 5)

@contextmanager
def open_nothing(options, ledger, stop):
    yield None

opens_nothing = Module(Options=Asked, open_solver=open_nothing)

def answering(completions):
    class Solver:
        id, precision, ledger_model = "bad", "api", "m"
        def complete(self, asks, stage):
            return completions(asks)

    @contextmanager
    def opened(options, ledger, stop):
        yield Solver()
    return opened

def every(make):
    return answering(lambda asks: (make(ask) for ask in asks))

def asker(opened=answering(lambda asks: []), options=Asked, **more):
    return Module(Options=options, open_solver=opened, **more)

def identity(said):
    class Own(Asked):
        def identity(self):
            return said()
    return Own

def whole(ask, **changes):
    return replace(Completion("4", "", Finish.STOP).answering(ask, "k"), **changes)

dicts = asker(every(lambda ask: {"text": "4"}))
no_texts = asker(every(lambda ask: whole(ask, text=None)))
finish_words = asker(every(lambda ask: whole(ask, finish="stop")))
others = asker(every(lambda ask: whole(ask, tag="no-such-problem")))
none_at_all = asker(answering(lambda asks: None))
no_answers = asker(answering(lambda asks: []))
exits_asked = asker(every(lambda ask: sys.exit("no licence")))
odd_identity = asker(options=identity(lambda: {"model": object()}))
no_identity = asker(options=identity(lambda: None))
lost_identity = asker(options=identity(lambda: {}["me"]))
odd_price = asker(price=lambda options: 3)
odd_key = asker(key_there=lambda options: True)
odd_pair = asker(key_there=lambda options: (1, 2))
odd_check = asker(check=lambda options: 1 / 0)
odd_unsuited = asker(unsuited=lambda options, problems: 5)
no_compare = Module(Options=Options)
says_yes = Module(Options=Options, compare=lambda problem, text, options: True)
"""
)
MODULES["own_models"] = (
    OPTIONS
    + """
from contextlib import contextmanager

Options = Asked
BASES = ("model",)

@contextmanager
def open_solver(options, ledger, *, stop=None):
    yield None

def recorded_files(options):
    return []
"""
)
MODULES["exiting"] = "raise SystemExit(3)"
SHAPES = {
    "problems": {
        "nothing": "(shapes:nothing) is no module or object with a function read",
        "mapping": "(shapes:mapping) is no module or object with a function read",
        "number": "(shapes:number) is no module or object with a function read",
        "no_read": "(shapes:no_read) is no module or object with a function read",
        "no_options": "(shapes:no_options) has no class Options, a pydantic model",
        "function_options": "(shapes:function_options) has no class Options, a pydantic model",
        "int_ids": "yields a problem (7) whose id is no text (7)",
        "int_keys": "yields a problem (a) whose key is no text (4)",
        "int_groups": "yields a problem (a) whose groups are no names with texts",
        "reads_none": "reads NoneType in place of problems, one after another",
        "rows": "yields dict in place of RawProblem",
        "exits": "ends Python (sys.exit: no licence)",
        "exiting": "(exiting) cannot be loaded: 3",
    },
    "solvers": {
        "nothing": "(shapes:nothing) is no module or object with a function open_solver",
        "unopened": "(shapes:unopened) is no module or object with a function open_solver",
        "unnamed": "(shapes:unnamed) has Options without a method identity",
        "no_context": "opens no context (contextmanager)",
        "opens_nothing": "opens NoneType, which has no id, precision or complete",
        "dicts": "yields dict in place of Completion",
        "no_texts": "yields a Completion whose text is NoneType in place of str",
        "finish_words": "yields a Completion whose finish is str in place of Finish",
        "others": "answers what it was not asked ('no-such-problem')",
        "none_at_all": "completes with NoneType in place of an iterator",
        "no_answers": "gives no completion of 1 ask",
        "exits_asked": "ends Python (sys.exit: no licence)",
        "odd_identity": "gives in identity what is no plain value (object)",
        "no_identity": "gives NoneType in identity in place of Mapping",
        "lost_identity": "fails in identity with KeyError: 'me'",
        "odd_price": "gives int in price in place of Price or None",
        "odd_key": "gives bool in key_there in place of tuple or None",
        "odd_pair": "gives in key_there no pair of text and bool",
        "odd_check": "fails in check with ZeroDivisionError: division by zero",
        "odd_unsuited": "gives int in unsuited in place of str",
    },
    "kinds": {
        "no_compare": "(shapes:no_compare) is no module or object with a function compare",
        "says_yes": "compares with bool in place of Comparison",
    },
}
CALLED = {"problems": "problem source", "solvers": "solver", "kinds": "answer kind"}
ENTRIES = """
[potstill.problems]
bad-source = bad_source
first = shapes:first
second = shapes:second
[potstill.solvers]
bad-solver = bad_solver
bad-answers = bad_answers
own-models = own_models
"""


def _entries() -> str:
    """Return the entry points of the plugins above; a module may be one by itself."""
    lines = {f"potstill.{group}": list(names) for group, names in SHAPES.items()}
    text = ENTRIES
    for group, names in lines.items():
        own = "\n".join(f"{n} = {n if n == 'exiting' else f'shapes:{n}'}" for n in names)
        heading = f"[{group}]\n"
        text = (
            text.replace(heading, f"{heading}{own}\n")
            if heading in text
            else f"{text}{heading}{own}\n"
        )
    return text


@pytest.fixture(autouse=True)
def _installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Install the three modules with their entry points."""
    import textwrap

    place = tmp_path / "site"
    info = place / "bad-0.1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: bad\nVersion: 0.1\n")
    (info / "entry_points.txt").write_text(_entries())
    for name, text in MODULES.items():
        (place / f"{name}.py").write_text(textwrap.dedent(text))
    monkeypatch.syspath_prepend(str(place))
    plugins._registered.cache_clear()
    monkeypatch.setattr(plugins, "_LOADED", set())
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


@pytest.mark.parametrize("source", ["first", "second"])
def test_of_two_plugins_of_a_module_the_one_in_use_is_named(
    source: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path / "study.yaml"
    raw = yaml.safe_load(DEMO_STUDY.read_text())
    path.write_text(yaml.safe_dump(raw | {"problems": [{"source": source}]}))
    code, _, err = run_cli(capsys, monkeypatch, "run", path, "--out", tmp_path / "out")
    assert code == 2
    said = one_sentence(err)
    assert f"the problem source '{source}' (shapes:{source}) failed with ConnectionError" in said
    assert ("first" in said, "second" in said) == (source == "first", source == "second")


@pytest.mark.parametrize(
    ("group", "name"), [(group, name) for group, names in SHAPES.items() for name in names]
)
def test_a_plugin_of_another_shape_is_named_with_what_it_lacks(
    group: str,
    name: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    raw = yaml.safe_load(DEMO_STUDY.read_text())
    raw["problems"] = [{"source": "pocket", "train": 4, "valid": 2, "heldout": 3}]
    if group == "problems":
        raw["problems"] = [{"source": name}]
    elif group == "solvers":
        raw["teacher"] = {"solver": name}
    else:
        rows = [{"q": f"What is {n} + 1?", "a": str(n + 1), "kind": name} for n in range(9)]
        (tmp_path / "own.jsonl").write_text("\n".join(map(json.dumps, rows)))
        table = {"source": "table", "path": "own.jsonl", "text": "q", "key": "a", "kind": "kind"}
        raw |= {"problems": [table], "split": {"by": "share"}}
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(raw))
    out = tmp_path / "out"
    code, _, err = run_cli(capsys, monkeypatch, "run", path, "--out", out)
    said = one_sentence(err)
    assert (code, f"the {CALLED[group]} '{name}' " in said) == (2, True), said
    assert SHAPES[group][name] in said
    assert said.endswith(("; mend the plugin.", "or mend the plugin."))
    assert not list(out.rglob("*/answers/*/*"))


def test_a_path_in_an_option_that_names_a_base_starts_at_the_study_file(tmp_path: Path) -> None:
    raw = yaml.safe_load(DEMO_STUDY.read_text())
    path = tmp_path / "study.yaml"
    (tmp_path / "student").mkdir()
    for solver, meant in (("own-models", str(tmp_path / "student")), ("api", "student")):
        endpoint = {"base_url": "http://127.0.0.1:1"} if solver == "api" else {}
        raw["teacher"] = {"solver": solver, "model": "student"} | endpoint
        path.write_text(yaml.safe_dump(raw))
        teacher = load_study(path).teacher
        assert teacher.options["model"] == meant
        assert teacher.is_recorded == (solver == "own-models")


def test_nothing_asks_a_solver_for_its_name() -> None:
    asked = [
        f"{path}:{node.lineno}"
        for path in Path(potstill.__file__).parent.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Compare) and is_name_of_solver(node)
    ]
    assert not asked


def is_name_of_solver(compared: ast.Compare) -> bool:
    """Whether an agent's solver is compared with a text."""
    sides = [compared.left, *compared.comparators]
    texts = [x for x in sides if isinstance(x, ast.Constant) and isinstance(x.value, str)]
    others = " ".join(ast.unparse(x) for x in sides if x not in texts)
    return bool(texts) and bool(re.search(r"agent\.solver\b|[\"']solver[\"']", others))


@pytest.mark.parametrize("line", ["agent.solver == 'api'", "x.get('solver') != 'replay'"])
def test_a_question_for_a_solvers_name_is_seen(line: str) -> None:
    assert is_name_of_solver(ast.parse(line, mode="eval").body)  # type: ignore[arg-type]
