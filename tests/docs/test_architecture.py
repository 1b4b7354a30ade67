"""The map and the walk are true to the code, and the worked examples of plugins work."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from potstill import plugins
from potstill.chat import Ask, Message, SolverPlugin
from potstill.errors import EndpointError
from potstill.grading import grade
from potstill.grading.maths.kinds import infer_kind
from potstill.grading.plugins import KindPlugin
from potstill.ledger.ledger import Ledger
from potstill.pipeline.run import STAGES
from potstill.plugins import KINDS, SOLVERS, SOURCES, load_plugin
from potstill.problems.intake import SourceConfig, load_problems
from potstill.problems.raw import ProblemSource
from potstill.records import ExclusionReason, Finish, Outcome, Problem, Sampling, TextGold
from potstill.solvers.ledger_solver import KeptReplies
from potstill.study.agents import is_free
from potstill.study.schema import Agent
from support.doc_blocks import DOCS, pages

ROOT = DOCS.parent
PACKAGE = ROOT / "src" / "potstill"
PAGE = (DOCS / "architecture.md").read_text(encoding="utf-8")
GUIDE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")

_PLACE = re.compile(r"`([\w/]+\.py):([\w.]+)`")
_CODE = re.compile(r"`([^`\n]+)`")


def section(title: str) -> str:
    """The text of the page below a heading, up to the next one."""
    return PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def rows(title: str) -> list[list[str]]:
    """The cells of the first table below a heading, without its head."""
    lines = [line for line in section(title).splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


def mapped() -> list[tuple[str, list[str]]]:
    """Every file or package of the map, from the ground up, with its main files."""
    return [(name, _CODE.findall(files)) for names, _, files in _map() for name in names]


def _map() -> Iterator[tuple[list[str], str, str]]:
    for names, holds, files in rows("The map"):
        yield _CODE.findall(names), holds, files


@cache
def defined(file: str) -> frozenset[str]:
    """The functions, classes and methods (``Class.method``) that a module defines."""
    found: set[str] = set()
    for node in ast.parse((PACKAGE / file).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            found.add(node.name)
            inside = (x for x in node.body if isinstance(x, ast.FunctionDef | ast.AsyncFunctionDef))
            found |= {f"{node.name}.{x.name}" for x in inside}
    return frozenset(found)


@pytest.mark.parametrize(("file", "name"), sorted(set(_PLACE.findall(PAGE))))
def test_a_function_that_is_named_is_there(file: str, name: str) -> None:
    assert (PACKAGE / file).is_file(), f"docs/architecture.md names {file}, which is not there"
    assert name in defined(file), f"docs/architecture.md names {file}:{name}, which is not there"


@pytest.mark.parametrize("text", [PAGE, GUIDE], ids=["architecture", "contributing"])
def test_a_path_that_is_named_is_there(text: str) -> None:
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)
    paths = {x for x in _CODE.findall(prose) if re.fullmatch(r"[\w.-]+(/[\w.-]+)+/?", x)}
    assert paths
    assert {x for x in paths if not ((PACKAGE / x).exists() or (ROOT / x).exists())} == set()


@pytest.mark.parametrize("page", [*pages(), ROOT / "README.md"], ids=lambda p: p.stem)
def test_a_module_that_a_page_names_is_there(page: Path) -> None:
    if page.stem == "log":
        return  # it tells of what was, under the names of its day
    named = {
        x for x in _CODE.findall(page.read_text("utf-8")) if re.fullmatch(r"[\w/]+/\w+\.py", x)
    }
    modules = set(re.findall(r"`(potstill\.[a-z_.]+\.[a-z_]+)`", page.read_text("utf-8")))
    named |= {f"{x.removeprefix('potstill.').replace('.', '/')}.py" for x in modules}
    assert {x for x in named if not ((PACKAGE / x).exists() or (ROOT / x).exists())} == set()


def test_the_map_of_the_readme_is_short_and_true() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8").partition("## Where things are")[2]
    lines = text.split("```")[1].strip().splitlines()
    assert len(lines) <= 18
    named = {x for line in lines for x in re.findall(r"^ *((?:[\w.]+/?  ?)+)", line)}
    places = {x for names in named for x in names.split() if x.endswith(("/", ".py"))}
    assert {f"{x.name}/" for x in PACKAGE.iterdir() if (x / "__init__.py").is_file()} <= places
    assert {x for x in places if not ((PACKAGE / x).exists() or (ROOT / x).exists())} == set()


def test_every_package_is_on_the_map() -> None:
    there = {f"{x.parent.relative_to(PACKAGE)}/" for x in PACKAGE.rglob("*/__init__.py")}
    on_top = {x.name for x in PACKAGE.glob("*.py") if not x.name.startswith("__")}
    names = [name for name, _ in mapped()]
    assert sorted(names) == sorted(there | on_top)


def test_no_package_grows_past_what_one_reader_holds() -> None:
    lines = {
        package.name: sum(len(x.read_text("utf-8").splitlines()) for x in package.rglob("*.py"))
        for package in PACKAGE.iterdir()
        if (package / "__init__.py").is_file()
    }
    assert {name for name, count in lines.items() if count > 4_000} == {"grading"}
    assert len([*PACKAGE.glob("*.py")]) <= 10


@pytest.mark.parametrize(("package", "files"), [x for x in mapped() if x[1]])
def test_the_main_files_are_there(package: str, files: list[str]) -> None:
    assert [x for x in files if not (PACKAGE / package / x).is_file()] == []


def test_the_map_stands_from_the_ground_up_as_the_contract_does() -> None:
    contract = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]
    layers = next(x["layers"] for x in contract["contracts"] if x["type"] == "layers")
    floors = {
        name: floor
        for floor, layer in enumerate(reversed(layers))
        for name in re.split(r" [|:] ", layer)
    }
    top = [name for name, _ in mapped() if "/" not in name.rstrip("/")]
    heights = [floors[name.removesuffix(".py").rstrip("/")] for name in top]
    assert heights == sorted(heights)


def test_the_stages_are_those_of_the_pipeline() -> None:
    assert tuple(stage for stage, *_ in rows("The nine stages")) == STAGES


def test_the_walk_is_short() -> None:
    steps = re.findall(r"^(\d+)\. ", section("The walk of one problem"), re.MULTILINE)
    assert [int(x) for x in steps] == list(range(1, len(steps) + 1))
    assert 10 <= len(steps) <= 20


def test_the_citation_is_of_this_version() -> None:
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert (
        cited["version"]
        == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    )


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The modules of CONTRIBUTING.md, installed with the entry points that stand below them."""
    place = tmp_path_factory.mktemp("plugins")
    for name, text in re.findall(r'^```python title="(\w+\.py)"\n(.*?)^```$', GUIDE, re.M | re.S):
        (place / name).write_text(text, encoding="utf-8")
    info = place / "examples-0.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: examples\nVersion: 0.1\n")
    tables = re.findall(r"^```toml\n(.*?)^```$", GUIDE, re.M | re.S)
    groups = tomllib.loads("\n".join(tables))["project"]["entry-points"]
    text = "".join(
        f"[{group}]\n" + "".join(f"{name} = {module}\n" for name, module in points.items())
        for group, points in groups.items()
    )
    (info / "entry_points.txt").write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(place))
        plugins._registered.cache_clear()
        yield
    plugins._registered.cache_clear()
    for name in place.glob("*.py"):
        sys.modules.pop(name.stem, None)


@pytest.mark.usefixtures("examples")
def test_the_source_reads_cards(tmp_path: Path) -> None:
    cards = tmp_path / "french.txt"
    cards.write_text("What is the capital of France?\n= Paris\n\nWhat is 1 + 1?\n= 2\n\nAnd?\n\n\n")
    assert isinstance(load_plugin(SOURCES, "cards"), ProblemSource)
    found = load_problems([SourceConfig("cards", {"path": str(cards)})], infer=infer_kind)
    assert [(p.id, p.gold_text, p.kind) for p in found.problems] == [
        ("french/1", "Paris", "word"),
        ("french/2", "2", "integer"),
    ]
    assert [s.reason for s in found.excluded] == [ExclusionReason.NO_KEY, ExclusionReason.NO_TEXT]


def command(*words: str) -> tuple[ModuleType, Any]:
    """The solver of CONTRIBUTING.md, and its options for a program."""
    module: SolverPlugin = load_plugin(SOLVERS, "command")
    return module, module.Options(model="oracle", command=list(words))  # type: ignore[return-value]


def asked(question: str) -> Ask:
    return Ask("p1", (Message("user", question),), Sampling())


@pytest.mark.usefixtures("examples")
def test_the_solver_answers_once_and_keeps_it(tmp_path: Path) -> None:
    echo = f"open({str(tmp_path / 'calls')!r}, 'a').write('x'); print(input().upper())"
    module, options = command(sys.executable, "-c", echo)
    agent = Agent(solver="command", options={"model": "oracle", "command": ["x"]})
    assert is_free(agent)
    with Ledger.open(tmp_path / "ledger.sqlite") as ledger:
        for _ in range(2):
            with module.open_solver(options, ledger) as solver:
                (said,) = solver.complete([asked("hello")], "teach")
            assert said.asked
            assert (said.text, said.finish) == ("HELLO", Finish.STOP)
        with module.open_solver(options, ledger, stop=lambda: "spent") as solver:
            (spent,) = solver.complete([asked("again")], "teach")
            assert (spent.asked, spent.text, spent.error) == (False, "", "spent")
        (again,) = KeptReplies.of(module, options, ledger).complete([asked("hello")], "teach")
        assert again == said
        assert ledger.verify() == []
    assert (tmp_path / "calls").read_text() == "x"


@pytest.mark.usefixtures("examples")
def test_the_solver_tells_what_failed(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "ledger.sqlite") as ledger:
        module, options = command(sys.executable, "-c", "raise SystemExit(3)")
        with module.open_solver(options, ledger) as solver:
            (failed,) = solver.complete([asked("hello")], "teach")
    assert failed.finish is Finish.ERROR
    with Ledger.open(tmp_path / "ledger.sqlite") as ledger:
        (again,) = KeptReplies.of(module, options, ledger).complete([asked("hello")], "teach")
        assert again == failed
        module, options = command(str(tmp_path / "nowhere"))
        with (
            module.open_solver(options, ledger) as solver,
            pytest.raises(EndpointError, match="nowhere"),
        ):
            list(solver.complete([asked("hello")], "teach"))


@pytest.mark.usefixtures("examples")
@pytest.mark.parametrize(
    ("key", "said", "outcome"),
    [
        ("C2H6O", "So it is \\boxed{CH_3CH_2OH}.", Outcome.CORRECT),
        ("C2H6O", "The answer is \\boxed{\\text{C}_2\\text{H}_4\\text{O}}", Outcome.WRONG),
        ("C2H6O", "I do not know.", Outcome.UNPARSED),
        ("alcohol", "\\boxed{C2H6O}", Outcome.BAD_KEY),
    ],
)
def test_the_kind_counts_atoms(key: str, said: str, outcome: Outcome) -> None:
    assert isinstance(load_plugin(KINDS, "formula"), KindPlugin)
    problem = Problem("p1", "What is the formula of ethanol?", TextGold(key), "formula", "mine")
    assert grade(problem, said).outcome is outcome
