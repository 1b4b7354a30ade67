"""The process that compares answers for a pool: JSON lines in, JSON lines out, one at a time.

It may be killed at any moment, and is: :mod:`potstill.grading.worker_processes` watches its time
and memory.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from typing import Any

from potstill.grading.extraction import Extraction
from potstill.grading.maths.comparison import KeyUnreadable
from potstill.grading.maths.key_faults import key_problem
from potstill.grading.maths.library import may_be_needed
from potstill.grading.verdicts import Settled, compare_extracted, read
from potstill.records import Finish

__all__ = ["main"]


def main() -> None:
    """Answer jobs from standard input until it closes. Never raises for a job."""
    # Results have a channel of their own: whatever a library prints must not look like one.
    results = os.fdopen(os.dup(1), "w", encoding="utf-8", errors="surrogatepass")
    os.dup2(2, 1)
    jobs = os.fdopen(os.dup(0), "r", encoding="utf-8", errors="surrogatepass")
    _leave_with_parent()
    sys.setrecursionlimit(3_000)
    _warm()

    def say(message: dict[str, Any]) -> None:
        results.write(json.dumps(message) + "\n")
        results.flush()

    say({"ready": True})
    for line in jobs:
        job = json.loads(line)
        if _needs_library(job):
            _load_library(say)
        say(answer(job))


def answer(job: dict[str, Any]) -> dict[str, Any]:
    """Return the result of one job as plain JSON: what was extracted and how it compares."""
    key, kind, problem_text = job["key"], job["kind"], job["problem"]
    try:
        if "read" in job:
            return _as_read(read(job["text"], Finish(job["finish"]), kind, problem_text))
        if (bad := key_problem(key, kind, problem_text)) is not None:
            return {"bad": bad}
        if "answer" in job:
            found = Extraction(job["answer"], "")
        else:
            read_ = read(job["text"], Finish(job["finish"]), kind, problem_text)
            if isinstance(read_, Settled):
                return _as_read(read_)
            found = read_
        result = compare_extracted(key, found, kind, problem_text)
    except KeyUnreadable as error:
        return {"bad": str(error)}
    except (RecursionError, MemoryError) as error:
        return {"failed": f"the answer could not be read: {type(error).__name__}"}
    except Exception as error:
        # One answer must never cost its neighbours: whatever went wrong is this answer's reason.
        return {"failed": f"the answer could not be graded: {type(error).__name__}: {error}"[:300]}
    return _as_read(found) | {
        "opinion": str(result.opinion),
        "why": result.why,
        "form": result.form,
        "readable": result.readable,
    }


def _as_read(found: Extraction | Settled) -> dict[str, Any]:
    if isinstance(found, Settled):
        return {"outcome": str(found.outcome), "why": found.why}
    read_as = {"extracted": found.text, "rule": found.rule, "several": list(found.several)}
    return read_as | {"cut": found.cut, "turned": list(found.turned)}


def _warm() -> None:
    import mpmath  # noqa: F401

    # What an answer needs is loaded before any answer's clock runs.
    job = {"key": "\\frac{1}{\\sqrt{2}}", "kind": "root", "problem": "How many metres is it?"}
    answer(job | {"answer": "√2/2"})
    answer(job | {"text": "The length is therefore 0.5 metres.", "finish": "STOP"})


def _needs_library(job: dict[str, Any]) -> bool:
    if "math_verify" in sys.modules:
        return False

    return may_be_needed(job["key"], job.get("answer", ""))


def _load_library(say: Any) -> None:
    """Import the symbolic library outside the clock of the answer that first needs it."""
    say({"loading": True})
    import math_verify  # noqa: F401

    say({"loading": False})


def _leave_with_parent() -> None:
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(0)

    threading.Thread(target=watch, daemon=True).start()


if __name__ == "__main__":
    main()
