"""How fast a teacher is asked: Potstill's API solver beside a plain AsyncOpenAI loop.

Both ask the same local server (a process of its own, a fixed latency a reply) with the same number
in flight and keep every reply: Potstill committed to its ledger, the loop appended as JSONL. They
take turns, each in a fresh process; the median of the rounds counts.

    python benchmarks/teaching.py [--rounds 3] [--memory]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

IN_FLIGHT = 256
LATENCY_S = 0.2
SYSTEM = "Solve the problem. Think step by step and put the final answer in \\boxed{}."
REASONING = "First I look at what is given, then I try the obvious thing and check it. " * 50


def question(number: int) -> str:
    """A question of the usual length."""
    return f"Let n = {number}. Find the remainder when n squared plus seven is divided by 13. " * 3


# --- the server: an asyncio protocol, so that it is never what is measured -----------------------


def reply_body() -> bytes:
    message = {"role": "assistant", "content": "\\boxed{5}", "reasoning_content": REASONING}
    body = {
        "id": "chatcmpl-bench",
        "object": "chat.completion",
        "created": 1,
        "model": "bench",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 90, "completion_tokens": 900, "total_tokens": 990},
    }
    return json.dumps(body).encode()


def stream_body() -> bytes:
    def event(delta: dict[str, str], finish: str | None = None) -> str:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return f"data: {json.dumps({'id': 'x', 'model': 'bench', 'choices': [choice]})}\n\n"

    pieces = [REASONING[i : i + 100] for i in range(0, len(REASONING), 100)]
    events = [event({"reasoning_content": piece}) for piece in pieces]
    events += [event({"content": "\\boxed{5}"}), event({}, "stop")]
    usage = {"prompt_tokens": 90, "completion_tokens": 900, "total_tokens": 990}
    events += [f"data: {json.dumps({'choices': [], 'usage': usage})}\n\n", "data: [DONE]\n\n"]
    return "".join(events).encode()


def framed(kind: str, body: bytes) -> bytes:
    head = f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


WHOLE = framed("application/json", reply_body())
STREAM = framed("text/event-stream", stream_body())


class Answering(asyncio.Protocol):
    """One connection: reads a request, waits, writes the reply."""

    latency_s = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.read = b""

    def data_received(self, data: bytes) -> None:
        self.read += data
        while (end := self.read.find(b"\r\n\r\n")) >= 0:
            head = self.read[:end].lower()
            length = int(head.partition(b"content-length:")[2].split(b"\r\n", 1)[0] or 0)
            if len(self.read) < end + 4 + length:
                return
            body, self.read = self.read[end + 4 : end + 4 + length], self.read[end + 4 + length :]
            reply = STREAM if b'"stream": true' in body else WHOLE
            if self.latency_s:
                asyncio.get_running_loop().call_later(self.latency_s, self.answer, reply)
            else:
                self.answer(reply)

    def answer(self, reply: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(reply)


async def answer_forever(latency_s: float) -> None:
    Answering.latency_s = latency_s
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Answering, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@contextmanager
def serving(latency_s: float) -> Iterator[str]:
    """The base URL of a server in a process of its own."""
    command = [sys.executable, __file__, "--role", "server", "--latency", str(latency_s)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        try:
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.terminate()


# --- the two that are compared -------------------------------------------------------------------


async def plain_loop(base_url: str, count: int, path: Path) -> None:
    """What is usually written: AsyncOpenAI, a semaphore, and a JSONL file."""
    from openai import AsyncOpenAI

    client = AsyncOpenAI(base_url=base_url, api_key="none")
    gate = asyncio.Semaphore(IN_FLIGHT)

    async def one(number: int) -> None:
        async with gate:
            reply = await client.chat.completions.create(
                model="bench",
                messages=[
                    {"role": "system", "content": SYSTEM},
                    {"role": "user", "content": question(number)},
                ],
                temperature=0.6,
                max_tokens=8192,
            )
        lines.write(json.dumps({"n": number, "reply": reply.model_dump()}) + "\n")
        lines.flush()

    with path.open("a") as lines:
        await asyncio.gather(*(one(n) for n in range(count)))


def potstill(base_url: str, count: int, path: Path, stream: bool) -> None:
    """The same through the API solver, every reply durable before it is handed over."""
    from potstill.chat import Ask, Completion, Message
    from potstill.ledger.ledger import Ledger
    from potstill.records import Finish, Sampling
    from potstill.solvers.api import ApiSolver, Options

    options = Options(
        model="bench", base_url=base_url, concurrency=IN_FLIGHT, stream=stream, api_key_env=""
    )
    sampling = Sampling(temperature=0.6, max_tokens=8192)
    system = Message("system", SYSTEM)
    asks = (Ask(str(n), (system, Message("user", question(n))), sampling) for n in range(count))
    answered = 0
    with Ledger.open(path) as ledger:
        for result in ApiSolver(options, ledger).complete(asks, "teach"):
            assert isinstance(result, Completion)
            assert result.finish is Finish.STOP, result.error
            answered += 1
    assert answered == count


def peak_mb() -> float:
    """The process's largest resident size so far, in MB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0


def measure(role: str, base_url: str, count: int) -> dict[str, float]:
    """Seconds, CPU seconds and peak memory of one contestant, in a fresh process."""
    command = [sys.executable, __file__, "--role", role, "--url", base_url, "--count", str(count)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    measured: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return measured


def contest(role: str, base_url: str, count: int) -> None:
    """Runs one contestant in this process and prints what it took."""
    folder = os.environ.get("POTSTILL_BENCH_DIR")
    with tempfile.TemporaryDirectory(dir=folder) as made:
        wall, cpu = time.perf_counter(), time.process_time()
        if role == "plain":
            asyncio.run(plain_loop(base_url, count, Path(made) / "replies.jsonl"))
        else:
            potstill(base_url, count, Path(made) / "ledger.sqlite", stream=role == "streamed")
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(json.dumps({"wall_s": wall, "cpu_s": cpu, "peak_mb": peak_mb()}))


def side_by_side(rounds: int) -> None:
    limit = IN_FLIGHT / LATENCY_S
    rates: dict[str, list[float]] = {"plain": [], "potstill": [], "streamed": []}
    with serving(LATENCY_S) as base_url:
        for number in range(rounds):
            for role, count in (("plain", 2560), ("potstill", 10240), ("streamed", 5120)):
                rates[role].append(count / measure(role, base_url, count)["wall_s"])
            shown = ", ".join(f"{role} {found[-1]:.0f}/s" for role, found in rates.items())
            print(f"round {number + 1}: {shown} (limit {limit:.0f}/s)", flush=True)
    ours, theirs = statistics.median(rates["potstill"]), statistics.median(rates["plain"])
    print(f"figure teaching_per_s {ours:.1f}")
    print(f"figure teaching_streamed_per_s {statistics.median(rates['streamed']):.1f}")
    print(f"figure teaching_plain_loop_per_s {theirs:.1f}")
    print(f"figure teaching_share_of_limit {ours / limit:.3f}")
    print(f"figure teaching_vs_loop {ours / theirs:.2f}")


def instant(rounds: int) -> None:
    rates: dict[str, list[float]] = {"plain": [], "potstill": []}
    with serving(0.0) as base_url:
        for _ in range(rounds):
            for role, count in (("plain", 1500), ("potstill", 6000)):
                rates[role].append(count / measure(role, base_url, count)["cpu_s"])
    ours, theirs = statistics.median(rates["potstill"]), statistics.median(rates["plain"])
    print(f"figure teaching_instant_per_core_s {ours:.1f}")
    print(f"figure teaching_instant_plain_per_core_s {theirs:.1f}")


def memory() -> None:
    with serving(0.02) as base_url:
        few = measure("potstill", base_url, 2_000)["peak_mb"]
        many = measure("potstill", base_url, 50_000)["peak_mb"]
    print(f"figure teaching_peak_mb_2000 {few:.1f}")
    print(f"figure teaching_peak_mb_50000 {many:.1f}")
    print(f"figure teaching_memory_growth_mb {many - few:.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory", action="store_true", help="2,000 against 50,000 problems")
    parser.add_argument("--role", choices=["server", "plain", "potstill", "streamed"])
    parser.add_argument("--latency", type=float, default=LATENCY_S)
    parser.add_argument("--url", default="")
    parser.add_argument("--count", type=int, default=0)
    args = parser.parse_args()
    if args.role == "server":
        asyncio.run(answer_forever(args.latency))
    elif args.role:
        contest(args.role, args.url, args.count)
    else:
        side_by_side(args.rounds)
        instant(args.rounds)
        if args.memory:
            memory()


if __name__ == "__main__":
    main()
