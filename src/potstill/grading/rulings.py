"""What a person decided, kept so that it outlives every re-run."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from potstill.errors import InputError, StoreError
from potstill.records import Opinion, Problem, Reading, Verdict, content_hash
from potstill.store.untrusted import lines_of, parse_json
from potstill.text import literal, several

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["Ruling", "Rulings", "review", "ruling_key"]

_END = 600  # characters of an unread response that a person is shown


def ruling_key(problem_text: str, key: str, response_text: str) -> str:
    """Return the hash under which a ruling is kept: what was asked, what was wanted, what was
    answered.
    """
    return content_hash([problem_text, key, response_text])


@dataclass(frozen=True, slots=True)
class Ruling:
    """A person's decision on one response. ``note`` is theirs; ``at`` is when, in UTC."""

    key: str
    correct: bool
    note: str = ""
    problem_id: str = ""
    at: str = ""


class Rulings:
    """The rulings of one file, by key; the last one on a response holds."""

    def __init__(self, path: Path, rulings: dict[str, Ruling] | None = None) -> None:
        self.path = path
        self._rulings = rulings or {}

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Rulings:
        """Return the rulings in a JSONL file; none where it does not exist.

        Raises InputError with the number of a line that is not a ruling.
        """
        file = Path(path)
        found: dict[str, Ruling] = {}
        if not file.exists():
            return cls(file)
        try:
            for number, line in lines_of(file):
                ruling = _ruling(line, f"{file}, line {number},")
                found[ruling.key] = ruling
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(
                f"{file} cannot be read as UTF-8 text ({error}); restore it from a copy."
            ) from error
        return cls(file, found)

    @property
    def digest(self) -> str:
        """A hash of every ruling that holds: what changes with it is graded anew."""
        return content_hash({key: ruling.correct for key, ruling in self._rulings.items()})

    def __len__(self) -> int:
        return len(self._rulings)

    def find(self, problem: Problem, response_text: str) -> Ruling | None:
        """Return the ruling on a response to a problem, or None."""
        return self._rulings.get(ruling_key(problem.text, problem.gold_text, response_text))

    def append(self, ruling: Ruling) -> None:
        """Keep a ruling, on disk before this returns. Raises StoreError."""
        row = {
            "key": ruling.key,
            "correct": ruling.correct,
            "note": ruling.note,
            "problem_id": ruling.problem_id,
            "at": ruling.at,
        }
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as file:
                if file.tell() and not _ends_in_newline(self.path):
                    file.write("\n")
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise StoreError(f"The ruling could not be written to {self.path}: {error}.") from error
        self._rulings[ruling.key] = ruling


def _ruling(line: str, where: str) -> Ruling:
    try:
        row = parse_json(line)
        return Ruling(
            key=str(row["key"]),
            correct=_truth(row["correct"]),
            note=str(row.get("note", "")),
            problem_id=str(row.get("problem_id", "")),
            at=str(row.get("at", "")),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{where} is not a ruling ({error}); correct or delete that line."
        ) from error


def _truth(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError("correct must be true or false")
    return value


def _ends_in_newline(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"


def review(
    answers: Iterable[tuple[Problem, str, Verdict]],
    rulings: Rulings,
    *,
    console: Console | None = None,
) -> int:
    """Return the number of rulings a person made in the terminal; each on disk before the next is
    shown.

    ``answers`` are problem, response text and verdict; what is ruled on already is passed over. Of
    an answer that could not be read the end of the response is shown. The person answers c
    (correct), w (wrong), s (skip) or q (quit), and may add a note.
    """
    from rich.console import Console as RichConsole
    from rich.panel import Panel
    from rich.prompt import Prompt

    screen = console or RichConsole()
    made = 0
    waiting = [row for row in answers if rulings.find(row[0], row[1]) is None]
    for number, (problem, text, verdict) in enumerate(waiting, 1):
        screen.print(
            Panel(literal(problem.text), title=f"{number} of {len(waiting)}: {literal(problem.id)}")
        )
        screen.print(f"[bold]key[/]       {literal(problem.key_shown)}")
        screen.print(f"[bold]answer[/]    {literal(_answer(text, verdict))}")
        screen.print(f"[bold]symbolic[/]  {_opinion(verdict.symbolic, verdict.symbolic_why)}")
        screen.print(f"[bold]judge[/]     {_opinion(verdict.judge, verdict.judge_why)}")
        try:
            choice = Prompt.ask(
                "correct, wrong, skip or quit", choices=["c", "w", "s", "q"], console=screen
            )
            if choice == "q":
                break
            if choice == "s":
                continue
            note = Prompt.ask("note", default="", show_default=False, console=screen)
        except (EOFError, KeyboardInterrupt):
            break
        key = ruling_key(problem.text, problem.gold_text, text)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        rulings.append(Ruling(key, choice == "c", note, problem.id, now))
        made += 1
    if made:
        screen.print(f"{several(made, 'ruling')} written to {literal(str(rulings.path))}")
    else:
        screen.print("No ruling was made, and nothing was written.")
    return made


def _opinion(opinion: Opinion, why: str) -> str:
    says = opinion.value.lower().replace("_", " ")
    return f"{says}: {literal(why)}" if why.strip() else says


def _answer(text: str, verdict: Verdict) -> str:
    """Return what a person has to rule on: the answer that was read, or how an unread response
    ends.
    """
    if verdict.extracted and verdict.reading is not Reading.UNREAD:
        return verdict.extracted
    return f"… {text[-_END:]}" if len(text) > _END else text
