"""Removes secrets from what is logged or shown."""

from __future__ import annotations

import re
from typing import Any

HIDDEN = "***"
_HIDDEN_KEY = "*** private key ***"
_WORDS = r"pass(?:word|wd|phrase)|pwd|secret|token|(?:api|access|private)[_-]?key|credentials?|session[_-]?id"
_NAME = rf"(?i){_WORDS}|pass$|(?:user|vendor)[_-]?data|network_config|^commands$|^authorization$|^cookie$"
_QUOTED = r"""\"(?:[^\"\\]|\\.)*\"?|'(?:[^'\\]|\\.)*'?"""
_RULES = (
    (r"(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", _HIDDEN_KEY),
    (r"(?i)(<(?:passwd|password|passphrase|secret-value)[^>]*>)[^<]+", rf"\1{HIDDEN}"),
    (r"(://[^/\s:@?#]{0,100}):[^\s\"'<>]{0,500}@", rf"\1:{HIDDEN}@"),
    (r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{4,}", rf"\1 {HIDDEN}"),
    (r"(?i)\b((?:proxy-)?authorization|(?:set-)?cookie|x-[\w-]{0,40}(?:auth|key)[\w-]{0,40})(:\s*)[^\r\n]+", rf"\1\2{HIDDEN}"),
    (r"(?i)([?&][\w.-]{0,40}(?:sig|signature|sid|auth)=)[^\s&#\"']+", rf"\1{HIDDEN}"),
    (r"((?<![\w-])(?:-u|--(?:proxy-)?user)[\s=]\s{0,9}[\"']?(?!\d+:\d+\b)[^\s:\"']{1,100}:)[^\s\"']+", rf"\1{HIDDEN}"),
    (rf"(\bsshpass\s+-p\s{{0,9}})(?:{_QUOTED}|[^\s\"']+)", rf"\1{HIDDEN}"),
    (r"\b(?:glpat-|gh[opsu]_|github_pat_|xox[abprs]-|hvs\.)[\w-]{10,}|\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*", HIDDEN),
    (rf"(?i)((?<![\w-])--?[\w-]{{0,40}}(?:{_WORDS})\s+)(?:{_QUOTED}|[^\s\"']+)", rf"\1{HIDDEN}"),
    (rf"(?i)((?:{_WORDS})[\w-]{{0,40}}[\"']?\s*[=:]\s*)(?:{_QUOTED}|[^\s'\"&;,]+)", rf"\1{HIDDEN}"),
)
"""What a secret looks like in text, and what is written instead. Repetitions are bounded, so that long text takes no long time.

The patterns are compiled at their first use, because most commands show no such text."""
_OPTION = rf"(?i)^--?[\w-]{{0,40}}(?:{_WORDS})$"


def is_secret_name(name: str) -> bool:
    """Return whether a field of this name holds a secret."""
    return bool(re.search(_NAME, name))


def described(value: Any) -> str:
    """Return what an error may show of an invalid value in a file, where a secret may be in the wrong place: no text, only its length.

    Example:
        >>> described("hunter2"), described(["a", "b"]), described(5), described(None)
        ('a text of 7 characters', 'a list of 2', '5', 'nothing')
    """
    if value is None or isinstance(value, (bool, int, float)):
        return "nothing" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    if isinstance(value, str):
        return f"a text of {len(value)} characters"
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    return f"a {type(value).__name__} of {len(value)}" if hasattr(value, "__len__") else type(value).__name__


def without_quotations(message: str) -> str:
    """Return the message of a parser without the parts of the file that it quotes.

    Example:
        >>> without_quotations("found undefined alias 'hunter2'"), without_quotations("found character '%'")
        ("found undefined alias '...'", "found character '%'")
    """
    return re.sub(r"'(?!<)[^']{2,}'", "'...'", message)


def redacted(value: Any) -> Any:
    """Return plain values with every secret replaced by `***`; binary data by its length.

    Example:
        >>> redacted({"name": "web1", "password": "hunter2"}), redacted("passwd='x' vsphere://u:p@h/")
        ({'name': 'web1', 'password': '***'}, 'passwd=*** vsphere://u:***@h/')
        >>> redacted(["mysql", "--password", "hunter2"]), redacted('{"api_key": "hunter 2"}')
        (['mysql', '--password', '***'], '{"api_key": ***}')
    """
    if isinstance(value, str):
        for pattern, shown in _RULES:
            value = re.sub(pattern, shown, value)
        return value
    if isinstance(value, dict):
        return {k: HIDDEN if is_secret_name(str(k)) and v not in (None, "") else redacted(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return _redacted_items(list(value))
    if isinstance(value, (set, frozenset)):
        return sorted(map(redacted, value), key=str)
    if isinstance(value, (bytes, bytearray)):
        return f"<{len(value)} bytes>"
    if hasattr(value, "as_dict"):
        return redacted(value.as_dict())
    if value is None or isinstance(value, (int, float, bool)):
        return value
    return redacted(str(getattr(value, "name", None) or type(value).__name__))


def _redacted_items(items: list[Any]) -> list[Any]:
    """Return redacted items; what follows an option such as `--password` is a secret."""
    after = [False, *(isinstance(item, str) and bool(re.match(_OPTION, item)) for item in items)]
    return [HIDDEN if secret else redacted(item) for item, secret in zip(items, after, strict=False)]


__all__ = ["HIDDEN", "described", "is_secret_name", "redacted", "without_quotations"]
