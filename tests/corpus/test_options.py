"""The table of virt-install's options is complete, names what there is, and is the page in the documentation."""

import re
import runpy
import shutil
import subprocess
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


@pytest.mark.parametrize("name", [name for name, said in OPTIONS.items() if said.get("ours")])
def test_fields_and_commands_exist(name):
    for ours in OPTIONS[name]["ours"]:
        if field := FIELD.fullmatch(ours):
            assert field[2] in getattr(specs, field[1]).model_fields, ours
            continue
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
