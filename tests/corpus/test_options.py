"""The table of virt-install's options is complete, names what there is, and is the page in the documentation."""

import re
import runpy
import shutil
import subprocess
from fnmatch import fnmatchcase
from pathlib import Path
from types import SimpleNamespace

import click
import pytest

from novacron import specs
from novacron_shell.cli import cli

TABLE = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("virt_install_options.py"))))

OPTIONS = {name: said for section in TABLE.options().values() for name, said in section.items()}
FIELD = re.compile(r"([A-Z]\w+)\.(\w+)")


def test_the_page_is_up_to_date():
    assert TABLE.PAGE.read_text() == TABLE.page(), "run: python tests/corpus/virt_install_options.py"


def test_each_option_has_a_field_a_command_or_a_reason():
    assert [name for name, said in OPTIONS.items() if not said.get("ours") and len(said.get("why", "")) < 8] == []
    assert sum(map(len, TABLE.options().values())) == len(OPTIONS), "an option is in two sections"


SUBOPTIONS = [(names, patterns, said) for names, table in TABLE.suboptions() for patterns, said in table.items()]
NAMED = {
    **{name: said["ours"] for name, said in OPTIONS.items() if said.get("ours")},
    **{f"{names[0]} {patterns}": said for names, patterns, said in SUBOPTIONS if isinstance(said, list)},
}
"""The fields and commands that the tables name for each option, and for the sub-options."""


REASONS = [said["why"] for said in OPTIONS.values() if "why" in said] + [
    said for _, _, said in SUBOPTIONS if isinstance(said, str)
]


def assert_exists(ours):
    """Check that a field "VMSpec.name" or a command "novacron vm list --output" exists."""
    if field := FIELD.fullmatch(ours):
        assert field[2] in getattr(specs, field[1]).model_fields, ours
        return
    program, *words = ours.split()
    command = cli
    assert program == "novacron"
    for word in words:
        if word.startswith("-"):
            assert word in {option for each in command.params for option in each.opts} | {"--help", "--version"}, ours
        else:
            assert isinstance(command, click.Group), ours
            command = command.get_command(click.Context(command), word)
            assert command is not None, ours


@pytest.mark.parametrize("name", NAMED)
def test_fields_and_commands_exist(name):
    for ours in NAMED[name]:
        assert_exists(ours)


def test_what_the_reasons_name_exists():
    """The way around that a reason names is a command or a field of today."""
    named = {each for reason in REASONS for each in re.findall(r"`([^`]+)`", reason)}
    ways = {each for each in named if each.startswith("novacron ") or FIELD.fullmatch(each)}
    for way in ways:
        assert_exists(way)
    assert len(ways) > 10


def test_each_suboption_has_a_field_a_command_or_a_reason():
    assert [patterns for _, patterns, said in SUBOPTIONS if not said or (isinstance(said, str) and len(said) < 8)] == []
    assert {name for names, _, _ in SUBOPTIONS for name in names} - {"every", *OPTIONS} == set()


def test_each_field_of_a_vm_s_hardware_is_the_answer_to_an_option():
    """A new field belongs into the table; the others are NovaCron's own."""
    own = {"native", "node", "guest_agent", "start", "tags", "metadata", "disks", "nics", "cloud_init", "features"}
    named = {FIELD.fullmatch(ours)[2] for said in OPTIONS.values() for ours in said.get("ours", []) if ours.startswith("VMSpec.")}
    assert {*specs.VMSpec.model_fields} - own - named == set()


@pytest.mark.skipif(shutil.which("virt-install") is None, reason="virt-install is not installed")
@pytest.mark.parametrize("program", ["virt-install", "virt-xml"])
def test_no_option_of_the_installed_version_is_forgotten(program):
    text = subprocess.run([program, "--help"], capture_output=True, text=True, check=True).stdout
    there = set(re.findall(r"(?<![\w-])--[a-zA-Z][\w-]*", text))
    assert {option.lower() for option in there} - {*OPTIONS} == set()


def listed_suboptions():
    """Return the sub-options that the installed version lists for each option, "N" for the number of a repeated one."""
    asked = [option for names, _ in TABLE.suboptions() for option in names if option != "every"]
    command = ["virt-install", *(f"{option}=?" for option in dict.fromkeys(asked))]
    text = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=True).stdout
    found, option = {}, ""
    for line in text.splitlines():
        if line.startswith("--"):
            option = line.split()[0].lower()
        elif line.strip():
            found.setdefault(option, []).append(line.strip().replace("[0-9]*", "N"))
    return found


@pytest.mark.skipif(shutil.which("virt-install") is None, reason="virt-install is not installed")
def test_no_suboption_of_the_installed_version_is_forgotten():
    unlike, unused = [], {(names[0], each) for names, patterns, _ in SUBOPTIONS for each in patterns.split()}
    listed = listed_suboptions()
    for option, suboptions in listed.items():
        rows = [(names[0], patterns.split()) for names, patterns, _ in SUBOPTIONS if option in names or names == ["every"]]
        for suboption in suboptions:
            fitting = [(name, each) for name, patterns in rows for each in patterns if fnmatchcase(suboption, each)]
            unused -= {*fitting}
            if len(fitting) != 1:
                unlike.append((option, suboption, fitting))
    assert unlike == [], "each sub-option has exactly one row"
    assert unused == set(), "rows without a sub-option"
    assert sum(map(len, listed.values())) > 1400
