"""What could be a model of the Hugging Face hub, and whether the hub can be reached."""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["hub_answers", "is_hub_id"]

_HUB_ID = re.compile(r"(?:[A-Za-z0-9][\w.-]*/)?[A-Za-z0-9][\w.-]*", re.ASCII)


def is_hub_id(name: str) -> bool:
    """Return whether a name could be a model's on the hub (OWNER/NAME; NAME alone for its oldest),
    and is no path of this machine.
    """
    return _HUB_ID.fullmatch(name) is not None and not Path(name).exists()


def hub_answers() -> bool:
    """Return whether the hub can be reached, asked once and for three seconds at most."""
    from huggingface_hub import constants, get_session

    try:
        get_session().head(constants.ENDPOINT, timeout=3)
    except Exception:  # whatever the client of the day raises: not reachable
        return False
    return not constants.HF_HUB_OFFLINE
