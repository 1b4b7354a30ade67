"""An endpoint that fails at random: every way in which real ones do, seeded, over real sockets."""

from __future__ import annotations

import asyncio
import email.utils
import json
import random
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

FAULTS = (
    "429",
    "429 seconds",
    "429 date",
    "500",
    "502 html",
    "200 html",
    "reset",
    "reset late",
    "half body",
    "empty choices",
    "wrong json",
    "cut json",
    "error body",
    "no finish",
)
ODDITIES = ("drip", "duplicate chunks", "keep-alives", "think tags", "null finish")


def answer_to(question: str) -> tuple[str, str]:
    """Give the reasoning and the text with which the server answers a question."""
    return f"thinking about {question} " * 8, f"the answer to {question} — ½"


class FaultServer:
    """Answers chats; ``rate`` of the requests fail, each question's tries in a seeded order.

    ``sent`` counts the whole replies that left by question, ``faults`` what else was done.
    """

    def __init__(self, seed: int = 0, rate: float = 0.5, latency_s: float = 0.0) -> None:
        self.seed = seed
        self.rate = rate
        self.latency_s = latency_s
        self.tries: Counter[str] = Counter()
        self.sent: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.in_flight = 0
        self.most_in_flight = 0
        self.headers: list[bytes] = []
        self.base_url = ""

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
                asked = json.loads(await reader.readexactly(length))
                self.headers.append(head)
                self.in_flight += 1
                self.most_in_flight = max(self.most_in_flight, self.in_flight)
                try:
                    if not await self.answer(asked, writer):
                        break
                finally:
                    self.in_flight -= 1
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def answer(self, asked: dict, writer: asyncio.StreamWriter) -> bool:
        """Answer one request. Whether the connection stays open after the reply."""
        question = asked["messages"][-1]["content"]
        self.tries[question] += 1
        chance = random.Random(f"{self.seed}:{question}:{self.tries[question]}")
        if self.latency_s:
            await asyncio.sleep(self.latency_s)
        if chance.random() < self.rate:
            fault = chance.choice(FAULTS)
            self.faults[fault] += 1
            return await self.fail(fault, question, asked, writer)
        oddity = chance.choice((*ODDITIES, "", "", "", ""))
        self.faults[oddity] += bool(oddity)
        data = (
            stream_reply(question, oddity) if asked.get("stream") else whole_reply(question, oddity)
        )
        pieces = cut(data, 97) if oddity == "drip" else [data]
        for number, piece in enumerate(pieces, 1):
            # counted before it leaves: who has it may look before this goes on
            self.sent[question] += number == len(pieces)
            writer.write(piece)
            await writer.drain()
            if oddity == "drip":
                await asyncio.sleep(0.002)
        return True

    async def fail(
        self, fault: str, question: str, asked: dict, writer: asyncio.StreamWriter
    ) -> bool:
        whole = stream_reply(question) if asked.get("stream") else whole_reply(question)
        if fault in ("reset", "reset late", "half body"):
            if fault != "reset":
                writer.write(whole[: len(whole) * 2 // 3])
                await writer.drain()
            if fault != "half body":
                abort(writer)
            return False
        writer.write(failure(fault, question))
        await writer.drain()
        return True


def abort(writer: asyncio.StreamWriter) -> None:
    """End the connection with a reset instead of an orderly close."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def http(status: int, kind: str, body: bytes, headers: str = "") -> bytes:
    """Write one HTTP response."""
    head = f"HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n"
    return (head + headers + "\r\n").encode() + body


def failure(fault: str, question: str) -> bytes:
    """Write the response of a fault that is one."""
    busy = json.dumps({"error": {"message": "slow down", "code": "rate_limit_exceeded"}}).encode()
    good = json.loads(body_of(question))
    match fault:
        case "429":
            return http(429, "application/json", busy)
        case "429 seconds":
            return http(429, "application/json", busy, "retry-after: 0.05\r\n")
        case "429 date":
            date = email.utils.formatdate(time.time() + 0.5, usegmt=True)
            return http(429, "application/json", busy, f"retry-after: {date}\r\n")
        case "500":
            return http(500, "application/json", b'{"error": {"message": "oops"}}')
        case "502 html":
            return http(502, "text/html", b"<html><h1>Bad Gateway</h1></html>")
        case "200 html":
            return http(200, "text/html", b"<html>Please log in</html>")
        case "empty choices":
            return http(200, "application/json", json.dumps(good | {"choices": []}).encode())
        case "wrong json":
            return http(200, "application/json", b'["not", "a", "completion"]')
        case "cut json":
            return http(200, "application/json", body_of(question)[:-40])
        case "error body":
            return http(200, "application/json", b'{"error": {"message": "overloaded"}}')
        case "no finish":
            good["choices"][0] |= {"finish_reason": None, "message": {"content": ""}}
            return http(200, "application/json", json.dumps(good).encode())
    raise ValueError(fault)


def body_of(question: str, oddity: str = "") -> bytes:
    """Write the chat.completion of a question."""
    reasoning, text = answer_to(question)
    message = {"role": "assistant", "content": text, "reasoning_content": reasoning}
    if oddity == "think tags":
        message = {"role": "assistant", "content": f"<think>{reasoning}</think>\n\n{text}"}
    finish = None if oddity == "null finish" else "stop"
    choice = {"index": 0, "message": message, "finish_reason": finish}
    usage = {"prompt_tokens": 10, "completion_tokens": 50, "total_tokens": 60}
    return json.dumps(
        {"id": "x", "object": "chat.completion", "choices": [choice], "usage": usage}
    ).encode()


def whole_reply(question: str, oddity: str = "") -> bytes:
    """Write the reply in one piece."""
    return http(200, "application/json", body_of(question, oddity))


def stream_reply(question: str, oddity: str = "") -> bytes:
    """Write the reply as server-sent events, chunked at odd places."""
    reasoning, text = answer_to(question)
    deltas = [("reasoning_content", piece) for piece in cut(reasoning, 11)]
    deltas += [("content", piece) for piece in cut(text, 5)]
    if oddity == "think tags":
        deltas = [("content", p) for p in cut(f"<think>{reasoning}</think>\n\n{text}", 7)]
    chunks = [{"id": "x", "choices": [{"index": 0, "delta": {n: p}}]} for n, p in deltas]
    finish = None if oddity == "null finish" else "stop"
    chunks.append({"id": "x", "choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
    usage = {"prompt_tokens": 10, "completion_tokens": 50, "total_tokens": 60}
    chunks.append({"id": "x", "choices": [], "usage": usage})
    events = []
    for number, chunk in enumerate(chunks):
        event = f"id: {number}\ndata: {json.dumps(chunk, ensure_ascii=False)}\n\n".encode()
        events += [event] * (2 if oddity == "duplicate chunks" else 1)
        events += [b": keep-alive\n\n"] * (oddity == "keep-alives")
    data = b"".join(events) + b"data: [DONE]\n\n"
    head = (
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    )
    framed = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in cut(data, 301))
    return head + framed + b"0\r\n\r\n"


def cut(data, size: int) -> list:
    """Cut the data into pieces of a size."""
    return [data[i : i + size] for i in range(0, len(data), size)]


@contextmanager
def running(server: FaultServer) -> Iterator[FaultServer]:
    """Run the server, listening in a thread; ``base_url`` is set."""
    loop = asyncio.new_event_loop()
    started = threading.Event()
    stop: list[asyncio.Event] = []

    async def main() -> None:
        listener = await asyncio.start_server(server.handle, "127.0.0.1", 0, backlog=1024)
        server.base_url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/v1"
        stop.append(asyncio.Event())
        started.set()
        await stop[0].wait()
        listener.close()
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)

    thread = threading.Thread(target=loop.run_until_complete, args=(main(),), daemon=True)
    thread.start()
    started.wait()
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(stop[0].set)
        thread.join()
        loop.close()
