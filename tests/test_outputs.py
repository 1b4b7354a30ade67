"""Where a command writes: never over what it reads or what is a study's; and options that need
another.
"""

from __future__ import annotations

import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from potstill.cli.outputs import EXPLORATORY, check_folder, check_output
from potstill.errors import InputError, StoreError
from potstill.pipeline.run import _write_snapshot as write_snapshot
from potstill.pipeline.run import run_study
from potstill.study.schema import load_study
from support.command_line import one_sentence, run_cli
from support.small_study import write_small_study

TABLE = "id,problem,answer\na,What is 2+2?,4\nb,What is 2+3?,5\n"


@pytest.fixture(scope="module")
def split_up(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a study file of a table, and a study directory beside it."""
    folder = tmp_path_factory.mktemp("outputs")
    rows = "".join(f"q{i},What is {i}+2?,{i + 2}\n" for i in range(20))
    (folder / "sums.csv").write_text(f"id,problem,answer\n{rows}")
    table = {"source": "table", "path": "sums.csv", "id": "id"}
    study = write_small_study(folder, problems=[table], split={"by": "share"})
    run_study(load_study(study), folder / "out", until="split")
    return folder


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("ledger out --export out/ledger.sqlite", "belongs to the study directory"),
        ("ledger out --export out/rulings.jsonl", "belongs to the study directory"),
        ("ledger out --export study.yaml", "is a study file"),
        ("ledger other.sqlite --export other.sqlite", "is read by this command"),
        ("ledger out --export other.sqlite", "is a ledger"),
        ("gap --json study.yaml study.yaml", "is read by this command"),
        ("gap --json sums.csv study.yaml", "is read by study.yaml"),
        ("gap --json sums.csv out", "is read by out"),
        ("gap --json out/study.json out", "belongs to the study directory"),
        ("gap --json out/report/report.json out", "belongs to the study directory"),
        ("compare out out --json out/potstill.json", "belongs to the study directory"),
        ("compare out out --json linked.json", "belongs to the study directory"),
        ("compare out out --json cells", "is no file"),
        ("overlap table.csv --out table.csv", "is read by this command"),
        ("overlap study.yaml --out sums.csv", "is read by study.yaml"),
        ("overlap folder --out folder/2011.csv", "is read by this command"),
        ("grade table.csv --gold answer --response problem --out table.csv", "read by this"),
        ("grade table.csv --gold answer --response problem --out out/cells/x.csv", "belongs to"),
    ],
)
def test_no_command_writes_over_what_must_stay(
    split_up: Path,
    command: str,
    says: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(split_up)
    Path("table.csv").write_text(TABLE)
    Path("cells").mkdir(exist_ok=True)
    Path("folder").mkdir(exist_ok=True)
    Path("folder/2011.csv").write_text(TABLE)
    Path("other.sqlite").write_bytes(Path("out/ledger.sqlite").read_bytes())
    Path("linked.json").unlink(missing_ok=True)
    Path("linked.json").symlink_to("out/study.json")
    before = {p: p.read_bytes() for p in Path().rglob("*") if p.is_file()}
    code, _, err = run_cli(capsys, monkeypatch, *command.split())
    assert code == 2
    assert says in one_sentence(err)
    assert {p: p.read_bytes() for p in Path().rglob("*") if p.is_file()} == before


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("corpus out --to messages --out out/cells/new", "belongs to the study directory"),
        ("log out --to inspect --out out/report/logs", "belongs to the study directory"),
        ("export out --student R1 --to peft --out out/cells/x", "belongs to the study directory"),
        ("convert a --to peft --base b --out out/diagnosis/x", "belongs to the study directory"),
        ("reproduce out --out out/cells/x", "belongs to the study directory"),
        ("run study.yaml --out out/cells/x --until problems", "belongs to the study directory"),
        ("train study.yaml --out out/report/x --dry-run", "belongs to the study directory"),
        ("gap study.yaml --out out/cells/x --dry-run", "belongs to the study directory"),
        ("status out/ledger.sqlite", "is one file of a study; give its directory, out."),
        ("verify out/potstill.json", "is one file of a study; give its directory, out."),
    ],
)
def test_no_command_writes_among_a_studys_own_files(
    split_up: Path,
    command: str,
    says: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(split_up)
    before = sorted(Path("out").rglob("*"))
    monkeypatch.setattr("potstill.analysis.students.find_student", lambda *_: None)
    code, _, err = run_cli(capsys, monkeypatch, *command.split())
    assert code == 2
    assert says in one_sentence(err)
    assert sorted(Path("out").rglob("*")) == before


def test_a_folder_for_exports_may_be_the_studys_own(split_up: Path) -> None:
    check_folder(split_up / "out" / "exports" / "mine")
    check_folder(split_up / "out" / "notes")
    check_folder(split_up / "beside")


def test_an_earlier_output_is_written_over(split_up: Path, tmp_path: Path) -> None:
    kept = tmp_path / "gap.json"
    for _ in range(2):
        check_output("--json", kept, split_up / "study.yaml", split_up / "out", holds=EXPLORATORY)
        kept.write_text('{"format_version": 1, "kind": "exploratory"}')
    check_output("--out", split_up / "out" / "notes.csv", split_up / "out", holds=["a_id"])
    with pytest.raises(InputError, match="is no file"):
        check_output("--json", Path("/dev/null"), holds=EXPLORATORY)
    for no_name in ("x" * 300, "a\0b"):
        with pytest.raises(InputError, match="--json cannot be written to"):
            check_output("--json", tmp_path / no_name, holds=EXPLORATORY)
    (tmp_path / "STUDY.YAML").write_text("name: a")
    with pytest.raises(InputError, match="is a study file"):
        check_output("--json", tmp_path / "STUDY.YAML", holds=EXPLORATORY)


@pytest.mark.parametrize(
    "command",
    [
        "overlap table.csv --out made.csv",
        "overlap table.csv --out made.jsonl",
        "grade table.csv --gold answer --response problem --out made.csv",
        "grade table.csv --gold answer --response problem --out made.jsonl",
        "grade table.csv --gold answer --response problem --out made.parquet",
        "ledger out --export made.jsonl",
    ],
)
def test_only_an_earlier_output_is_written_over(
    split_up: Path,
    command: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(split_up)
    Path("table.csv").write_text(f"{TABLE}c,What is 2+4?,6\n")
    made = Path(command.split()[-1])
    made.unlink(missing_ok=True)
    for _ in range(2):
        assert run_cli(capsys, monkeypatch, *command.split())[0] == 0
    Path("mine.csv").write_text(TABLE)
    made.write_bytes(Path("mine.csv").read_bytes())
    code, _, err = run_cli(capsys, monkeypatch, *command.split())
    assert code == 2
    assert "is no earlier output of this command" in one_sentence(err)
    assert made.read_text() == TABLE


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("train study.yaml --iterations 20", "--iterations needs --diagnose"),
        ("run study.yaml --dry-run --until teach", "--until needs a run"),
        ("run study.yaml --out=", "--out is empty"),
        ("train study.yaml --out=", "--out is empty"),
        ("gap study.yaml --json=", "--json is empty"),
        ("ledger out --verify --export new.jsonl", "give one of them"),
        ("ledger out --export new.jsonl --import table.csv", "give one of them"),
        ("gap study.yaml --dry-run --json new.json", "give one"),
        ("export out --student R1-s0 --to peft --quantise q8_0", "--quantise needs --to gguf"),
        ("export out --student R1-s0 --to peft --dtype float16", "--dtype needs --to merged"),
        ("export out --student R1-s0 --to gguf --dtype float16", "--dtype needs --to merged"),
        ("grade t.csv --gold a --response b --out - --base-url http://x", "needs --judge"),
        ("grade t.csv --gold a --response b --out - --api-key-env K", "needs --judge"),
        ("grade t.csv --gold a --response a --out -", "'a' is given twice"),
        ("grade t.csv --gold a --response b --problem b --out -", "'b' is given twice"),
        ("replay out/ledger.sqlite --text answer", "--text needs a table"),
        ("inspect out q1 --split train", "--split needs the list of all problems"),
        ("inspect out q1 --gates", "--gates needs the list of all problems"),
        ("inspect out --gates --split train", "--split needs the list of problems"),
        ("inspect out --level R3", "the study has no level 'R3'; did you mean 'R"),
        ("inspect out q1 --level R3", "the study has no level 'R3'; did you mean 'R"),
    ],
)
def test_an_option_that_would_be_ignored_says_what_it_needs(
    split_up: Path,
    command: str,
    says: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(split_up)
    code, _, err = run_cli(capsys, monkeypatch, *command.split())
    assert code == 2
    assert says in one_sentence(err)
    assert not list(Path().glob("new.*"))


def test_a_file_where_the_report_belongs_is_refused_before_anything_is_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    study = write_small_study(tmp_path)
    out = tmp_path / "own"
    out.mkdir()
    (out / "report").write_text("mine\n")
    code, _, err = run_cli(capsys, monkeypatch, "run", study, "--out", out)
    assert code == 2
    assert "is a file, and a folder of that name is to hold the report" in one_sentence(err)
    assert [path.name for path in out.iterdir()] == ["report"]
    assert (out / "report").read_text() == "mine\n"


def test_a_changed_study_file_is_told_of(
    split_up: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(split_up)
    Path("runs").mkdir()
    Path("runs/demo").symlink_to(Path("out").resolve())
    assert run_cli(capsys, monkeypatch, "status", "study.yaml")[2] == ""
    changed = Path("study.yaml").read_text().replace("iterations: 2", "iterations: 3")
    Path("changed.yaml").write_text(changed)
    code, out, err = run_cli(capsys, monkeypatch, "status", "changed.yaml")
    assert code == 0
    assert "up to date" in out
    assert "changed.yaml has changed since runs/demo was made" in one_sentence(err)


def potstill(*arguments: object, **kept: object) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "potstill", *map(str, arguments)]
    return subprocess.run(command, stderr=subprocess.PIPE, **kept)  # type: ignore[call-overload, no-any-return]


@pytest.mark.parametrize("command", ["overlap t.csv", "equal 1 2", "--help", "problems t.csv"])
def test_output_that_cannot_be_written_is_one_sentence(tmp_path: Path, command: str) -> None:
    (tmp_path / "t.csv").write_text(TABLE)
    with Path("/dev/full").open("wb") as full:
        ended = potstill(*command.split(), stdout=full, cwd=tmp_path)
    assert ended.returncode == 2
    assert "standard output cannot be written" in one_sentence(ended.stderr.decode())
    reader = subprocess.Popen(["true"], stdin=subprocess.PIPE)
    reader.wait()
    closed = potstill(*command.split(), stdout=reader.stdin, cwd=tmp_path)
    assert closed.stderr == b""


def test_a_full_disk_is_not_called_a_full_output(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("a small file system can only be mounted as root on Linux")
    try:
        study = write_small_study(tmp_path)
        words = ("run", study, "--out", disk / "out", "--until", "problems")
        assert potstill(*words, stdout=subprocess.PIPE).returncode == 0
        with (disk / "full").open("wb", buffering=0) as full, suppress(OSError):
            while True:
                full.write(bytes(1024))
        with pytest.raises(StoreError, match=r"Cannot write to .*No space left on device"):
            write_snapshot(load_study(study), disk / "out")
        with (tmp_path / "out.txt").open("wb") as room:
            for command, out in ((words, subprocess.PIPE), (words, room), (("init", "x"), room)):
                ended = potstill(*command, stdout=out, cwd=disk)
                said = one_sentence(ended.stderr.decode())
                assert ended.returncode == 2
                assert str(disk) in said
                assert "standard output" not in said
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_terminal_without_a_letter_gets_a_question_mark(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    (tmp_path / "t.csv").write_text("id,problem,answer\né,Wie groß ist 2×2?,½\n", "utf-8")
    shown = potstill("problems", "t.csv", stdout=subprocess.PIPE, cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert b"Wie gro? ist 2?2?" in shown.stdout
    columns = ("--gold", "answer", "--response", "problem", "--out", "-")
    rows = potstill("grade", "t.csv", *columns, stdout=subprocess.PIPE, cwd=tmp_path)
    assert "Wie groß ist 2×2?" in rows.stdout.decode("utf-8")


@pytest.mark.parametrize("place", ["t.csv/x.csv", "/proc/x.csv"])
def test_pairs_that_cannot_be_written_are_one_sentence(
    tmp_path: Path,
    place: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("t.csv").write_text(TABLE)
    code, _, err = run_cli(capsys, monkeypatch, "overlap", "t.csv", "--out", place)
    assert code == 2
    assert "cannot be written" in one_sentence(err)
