"""What errors, help and documentation tell people to type can be typed."""

import re
from pathlib import Path

import click
import pytest

from novacron_shell.cli import cli

ROOT = Path(__file__).parents[2]
SOURCES = [*ROOT.glob("*/src/**/*.py"), *ROOT.glob("plugins/*/src/**/*.py"), *ROOT.glob("docs/*.md"), ROOT / "README.md"]


def named():
    """Every `novacron COMMAND [SUBCOMMAND]` in backquotes, and where it stands."""
    for path in SOURCES:
        for words in re.findall(r"`+novacron ((?:[a-z]+(?:-[a-z]+)* ?)+)", path.read_text()):
            yield pytest.param(words.split(), id=f"{path.name}: {words.strip()}")


@pytest.mark.parametrize("words", list(named()))
def test_every_command_that_is_named_exists(words):
    command = cli
    context = click.Context(cli)
    for word in words:
        if not isinstance(command, click.Group):
            break
        command = command.get_command(context, word)
        assert command is not None, f"there is no `novacron {' '.join(words)}`"


def test_every_exit_code_is_documented():
    """Each family of errors has a row in docs/command-line.md with its code."""
    from novacron import errors

    text = (ROOT / "docs" / "command-line.md").read_text()
    for name, family in vars(errors).items():
        if (
            isinstance(family, type)
            and issubclass(family, errors.NovaCronError)
            and "exit_code" in vars(family)
            and family.exit_code != 1
        ):
            assert f"| {family.exit_code} | {name} |" in text


HINT = re.compile(r"""hint=f?"([^"]*)\"""")
"""The text of a hint in the source."""


@pytest.mark.parametrize("path", [path for path in SOURCES if path.suffix == ".py"], ids=lambda path: path.name)
def test_a_hint_with_an_argument_of_python_names_the_option_too(path):
    """Hints are read at the command line and in Python: `replace=True (--replace)`."""
    for hint in HINT.findall(path.read_text()):
        alone = re.findall(r"\b(?:[a-z_]+=(?:True|False|None)\b(?! \(--)|[a-z_]+\.list\(\))", hint)
        alone += re.findall(r"\bforce\b(?!=True| \()", hint.replace("--force", ""))
        assert not alone, hint
