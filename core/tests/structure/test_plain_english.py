"""Docstrings, comments and messages use the field's words, not private idioms."""

import ast
import io
import re
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SOURCES = [ROOT / folder for folder in ("core/src", "plugins/kvm/src", "plugins/vmware/src", "shell/src", "lab/src")]
IDIOMS = {
    r"go(es|ing)? on with": "continues, resumes",
    r"gone on with": "continued, resumed",
    r"(VM|run|job|task|operation|process|guest|libvirt) goes on": "continues",
    r"tak(en|es|ing) (it )?back": "undone, rolled back",
    r"stands? against": "prevents; all pre-checks passed",
    r"heed(s|ed)?": "handle",
    r"nobody knows": "unknown outcome",
    r"lets? go of": "release, close",
    r"half-made": "incomplete",
    r"has no like": "no equivalent",
}
"""Idioms without an innocent use, as patterns, and what to write instead."""

ANY = re.compile(rf"\b({'|'.join(IDIOMS)})\b", re.IGNORECASE)


def texts(source: str) -> list[tuple[int, str]]:
    """Return the line and text of each string and comment; the fixed text of an f-string counts as a string."""
    strings = [
        (node.lineno, node.value)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    comments = [
        (token.start[0], token.string)
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    ]
    return strings + comments


def idioms(source: str) -> list[str]:
    """Return a line for each idiom in a source file."""
    if not ANY.search(" ".join(source.split())):  # parsing is slow, and most files have none
        return []
    return [
        f"line {line}: {match.group()!r}, write: {plain}"
        for line, text in texts(source)
        for pattern, plain in IDIOMS.items()
        for match in re.finditer(rf"\b{pattern}\b", " ".join(text.split()), re.IGNORECASE)
    ]


@pytest.mark.parametrize("folder", SOURCES, ids=lambda folder: folder.parent.name)
def test_texts_have_no_private_idioms(folder: Path) -> None:
    files = sorted(folder.rglob("*.py"))
    assert files
    problems = [f"{file.relative_to(ROOT)} {problem}" for file in files for problem in idioms(file.read_text())]
    assert not problems, "\n".join(problems)


def test_idioms_are_found_in_docstrings_messages_and_comments() -> None:
    source = '"""A run is taken\nback."""\nraise ValueError(f"{vm} stands against it")\nx = 1  # let go of it\nheed = "headed"\n'
    assert [problem.partition(",")[0] for problem in idioms(source)] == [
        "line 1: 'taken back'",
        "line 3: 'stands against'",
        "line 4: 'let go of'",
    ]
