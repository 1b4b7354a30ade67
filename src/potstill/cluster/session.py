"""Ray itself: joining a cluster or starting one on this machine, and what fits on it."""

from __future__ import annotations

import os
import secrets
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import chdir, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from potstill.cluster.options import ClusterOptions
from potstill.errors import InputError
from potstill.text import several

__all__ = ["check_place", "check_reachable", "joined", "places"]

# Only references travel through Ray, so its shared memory stays at the least that it takes.
_OBJECT_STORE_BYTES = 80 * 2**20


def check_place(on: str) -> str:
    """Return the address in ``ray://ADDRESS``; empty for ``ray``, a cluster of this machine alone.

    Raises InputError for anything else, and where the package ray is not installed.
    """
    scheme, _, address = on.partition("://")
    if scheme != "ray" or (on != "ray" and not address):
        raise InputError(
            f"--on {on} is not a place to run on; give ray (workers on this machine) or "
            "ray://HOST:6379 (a running Ray cluster that this machine belongs to)."
        )
    if find_spec("ray") is None:
        raise InputError("--on ray needs Ray, which is not installed: pip install 'potstill[ray]'.")
    return address


def check_reachable(on: str, options: ClusterOptions) -> None:
    """Raise InputError where no cluster is to be had at a place, or no worker fits on this machine.

    A connection is opened and closed again; nothing is sent. What fits is known only to those who
    have joined, so a cluster is joined where a worker asks for more than one core.
    """
    address = check_place(on)
    if not address:
        _refuse_larger(options)
    elif ":" not in address and address != "auto":
        raise InputError(
            f"--on {on} names no port; give ray://HOST:PORT, such as ray://{address}:6379."
        )
    elif address != "auto":
        _knock(address)
    if address == "auto" or options.gpus or options.memory_gb or (address and options.cpus > 1):
        with joined(on) as ray:
            places(ray, options)


def _refuse_larger(options: ClusterOptions) -> None:
    """Raise InputError for a worker that asks for more than this machine has."""
    import psutil

    cores, memory_gb = os.cpu_count() or 1, psutil.virtual_memory().total / 2**30
    has = {"cpus": several(cores, "CPU"), "memory_gb": f"{memory_gb:.0f} GB of memory"}
    lacks = [
        name
        for name, there in (("cpus", cores), ("memory_gb", memory_gb))
        if getattr(options, name) > there
    ]
    if options.gpus and (there := _gpus()) < options.gpus:
        lacks.append("gpus")
        has["gpus"] = several(there, "GPU") if there else "no GPU that torch can use"
    if lacks:
        raise InputError(
            f"cluster.{lacks[0]}: a worker of {options.described} does not fit on this machine "
            f"({has[lacks[0]]}); ask for less, or give a cluster with --on ray://HOST:PORT."
        )


def _gpus() -> int:
    import torch

    return torch.cuda.device_count()


@contextmanager
def joined(on: str) -> Iterator[Any]:
    """Yield the module ray, connected to a cluster or to one of this machine that ends with the
    ``with``.

    Raises InputError where there is no cluster at the address, or Ray cannot be protected.
    """
    address = check_place(on)
    _knock(address)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if not address:
        _keep_to_this_machine()
    import ray

    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    try:
        # Ray has workers import from the folder in which it is begun: never an untrusted one
        with chdir(Path(__file__).parents[2]):
            if address:
                ray.init(address=address, **quiet)
            else:
                ray.init(
                    address="local",
                    num_cpus=os.cpu_count(),
                    include_dashboard=False,
                    object_store_memory=_OBJECT_STORE_BYTES,
                    **quiet,
                )
    except (ConnectionError, RuntimeError, ValueError) as exc:
        raise _no_cluster(address, _first_line(exc)) from exc
    try:
        yield ray
    finally:
        ray.shutdown()


def places(ray: Any, options: ClusterOptions) -> int:
    """Return how many workers fit on the machines that are there now, at most as many as are
    wanted.

    Raises InputError where none fits.
    """
    wanted = {"CPU": options.cpus, "GPU": options.gpus, "memory": options.memory_gb * 2**30}
    alive = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    fit = sum(_fit(node, wanted) for node in alive)
    if not fit:
        raise InputError(
            f"None of the cluster's {len(alive)} machines has room for a worker of "
            f"{options.described}; ask for less under cluster: in the study, or add machines."
        )
    return min(fit, options.workers or fit)


def _fit(resources: Mapping[str, float], wanted: Mapping[str, float]) -> int:
    return int(min(resources.get(k, 0.0) // amount for k, amount in wanted.items() if amount))


def _knock(address: str) -> None:
    """Check that something listens at HOST:PORT; Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    if not host:  # ray, or ray://auto
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
    except (OSError, ValueError, OverflowError) as exc:
        raise _no_cluster(address, _first_line(exc)) from exc


def _no_cluster(address: str, why: str) -> InputError:
    where = f"to the Ray cluster at {address}" if address else "to Ray on this machine"
    return InputError(
        f"No connection {where} ({why}); check the address, and that this machine has joined the "
        "cluster (ray start --address=...)."
    )


def _keep_to_this_machine() -> None:
    """Have a cluster of our own listen on 127.0.0.1 alone and answer only to a token of its own.

    Raises InputError where Ray is imported already: it reads these settings as it is imported.
    """
    if "RAY_AUTH_MODE" not in os.environ:
        if "ray" in sys.modules:
            raise InputError(
                "Ray was imported before Potstill could protect its cluster with a token; start "
                "Python afresh and leave the import of ray to Potstill, or set RAY_AUTH_MODE "
                "before it."
            )
        os.environ["RAY_AUTH_MODE"] = "token"
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
    # The name is Ray's, and it holds on Linux too: off, a node takes the loopback address.
    os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"


def _first_line(exc: BaseException) -> str:
    return (str(exc).strip().splitlines() or [type(exc).__name__])[0].rstrip(".")
