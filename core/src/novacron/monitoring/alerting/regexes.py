"""Regular expressions of matchers, as Prometheus and Alertmanager have them: RE2, whose time grows with the length of the text only.

Python's own engine can need years for a short label, and which expressions do that to it can't be told by looking at them. RE2 has no
backreferences and no assertions about what stands before or after.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

MEMORY = 1 << 20
"""Bytes that one expression may take; larger ones are refused. RE2 has no limit of its own for the sum of many."""
_HUGE = r"\{[0-9]*,?[0-9]{9,}"
"""A repetition that RE2 takes for plain text because its number is too large for it; Prometheus refuses it."""


@lru_cache(maxsize=128)
def _compiled(text: str) -> Any:
    import re2

    options = re2.Options()
    options.max_mem, options.log_errors, options.never_capture = MEMORY, False, True
    return re2.compile(text, options)


def regex_problem(text: str) -> str:
    """Return why a text is no regular expression, or an empty text.

    Example:
        >>> regex_problem("web.*"), regex_problem("(")
        ('', 'missing ): (')
        >>> regex_problem("(a+)+$"), regex_problem("(?=a)")
        ('', 'invalid perl operator: (?=')
    """
    import re2

    try:
        _compiled(text)
    except UnicodeEncodeError:
        return "no valid Unicode"
    except re2.error as error:
        return error.args[0].decode(errors="replace") if isinstance(error.args[0], bytes) else str(error)
    huge = re.search(_HUGE, re.sub(r"\\.", "", text, flags=re.DOTALL))
    return f"invalid repetition size: {huge[0]}" if huge else ""


def matches_whole(pattern: str, text: str) -> bool:
    """Return whether a whole text matches a valid expression.

    Example:
        >>> matches_whole("(a|a)*b", "a" * 10_000), matches_whole("web-[0-9]+", "web-1")
        (False, True)
    """
    return _compiled(pattern).fullmatch(text.encode(errors="replace")) is not None


__all__ = ["MEMORY", "matches_whole", "regex_problem"]
