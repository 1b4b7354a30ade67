"""Run ``studies/word-problems.yaml``: a real model teaches a real student on this machine.

``python tools/bench_real.py`` makes the tables from POTSTILL_DATA (tools/make_levels.py says what
it holds), serves the GGUF file that POTSTILL_TEACHER_FILE names with llama-cpp-python on loopback,
and runs the study into runs/word-problems. Killed, it goes on where it stopped.

POTSTILL_BASE is the student's base, where not the hub's SmolLM2-135M-Instruct. The teacher of the
committed report is Qwen's qwen2.5-coder-0.5b-instruct-q4_k_m.gguf.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["main", "served"]

ROOT = Path(__file__).resolve().parents[1]
MODEL = "qwen2.5-coder-0.5b-instruct"
_READY_S = 120.0


@contextmanager
def served(file: Path, log: Path) -> Iterator[str]:
    """Yield the address at which a GGUF file answers, until the block ends."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "llama_cpp.server", "--model", str(file)]
    command += ["--model_alias", MODEL, "--host", "127.0.0.1", "--port", str(port)]
    command += ["--n_ctx", "4096", "--interrupt_requests", "false"]
    with log.open("ab") as told:
        server = subprocess.Popen(command, stdout=told, stderr=told)
    try:
        _wait_until_ready(server, f"http://127.0.0.1:{port}/v1/models", log)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        server.terminate()
        server.wait()


def _wait_until_ready(server: subprocess.Popen[bytes], url: str, log: Path) -> None:
    for _ in range(int(_READY_S * 2)):
        if server.poll() is not None:
            raise SystemExit(f"The server of the teacher ended at once; {log} says why.")
        try:
            urllib.request.urlopen(url, timeout=5).close()
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
        else:
            return
    raise SystemExit(f"The server of the teacher does not answer after {_READY_S:g} s; see {log}.")


def main() -> None:
    """Make the tables, serve the teacher, run the study."""
    data = Path(os.environ.get("POTSTILL_DATA", ROOT.parent / "shared" / "data"))
    teacher = Path(os.environ.get("POTSTILL_TEACHER_FILE", ""))
    if not (data / "word_problems" / "asdiv.jsonl").is_file():
        raise SystemExit(f"{data} holds no word_problems/asdiv.jsonl; set POTSTILL_DATA.")
    if not teacher.is_file():
        raise SystemExit(
            "POTSTILL_TEACHER_FILE must name the teacher's GGUF file, such as "
            f"{MODEL}-q4_k_m.gguf of Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF."
        )
    runs = ROOT / "runs"
    runs.mkdir(exist_ok=True)
    levels = runs / "levels"
    make = [sys.executable, str(ROOT / "tools" / "make_levels.py"), str(data), str(levels)]
    subprocess.run(make, check=True)
    with served(teacher, runs / "teacher.log") as address:
        env = os.environ | {
            "POTSTILL_LEVELS": str(levels),
            "POTSTILL_ENDPOINT": address,
            "OPENAI_API_KEY": os.environ.get("OPENAI_API_KEY", "none"),
        }
        study = ROOT / "studies" / "word-problems.yaml"
        run = ["run", str(study), "--out", str(runs / "word-problems")]
        done = subprocess.run([sys.executable, "-m", "potstill", *run], env=env)
    raise SystemExit(done.returncode)


if __name__ == "__main__":
    main()
