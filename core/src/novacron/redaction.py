"""Takes secrets out of what is logged or shown."""

from __future__ import annotations

import re
from typing import Any

_SECRET = re.compile(r"pass(word|wd|phrase)?$|secret|token|private_?key|user_data", re.IGNORECASE)
_IN_TEXT = re.compile(r"""((?:passwd|password|passphrase|secret|token)\s*[=:]\s*)(['"]?)[^\s'"&;,]+\2""", re.IGNORECASE)
_SECRET_ELEMENT = re.compile(r"(<(?:passwd|password|passphrase|secret-value)[^>]*>)[^<]+", re.IGNORECASE)
_PRIVATE_KEY = re.compile(r"-----BEGIN ([A-Z ]*PRIVATE KEY)-----.*?(?:-----END \1-----|\Z)", re.DOTALL)
_IN_URI = re.compile(r"(://[^/\s:@]+):[^/\s@]+@")


def redacted(value: Any) -> Any:
    """Return plain values with every secret replaced by `***`; binary data by its length.

    Example:
        >>> redacted({"name": "web1", "password": "hunter2"}), redacted("passwd='x' vsphere://u:p@h/")
        ({'name': 'web1', 'password': '***'}, 'passwd=*** vsphere://u:***@h/')
    """
    if isinstance(value, str):
        text = _IN_TEXT.sub(r"\1***", _PRIVATE_KEY.sub("*** private key ***", value))
        return _SECRET_ELEMENT.sub(r"\1***", _IN_URI.sub(r"\1:***@", text))
    if isinstance(value, dict):
        return {k: "***" if _SECRET.search(str(k)) and v not in (None, "") else redacted(v) for k, v in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [redacted(item) for item in value]
    if isinstance(value, (bytes, bytearray)):
        return f"<{len(value)} bytes>"
    if hasattr(value, "as_dict"):
        return redacted(value.as_dict())
    if value is None or isinstance(value, (int, float, bool)):
        return value
    return redacted(str(getattr(value, "name", None) or type(value).__name__))


__all__ = ["redacted"]
