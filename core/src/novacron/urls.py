"""Addresses of servers, such as `https://bmc1/redfish`: rejects those that contain a secret, and shows the others without their query.

URLs are stored and displayed, so a secret must not be part of one.
"""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, urlsplit

from novacron.redaction import is_secret_name


def problem_of(url: object, schemes: tuple[str, ...] = (), *, user: bool = False, secrets_in_query: bool = False) -> str:
    """Return what a URL should be like, or an empty text if it is valid.

    The answer contains nothing of the URL except the names of query parameters. Show `scheme_of(url)` beside it.

    Args:
        url: the URL.
        schemes: the schemes that are allowed; empty for any.
        user: whether `user@host` is allowed. A password never is.
        secrets_in_query: whether a query may contain secrets, as that of a presigned URL does. Such a URL must not be stored.

    Example:
        >>> problem_of("https://bmc1/"), problem_of("https://root:calvin@bmc1/")
        ('', 'a URL without a password; outside of user@host write @ as %40')
        >>> problem_of("https://root@bmc1/"), problem_of("https://bmc1/?token=4711")
        ('a URL without a user', 'a URL without token')
    """
    if not isinstance(url, str) or not url.isprintable() or any(c.isspace() for c in url):
        return "text without spaces and control characters"
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "scheme://[user@host[:port]]/path" if user else "scheme://host[:port]/path"
    if "://" not in url or not parts.scheme or (schemes and parts.scheme not in schemes):
        return f"a URL of {' or '.join(schemes)}" if schemes else "scheme://[user@host[:port]]/path"
    if parts.password is not None or (parts.scheme != "file" and "@" in url.partition("://")[2][len(parts.netloc) :]):
        return "a URL without a password; outside of user@host write @ as %40"
    if parts.username is not None and not user:
        return "a URL without a user"
    if schemes and parts.scheme != "file" and not host:
        return "a URL with a host"
    if parts.fragment or url.endswith("#"):
        return "a URL without a fragment (#...)"
    names = sorted(key for key, _ in parse_qsl(parts.query, keep_blank_values=True) if _is_secret(key))
    return f"a URL without {', '.join(names)}" if names and not secrets_in_query else ""


def _is_secret(key: str) -> bool:
    """Return whether a query parameter holds a secret. The name of a file with a secret is none."""
    return is_secret_name(key) and not key.lower().endswith("file")


def scheme_of(url: object) -> str:
    """Return what may be shown of an invalid URL: its scheme, because any other component may be a password.

    Example:
        >>> scheme_of("https://root:calvin@bmc1/"), scheme_of("root:calvin"), scheme_of(None)
        ('https://...', 'a text of 11 characters', 'NoneType')
    """
    if not isinstance(url, str):
        return type(url).__name__
    scheme = re.match(r"[A-Za-z][A-Za-z0-9+.-]{0,20}://", url)
    return f"{scheme[0]}..." if scheme else f"a text of {len(url)} characters"


def without_query(url: str) -> str:
    """Return a valid URL for messages: without the values of a presigned URL.

    Example:
        >>> without_query("https://s3.example.org/a.qcow2?X-Amz-Signature=4711")
        'https://s3.example.org/a.qcow2?...'
    """
    before, mark, _ = url.partition("?")
    return f"{before}?..." if mark else url


__all__ = ["problem_of", "scheme_of", "without_query"]
