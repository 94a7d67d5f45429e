"""Removes secrets from what is logged or shown."""

from __future__ import annotations

import re
from typing import Any

HIDDEN = "***"
_HIDDEN_KEY = "*** private key ***"
_WORDS = r"pass(?:word|wd|phrase)|pwd|secret|token|(?:api|access|private)[_-]?key|credentials?|session[_-]?id"
_ABOUT = (
    rf"(?:{_WORDS}|(?:user|vendor)[_-]?data)s?(?:[_.-]?(?:max|min|key))?[_.-]?"
    r"(?:files?|file[_-]?name|path|dir(?:ectory)?|ttl|lifetime|(?<![A-Za-z])age|expir(?:es?|ed|y|ation)|length|policy|type|count|required|less)"
    r"(?:[_.-]?(?:at|in|on|after|days|hours|minutes|seconds|ms|bytes|bits))?(?![\w.-])"
)
"""The end of a name that says something about a secret but holds none, such as `password_file` and `token_ttl`."""
_NAME = rf"(?i){_WORDS}|pass$|(?:user|vendor)[_-]?data|network_config|^commands$|^authorization$|^cookie$"
_SECRET = rf"(?=(?:{_WORDS}))(?![\w.-]{{0,60}}?{_ABOUT})(?:{_WORDS})[\w-]{{0,40}}"
"""A name in text from its word for a secret on."""
_UNCLOSED = r"[^\r\n]*(?:\r?\n[ \t]+[^\r\n]*)*"
_QUOTED = rf"""\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'|[\"']{_UNCLOSED}"""
"""A value in quotation marks. If nothing closes it, it ends with its line and the indented lines after it: what follows is not hidden."""
_ATTACHED = r"(?:mysql\w{0,9}|mariadb(?:-\w{1,9})?|mycli|7z[ar]?)", "-p"
_EITHER = (
    (r"(?:mongo(?:sh|dump|restore|export|import)?|sshpass|usermod|useradd)", "-p"),
    (r"redis-cli", "-a"),
    (r"(?:zip|unzip|ipmitool)", "-P"),
    (r"ldap(?:search|add|modify|delete|passwd|whoami)", "-w"),
    (r"(?:docker|podman|nerdctl|buildah|skopeo|helm|oras|crane|az|oc|cf)[\s\"',](?:[^\r\n|;&]{0,60}?[\s\"',])?login", "-p"),
)
_SEPARATE = r"openssl", "-k"
"""Programs, and their option with a password: `_ATTACHED` takes it without a blank only, `_SEPARATE` as the next word only (`-keyout` is
another option), the others take both."""


def _of_program(program: str, option: str, between: str) -> tuple[str, str]:
    """Return a rule for a command line as text, as a list in JSON or as a list in YAML."""
    before = rf"(\b{program}\b[^\r\n|;&]{{0,300}}?[\s\"',]{option}{between})"
    return before + rf"(?:{_QUOTED}|[^\s\"',]+)", rf"\1{HIDDEN}"


_RULES = (
    (r"(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", _HIDDEN_KEY),
    (r"(?i)(<(?:passwd|password|passphrase|secret-value)[^>]*>)[^<]+", rf"\1{HIDDEN}"),
    (r"(://[^/\s:@?#]{0,100}):[^\s\"'<>]{0,500}@", rf"\1:{HIDDEN}@"),
    (r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{4,}", rf"\1 {HIDDEN}"),
    (r"(?i)\b((?:proxy-)?authorization|(?:set-)?cookie|x-[\w-]{0,40}(?:auth|key)[\w-]{0,40})(:\s*)[^\r\n]+", rf"\1\2{HIDDEN}"),
    (r"(?i)([?&][\w.-]{0,40}(?:sig|signature|sid|auth)=)[^\s&#\"']+", rf"\1{HIDDEN}"),
    (r"((?<![\w-])(?:-u[\s=]?|--(?:proxy-)?user[\s=])\s{0,9}[\"']?(?!\d+:\d+\b)[^\s:\"']{1,100}:)[^\s\"']+", rf"\1{HIDDEN}"),
    _of_program(*_ATTACHED, ""),
    *(_of_program(*each, r"(?:[\"']?[\s,]{1,9})?") for each in _EITHER),
    _of_program(*_SEPARATE, r"[\"']?[\s,]{1,9}"),
    (r"(\bpass:)[^\s\"']+|((?<![\w-])-U[\s\"',]{0,9}[^\s%\"',]{1,64}%)[^\s\"']+", rf"\1\2{HIDDEN}"),
    (r"(\bhtpasswd\s+-\w{0,9}b\w{0,9}\s+\S{1,200}\s+\S{1,99}\s+)\S+", rf"\1{HIDDEN}"),
    (r"(\becho\s+)[^\r\n|]{1,300}(?=\|\s{0,9}(?:sudo\s+)?(?:ch)?passwd\b)", rf"\1{HIDDEN} "),
    (r"(\bchpasswd\b[^\r\n]{0,40}<<<\s{0,9})[^\r\n]+", rf"\1{HIDDEN}"),
    (r"\b(?:glpat-|gh[opsu]_|github_pat_|xox[abprs]-|hvs\.)[\w-]{10,}|\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*", HIDDEN),
    (rf"(?i)((?<![\w-])--?[\w-]{{0,40}}(?:{_WORDS})\s+)(?:{_QUOTED}|[^\s\"']+)", rf"\1{HIDDEN}"),
    (
        rf"(?i)({_SECRET}[\"']?[ \t]{{0,9}}[=:])(\s{{0,99}}(?=[\"'])|[ \t]{{0,99}})(?:{_QUOTED}|[^\s'\"&;,]+)",
        rf"\1\2{HIDDEN}",
    ),
)
"""What a secret looks like in text, and what is written instead. Repetitions are bounded, so that long text takes no long time.

The patterns are compiled at their first use, because most commands show no such text."""
_BLOCK = (
    rf"(?i)^(?P<before>[ \t]{{0,99}}(?:-[ \t]+){{0,9}})(?P<key>[\"']?[\w.-]{{0,60}}(?:{_WORDS})[\w.-]{{0,60}}[\"']?[ \t]{{0,9}}:)"
    r"(?P<value>(?:[ \t]+[!&][^\s\[{]{0,99}){0,2}(?:[ \t]{0,99}[\[{].{0,9999}|[ \t]+[|>][-+\d]{0,2})?(?:[ \t]+\#.{0,999})?[ \t]{0,99})$"
)
"""A line of YAML, or of JSON on several lines, with a secret whose value is a list, a mapping or text on the lines that follow."""
_OPEN = rf"(?i){_SECRET}[\"']?\s{{0,9}}[=:]\s{{0,99}}(?=[\[{{])"
"""What stands before a list or a mapping of secrets in one line."""
_PROMPT = rf"(?i){_SECRET}(?![\w-])[^:\r\n]{{0,200}}:[ \t]{{0,99}}$"
"""The end of a line that asks for a secret: it is on the next line, such as in the record of a terminal."""
_NO_ANSWER = r"- |-$|\#|---|\.\.\.$|[\]})]|[\"']?\w[\w. /-]{0,60}[\"']?:(?:\s|$)"
"""What begins the next line if it has no secret: an item, a comment, the end of a document or of a list, another key."""
_BRACKET = r"""[\[\]{}\n]|(?<!\w)(?:\"(?:[^\"\\]|\\.){0,9999}\"|'(?:[^'\\]|\\.){0,9999}'|[\"'][^\r\n]*)"""
_SPARE = 1_000_000
"""Characters that may be looked through for brackets that close, in vain. After that, only the line itself is."""
_OPTION = rf"(?i)^--?[\w-]{{0,40}}(?:{_WORDS})$"


def is_secret_name(name: str) -> bool:
    """Return whether a field of this name holds a secret.

    Example:
        >>> is_secret_name("db_password"), is_secret_name("password_file"), is_secret_name("token_ttl")
        (True, False, False)
    """
    return bool(re.search(_NAME, name)) and not re.search(rf"(?i){_ABOUT}", name)


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


def without_secret(text: str, secret: str) -> str:
    """Return the answer of a server without a secret that it was sent, as it is or in Base64.

    Example:
        >>> without_secret("535 bad password hunter2", "hunter2"), without_secret("got aHVudGVyMg==", "hunter2")
        ('535 bad password ***', 'got ***')
    """
    import base64

    encoded = base64.b64encode(secret.encode(errors="surrogatepass")).decode()
    for form in (secret, encoded, encoded.rstrip("=")):
        text = text.replace(form, HIDDEN) if form else text
    return text


def redacted(value: Any) -> Any:
    """Return plain values with every secret replaced by `***`; binary data by its length.

    Example:
        >>> redacted({"name": "web1", "password": "hunter2"}), redacted("passwd='x' vsphere://u:p@h/")
        ({'name': 'web1', 'password': '***'}, 'passwd=*** vsphere://u:***@h/')
        >>> redacted(["mysql", "--password", "hunter2"]), redacted('{"api_key": "hunter 2"}')
        (['mysql', '--password', '***'], '{"api_key": ***}')
    """
    if isinstance(value, str):
        value = _without_blocks(_without_brackets(value))
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


def _without_blocks(text: str) -> str:
    """Return text with `***` for the lines of a secret: in YAML a block of text, a list or a mapping; or the line after a prompt.

    The keys beside it stay.
    """
    if "\n" not in text:
        return text
    kept, column, items, asked = list[str](), -1, False, False
    for line in text.splitlines(keepends=True):
        words = line.lstrip(" \t")
        indent = len(line) - len(words)
        if column >= 0 and (not words.strip() or indent > column or (items and indent == column and words.split()[0] == "-")):
            asked = asked and not words.strip()
            if words.strip() and not kept[-1].endswith(f"{HIDDEN}\n"):
                kept.append(" " * (column + 2) + f"{HIDDEN}\n")
            continue
        column = -1
        plain = line.rstrip("\r\n")
        if asked and words.strip():
            asked = False
            if not re.match(_NO_ANSWER, words):
                line = f"{line[:indent]}{HIDDEN}{line[len(plain) :]}"
        if (found := re.match(_BLOCK, plain)) and is_secret_name(found["key"].strip("\"': \t")):
            column, items = len(found["before"]), not found["value"].strip() or found["value"].lstrip()[0] in "!&#"
            asked = not found["value"].strip()
            if "[" in found["value"] or "{" in found["value"]:
                line = f"{found['before']}{found['key']} {HIDDEN}\n"
        elif not found and re.search(_PROMPT, plain):
            asked = True
        kept.append(line)
    return "".join(kept)


def _without_brackets(text: str) -> str:
    """Return text with `***` for a list or a mapping of secrets, up to the bracket that closes it or the line where it breaks off."""
    kept, end, spare = list[str](), 0, _SPARE
    brackets = re.compile(_BRACKET)
    for found in re.finditer(_OPEN, text):
        if found.end() < end:
            continue
        kept += [text[end : found.end()], HIDDEN]
        depth, end = 0, 0
        for mark in brackets.finditer(text, found.end()):
            depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(mark[0], 0)
            if depth == 0:
                end = mark.end()
                break
            if mark[0] == "\n" and spare < mark.end() - found.end():
                break
        if not end:
            spare -= len(text) - found.end()
            end = _broken_off(text, found.end())
    return "".join(kept) + text[end:]


def _broken_off(text: str, start: int) -> int:
    """Return where a list that nothing closes ends: with its line and those that are indented further or continue it."""
    line = text[text.rfind("\n", 0, start) + 1 : start]
    indent, end, before = len(line) - len(line.lstrip(" \t")), start, ""
    while end < len(text):
        stop = text.find("\n", end)
        line = text[end : stop if stop >= 0 else len(text)]
        words = line.strip()
        continued = (before.endswith((",", "[", "{")) and words.startswith(('"', "'", "[", "{"))) or before.endswith(",")
        if end > start and words and not continued and len(line) - len(line.lstrip(" \t")) <= indent:
            return end - 1
        before = words or before
        end += len(line) + 1
    return len(text)


def _redacted_items(items: list[Any]) -> list[Any]:
    """Return redacted items; what follows an option such as `--password`, or the `-p` of some programs, is a secret."""
    found, program = list[Any](), ""
    tool = before = ""
    for item in items:
        text = item if isinstance(item, str) else ""
        if re.match(_OPTION, before) or _takes_secret(program, before):
            found.append(HIDDEN)
        elif before in ("-u", "--user", "--proxy-user") and re.match(r"(?!\d+:\d+$)[^:\s]{1,100}:.", text):
            found.append(f"{text.partition(':')[0]}:{HIDDEN}")
        elif program and (option := _attached(program, text)):
            found.append(f"{option}{HIDDEN}")
        else:
            found.append(redacted(item))
        program = program or _program(text) or (_program(f"{tool} login") if text == "login" else "")
        name, before = text.rpartition("/")[2], text
        tool = name if _program(f"{name} login") else tool
    return found


def _program(word: str) -> str:
    """Return the name of a program if one of its options is a password."""
    name = word.rpartition("/")[2]
    return name if any(re.fullmatch(program, name) for program, _ in (_ATTACHED, _SEPARATE, *_EITHER)) else ""


def _takes_secret(program: str, option: str) -> bool:
    return bool(program) and any(re.fullmatch(each, program) and option == own for each, own in (_SEPARATE, *_EITHER))


def _attached(program: str, word: str) -> str:
    """Return the option at the beginning of a word such as `-pSECRET`; "" for other words."""
    options = [own for each, own in (_ATTACHED, *_EITHER) if re.fullmatch(each, program)]
    return next((own for own in options if word.startswith(own) and len(word) > len(own)), "")


__all__ = ["HIDDEN", "described", "is_secret_name", "redacted", "without_quotations", "without_secret"]
