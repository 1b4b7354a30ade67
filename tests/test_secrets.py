"""Where an API key never goes: into a file, a kept reply, a message, whatever repeats it."""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from potstill.errors import StudyError
from potstill.ledger.ledger import Ledger
from potstill.study.schema import load_study
from potstill.study.templates import DEMO_STUDY
from support.command_line import one_sentence, run_cli

SRC = Path(__file__).resolve().parent.parent / "src" / "potstill"
KEY = "sk-marked-5f3a9c1e7b2d4860-never-written"
FILED_KEY = "sk-marked-in-a-file-91ac5e70-never-written"


@contextmanager
def locked_teacher() -> Iterator[tuple[str, set[str]]]:
    """The pocket world's teacher behind a key, as an endpoint that repeats keys in all it says.

    Yields its base URL and the set of keys that it was shown.
    """
    from starlette.responses import JSONResponse
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from potstill.pocket import generate
    from potstill.pocket.solver import MODELS
    from potstill.pocket.teacher import PocketTeacher
    from potstill.protocol.server import create_app, serve

    counts = (("train", 700), ("valid", 200), ("heldout", 700))
    known = [problem for split, n in counts for problem in generate(split, n, 0)]
    seen: set[str] = set()
    asked = 0

    def leaking(app: ASGIApp) -> ASGIApp:
        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            nonlocal asked
            asked += 1
            headers = dict(scope["headers"])
            key = headers.get(b"authorization", b"").decode().removeprefix("Bearer ")
            seen.add(key)
            if key not in (KEY, FILED_KEY):
                error = {"error": {"message": f"no such key: {key}", "code": "invalid_api_key"}}
                await JSONResponse(error, 401)(scope, receive, send)
            elif asked % 5 == 0:
                error = {"error": {"message": f"slow down, {key}", "code": "rate_limit"}}
                await JSONResponse(error, 429, {"x-key": key})(scope, receive, send)
            else:

                async def with_key(message: Message) -> None:
                    if message["type"] == "http.response.body":
                        body = message.get("body", b"")
                        told = b"chatcmpl-" + key.encode()
                        message = message | {"body": body.replace(b"chatcmpl-local", told)}
                    await send(message)

                await app(scope, receive, with_key)

        return answer

    app: Any = leaking(create_app(PocketTeacher(known, seed=0).reply, MODELS))
    with serve(app) as base_url:
        yield base_url, seen


def everything_in(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Every byte beneath a folder, as it lies there and unpacked where it is packed."""
    import pyarrow.parquet as pq

    for path in sorted(folder.rglob("*")):
        if not path.is_file():
            continue
        yield str(path), path.read_bytes()
        yield f"{path} (its name)", str(path).encode()
        if path.suffix == ".parquet":
            rows = pq.read_table(path).to_pylist()
            yield f"{path} (unpacked)", json.dumps(rows, default=str).encode()
        if path.suffix == ".sqlite":
            with sqlite3.connect(path) as db:
                for (raw,) in db.execute("select raw from replies"):
                    yield f"{path} (a reply)", zlib.decompress(raw)
                for row in db.execute("select * from events"):
                    yield f"{path} (an event)", json.dumps(row).encode()
            db.close()


def test_no_byte_that_a_study_writes_holds_its_key(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = yaml.safe_load(DEMO_STUDY.read_text())
    raw["problems"] = [{"source": "pocket", "train": 16, "valid": 4, "heldout": 6}]
    raw["levels"] = ["R1", "R6"]
    raw["training"] = {"preset": "pocket", "iterations": 2, "validate_every": 1}
    raw["evaluation"]["max_tokens"] = 24
    home = tmp_path / "home"
    work = tmp_path / "work"
    home.mkdir()
    work.mkdir()
    (home / "key").write_text(FILED_KEY + "\n")
    monkeypatch.chdir(work)
    monkeypatch.setenv("MARKED_KEY", KEY)
    price = {"input": 1.0, "output": 2.0}
    with locked_teacher() as (base_url, seen):
        asked = {"solver": "api", "base_url": base_url, "backoff_s": 0.01, "price": price}
        for role, model in (("teacher", "teacher"), ("verifier", "verifier")):
            raw[role] |= asked | {"model": f"pocket-{model}", "api_key_env": "MARKED_KEY"}
        raw["condenser"] |= asked | {"api_key_file": str(home / "key")}
        (work / "study.yaml").write_text(yaml.safe_dump(raw))
        said = ""
        for words in (
            "run study.yaml --out out --dry-run",
            "run study.yaml --out out",
            "run study.yaml --out out",
            "status out",
            "ledger out",
            "ledger out --verify",
            "ledger out --export replies.jsonl",
            "inspect out --gates",
            "corpus out --to messages --out corpus",
            "problems study.yaml",
            "export out --student R1 --to peft --reask 2",
        ):
            code, out, err = run_cli(capsys, monkeypatch, *words.split())
            assert code == 0, err
            said += out + err
        monkeypatch.setenv("MARKED_KEY", "sk-marked-wrong-key")
        code, out, err = run_cli(capsys, monkeypatch, *["run", "study.yaml", "--out", "refused"])
        assert code == 2
        assert "refuses its API key" in one_sentence(err)
        said += out + err
    assert {KEY, FILED_KEY} <= seen, "the endpoint was never shown the keys"
    held = [(name, data) for name, data in everything_in(work) if b"sk-marked" in data]
    assert [name for name, _ in held] == []
    assert "sk-marked" not in said
    with Ledger.open(work / "out" / "ledger.sqlite", readonly=True) as ledger:
        raws = [entry.raw for entry in ledger.entries() if entry.provider != "local"]
        retried = sum(x.n for x in ledger.failures())
    assert raws
    assert all(b"chatcmpl-[redacted]" in one for one in raws), "a reply was kept as it came"
    assert retried > 0, "the endpoint's complaints, which hold the key, were never met"


def test_a_study_may_not_write_a_secret_into_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("MY_API_KEY", "HF_TOKEN", "AWS_SECRET", "db_password"):
        monkeypatch.setenv(name, KEY)
        path = tmp_path / "study.yaml"
        path.write_text(
            DEMO_STUDY.read_text() + f"\nabout: 'it is ${{{name}}}'\n".replace("about", "x")
        )
        with pytest.raises(StudyError, match="api_key_env") as caught:
            load_study(path)
        assert KEY not in str(caught.value)
