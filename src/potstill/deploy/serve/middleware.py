"""Who may use a page that a study serves, and what a browser may do with it."""

from __future__ import annotations

import hmac
import ipaddress
import secrets
from http.cookies import SimpleCookie
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["AccessMiddleware", "is_loopback", "new_token"]

# Everything comes from this server, nothing is framed, sent elsewhere, or run from markup.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def new_token() -> str:
    """Return a random token of 32 bytes, as a URL holds it."""
    return secrets.token_urlsafe(32)


def is_loopback(host: str) -> bool:
    """Return whether an address to listen at is this machine's own alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class AccessMiddleware:
    """Around an ASGI app: lets in whom it should, and gives every answer the security headers.

    With a ``token``, the first request brings it (``/?token=...``) and gets a cookie for the rest.
    Without one, the request's Host must be a name of this machine: a page of another site that has
    its own name point here cannot read what is served.
    """

    def __init__(self, app: ASGIApp, token: str = "") -> None:
        self._app = app
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        from starlette.responses import PlainTextResponse, RedirectResponse

        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        brought = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        app: ASGIApp = self._app
        if not self._token:
            if not is_loopback(_name_of(headers.get(b"host", ""))):
                app = PlainTextResponse("This page is served to this machine alone.", 403)
        elif self._is_token(brought):
            reply = RedirectResponse("/", 303)
            name = _cookie_name(scope)
            reply.set_cookie(name, self._token, httponly=True, samesite="lax", path="/")
            app = reply
        elif not self._is_token(_cookie(headers.get(b"cookie", ""), _cookie_name(scope))):
            app = PlainTextResponse("Open the address with the token that potstill printed.", 403)
        await app(scope, receive, _guarded(send))

    def _is_token(self, brought: str) -> bool:
        return hmac.compare_digest(brought.encode("utf-8", "replace"), self._token.encode())


def _guarded(send: Send) -> Send:
    async def guarded(message: Message) -> None:
        if message["type"] == "http.response.start":
            extra = [(name.encode(), value.encode()) for name, value in _HEADERS.items()]
            message = {**message, "headers": [*message.get("headers", []), *extra]}
        await send(message)

    return guarded


def _name_of(host: str) -> str:
    """Return the name in a Host header, its port and brackets taken off."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.rpartition(":")[0] if ":" in host else host


def _cookie_name(scope: Scope) -> str:
    """Return cookies are shared by all ports of a machine, so the port is in the name."""
    return f"potstill_{(scope.get('server') or ('', 0))[1]}"


def _cookie(header: str, name: str) -> str:
    found = SimpleCookie(header).get(name) if header else None
    return found.value if found else ""
