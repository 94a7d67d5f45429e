"""How the process of a command ends."""

import subprocess
import sys

import pytest

COMMAND = """
import ctypes, sys
libc = ctypes.CDLL(None)
libc.on_exit(libc.abort, None)
from novacron_shell.main import main
sys.argv = ["novacron", *sys.argv[1:]]
main()
"""
"""A command in whose process a C library would crash when it is taken down."""


@pytest.mark.parametrize(
    ("arguments", "code"), [(["--version"], 0), (["vm", "lst"], 2), (["-c", "sim://ends", "vm", "show", "none"], 13)]
)
def test_a_command_ends_with_its_exit_code_whatever_c_libraries_do_at_the_end(arguments, code):
    done = subprocess.run([sys.executable, "-c", COMMAND, *arguments], capture_output=True, text=True)
    assert done.returncode == code, done.stderr
    assert done.stdout if code == 0 else done.stderr
