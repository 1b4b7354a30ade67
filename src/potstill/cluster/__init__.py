"""A study's work on more than one machine, by Ray's workers.

The process that runs the study keeps the ledger and hands out work; each worker loads the base
once, writes students into the study's directory, which all machines see at the same path, or into
its storage, and yields all else through Ray. Ray is imported only where a run asks for it
(``--on ray``).
"""

from __future__ import annotations

from potstill.cluster.options import ClusterOptions

__all__ = ["ClusterOptions"]
