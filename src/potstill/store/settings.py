"""What every group of settings is: strict, frozen, and hashed as before when it grows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer

__all__ = ["Settings"]


class Settings(BaseModel):
    """Strict, frozen, no unknown key.

    ``ADDED`` names the settings that came when studies had been hashed without them. At its default
    such a one is left out of what the settings say, so that those studies keep their hash.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    ADDED: ClassVar[tuple[str, ...]] = ()

    def left_out(self) -> Iterable[str]:
        """Return the names of the settings that are not said now."""
        fields = type(self).model_fields
        return [
            name
            for name in self.ADDED
            if getattr(self, name) == fields[name].get_default(call_default_factory=True)
        ]

    @model_serializer(mode="wrap")
    def _without_added(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what was added and is at its default."""
        plain: dict[str, Any] = handler(self)
        for name in self.left_out():
            plain.pop(name, None)
        return plain
