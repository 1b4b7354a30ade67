"""The corpus of a study as files that others train on: a Hugging Face dataset, or chats as JSONL.

Read from a study directory as it stands: nothing is made and nothing bought. Held-out problems are
in no file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from potstill.deploy.export.corpus_card import corpus_card
from potstill.deploy.export.placing import new_folder
from potstill.errors import InputError, StoreError
from potstill.pipeline.directory import StudyDirectory, study_of
from potstill.pipeline.students import examples
from potstill.plugins import choose
from potstill.records import Lesson, MajorityGold, Problem, Split
from potstill.study.schema import Study

if TYPE_CHECKING:
    import pyarrow as pa

    from potstill.pipeline.outputs import Made
    from potstill.training.examples import Example

__all__ = ["FORMATS", "ExportedCorpus", "export_corpus", "refuse_occupied"]

FORMATS = ("dataset", "messages")
SPLITS = (Split.TRAIN, Split.VALID)  # what is held out is written nowhere
_FILES = {
    "dataset": {Split.TRAIN: "train.parquet", Split.VALID: "validation.parquet"},
    "messages": {Split.TRAIN: "train.jsonl", Split.VALID: "valid.jsonl"},
}

Rows = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class ExportedCorpus:
    """Where a corpus was written, and how many lessons of each level and split."""

    folder: Path
    lessons: Mapping[str, Mapping[str, int]]


def export_corpus(
    directory: Path, out: Path, to: str, levels: Sequence[str] = ()
) -> ExportedCorpus:
    """Return the verified lessons of a study, written to the new folder ``out``; all levels by
    default.

    ``dataset``: Parquet, one configuration a level, with a card. ``messages``: the chats the study
    trains on as JSONL, with LLaMA-Factory's ``dataset_info.json`` and the same card. The folder
    appears whole or not at all.

    Raises InputError for a level that the study has not, and for a folder that holds something;
    StoreError for a directory that is no study's or whose lessons are not finished.
    """
    to = choose("format", to, FORMATS)
    study = study_of(directory)
    chosen = _levels(study, levels)
    refuse_occupied(out)
    there = StudyDirectory.open(directory)
    if there.lessons is None:
        raise StoreError(
            f"the lessons of {directory} are not there yet ({there.unfinished.rstrip('.')}); run "
            "the study as far as --until condense first."
        )
    made = there.made
    rows = {level: corpus_rows(study, made, level) for level in chosen}
    if not any(found for by_split in rows.values() for found in by_split.values()):
        raise InputError(f"{directory} has no lesson that passed at {', '.join(chosen)}.")
    with new_folder(out) as folder:
        for level, by_split in rows.items():
            for split, found in by_split.items():
                if found:
                    _write(folder / level / _FILES[to][split], found, to)
        files = {
            level: {split: _FILES[to][split] for split, found in by_split.items() if found}
            for level, by_split in rows.items()
        }
        if to == "messages":
            info = json.dumps(_dataset_info(study.name, files), indent=2)
            (folder / "dataset_info.json").write_text(info + "\n", encoding="utf-8")
        card = corpus_card(study, made, directory, rows, files, to)
        (folder / "README.md").write_text(card, encoding="utf-8")
    counts = {
        level: {split.value: len(found) for split, found in by_split.items()}
        for level, by_split in rows.items()
    }
    return ExportedCorpus(out, counts)


def corpus_rows(study: Study, made: Made, level: str) -> dict[Split, Rows]:
    """Return the rows of one level by split, as plain values, in the study's own order of
    problems.
    """
    lessons: dict[str, list[Lesson]] = {}
    for lesson in made.chosen[level]:
        lessons.setdefault(lesson.problem_id, []).append(lesson)
    teachers = {(r.problem_id, r.sample): r.solver for r in made.taught.responses}
    found: dict[Split, Rows] = {}
    for split in SPLITS:
        problems = made.in_split(split)
        pairs = [(p, lesson) for p in problems for lesson in lessons.get(p.id, ())]
        chats = examples(study, made.chosen[level], problems)
        found[split] = [
            _row(problem, lesson)
            | ({"answer_by": _answer_by(problem)} if study.keys else {})
            | {"teacher": teachers.get((problem.id, lesson.sample), ""), "messages": _chat(example)}
            for (problem, lesson), example in zip(pairs, chats, strict=True)
        ]
    return found


def _row(problem: Problem, lesson: Lesson) -> dict[str, Any]:
    return {
        "problem_id": problem.id,
        "source": problem.source,
        "groups": [{"name": k, "value": v} for k, v in problem.groups.items()],
        "problem": problem.text,
        "answer": problem.gold_text,
        "level": lesson.level,
        "lesson": lesson.text,
        "words": lesson.words,
        "tokens": lesson.tokens,
        "made_by": lesson.made_by,
    }


def _answer_by(problem: Problem) -> str:
    """Return on what a row's answer stands: a key, or so many of the teacher's draws."""
    gold = problem.gold
    return f"majority {gold.votes} of {gold.draws}" if isinstance(gold, MajorityGold) else "key"


def _chat(example: Example) -> list[dict[str, str]]:
    turns = [{"role": m.role, "content": m.content} for m in example.messages]
    return [*turns, {"role": "assistant", "content": example.completion}]


def _levels(study: Study, wanted: Sequence[str]) -> tuple[str, ...]:
    meant = [choose("level", x, study.variants, there="the study has") for x in wanted]
    return tuple(level for level in study.variants if level in meant or not meant)


def _write(path: Path, rows: Rows, to: str) -> None:
    path.parent.mkdir(exist_ok=True)
    if to == "messages":
        # escaped to ASCII: some readers open it in the machine's own encoding
        told = ("messages", "answer_by")
        lines = (json.dumps({x: row[x] for x in told if x in row}) + "\n" for row in rows)
        path.write_text("".join(lines), encoding="ascii", newline="\n")
        return
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = _schema()
    if rows and "answer_by" in rows[0]:
        schema = schema.append(pa.field("answer_by", pa.string()))
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path, compression="zstd")


def _schema() -> pa.Schema:
    import pyarrow as pa

    text, number = pa.string(), pa.int64()
    return pa.schema(
        {
            "problem_id": text,
            "source": text,
            "groups": pa.list_(pa.struct({"name": text, "value": text})),
            "problem": text,
            "answer": text,
            "level": text,
            "lesson": text,
            "words": number,
            "tokens": number,
            "teacher": text,
            "made_by": text,
            "messages": pa.list_(pa.struct({"role": text, "content": text})),
        }
    )


def _dataset_info(name: str, files: Mapping[str, Mapping[Split, str]]) -> dict[str, Any]:
    """Return LLaMA-Factory's list of data sets: one for each level and split.

    Source: data/README.md of hiyouga/LLaMA-Factory, "OpenAI format".
    """
    tags = {
        "role_tag": "role",
        "content_tag": "content",
        "user_tag": "user",
        "assistant_tag": "assistant",
        "system_tag": "system",
    }
    return {
        f"{name}-{level}-{split.value}": {
            "file_name": f"{level}/{file}",
            "formatting": "sharegpt",
            "columns": {"messages": "messages"},
            "tags": tags,
        }
        for level, by_split in files.items()
        for split, file in by_split.items()
    }


def refuse_occupied(out: Path) -> None:
    """Raise InputError for a folder to write that is there and holds something."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out} is there and not empty; give --out a new folder.")
