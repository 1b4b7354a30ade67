"""What a study file says of the machines it may run on (``--on ray``)."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator

from potstill.store.settings import Settings
from potstill.store.untrusted import holds_login

__all__ = ["ClusterOptions"]


class ClusterOptions(Settings):
    """What one worker is given, and how work is cut up. Nothing here decides a result.

    ``workers`` 0 starts as many as fit. ``cpus`` are a worker's cores and threads. ``gpus`` may be
    a share (0.5: two workers on one GPU). ``memory_gb`` is set aside for a worker's place and not
    enforced; 0 sets none aside. ``shard_s`` is how many seconds of answering one piece of work is
    to take. ``retries`` is how often a cell, a part of grading or of the overlap audit, or a
    question alone is tried again after its worker was lost. ``storage`` is where workers put
    students, where they do not see the study's directory: a folder behind an fsspec URL
    (``s3://bucket/folder``).
    """

    workers: Annotated[int, Field(ge=0)] = 0
    cpus: Annotated[int, Field(ge=1)] = 1
    gpus: Annotated[float, Field(ge=0)] = 0.0
    memory_gb: Annotated[float, Field(ge=0)] = 0.0
    shard_s: Annotated[float, Field(gt=0, le=86_400)] = 60.0
    retries: Annotated[int, Field(ge=0, le=20)] = 2
    storage: str = ""

    @field_validator("storage")
    @classmethod
    def _is_url(cls, url: str) -> str:
        scheme, _, rest = url.partition("://")
        if holds_login(url):
            raise ValueError("a URL with a key in it; credentials are for the environment")
        if url and (not scheme.isalnum() or not rest.strip("/") or "::" in url):
            raise ValueError(
                "it is no URL of a folder; give one such as s3://bucket/folder, or nothing where "
                "every machine sees the study's directory at the same path"
            )
        return url

    @property
    def described(self) -> str:
        """What one worker asks for, in words."""
        asked = [f"{self.cpus} CPU" + "s" * (self.cpus > 1)]
        if self.gpus:
            asked.append(f"{self.gpus:g} GPU" + "s" * (self.gpus > 1))
        if self.memory_gb:
            asked.append(f"{self.memory_gb:g} GB of memory")
        return ", ".join(asked)
