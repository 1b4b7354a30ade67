"""A study's tables from import to report at 10^3 to 10^6 problems: memory and time of every stage.

    python benchmarks/memory.py [--problems N ...] [--folder DIR]

Synthetic problems go through import, overlap and split, the recording of a teacher's answers (1,000
characters each), grading, recorded lessons at two levels with their gates, the answers of a base on
the held-out fifth, scoring and the report: all that a study does but asking models and training. A
tenth are near or exact copies, have no text, are answered wrongly or not at all. Every size has a
process of its own; memory is the sum of its and its grading workers' resident sets, sampled five
times a second. A table, then one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import string
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import psutil
import yaml

from circumstances import at_least_one, tell_sample
from potstill.chat import Ask, Completion, Solver
from potstill.pipeline.asking import ask_teacher
from potstill.pipeline.assemble import write_report
from potstill.pipeline.outputs import Made
from potstill.pipeline.run import evaluate, open_run
from potstill.pipeline.services import Agents, LocalModels
from potstill.pipeline.stages import grade_answers, import_problems, make_lessons, split_problems
from potstill.pipeline.traces import rank_taught
from potstill.progress import quiet
from potstill.records import Finish, Split
from potstill.study.schema import load_study

TRACE_WORDS = 160
_draw = random.Random(0)
WORDS = ["".join(_draw.choices(string.ascii_lowercase, k=_draw.randint(2, 9))) for _ in range(4000)]
ROOT_WEIGHTS = [1 / (i + 1) for i in range(len(WORDS))]
STUDY = {
    "name": "memory",
    "teacher": {"solver": "pocket", "model": "pocket-teacher", "prompt": "{problem}"},
    "verify": "symbolic",
    "levels": ["R1", "R4"],
    "student": {"base": "pocket"},
    "training": {"preset": "pocket"},
    "evaluation": {"prompt": "{problem}", "max_tokens": 320},
    "split": {"by": "share", "heldout_share": 0.2},
}


def key_of(number: int) -> int:
    """Return the answer to a problem."""
    return number * 7 % 9973


def text_of(number: int) -> str:
    """Return a problem's text: every twentieth repeats the one before it but for a word, or
    wholly.
    """
    twin = number - 1 if number % 20 == 19 else number
    draw = random.Random(twin)
    words = draw.choices(WORDS, ROOT_WEIGHTS, k=40)
    if number % 40 == 19:
        words[7] = "another"
    if number % 100 == 50:
        return ""
    return f"{' '.join(words)} {twin} and {key_of(twin)}; how many are there of {twin % 89}?"


def prose(number: int, words: int) -> str:
    """Return some lines that end in the answer, wrong for every tenth problem."""
    draw = random.Random(-number)
    chosen = draw.choices(WORDS, ROOT_WEIGHTS, k=words)
    lines = [" ".join(chosen[i : i + 15]) + "." for i in range(0, words, 15)]
    answer = key_of(number) + (number % 10 == 3)
    return "\n".join([*lines, f"With {number} the answer is \\boxed{{{answer}}}."])


@dataclass(slots=True)
class Recorded:
    """A model whose answers are known: what stands in for a record of a million replies."""

    id: str
    words: int
    precision: str = "api"

    def complete(self, asks: Iterable[Ask], stage: str) -> Iterator[Completion]:
        """Yield the answers in the order of the asks."""
        for ask in asks:
            number = int(ask.tag.removeprefix("p"))
            text = "" if number % 50 == 7 else prose(number, self.words)
            said = Completion(text, "", Finish.STOP, 60, len(text) // 4)
            yield said.answering(ask, f"key-{number}")


class RecordedAgents(Agents):
    """Agents that are records."""

    def open(self, role: str) -> Solver:
        """Return the record of the teacher's answers."""
        return Recorded(role, TRACE_WORDS)


class RecordedModels(LocalModels):
    """Local models that are records."""

    def solver(self, adapter: Path | None, name: str) -> Solver:
        """Return the record of a student's answers."""
        return Recorded(name, 60, "float32")


@dataclass(slots=True)
class Watch:
    """The resident memory of this process and its children."""

    stages: dict[str, tuple[float, float]] = field(default_factory=dict)
    peak: float = 0.0

    def run(self) -> None:
        """Sample for as long as the process lives."""
        own = psutil.Process()
        while True:
            found = 0
            for process in (own, *own.children(recursive=True)):
                try:
                    found += process.memory_info().rss
                except psutil.Error:
                    continue
            self.peak = max(self.peak, found / 1e6)
            time.sleep(0.2)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measure a stage's seconds and peak MB."""
        self.peak, started = 0.0, time.monotonic()
        yield
        time.sleep(0.25)
        self.stages[name] = (time.monotonic() - started, self.peak)
        print(f"  {name}: {self.stages[name][0]:.1f} s, {self.peak:,.0f} MB", file=sys.stderr)


def write_inputs(folder: Path, count: int) -> Path:
    """Return the study file, after problems and lessons were written beside it."""
    with (
        (folder / "problems.jsonl").open("w", encoding="utf-8") as problems,
        (folder / "levels.jsonl").open("w", encoding="utf-8") as levels,
    ):
        for number in range(count):
            row = {"id": f"p{number}", "problem": text_of(number), "answer": str(key_of(number))}
            row |= {"year": str(2000 + number % 20)}
            problems.write(json.dumps(row) + "\n")
            lesson = {"id": row["id"], "long": prose(number, 60), "short": prose(number, 15)}
            levels.write(json.dumps(lesson) + "\n")
    table = {"path": "problems.jsonl", "id": "id", "groups": {"year": "year"}}
    record = {"path": "levels.jsonl", "id": ["id"], "levels": {"R1": "long", "R4": "short"}}
    study = STUDY | {"problems": [{"source": "table", **table}], "recorded": {"files": [record]}}
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(study))
    return path


def measure(folder: Path, count: int) -> dict[str, tuple[float, float]]:
    """Return the seconds and the peak in MB of every stage."""
    study = load_study(write_inputs(folder, count))
    watch = Watch()
    threading.Thread(target=watch.run, daemon=True).start()
    directory = folder / "out"
    with ExitStack() as stack:
        run = open_run(study, directory, quiet, stack)
        context, graders = run.context, run.graders
        agents = RecordedAgents(context, stack)
        run = replace(run, agents=agents, models=RecordedModels(context, run.workers))
        made = Made(study)
        with watch.stage("import"):
            made.problems, made.excluded = import_problems(context)
        with watch.stage("overlap and split"):
            made.splits, made.pairs = split_problems(context, run.workers, made.problems)
        asked = made.in_split(Split.TRAIN, Split.VALID)
        with watch.stage("recording"):
            made.taught = ask_teacher(context, agents, asked, "train")
        with watch.stage("grading"):
            made.taught = grade_answers(context, agents, graders, made.taught, asked)
        with watch.stage("lessons and gates"):
            made.traces = rank_taught(context, run.models, made.taught, asked)
            made.lessons, made.chosen = make_lessons(
                context, agents, graders, run.models, made.taught, made.traces, asked
            )
        with watch.stage("held out: answers and grading"):
            made.answers = evaluate(run, [], [], made.in_split(Split.HELDOUT))
        graders.close()
        with watch.stage("scoring and report"):
            write_report(context, run.workers, made)
    return watch.stages


def main() -> None:
    """Print a row for every size, one line of JSON, and what was left out."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--problems", type=at_least_one, nargs="+", default=[1_000, 5_000])
    parser.add_argument("--folder", type=Path, help="where there is room (10 GB for 10^6)")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        with tempfile.TemporaryDirectory(dir=args.folder) as folder:
            print(json.dumps(measure(Path(folder), args.one)))
        return
    found = {}
    for count in args.problems:
        command = [sys.executable, __file__, "--one", str(count)]
        command += ["--folder", str(args.folder)] if args.folder else []
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        stages = found[count] = json.loads(done.stdout)
        seconds = sum(s for s, _ in stages.values())
        peak = max(mb for _, mb in stages.values())
        load = os.getloadavg()[0]
        told = f"{seconds:,.0f} s, peak {peak:,.0f} MB, load {load:.1f}"
        print(f"{count:>9,} problems: {told}", flush=True)
    print(json.dumps({"cores": os.cpu_count(), "stages": found}))
    sizes = " and ".join(f"{count:,}" for count in args.problems)
    tell_sample(f"{sizes} problems, once each; larger sizes by --problems 100000 1000000")


if __name__ == "__main__":
    main()
