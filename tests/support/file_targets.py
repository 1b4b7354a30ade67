"""Files that a person points Potstill at: studies, problems, levels, recorded replies, answers."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml
from hypothesis import strategies as st

from potstill.errors import InputError
from potstill.grading import grade
from potstill.grading.maths.kinds import infer_kind
from potstill.lessons.recorded import Options as RecordedOptions
from potstill.lessons.recorded import read_recorded
from potstill.problems import SourceConfig, describe, guess_source, load_problems
from potstill.protocol.requests import ChatRequest
from potstill.protocol.server import UnknownQuestion
from potstill.records import Problem, Response, TextGold, Verdict
from potstill.solvers.replay import Recording, ReplayFile
from potstill.store.arrow import to_rows
from potstill.store.rows import AS_SEEN, read_columns
from potstill.study.schema import Study, load_study
from potstill.study.templates import DEMO_STUDY
from support.fuzzing import Target
from support.mutations import json_bytes, mangled, mangled_json, spoiled_bytes

ROOT = Path(__file__).resolve().parents[2]
STUDIES = [DEMO_STUDY.read_bytes(), *(p.read_bytes() for p in (ROOT / "studies").glob("*.yaml"))]
PLAIN_STUDIES = [yaml.safe_load(text) for text in STUDIES]
ROWS = [
    {
        "id": "a",
        "problem": "What is 1/2 + 1/3?",
        "answer": "5/6",
        "year": 2011,
        "section": "senior",
    },
    {"id": "b", "problem": "What is $\\sqrt{2}^2$?", "answer": "2", "year": 2012, "section": "two"},
    {"id": "c", "problem": "content not visible", "answer": "", "year": None, "section": ""},
]
CHAT = {"messages": [{"role": "user", "content": "Q?"}, {"role": "assistant", "content": "A"}]}
REPLIES = [{"question": "What is 2?", "text": "It is 2.", "reasoning": "two", "finish": "stop"}]
YEAR = {"senior": {"1": {"question": "What is 2 + 2?", "answer": 4}}, "junior": {}}


def _table(rows: list[dict[str, Any]], delimiter: str = ",") -> bytes:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def json_lines(rows: list[Any]) -> bytes:
    """Write rows as JSON Lines."""
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def parquet_bytes(rows: list[dict[str, Any]]) -> bytes:
    """Write rows as a Parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows), sink)
    return sink.getvalue().to_pybytes()


def _put(name: str, data: bytes, folder: Path) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def take_study(data: bytes, folder: Path) -> None:
    """Read a study file, which must then be text that makes the same study."""
    study = load_study(_put("study.yaml", data, folder))
    text = json.dumps(study.model_dump(mode="json"), allow_nan=False)
    text.encode()  # it is written into the study's directory, so it must be text
    assert Study.model_validate(json.loads(text), strict=False) == study


def yaml_bytes(document: Any) -> bytes:
    """Write a plain document as YAML, half characters too."""
    return yaml.safe_dump(document, allow_unicode=True).encode("utf-8", "surrogatepass")


def _problems(name: str) -> Any:
    def take(data: bytes, folder: Path) -> None:
        path = _put(name, data, folder)
        try:
            source = guess_source(path)
        except InputError:
            columns = {"text": "problem", "key": "answer", "id": "id"}
            source = SourceConfig("table", {"path": path, **columns})
        imported = load_problems([source], infer=infer_kind)
        describe(imported)
        to_rows(Problem, imported.problems)

    return take


def _levels(data: bytes, folder: Path) -> None:
    path = _put("levels.jsonl", data, folder)
    options = RecordedOptions.model_validate(
        {"files": [{"path": path, "levels": {"R1": "messages"}}]}, strict=False
    )
    problems = [Problem("p", "Q?", TextGold("A"), "word", "test")]
    list(read_recorded(options, problems, grade=_graded, count_tokens=len))


def _graded(pairs: Iterable[tuple[Problem, Response]]) -> Iterator[Verdict]:
    for problem, response in pairs:
        yield grade(problem, response.text[:500], response_id=response.response_id)


def _replies(name: str) -> Any:
    def take(data: bytes, folder: Path) -> None:
        path = _put(name, data, folder)
        columns = set(read_columns(path))
        chats = "messages" if "messages" in columns else ""
        file = ReplayFile(path=str(path), text="" if chats else "text", messages=chats, finish="")
        recording = Recording.read([file], "m")
        asked = ({"role": "user", "content": "Tell me. What is 2?"},)
        try:
            recording.reply(ChatRequest("m", asked))
        except UnknownQuestion:
            return

    return take


def _answers(name: str) -> Any:
    from potstill.grading import table

    def take(data: bytes, folder: Path) -> None:
        path = _put(name, data, folder)
        columns, rows = table._read(path, AS_SEEN)
        kept = []
        for number, row in rows:
            table._pair(number, row, "answer", "problem", None, "id", None)
            kept.append(row)
        for ending in table.FORMATS:
            table._write(str(folder / f"out{ending}"), columns, kept)

    return take


def _many(rows: list[Any]) -> st.SearchStrategy[bytes]:
    """JSON Lines of which one row's values are spoiled, or whose bytes are."""
    return st.one_of(mangled([rows]).map(_as_lines), spoiled_bytes([json_lines(rows)]))


def _as_lines(rows: Any) -> bytes:
    return b"\n".join(map(json_bytes, rows if isinstance(rows, list) else [rows]))


ONE_YAML = st.one_of(spoiled_bytes(STUDIES), mangled(PLAIN_STUDIES).map(yaml_bytes))
TARGETS = [
    Target("study file", ONE_YAML, take_study),
    Target("problems csv", spoiled_bytes([_table(ROWS)]), _problems("p.csv")),
    Target("problems tsv", spoiled_bytes([_table(ROWS, "\t")]), _problems("p.tsv")),
    Target("problems jsonl", _many(ROWS), _problems("p.jsonl")),
    Target("problems json", mangled_json([ROWS]), _problems("p.json")),
    Target("problems parquet", spoiled_bytes([parquet_bytes(ROWS)]), _problems("p.parquet")),
    Target("competition year", mangled_json([YEAR]), _problems("2011.json")),
    Target("recorded levels", _many([CHAT]), _levels),
    Target("recorded replies csv", spoiled_bytes([_table(REPLIES)]), _replies("r.csv")),
    Target("recorded replies jsonl", _many(REPLIES * 2), _replies("r.jsonl")),
    Target("recorded chats jsonl", _many([CHAT, CHAT]), _replies("r.jsonl")),
    Target("answers csv", spoiled_bytes([_table(ROWS)]), _answers("a.csv")),
    Target("answers jsonl", _many(ROWS), _answers("a.jsonl")),
    Target("answers parquet", spoiled_bytes([parquet_bytes(ROWS)]), _answers("a.parquet")),
]
