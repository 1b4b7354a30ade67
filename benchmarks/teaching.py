"""How fast a teacher is asked: Potstill's API solver beside a plain AsyncOpenAI loop.

Both ask the same local server (a process of its own, a fixed latency a reply) with the same number
in flight and keep every reply: Potstill committed to its ledger, the loop appended as JSONL. They
take turns, each in a fresh process; the median of the rounds counts. Without openai there is no
plain loop; Potstill stands alone then.

    python benchmarks/teaching.py [--rounds N] [--replies N] [--memory]
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
from importlib.util import find_spec
from pathlib import Path

from circumstances import at_least_one, lacks, tell_sample

IN_FLIGHT = 256
LATENCY_S = 0.2
SYSTEM = "Solve the problem. Think step by step and put the final answer in \\boxed{}."
REASONING = "First I look at what is given, then I try the obvious thing and check it. " * 50


def question(number: int) -> str:
    """Return a question of the usual length."""
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
    """Yield the base URL of a server in a process of its own."""
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
    """Ask as is usually written: AsyncOpenAI, a semaphore, and a JSONL file."""
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
    """Ask through the API solver, every reply durable before it is handed over."""
    from potstill.chat import Ask, Message
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
            assert result.asked
            assert result.finish is Finish.STOP, result.error
            answered += 1
    assert answered == count


def peak_mb() -> float:
    """Return the process's largest resident size so far, in MB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0


def measure(role: str, base_url: str, count: int) -> dict[str, float]:
    """Return the seconds, CPU seconds and peak memory of one contestant, in a fresh process."""
    command = [sys.executable, __file__, "--role", role, "--url", base_url, "--count", str(count)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    measured: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return measured


def contest(role: str, base_url: str, count: int) -> None:
    """Run one contestant in this process and print what it took."""
    folder = os.environ.get("POTSTILL_BENCH_DIR")
    with tempfile.TemporaryDirectory(dir=folder) as made:
        wall, cpu = time.perf_counter(), time.process_time()
        if role == "plain":
            asyncio.run(plain_loop(base_url, count, Path(made) / "replies.jsonl"))
        else:
            potstill(base_url, count, Path(made) / "ledger.sqlite", stream=role == "streamed")
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(json.dumps({"wall_s": wall, "cpu_s": cpu, "peak_mb": peak_mb()}))


def side_by_side(rounds: int, counts: dict[str, int]) -> None:
    """Measure the replies a second of each from a server that takes its time."""
    limit = IN_FLIGHT / LATENCY_S
    rates: dict[str, list[float]] = {role: [] for role in counts}
    with serving(LATENCY_S) as base_url:
        for number in range(rounds):
            for role, count in counts.items():
                rates[role].append(count / measure(role, base_url, count)["wall_s"])
                told = f"{role} {rates[role][-1]:.0f}/s (limit {limit:.0f}/s)"
                print(f"round {number + 1} of {rounds}: {told}", flush=True)
    middle = {role: statistics.median(found) for role, found in rates.items()}
    print(f"figure teaching_per_s {middle['potstill']:.1f}")
    print(f"figure teaching_streamed_per_s {middle['streamed']:.1f}")
    print(f"figure teaching_share_of_limit {middle['potstill'] / limit:.3f}")
    if "plain" in middle:
        print(f"figure teaching_plain_loop_per_s {middle['plain']:.1f}")
        print(f"figure teaching_vs_loop {middle['potstill'] / middle['plain']:.2f}")
    sys.stdout.flush()


def instant(rounds: int, counts: dict[str, int]) -> None:
    """Measure the replies a CPU second of each from a server that answers at once."""
    rates: dict[str, list[float]] = {role: [] for role in counts}
    with serving(0.0) as base_url:
        for _ in range(rounds):
            for role, count in counts.items():
                rates[role].append(count / measure(role, base_url, count)["cpu_s"])
    print(f"figure teaching_instant_per_core_s {statistics.median(rates['potstill']):.1f}")
    if "plain" in rates:
        print(f"figure teaching_instant_plain_per_core_s {statistics.median(rates['plain']):.1f}")
    sys.stdout.flush()


def memory() -> None:
    """Measure the peak memory at few and at many problems."""
    with serving(0.02) as base_url:
        few = measure("potstill", base_url, 2_000)["peak_mb"]
        many = measure("potstill", base_url, 50_000)["peak_mb"]
    print(f"figure teaching_peak_mb_2000 {few:.1f}")
    print(f"figure teaching_peak_mb_50000 {many:.1f}")
    print(f"figure teaching_memory_growth_mb {many - few:.1f}", flush=True)


def shares_of(replies: int, shares: dict[str, float]) -> dict[str, int]:
    """Return how many replies each contestant asks for; the plain loop where openai is
    installed.
    """
    if "plain" in shares and find_spec("openai") is None:
        shares = {role: share for role, share in shares.items() if role != "plain"}
    return {role: max(1, round(replies * share)) for role, share in shares.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=at_least_one, default=3)
    parser.add_argument(
        "--replies", type=at_least_one, default=10_240, help="to Potstill; the loop takes a quarter"
    )
    parser.add_argument("--memory", action="store_true", help="2,000 against 50,000 problems")
    parser.add_argument(
        "--role", choices=["server", "plain", "potstill", "streamed"], help=argparse.SUPPRESS
    )
    parser.add_argument("--latency", type=float, default=LATENCY_S, help=argparse.SUPPRESS)
    parser.add_argument("--url", default="", help=argparse.SUPPRESS)
    parser.add_argument("--count", type=int, default=0, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.role == "server":
        asyncio.run(answer_forever(args.latency))
    elif args.role:
        contest(args.role, args.url, args.count)
    else:
        compare(args)


def compare(args: argparse.Namespace) -> None:
    """Print all figures, those of the slow server first."""
    lacks("openai", "pip install openai", "Potstill is measured without a plain loop beside it")
    slow = shares_of(args.replies, {"plain": 0.25, "potstill": 1.0, "streamed": 0.5})
    quick = shares_of(args.replies, {"plain": 1_500 / 10_240, "potstill": 6_000 / 10_240})
    side_by_side(args.rounds, slow)
    instant(args.rounds, quick)
    if args.memory:
        memory()
    asked = ", ".join(f"{role} {count:,}" for role, count in slow.items())
    rest = "" if args.memory else "; memory at 50,000 problems by --memory"
    tell_sample(f"{args.rounds} rounds, replies in each: {asked}{rest}")


if __name__ == "__main__":
    main()
