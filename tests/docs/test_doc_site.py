"""The site is built strictly: a link or an anchor that leads nowhere stops it."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import BaseModel

from support.doc_blocks import DOCS

pytest.importorskip("mkdocs", reason="pip install 'potstill[docs]'")
sys.path.insert(0, str(DOCS))

import reference_pages

ROOT = DOCS.parent


def build(site: Path, *more: str, root: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(site), *more],
        cwd=root,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )


def test_site_builds_and_links_lead_somewhere(tmp_path: Path) -> None:
    done = build(tmp_path / "site")
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "site" / "reference" / "study" / "index.html").read_text()
    assert "validate_every" in page


def test_nothing_on_a_page_is_fetched_from_elsewhere(tmp_path: Path) -> None:
    assert build(tmp_path / "site").returncode == 0
    for page in (tmp_path / "site").rglob("*.html"):
        found = re.findall(
            r"<(?:script|link|img)[^>]+(?:src|href)=\"?(https?://[^\" >]+)", page.read_text()
        )
        assert [url for url in found if "canonical" not in url] == [], page


def test_a_dead_link_stops_the_build(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    config = (ROOT / "mkdocs.yml").read_text().partition("nav:\n")[0]
    (tmp_path / "mkdocs.yml").write_text(config)
    (tmp_path / "docs" / "index.md").write_text("# One\n\n[there](nowhere.md) [or](#nothing)\n")
    done = build(tmp_path / "site", root=tmp_path)
    assert done.returncode != 0
    assert "nowhere.md" in done.stderr


def test_every_field_of_a_study_is_described() -> None:
    """In words of its own, or by its name in the words over its section."""
    from potstill.study.schema import Study

    bare = []
    for model, title in reference_pages._sections(Study).items():
        bare += [f"{title}: {name}" for name in undescribed(model)]
    assert bare == []


def undescribed(model: type[BaseModel]) -> list[str]:
    over = inspect.getdoc(model) or ""
    return [
        name
        for name, field in model.model_fields.items()
        if not field.description and f"``{name}" not in over and name != "options"
    ]


def test_the_pages_of_reference_are_what_the_code_says() -> None:
    for name, text in reference_pages.pages().items():
        written = (reference_pages.FOLDER / name).read_text(encoding="utf-8")
        assert written == text.rstrip() + "\n", "run: python docs/reference_pages.py"


def test_every_command_is_in_the_reference() -> None:
    import typer

    from potstill.cli.main import app

    page = reference_pages.commands_page()
    for name in typer.main.get_command(app).commands:
        assert f"## potstill {name}\n" in page
