"""When bearer tokens expire."""

from __future__ import annotations

import base64
import binascii
import json

SHORT = 7 * 86400.0
"""Tokens that are valid for less seconds than this are renewed by a program, so nobody is told that they expire."""


def token_expiry(token: str) -> float | None:
    """Return when a token expires, in seconds since 1970; None if it does not say so, or is valid for less than a week.

    Only JSON Web Tokens (RFC 7519) say so. The signature is not checked, because the receiver does that.

    Example:
        >>> token_expiry("correct horse")
        >>> claims = base64.urlsafe_b64encode(b'{"exp": 1900000000}').decode().rstrip("=")
        >>> token_expiry(f"e30.{claims}.")
        1900000000.0
    """
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, binascii.Error, RecursionError):
        return None
    end, begin = (_time(claims, name) for name in ("exp", "iat"))
    return None if end is None or (begin is not None and end - begin < SHORT) else end


def _time(claims: object, name: str) -> float | None:
    value = claims.get(name) if isinstance(claims, dict) else None
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e12 else None


__all__ = ["token_expiry"]
