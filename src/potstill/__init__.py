"""Potstill: distil a large model's reasoning into a compact student, and know whether it worked.

What a script or a notebook needs, each imported when it is first used::

    import potstill

    there = potstill.run("study.yaml")        # or potstill.open_study("runs/demo")
    table = there.responses.to_pandas()
    with potstill.load_student("runs/demo") as student:
        print(student.ask("What is 12 times 7?"))
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from potstill.lazy import lazy_names

if TYPE_CHECKING:
    from potstill.analysis.compare import compare_studies as compare
    from potstill.analysis.verify import verify_study as verify
    from potstill.chat import Solver, SolverPlugin
    from potstill.deploy.student import LoadedStudent, load_student
    from potstill.errors import PotstillError
    from potstill.grading.grader import grade
    from potstill.grading.maths.equivalence import equal
    from potstill.grading.plugins import KindPlugin
    from potstill.pipeline.directory import StudyDirectory, open_study, run
    from potstill.problems.raw import ProblemSource
    from potstill.records import Lesson, Problem, Response, Score, TextGold, Verdict
    from potstill.study.schema import Study, load_study

    __version__: str

__all__ = [
    "KindPlugin",
    "Lesson",
    "LoadedStudent",
    "PotstillError",
    "Problem",
    "ProblemSource",
    "Response",
    "Score",
    "Solver",
    "SolverPlugin",
    "Study",
    "StudyDirectory",
    "TextGold",
    "Verdict",
    "__version__",
    "compare",
    "equal",
    "grade",
    "load_student",
    "load_study",
    "open_study",
    "run",
    "verify",
]

_HOMES = {
    "KindPlugin": "grading.plugins:KindPlugin",
    "Lesson": "records:Lesson",
    "LoadedStudent": "deploy.student:LoadedStudent",
    "PotstillError": "errors:PotstillError",
    "Problem": "records:Problem",
    "ProblemSource": "problems.raw:ProblemSource",
    "Response": "records:Response",
    "Score": "records:Score",
    "Solver": "chat:Solver",
    "SolverPlugin": "chat:SolverPlugin",
    "Study": "study.schema:Study",
    "StudyDirectory": "pipeline.directory:StudyDirectory",
    "TextGold": "records:TextGold",
    "Verdict": "records:Verdict",
    "compare": "analysis.compare:compare_studies",
    "equal": "grading.maths.equivalence:equal",
    "grade": "grading.grader:grade",
    "load_student": "deploy.student:load_student",
    "load_study": "study.schema:load_study",
    "open_study": "pipeline.directory:open_study",
    "run": "pipeline.directory:run",
    "verify": "analysis.verify:verify_study",
}

_lazy = lazy_names(__name__, _HOMES)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("potstill")
    return _lazy(name)


def __dir__() -> list[str]:
    return sorted(__all__)
