"""Whether the Hugging Face hub can be reached, before anything waits for it."""

from __future__ import annotations

__all__ = ["hub_answers"]


def hub_answers() -> bool:
    """Return whether the hub can be reached, asked once and for three seconds at most."""
    from huggingface_hub import constants, get_session

    try:
        get_session().head(constants.ENDPOINT, timeout=3)
    except Exception:  # whatever the client of the day raises: not reachable
        return False
    return not constants.HF_HUB_OFFLINE
