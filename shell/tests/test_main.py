"""How the process of a command ends."""

import os
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


@pytest.mark.parametrize(
    ("asked", "code", "said"), [("", 0, ""), ("3", 3, ""), ("-1", 255, ""), ("'it is full'", 1, "it is full\n")]
)
def test_a_script_ends_with_the_exit_code_that_it_asks_for(tmp_path, asked, code, said):
    script = tmp_path / "script.py"
    script.write_text(f"import sys\nprint('printed')\nsys.exit({asked})\n")
    command = [sys.executable, "-c", COMMAND, "-c", "sim://asks", "script", str(script)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (code, "printed\n", said)


def test_a_script_whose_output_can_not_be_written_says_so_although_it_asks_for_success(tmp_path):
    script = tmp_path / "script.py"
    script.write_text("import sys\nprint('printed')\nsys.exit()\n")
    command = [sys.executable, "-c", COMMAND, "-c", "sim://asks", "script", str(script)]
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, env=buffered, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 74
    assert "can't write the output" in done.stderr


@pytest.mark.parametrize("what", ["complete", "source"])
def test_a_completion_ends_with_success(tmp_path, what):
    """Also the first one, which click answers."""
    typed = {
        "_NOVACRON_COMPLETE": f"bash_{what}",
        "COMP_WORDS": "novacron vm li",
        "COMP_CWORD": "2",
        "NOVACRON_STATE": str(tmp_path),
    }
    done = subprocess.run([sys.executable, "-c", COMMAND], env=os.environ | typed, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert ("list" if what == "complete" else "_NOVACRON_COMPLETE") in done.stdout
