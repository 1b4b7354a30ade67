"""What a file or folder of problems is, from its names, columns and first rows alone."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

from potstill.errors import InputError
from potstill.plugins import nearest
from potstill.problems.competition import find_years
from potstill.problems.intake import SourceConfig
from potstill.store.rows import (
    SUFFIXES,
    Table,
    TableFormat,
    as_text,
    load_json,
    open_table,
    place_of_row,
    refuse_no_table,
)
from potstill.text import several

__all__ = ["Columns", "guess_source"]

_NAMED = 3
_TABLES = tuple(x for x in SUFFIXES if x != ".json")  # a folder of those may be a competition

_TEXT = (
    *("problem", "question", "text", "prompt", "input", "query", "instruction"),
    *("problem text", "question text", "problem statement", "statement", "exercise", "task"),
    *("frage", "aufgabe", "aufgabenstellung", "fragestellung", "aufgabentext"),
    *("énoncé", "enonce", "exercice", "pregunta", "enunciado", "problema", "ejercicio"),
    *("domanda", "testo", "esercizio", "pergunta", "questão", "vraag", "pytanie", "вопрос"),
    *("задача", "условие", "问题", "題目", "题目", "問題"),
)
_KEY = (
    *("answer", "key", "gold", "true_answer", "final_answer", "target", "label"),
    *("correct answer", "right answer", "expected answer", "expected output", "expected"),
    *("reference answer", "ground truth", "answer key", "short answer", "output", "result", "ans"),
    *("gold answer", "response", "antwort", "ergebnis", "endergebnis", "lösung", "loesung"),
    *("richtige antwort", "réponse", "reponse", "résultat", "respuesta", "resultado", "risposta"),
    *("risultato", "resposta", "antwoord", "odpowiedź", "ответ", "答案", "解答", "答え"),
    *("answerkey", "correct option", "correct choice", "correct", "final", "value"),
    *("solución final", "bonne réponse", "réponse correcte", "respuesta correcta"),
    *("risposta corretta", "resposta correta", "правильный ответ", "верный ответ"),
    *("正确答案", "标准答案", "正解"),
)
_SOLUTION = (
    *("solution", "worked solution", "full solution", "model solution", "sample solution"),
    *("explanation", "rationale", "reasoning", "working", "steps", "derivation", "proof", "cot"),
    *("generated solution", "answer explanation", "musterlösung", "musterloesung", "lösungsweg"),
    *("loesungsweg", "rechenweg", "erklärung", "corrigé", "corrige", "solución", "solucion"),
    *("explicación", "soluzione", "svolgimento", "solução", "решение", "解析", "解答过程"),
)
_EITHER = ("lösung", "loesung", "lösungen", "loesungen", "解答")
"""What names keys and worked solutions alike; what stands in the column tells which."""
_ID = ("id", "unique_id", "problem_id", "question_id", "uid", "qid", "nr", "no", "number", "#")
_GROUPS = {
    **{
        name: name
        for name in (
            *("year", "section", "subject", "level", "difficulty", "topic", "type", "category"),
            *("split", "exam", "chapter", "unit", "grade"),
        )
    },
    **dict.fromkeys(("jahr", "année", "annee", "año", "anno", "ano"), "year"),
    **dict.fromkeys(("thema", "sujet", "tema", "argomento"), "topic"),
    **dict.fromkeys(("kapitel", "chapitre", "capítulo", "capitolo"), "chapter"),
    **dict.fromkeys(("klausur", "prüfung", "examen", "esame"), "exam"),
    **dict.fromkeys(("schwierigkeit", "difficulté", "dificultad", "difficoltà"), "difficulty"),
}
_CONTEXT = ("context", "passage", "article", "paragraph", "story", "background", "table")
# what stands in a name that means a key, whatever else does
_KEY_STEMS = re.compile(
    r"answer|correct|antwort|r[ée]ponse|respuesta|risposta|resposta|ответ|答案|正解|\bkeys?\b"
)
_MARKED = re.compile(r"\\boxed\b|####")
_SEEN = 200
_WORKED_CHARACTERS = 60
_WORKED_WORDS = 5
_WORD = re.compile(r"(?<![\\\w])[^\W\d_]{2,}")
_CHOICE = re.compile(
    r"(?:(option|choice|opt|op|alternative|distractor|answer|antwort|auswahl|réponse|choix|respuesta"
    r"|opción|risposta|scelta|resposta|opção) ?)?([a-h]|[1-9])"
)
_FEWEST_CHOICES = 3


@dataclass(frozen=True, slots=True)
class Columns:
    """What a person says of a table; "" for what is to be guessed or seen from the file."""

    text: str = ""
    key: str = ""
    solution: str = ""
    delimiter: str = ""
    encoding: str = ""
    sheet: str = ""
    decimal: str = ""

    @property
    def form(self) -> TableFormat:
        """How the file is to be read."""
        delimiter = "\t" if self.delimiter in ("tab", "\\t") else self.delimiter
        if len(delimiter) > 1:
            raise InputError(f"there is no delimiter {delimiter!r}; it is one character, or tab.")
        return TableFormat(delimiter, self.encoding, self.sheet)


_ALL_GUESSED = Columns()


def guess_source(path: Path, said: Columns = _ALL_GUESSED) -> SourceConfig:
    """Return the configuration that reads ``path``; its ``why`` says what was guessed.

    A folder with YEAR.json files is a competition, a table with problem, answer and unique_id
    MATH-500, any other table one with guessed columns, but for what was ``said``. Raises InputError
    where nothing fits, and for a column that is not there.
    """
    path = Path(path)
    if path.parts[:1] in (("http:",), ("https:",)):
        raise InputError(f"{path.name} is at an address; download it and give the file.")
    if not path.exists():
        raise InputError(f"{path} does not exist; give a file or folder of problems.")
    if path.is_dir():
        _refuse_columns(path, said)
        if (path / "study.yaml").is_file():
            raise InputError(f"{path} holds a study; give {path / 'study.yaml'} in its place.")
        if (path / "study.json").is_file():
            raise InputError(f"{path} is a study directory; give its study file, or a table.")
        tables = sorted(x.name for x in path.iterdir() if _is_table(x))
        if tables and not any(path.rglob("[12][0-9][0-9][0-9].json")):
            raise InputError(
                f"{path} is a folder; give one table of it: {', '.join(tables[:_NAMED])}."
            )
        if not tables and not any(path.rglob("*.json")):
            raise InputError(
                f"{path} holds no table (.csv, .xlsx, .jsonl, .parquet, ...); give a file of "
                "problems, or a folder with the competition's YEAR.json files."
            )
        years = find_years(path)
        why = f"{path} holds {len(years)} YEAR.json files: read as the competition"
        return SourceConfig("competition", {"path": path}, why=why)
    try:
        refuse_no_table(path)
    except InputError as exc:
        raise InputError(str(exc).replace("is not a table;", "is no table of problems;")) from exc
    if path.suffix.lower() == ".json" and _is_year(path):
        _refuse_columns(path, said)
        return SourceConfig(
            "competition",
            {"path": path},
            why=f"{path} is a JSON object: read as a competition year",
        )
    return _guess_table(path, said)


def _is_table(path: Path) -> bool:
    """Return whether a file is a table by its name, and not what Excel keeps beside one."""
    return path.suffix.lower() in _TABLES and not path.name.startswith(("~$", "."))


def _refuse_columns(path: Path, said: Columns) -> None:
    if said != _ALL_GUESSED:
        raise InputError(
            f"{path} is read as the competition's YEAR.json files, which have no columns to name; "
            "leave those options out, or give a table."
        )


def _is_year(path: Path) -> bool:
    """Return whether a JSON file is a competition's, or an object that is no table either."""
    value = load_json(path)
    if not isinstance(value, dict):
        return False
    if value and not any(isinstance(part, dict | list) for part in value.values()):
        return False
    sections = [section for section in value.values() if isinstance(section, dict)]
    questions = [question for section in sections for question in section.values()]
    if any(isinstance(question, dict) for question in questions):
        return True
    return not any(isinstance(v, list) for v in value.values()) and not questions


def _guess_table(path: Path, said: Columns) -> SourceConfig:
    table = open_table(path, said.form)
    columns = table.columns
    if not columns:
        raise InputError(f"{path} is empty; give a table with a problem a row.")
    named = said.text or said.key or said.solution
    if not named and {"problem", "answer", "unique_id", "subject", "level"} <= set(columns):
        return SourceConfig("math500", {"path": path}, why=f"{path} has the columns of MATH-500")
    first = [row for _, row in islice(table.rows, _SEEN)]
    text = _named_column(path, said.text, columns) or _first(columns, _TEXT)
    key, solution = _key_and_solution(path, said, columns, first)
    if text is None:
        raise _not_found(path, "problem text", "--text", _TEXT, table)
    if not said.text and (both := _instruction_and_input(columns, first)):
        raise InputError(
            f"{path} has the columns {both[0]!r} and {both[1]!r}, and a problem's text may be "
            "both; join them into one column, or name one with --text."
        )
    unnamed = [c for c in columns if c not in (text, key, solution) and not _known_name(c)]
    of_solution = key is None or (solution is None and _plain(key) in _SOLUTION)
    guessed = of_solution and not (said.key or said.solution)
    if guessed and any(_KEY_STEMS.search(_plain(c)) for c in unnamed):
        raise _not_found(path, "key", "--key", _KEY, table)
    if key is None and solution is None:
        raise _not_found(path, "key", "--key", _KEY, table)
    for what, option, name, given in (
        ("problem text", "--text", text, said.text),
        ("key", "--key", key, said.key),
        ("worked solution", "--solution", solution, said.solution),
    ):
        if name and not given:
            _refuse_second_column(path, what, option, name, columns)
    options: dict[str, Any] = {"path": path, "text": text}
    options |= {"key": key} if key else {}
    options |= {"solution": solution} if solution else {}
    groups = _groups(columns, {text, key, solution})
    options |= {"groups": groups}
    form = said.form
    options |= {
        name: value
        for name, value in (
            ("delimiter", form.delimiter),
            ("encoding", form.encoding),
            ("sheet", form.sheet),
            ("decimal", _decimal(said.decimal)),
        )
        if value
    }
    told = f"text from column {text!r}"
    told += f", key from {key!r}" if key else ""
    told += f", worked solutions from {solution!r}" if solution else ""
    if solution and not any(as_text(row.get(solution)).strip() for row in first):
        of = "all of its" if len(first) < _SEEN else "the first"
        told += f" (empty in {of} {several(len(first), 'row')})"
    id_column = _first(columns, _ID)
    repeated = ""
    if id_column is not None and id_column not in (text, key, solution):
        repeated = _repeated(path, open_table(path, form), id_column)
        if not repeated:
            options["id"] = id_column
            told += f", id from {id_column!r}"
    told += f", groups {', '.join(groups)}" if groups else ""
    told += f"; {repeated}" if repeated else ""
    left = [c for c in columns if c not in (text, key, solution)]
    if context := [c for c in left if _plain(c) in _CONTEXT]:
        told += f"; the column {context[0]!r} is no part of the text: write it into it"
    if _plain(key or solution or "") in _SOLUTION and (
        passed := [c for c in unnamed if c not in (*context, id_column)]
    ):
        one = len(passed) == 1
        told += f"; the {'column' if one else 'columns'} {', '.join(map(repr, passed[:_NAMED]))} "
        told += f"{'is' if one else 'are'} not read: --key names another key"
    if choices := _choices(left):
        named = f"columns {', '.join(choices)}" if len(choices) > 1 else f"column {choices[0]!r}"
        told += f"; the choices in {named} are no part of the text: write them into it"
        if key and _are_places(key, choices, first):
            told += (
                f", and the keys in {key!r} are places among them, counted from 0: write the "
                "letter or the choice itself"
            )
    return SourceConfig("table", options, why=f"{path} read as a table: {told}")


def _instruction_and_input(columns: Sequence[str], first: Sequence[Any]) -> tuple[str, str] | None:
    """Return the columns of an instruction and of its input (Alpaca's layout), where rows fill
    both; None for any other table.
    """
    by_name = {_plain(column): column for column in columns}
    pair = by_name.get("instruction"), by_name.get("input")
    if pair[0] is None or pair[1] is None:
        return None
    filled = any(all(as_text(row.get(name)).strip() for name in pair) for row in first)
    return (pair[0], pair[1]) if filled else None


def _known_name(column: str) -> bool:
    """Return whether a column's name says that it is no key: an id, a group, a choice."""
    plain = _plain(column)
    return plain in _ID or plain in _GROUPS or _CHOICE.fullmatch(plain) is not None


def _are_places(key: str, choices: Sequence[str], first: Sequence[Any]) -> bool:
    """Return whether keys are whole numbers that count a list of choices from 0 on."""
    rows = [(as_text(row.get(key)), row.get(choices[0])) for row in first]
    if len(choices) != 1 or not rows or not all(isinstance(listed, list) for _, listed in rows):
        return False
    if all(place in map(as_text, listed) for place, listed in rows):
        return False  # they are choices themselves
    return all(place.isdigit() and int(place) < len(listed) for place, listed in rows)


def _choices(columns: Sequence[str]) -> list[str]:
    """Return the columns that hold the choices of a question: A, B, C ... or option1 ..."""
    by_word: dict[str, list[str]] = {}
    for column in columns:
        found = _CHOICE.fullmatch(_plain(column))
        if found and (found[1] or found[2].isalpha()):
            by_word.setdefault(found[1] or "", []).append(column)
    several_columns = max(by_word.values(), key=len, default=[])
    if len(several_columns) >= _FEWEST_CHOICES:
        return several_columns
    return [c for c in columns if _plain(c) in ("choices", "options")][:1]


def _refuse_second_column(
    path: Path, what: str, option: str, name: str, columns: Sequence[str]
) -> None:
    """Raise InputError where another column bears the guessed one's name, but for its case."""
    other = next((c for c in columns if c != name and _plain(c) == _plain(name)), None)
    if other is not None:
        raise InputError(
            f"{path} has two columns that may be the {what}, {name!r} and {other!r}; name one with "
            f"{option}, or in a study file (source: table)."
        )


def _named_column(path: Path, name: str, columns: Sequence[str]) -> str | None:
    """Return a column that was named, None where none was. Raises InputError for one not there."""
    if not name:
        return None
    if name not in columns:
        raise InputError(f"{path} has no column {name!r}{nearest(name, columns)}.")
    return name


def _decimal(sign: str) -> str:
    names = {"": "", "comma": "comma", ",": "comma", "point": "point", ".": "point"}
    if sign not in names:
        raise InputError(f"there is no decimal sign {sign!r}; say comma or point.")
    return names[sign]


def _key_and_solution(
    path: Path, said: Columns, columns: Sequence[str], first: Sequence[Any]
) -> tuple[str | None, str | None]:
    """Return the column of keys and that of worked solutions, told apart by what they hold."""
    key = _named_column(path, said.key, columns)
    solution = _named_column(path, said.solution, columns)
    left = [column for column in columns if column not in (said.text, key, solution)]
    key = key or _first([c for c in left if c != solution], _KEY)
    solution = solution or _first([c for c in left if c != key], _SOLUTION)
    if said.key or said.solution:
        return key, solution
    other = _first([c for c in left if c != key], _EITHER)
    if key is not None and other is not None and solution is None:
        if _is_worked(other, first):
            return key, other
        if _is_worked(key, first):
            return other, key
    if key is None and solution is not None and not _is_worked(solution, first):
        return solution, None
    if key is not None and solution is None and _is_worked(key, first):
        return None, key
    return key, solution


def _is_worked(name: str, rows: Iterable[Any]) -> bool:
    """Return whether a column holds worked solutions and not answers."""
    cells = [as_text(row.get(name)) for row in rows if isinstance(row.get(name), str)]
    cells = [cell for cell in cells if cell]
    if not cells:
        return False
    worded = sum(len(_WORD.findall(cell)) >= _WORKED_WORDS for cell in cells)
    marked = sum(_MARKED.search(cell) is not None and len(cell) > 30 for cell in cells)
    if max(2 * marked, 2 * worded) > len(cells):
        return True
    return median(map(len, cells)) > _WORKED_CHARACTERS


def _not_found(
    path: Path, what: str, option: str, known: Sequence[str], table: Table
) -> InputError:
    columns = table.columns
    headless = any(len(c) > 60 or c.endswith("?") or c[:1].isdigit() for c in columns)
    hint = " The first line must hold the names of the columns." if headless else ""
    if len(columns) == 1 and any(sign in columns[0] for sign in ",;\t|"):
        hint = (
            " Lines are in quotes as a whole, or their cells are parted by another sign: take "
            "those quotes away, or name --delimiter."
        )
    sheet = f", in its sheet {table.sheet!r}," if table.sheet else ""
    if table.others:
        hint += f" Not read: {', '.join(map(repr, table.others))}; --sheet NAME takes one of them."
    shown = ", ".join(c if len(c) <= 60 else c[:57] + "..." for c in columns) or "none"
    return InputError(
        f"{path}{sheet} has no column that looks like the {what} ({', '.join(known[:12])}); there "
        f"are {shown}.{hint} Name it with {option}, or in a study file (source: table)."
    )


def _groups(columns: Sequence[str], taken: set[str | None]) -> dict[str, str]:
    found: dict[str, str] = {}
    for column in columns:
        group = _GROUPS.get(_plain(column))
        if group and column not in taken:
            found.setdefault(group, column)
    return found


def _repeated(path: Path, table: Table, name: str) -> str:
    """Return why a column cannot be the id, "" where it can: a question number often repeats."""
    seen: dict[str, int] = {}
    unit = f"their {place_of_row(path, 0).split()[0]}"
    for number, row in table.rows:
        cell = as_text(row.get(name))
        if not cell:
            at = place_of_row(path, number)
            return f"the column {name!r} is empty in {at}, so rows are named by {unit}"
        if cell in seen:
            return (
                f"the column {name!r} repeats ({cell!r} in {unit.split()[-1]}s {seen[cell]} and "
                f"{number}), so rows are named by {unit}"
            )
        seen[cell] = number
    return ""


def _plain(name: str) -> str:
    return " ".join(re.sub(r"[_\-.:()\[\]]+", " ", name.casefold()).split())


def _first(columns: Sequence[str], wanted: Sequence[str]) -> str | None:
    by_name = {_plain(c): c for c in reversed(columns)}
    return next((by_name[_plain(name)] for name in wanted if _plain(name) in by_name), None)
