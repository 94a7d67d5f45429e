"""The README's pictures show what the shell and `top` show now."""

import html
import re
from pathlib import Path

import pytest

from novacron_shell.repl import pictures

FOLDER = Path(__file__).parents[2] / "docs" / "pictures"
AGAIN = "run: python -m novacron_shell.repl.pictures docs/pictures, and look at them"


@pytest.fixture
def hosts():
    made = pictures.hosts()
    yield made
    for host in made:
        host.close()


def text(svg):
    """The text of a picture, without numbers: times and measurements differ."""
    found = html.unescape("\n".join(re.findall(r">([^<]*)</text>", svg)))
    return re.sub(r"[0-9.]+", "0", found.replace("\xa0", " "))


def test_the_picture_of_the_shell_is_up_to_date(hosts):
    assert text(pictures.shell(hosts)) == text((FOLDER / "shell.svg").read_text()), AGAIN


def test_the_picture_of_top_is_up_to_date(hosts):
    """Headings, hosts, VMs, statuses and keys are compared: the order and the curves follow the load."""
    expected = {
        "HOST",
        "CPU%",
        "LAST",
        "MEMORY",
        "NAME",
        "STATUS",
        "VCPUS",
        "READ",
        "kvm",
        "web",
        "db",
        "running",
        "stopped",
        "Quit",
    }
    drawn, stored = text(pictures.top(hosts)), text((FOLDER / "top.svg").read_text())
    for picture in (drawn, stored):
        assert expected <= set(re.findall(r"[A-Za-z%]+", picture)), AGAIN
    assert drawn.partition("Quit")[2].split() == stored.partition("Quit")[2].split(), AGAIN  # the keys, below everything else


def test_the_readme_shows_both():
    readme = (FOLDER.parents[1] / "README.md").read_text()
    assert all(f"(docs/pictures/{name}.svg)" in readme for name in ("shell", "top"))
