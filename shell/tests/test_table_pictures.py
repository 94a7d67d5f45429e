"""Tables of the command line at a terminal, compared with stored pictures.

After a change that is meant: `pytest shell/tests/test_table_pictures.py --snapshot-update`, and look at the pictures in `__snapshots__`.
"""

import io
import re

import pytest
from rich.console import Console
from rich.text import Text
from syrupy.extensions.image import SVGImageSnapshotExtension

from novacron.records import VM
from novacron_shell.commands.lifecycle import COLUMNS, WIDE
from novacron_shell.output import show_many

NAMES = (
    "web1",
    "büro-東京-🚀",
    'it\'s "quoted"',
    "red\x1b[31m\x07bell",
    "two\nlines\tand a tab",
    "left\u202etfel",
    "a-" + "long-" * 12 + "name",
)
STATUSES = ("running", "stopped", "suspended", "crashed")
LINES = 24
"""Lines of a long table that its picture shows."""


class Pictures(SVGImageSnapshotExtension):
    """Pictures without the random names of their styles."""

    def serialize(self, data, **options):
        return super().serialize(re.sub(r"terminal-\d+-", "terminal-", data), **options)


class Terminal(io.StringIO):
    """Standard output that says it is a terminal."""

    def isatty(self):
        return True


def vms(count, names=()):
    """Return records with fixed values."""
    return [
        VM(
            id=f"00000000-0000-0000-0000-{number:012}",
            name=names[number] if names else f"web-{number:05}",
            host=f"kvm{number % 3 + 1}",
            node=f"node{number % 2 + 1}",
            status=STATUSES[number % 4],
            vcpus=1 + number % 8,
            memory_bytes=(1 + number % 4) * 2**29,
            tags=frozenset({"web", "prod"}) if number % 2 else frozenset(),
            description="the database\x1b[2J of the shop" if number % 3 == 0 else "",
        )
        for number in range(count)
    ]


@pytest.fixture
def printed(monkeypatch):
    """Return a function that prints a table at a terminal of a width, and returns what was printed."""

    def run(records, width, output="table"):
        terminal = Terminal()
        monkeypatch.setattr("sys.stdout", terminal)
        for name, value in {"COLUMNS": str(width), "LINES": "40", "TERM": "xterm-256color", "COLORTERM": "truecolor"}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.delenv("NO_COLOR", raising=False)
        show_many(records, COLUMNS, output, wide=WIDE)
        monkeypatch.undo()
        return terminal.getvalue()

    return run


def picture(text, width):
    """Return the first lines of what a terminal shows, as SVG."""
    console = Console(record=True, width=width, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(Text.from_ansi("\n".join(text.splitlines()[:LINES])))
    return console.export_svg(title="novacron vm list")


@pytest.mark.parametrize("width", [40, 200])
@pytest.mark.parametrize("case", ["none", "one", "many", "odd names"])
def test_a_table_of_vms(case, width, printed, snapshot, sample):
    """The first lines of a table are the same with 200 and with 5,000 VMs."""
    many = sample(200, 5000)
    records = {"none": [], "one": vms(1), "many": vms(many), "odd names": vms(len(NAMES), NAMES)}[case]
    text = printed(records, width)
    assert picture(text, width) == snapshot.use_extension(Pictures)
    if case == "many":
        assert all(f"web-{number:05}" in text for number in range(many))


def test_a_wide_table_with_odd_names(printed, snapshot):
    assert picture(printed(vms(len(NAMES), NAMES), 200, "wide"), 200) == snapshot.use_extension(Pictures)


@pytest.mark.parametrize("width", [40, 200])
def test_no_line_is_wider_than_the_terminal(printed, width):
    """An identifier that is wider than the terminal is printed whole; nothing else is."""
    for text in (printed(vms(50), width), printed(vms(6, NAMES[:6]), width)):
        plain = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in text.splitlines()]
        assert max(map(len, plain)) <= width
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", "\n".join(plain))
