"""What a field allows, in plain words: the validation library's messages speak of inputs, instances and patterns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

A_NUMBER, A_WHOLE_NUMBER, A_LIST = "a number", "a whole number", "a list"

TYPES: dict[str, str] = {
    "missing": "this field is required",
    "missing_argument": "this field is required",
    "missing_keyword_only_argument": "this field is required",
    "unexpected_keyword_argument": "no field of this name",
    "string_type": "text",
    "string_unicode": "text in UTF-8",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "int_type": A_WHOLE_NUMBER,
    "int_parsing": A_WHOLE_NUMBER,
    "int_parsing_size": A_WHOLE_NUMBER,
    "int_from_float": A_WHOLE_NUMBER,
    "float_type": A_NUMBER,
    "float_parsing": A_NUMBER,
    "finite_number": A_NUMBER,
    "tuple_type": A_LIST,
    "list_type": A_LIST,
    "set_type": A_LIST,
    "frozen_set_type": A_LIST,
    "dict_type": "names with values, such as {name: value}",
    "model_type": "fields with values, such as {name: value}",
    "model_attributes_type": "fields with values, such as {name: value}",
    "mapping_type": "names with values, such as {name: value}",
    "uuid_type": 'a UUID such as "6c0f0a52-7d3e-4b1c-9a55-0f6f5c3a2e11"',
    "uuid_parsing": 'a UUID such as "6c0f0a52-7d3e-4b1c-9a55-0f6f5c3a2e11"',
}
"""The words for each type of pydantic's errors that needs no details."""

DETAILED: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "literal_error": lambda context: str(context["expected"]).replace("'", ""),
    "greater_than": lambda context: f"more than {context['gt']}",
    "greater_than_equal": lambda context: f"at least {context['ge']}",
    "less_than": lambda context: f"less than {context['lt']}",
    "less_than_equal": lambda context: f"at most {context['le']}",
    "string_too_short": lambda context: f"at least {context['min_length']} {_characters(context['min_length'])}",
    "string_too_long": lambda context: f"at most {context['max_length']} {_characters(context['max_length'])}",
    "too_short": lambda context: f"at least {context['min_length']} {_entries(context['min_length'])}",
    "too_long": lambda context: f"at most {context['max_length']} {_entries(context['max_length'])}",
    "string_pattern_mismatch": lambda context: pattern_words(str(context["pattern"])),
}
"""The words for each type of pydantic's errors whose details say what is allowed."""

PATTERNS: dict[str, str] = {
    r"^([0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}$": 'a MAC address such as "52:54:00:12:34:56"',
    r"^(vd|sd|hd|fd|nvme)[a-z0-9]+$": 'a device name such as "vda", "sdb" or "hdc"',
    r"^-?[a-z0-9_][a-z0-9_.-]*$": 'a CPU feature such as "vmx", or "-vmx" to remove it',
    r"^/": "an absolute path",
    r"^/[^\x00-\x1f]+$": "an absolute path without control characters",
    r"^/+[^/\x00-\x1f][^\x00-\x1f]*$": "the absolute path of a folder other than /, without control characters",
    r"^/dev/[^,]+$": 'a device such as "/dev/sda", without commas',
    r"^[0-9]{1,4}(-[0-9]{1,4})?(,[0-9]{1,4}(-[0-9]{1,4})?)*$": 'numbers such as "0-3,8"',
    r"^[0-9]{1,5}(-[0-9]{1,5})?$": 'a port such as "22", or a range such as "8000-8080"',
    r"^[0-9a-fA-F]{4}:[0-9a-fA-F]{2}:[01][0-9a-fA-F]\.[0-7]$": 'a PCI address such as "0000:01:00.0"',
    r"^[0-9a-fA-F]{4}:[0-9a-fA-F]{4}$": 'vendor and product of a USB device, such as "046d:c52b"',
    r"^[A-Za-z0-9+/=]+$": "text in base64",
    r"^[A-Za-z0-9]([A-Za-z0-9-]{0,62}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,62}[A-Za-z0-9])?)*$": (
        'a host name such as "web1" or "web1.example.org"'
    ),
    r"^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$": 'a host name such as "web1" or "web1.example.org"',
    r"^[A-Za-z0-9][A-Za-z0-9.+:_=~-]*$": 'the name of a package, such as "nginx" or "nginx=1.22"',
    r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$": "1 to 63 letters, digits and `_ . -`; a letter or digit comes first",
    r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$": "1 to 64 letters, digits and `_ . -`; a letter, a digit or `_` comes first",
    r"^[A-Za-z_][A-Za-z0-9_]{0,63}$": "1 to 64 letters, digits and `_`; a letter or `_` comes first",
    r"^[A-Za-z0-9_.+-]*$": "letters, digits and `_ . + -`",
    r"^[A-Za-z0-9_.-]+$": "letters, digits and `_ . -`",
    r"^[A-Za-z0-9_.-]{1,31}$": "1 to 31 letters, digits and `_ . -`",
    r"^[A-Za-z0-9_.:-]+$": "a host name or an IP address",
    r"^[A-Za-z0-9_.,:+/-]+$": 'a label such as "system_u:system_r:svirt_t:s0:c1,c2", or "+107:+107"',
    r"^[A-Za-z0-9_][A-Za-z0-9_.+-]{0,127}$": "1 to 128 letters, digits and `_ . + -`; a letter, a digit or `_` comes first",
    r"^[A-Za-z0-9_][A-Za-z0-9_.+@-]{0,127}$": "the name of a secret: 1 to 128 letters, digits and `_ . + @ -`",
    r"^[A-Za-z0-9_][A-Za-z0-9_.:-]{0,127}$": "1 to 128 letters, digits and `_ . : -`; a letter, a digit or `_` comes first",
    r"^[A-Za-z0-9_][A-Za-z0-9_.:-]{0,14}$": "1 to 15 letters, digits and `_ . : -`, as Linux names network devices",
    r"^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z][A-Za-z0-9_+-]*)*$": 'utc, localtime, or a time zone such as "Europe/Berlin"',
    r"^[^\s,\x00-\x1f-]([^,\x00-\x1f]{0,253}[^\s,\x00-\x1f])?$": "a tag: 1 to 255 characters without commas; it does not begin with -",
    r"^[^\s/\x00-\x1f]([^/\x00-\x1f]{0,126}[^\s/\x00-\x1f])?$": "1 to 128 characters without /, and without spaces at the ends",
    r"^[^\s\x00-\x1f]([^\x00-\x1f]{0,1022}[^\s\x00-\x1f])?$": "a name of 1 to 1024 characters, without spaces at the ends",
    r"^(127\.0\.0\.1|\[::1\]|localhost):[0-9]{1,5}$": 'a port of the loopback, such as "127.0.0.1:4555"',
    r"^[0-9a-fA-F]{16}$": '16 hexadecimal digits, such as "5000c50015ea71ac"',
    r"^[A-Za-z0-9:_.-]+$": 'the target of a disk such as "vda", or the MAC address of a NIC',
    r"^[^\x00-\x1f]+$": "text without control characters",
    r"^[a-z0-9_]+$": 'a CPU architecture such as "x86_64"',
    r"^[a-z]{2,3}(-[a-z]{2})?$": 'a keymap such as "de" or "en-us"',
    r"^[a-z_][a-z0-9_-]{0,31}$": "a user name: 1 to 32 small letters, digits and `_ -`",
}
"""The words for each pattern of a field."""


def pattern_words(pattern: str) -> str:
    """Return what text a pattern allows, in plain words.

    Example:
        >>> pattern_words("^/"), pattern_words("^x+$")
        ('an absolute path', "text that matches the regular expression '^x+$'")
    """
    return PATTERNS.get(pattern, f"text that matches the regular expression {pattern!r}")


def allowed_words(kind: str, context: Mapping[str, Any], message: str) -> str:
    """Return what a field allows.

    Args:
        kind: the type of pydantic's error.
        context: the details of the error.
        message: pydantic's own message, for other types of errors.

    Example:
        >>> allowed_words("greater_than_equal", {"ge": 1}, ""), allowed_words("int_parsing", {}, "")
        ('at least 1', 'a whole number')
    """
    if kind in TYPES:
        return TYPES[kind]
    if kind in DETAILED:
        return DETAILED[kind](context)
    message = message.removeprefix("Value error, ")
    return message[:1].lower() + message[1:]


def _characters(count: int) -> str:
    return "character" if count == 1 else "characters"


def _entries(count: int) -> str:
    return "entry" if count == 1 else "entries"


__all__ = ["DETAILED", "PATTERNS", "TYPES", "allowed_words", "pattern_words"]
