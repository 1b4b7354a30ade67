"""Every command in the documentation is run, or where it cannot be here, checked word by word."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from potstill.cli.main import app, main
from potstill.study.schema import load_study
from support.doc_blocks import DOCS, Block, blocks_of, pages, words_of

TUTORIAL = DOCS / "tutorial.md"
OTHERS = [page for page in pages() if page != TUTORIAL]
README = DOCS.parent / "README.md"
# The study that potstill init writes, as it is run here: every stage, fewer problems and steps.
FEW_STEPS = {"preset": "pocket", "iterations": 6, "validate_every": 3}
SMALL = {
    "problems": [{"source": "pocket", "train": 30, "valid": 8, "heldout": 16}],
    "levels": ["R3"],
    "training": FEW_STEPS,
}


@pytest.fixture(scope="session")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the tutorial was run, its study in it: every other page begins there."""
    place = tmp_path_factory.mktemp("docs")
    follow(TUTORIAL, place)
    return place


def test_tutorial_ends_with_a_student(ran: Path) -> None:
    assert (ran / "runs" / "mine" / "report" / "index.html").exists()


@pytest.mark.parametrize("page", [p for p in OTHERS if blocks_of(p)], ids=lambda p: p.stem)
def test_commands_of_the_page_run(page: Path, ran: Path, tmp_path: Path) -> None:
    place = tmp_path / "here"
    shutil.copytree(ran, place)
    follow(page, place)


@pytest.mark.parametrize("page", [*pages(), README], ids=lambda p: p.stem)
def test_options_are_those_of_the_command_line(page: Path) -> None:
    for block in blocks_of(page):
        if block.language != "sh":
            continue
        subprocess.run(["bash", "-n"], input=block.text.encode(), check=True)
        if page != README:
            assert max(map(len, block.text.splitlines())) <= 80, f"{page.name} line {block.line}"
        for command in block.commands():
            words = words_of(command)
            if words[0] == "potstill":
                parse(words[1:])


def test_a_wrong_option_is_noticed() -> None:
    with pytest.raises(Exception, match="--no-such"):
        parse(["run", "mine/study.yaml", "--no-such"])


def parse(words: list[str]) -> None:
    """Raise what typer raises for an unknown command, option or missing argument."""
    command, left = typer.main.get_command(app), words
    while below := getattr(command, "commands", None):
        command, left = below[left[0]], left[1:]
    command.make_context(command.name or "", list(left))


def follow(page: Path, place: Path) -> None:
    """Write the page's files into a folder and run its commands there, top to bottom."""
    for block in blocks_of(page):
        where = f"{block.page} line {block.line}"
        if block.title:
            file = place / block.title
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(block.text, encoding="utf-8")
        if block.title.endswith(".yaml"):
            load_study(place / block.title)
        if block.language != "sh" or block.needs:
            continue
        for command in block.commands():
            serve(command, place, where) if block.serves else run(command, place, where)


def run(command: str, place: Path, where: str) -> None:
    """Run one command, in this process where it is potstill's own."""
    words = words_of(command)
    if words[0] != "potstill" or set("|>&") & set(command):
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command],
            cwd=place,
            env=environment(),
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, f"{where}: {command}\n{done.stdout}\n{done.stderr}"
        return
    code = run_potstill(words[1:], place)
    assert code == 0, f"{where}: {command} ended with {code}"
    if words[1] == "init":
        changes = {"training": FEW_STEPS} if "--from" in words else SMALL
        make_small(place / words[2] / "study.yaml", changes)


def run_potstill(words: list[str], place: Path) -> int:
    """The exit code of a command of ours, in this process: torch is loaded once for all."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.setattr(sys, "argv", ["potstill", *words])
        for key in ("DEEPSEEK_API_KEY", "OPENROUTER_API_KEY", "OPENAI_API_KEY"):
            patch.delenv(key, raising=False)
        try:
            main()
        except SystemExit as ended:
            return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    return 0


def make_small(study: Path, changes: dict[str, Any]) -> None:
    raw = yaml.safe_load(study.read_text(encoding="utf-8"))
    study.write_text(yaml.safe_dump(raw | changes), encoding="utf-8")


def serve(command: str, place: Path, where: str) -> None:
    """Start a command that serves, on a free port, ask it for a page and end it."""
    words = [sys.executable, "-m", *words_of(command), "--port", "0"]
    server = subprocess.Popen(
        words, cwd=place, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    late = threading.Timer(60, server.kill)
    late.start()
    try:
        address, said = None, ""
        assert server.stdout is not None
        while address is None and (line := server.stdout.readline().decode()):
            said += line
            address = re.search(r"http://127\.0\.0\.1:\d+\S*?(?=[\s;]|$)", line)
        assert address is not None, f"{where}: {command} told no address\n{said}"
        url = address[0] + ("/models" if address[0].endswith("/v1") else "")
        with urllib.request.urlopen(url, timeout=60) as reply:
            assert reply.status == 200
    finally:
        late.cancel()
        server.terminate()
        server.wait(20)


def environment() -> dict[str, str]:
    here = Path(sys.executable).parent
    return os.environ | {"PATH": f"{here}{os.pathsep}{os.environ['PATH']}", "PYTHONUNBUFFERED": "1"}


def test_every_mark_is_one_of_the_few() -> None:
    known = {"network", "an API key", "a Mac", "a GPU", "vLLM", "Ollama", "llama.cpp", "minutes",
             "a person", "make"}  # fmt: skip
    marks: dict[str, Block] = {b.needs: b for p in pages() for b in blocks_of(p) if b.needs}
    assert set(marks) <= known
