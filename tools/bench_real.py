"""Run ``studies/word-problems.yaml``: a real model teaches a real student on this machine.

``python tools/bench_real.py`` makes the tables from POTSTILL_DATA (tools/make_levels.py says what
it holds), serves the GGUF file that POTSTILL_TEACHER_FILE names with llama-cpp-python on loopback,
and runs the study into runs/word-problems. Killed, it goes on where it stopped.

POTSTILL_BASE is the student's base, where not the hub's SmolLM2-135M-Instruct. The teacher of the
committed report is Qwen's qwen2.5-coder-0.5b-instruct-q4_k_m.gguf.
"""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

__all__ = ["main", "served"]

ROOT = Path(__file__).resolve().parents[1]
MODEL = "qwen2.5-coder-0.5b-instruct"
_READY_S = 120.0


@contextmanager
def served(file: Path, log: Path, *, servers: int = 2) -> Iterator[str]:
    """Yield the address at which a GGUF file answers, until the block ends.

    ``servers`` of them stand behind it, of one thread each: a request goes to the one with the
    fewest. On two cores two of one thread answer 54 tokens/s, one of two threads 35.
    """
    ports = [_free_port() for _ in range(servers)]
    with ExitStack() as running:
        told = running.enter_context(log.open("ab"))
        for port in ports:
            command = [sys.executable, "-m", "llama_cpp.server", "--model", str(file)]
            command += ["--model_alias", MODEL, "--host", "127.0.0.1", "--port", str(port)]
            command += ["--n_ctx", "4096", "--n_threads", "1", "--interrupt_requests", "false"]
            server = subprocess.Popen(command, stdout=told, stderr=told)
            running.callback(server.wait)
            running.callback(server.terminate)
            _wait_until_ready(server, f"http://127.0.0.1:{port}/v1/models", log)
        address = running.enter_context(_shared_out(ports))
        yield f"http://{address}/v1"


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def _shared_out(ports: list[int]) -> Iterator[str]:
    """Yield an address on loopback whose connections go each to the port that has the fewest."""
    loop = asyncio.new_event_loop()
    open_at = dict.fromkeys(ports, 0)

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        port = min(ports, key=open_at.__getitem__)
        open_at[port] += 1
        try:
            from_server, to_server = await asyncio.open_connection("127.0.0.1", port)
            await asyncio.gather(pass_on(reader, to_server), pass_on(from_server, writer))
        finally:
            open_at[port] -= 1
            writer.close()

    relay = loop.run_until_complete(asyncio.start_server(connect, "127.0.0.1", 0))
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    host, port = relay.sockets[0].getsockname()
    try:
        yield f"{host}:{port}"
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


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
