"""``potstill doctor``: what this machine can do, and what to install for the rest."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from potstill.cli.machine import Device, Machine, look_around
from potstill.text import several
from potstill.training.memory import STUDENT_SIZES, largest_batch

if TYPE_CHECKING:
    from rich.console import Console

    from potstill.study.schema import Agent, Study

__all__ = ["examine", "print_examination"]

# environment variables by which endpoints and hubs are usually given their keys
_KEYS = (
    *("OPENAI_API_KEY", "DEEPSEEK_API_KEY", "OPENROUTER_API_KEY", "TOGETHER_API_KEY"),
    *("HF_TOKEN", "WANDB_API_KEY"),
)
_EXAMPLE_TOKENS = 1024
_OPTIONAL = {
    "gguf": ("students and bases as GGUF files", "gguf"),
    "llama-cpp-python": ("students answered by llama.cpp", "llama"),
    "ray": ("one study on more than one machine", "ray"),
    "s3fs": ("a cluster's storage in a bucket", "s3"),
}
Row = tuple[str, bool | None, str]


def print_examination(study: Path | None, console: Console) -> None:
    """Print what this machine can do, what fits on it, and what a study needs of it."""
    from rich.table import Table
    from rich.text import Text

    from potstill.study.schema import load_study

    loaded = load_study(study) if study is not None else None
    machine = look_around(Path.cwd())
    console.print(
        f"Potstill {version('potstill')}, Python {platform.python_version()}, "
        f"{platform.system()} {platform.machine()}",
        highlight=False,
    )
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    rows = [*examine(machine), *_keys(_KEYS)]
    if loaded is not None:
        rows += _needed(loaded)
    for name, good, says in rows:
        mark = Text("yes", "green") if good else Text("" if good is None else "no", "yellow")
        table.add_row(name, mark, Text(says))
    console.print(table)
    _print_sizes(machine, console)


def examine(machine: Machine) -> Iterator[Row]:
    """Yield a row for all that Potstill can use: its name, whether it can, and what it is or
    lacks.
    """
    memory = f"{machine.memory_bytes / 1e9:,.1f} GB ({machine.memory_free_bytes / 1e9:,.1f} free)"
    yield "cores, memory", True, f"{several(machine.cores, 'core')}, {memory}"
    yield (
        "disk",
        machine.disk_free_bytes > 5e9,
        f"{machine.disk_free_bytes / 1e9:,.0f} GB free here",
    )
    kinds = {device.kind: device for device in machine.devices}
    has_torch = bool(kinds.keys() - {"mlx"})
    hint = "; pip install torch" if machine.torch == "not installed" else ""
    silent = "torch" in machine.silent
    yield "torch", None if silent else has_torch, machine.torch + hint
    if silent:
        here = f"{machine.nvidia} is here; " if machine.nvidia else ""
        yield "  cuda", None, f"{here}what torch can use is not known"
        yield "  mps", None, "not known"
        yield "  nf4 (QLoRA)", None, "not known"
    else:
        yield "  cuda", "cuda" in kinds, _cuda(machine, kinds.get("cuda"))
        yield "  mps", "mps" in kinds, _mps(machine, kinds.get("mps"))
        yield "  nf4 (QLoRA)", *_nf4(machine, "cuda" in kinds)
    yield "mlx", *_mlx(machine, kinds.get("mlx"))
    for package, (what, extra) in _OPTIONAL.items():
        has = machine.packages.get(package)
        yield package, bool(has), has or f"{what}: pip install 'potstill[{extra}]'"
    lacks = "only to look at pages: install Chromium, or set POTSTILL_CHROMIUM"
    yield "chromium", bool(machine.chromium), machine.chromium or lacks


def _cuda(machine: Machine, device: Device | None) -> str:
    if device:
        free = f"{device.free_bytes / 1e9:,.1f} free"
        return f"{device.name}, {device.total_bytes / 1e9:,.1f} GB ({free})"
    if machine.nvidia and not machine.torch_built_for:
        return (
            f"{machine.nvidia} is here, but this torch is built without CUDA: install one with it"
        )
    if machine.torch_built_for:
        return f"this torch is built for CUDA {machine.torch_built_for} and finds no GPU or driver"
    return "no NVIDIA GPU here"


def _mps(machine: Machine, device: Device | None) -> str:
    if device:
        return f"{device.name}, {device.total_bytes / 1e9:,.1f} GB"
    return "on Apple Silicon only"


def _nf4(machine: Machine, cuda: bool) -> tuple[bool, str]:
    has = machine.packages.get("bitsandbytes")
    if not cuda:
        return False, "a base in 4 bits with torch needs CUDA"
    return bool(has), f"bitsandbytes {has}" if has else "pip install 'potstill[cuda]'"


def _mlx(machine: Machine, device: Device | None) -> tuple[bool | None, str]:
    lm = machine.packages.get("mlx-lm")
    if "mlx" in machine.silent:
        return None, machine.mlx
    if device is None and machine.mlx != "not installed":
        return False, machine.mlx
    if device is None or not lm:
        has = machine.mlx if device is None else f"{machine.mlx}, without mlx-lm"
        return False, f"{has}: pip install 'potstill[mlx]'"
    slow = "; slow without Apple Silicon" if device.name == "cpu" else ""
    return True, f"{machine.mlx} with mlx-lm {lm}, on the {device.name}{slow}"


def _keys(names: tuple[str, ...]) -> Iterator[Row]:
    """Yield whether keys are in the environment; never what they are."""
    present = [name for name in names if os.environ.get(name, "").strip()]
    absent = [name for name in names if name not in present]
    yield "API keys", bool(present), ", ".join(present) or "none of the usual ones is set"
    if present and absent:
        yield "  not set", None, ", ".join(absent)


def _needed(study: Study) -> list[Row]:
    """Return what one study needs: keys, models and prices of its agents, its base model.

    What stands in the base's way has a row each.
    """
    from potstill.models.folder import is_here
    from potstill.pipeline.context import base_path_of
    from potstill.pipeline.preflight import base_findings, base_out_of_reach
    from potstill.study.agents import key_there, model_there

    rows: list[Row] = []
    seen: dict[str, str] = {}
    for role, agent in study.agents().items():
        found = key_there(agent)
        names = ("model", "base_url", "api_key_env", "api_key_file")
        first = seen.setdefault(repr([agent.solver, *map(agent.options.get, names)]), role)
        if found is not None:
            says, there = found
            rows.append((role, there, says if first == role else f"as the {first}: {says}"))
        listed = model_there(agent) if first == role else None
        if listed is not None:
            says, there_or_unknown = listed
            rows.append((role if found is None else "  model", there_or_unknown, says))
            rows.append(("  price", *_price(agent)))
    base = base_path_of(study)
    there = is_here(base)
    says = f"{study.student.base} on {study.student.backend}, {study.student.precision}"
    if base_out_of_reach(study):
        return [*rows, ("base", False, f"{says}; it is not here, and the hub does not answer")]
    looked = base_findings(study)
    rows.append(("base", there, says + _way(base)))
    rows += [("", False, error) for error in looked.errors]
    return [*rows, *(("", None, warning) for warning in looked.warnings)]


def _way(base: str) -> str:
    """Return how a base comes to be a model folder, as the end of a sentence."""
    from potstill.models.folder import is_here
    from potstill.models.gguf_base import gguf_of, names_gguf

    if is_here(base):
        return "; read from GGUF when first needed" if gguf_of(base) is not None else ""
    return "" if names_gguf(base) else "; fetched from the hub when needed"


def _price(agent: Agent) -> tuple[bool | None, str]:
    """Return whether an agent's price is known, and what it is, by whom."""
    from potstill.study.agents import agent_price

    price = agent_price(agent)
    if price is None:
        return None, "not known; add its dollars per million tokens: price: {input: , output: }"
    said = f"${price.input:g} in, ${price.output:g} out a million tokens"
    low = min(price.rates, key=lambda rate: rate.output, default=price)
    if low.output < price.output:
        said += f" at the peak, ${low.input:g} and ${low.output:g} off it"
    return True, f"{said} ({price.source.partition(': ')[0]})"


def _print_sizes(machine: Machine, console: Console) -> None:
    """Print, by size of student and precision, the largest batch that fits."""
    from rich.table import Table

    columns = [(d, p) for d in machine.devices for p in _precisions(d, machine)]
    if not columns:
        return
    table = Table(box=None, pad_edge=False)
    table.add_column("student", no_wrap=True)
    for device, precision in columns:
        table.add_column(precision if device.kind == "mlx" else f"{device.kind} {precision}",
                         justify="right")  # fmt: skip
    for shape in STUDENT_SIZES:
        fits = [largest_batch(shape, p, d.free_bytes, _EXAMPLE_TOKENS) for d, p in columns]
        table.add_row(shape.name, *(str(size) if size else "-" for size in fits))
    console.print()
    console.print(table)
    console.print(
        f"The largest batch_size (up to 8) of {_EXAMPLE_TOKENS:,}-token examples that LoRA rank 16 "
        "fits into what is free now; raise accumulation to keep the recipe. Estimated from the "
        "shapes of Qwen2.5; potstill train STUDY --dry-run measures.",
        highlight=False,
    )
    if all(device.kind == "cpu" or device.name == "cpu" for device in machine.devices):
        console.print("Without a GPU even 0.5B is slow; the pocket base trains in minutes.")


def _precisions(device: Device, machine: Machine) -> tuple[str, ...]:
    if device.kind == "mlx":
        return ("mlx 4-bit",) if machine.packages.get("mlx-lm") else ()
    nf4 = device.kind == "cuda" and "bitsandbytes" in machine.packages
    return ("float32", "bfloat16", *(("nf4",) if nf4 else ()))
