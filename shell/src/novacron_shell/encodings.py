"""The encoding of a text file: UTF-8; of XML with a declaration also what that says, or its byte order mark."""

from __future__ import annotations

import codecs
import re

MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    ("<?xml".encode("utf-16-le"), "utf-16-le"),
    ("<?xml".encode("utf-16-be"), "utf-16-be"),
)
"""How a text begins, and its encoding. XML tells UTF-16 by its first characters also without a mark."""
_DECLARED = r"""\A(\s*<\?xml\s[^>]{0,200}?\bencoding\s*=\s*["'])([A-Za-z][A-Za-z0-9._-]{0,39})(?=["'])"""
_XML = r"utf-?8|utf-?(16|32)(-?[lb]e)?|us-ascii|ascii|latin-?1|iso-?8859-?\d+|windows-\d+|cp\d+|koi8-[ru]|shift_jis|euc-\w+|gb\w+|big5"


def decoded(content: bytes) -> str:
    """Return the text of a file. A declared encoding is replaced by UTF-8, because the text has none any more.

    Raises:
        UnicodeError: the content is no text of that encoding.
        LookupError: the encoding is unknown or none for text, or text that is no XML is in UTF-16.

    Example:
        >>> decoded("<?xml version='1.0' encoding='UTF-16'?><a>\u00fc</a>".encode("utf-16"))
        "<?xml version='1.0' encoding='UTF-8'?><a>\u00fc</a>"
    """
    marked = next((encoding for mark, encoding in MARKS if content.startswith(mark)), None)
    declared = re.match(_DECLARED.encode(), content)
    named = declared[2].decode() if declared and not marked else marked or "utf-8"
    if not re.fullmatch(_XML, named.lower().removesuffix("-sig")):
        raise LookupError(named)
    text = content.decode(named)
    if marked not in (None, "utf-8-sig") and not text.startswith("<?xml"):
        raise LookupError(f"text in {marked} that is no XML")
    return re.sub(_DECLARED, r"\1UTF-8", text, count=1)


__all__ = ["decoded"]
