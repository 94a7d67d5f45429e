"""What is piped into `novacron shell` runs without greeting, prompt and colours."""

import os

import pytest

from novacron_shell.repl.piped import blocks
from novacron_shell.testing import CommandServer


@pytest.fixture(scope="module")
def piped():
    with CommandServer() as server:

        def run(text, folder):
            environment = os.environ | {"NOVACRON_STATE": str(folder), "TERM": "xterm-256color"}
            return server.run(["-c", "sim://piped?vms=2", "shell"], environment=environment, stdin=text)

        yield run


@pytest.mark.parametrize(
    ("text", "out", "code"),
    [
        ("print(1)\n", "1\n", 0),
        ("print(len(vms))", "2\n", 0),
        (":vm list -o name\nprint('end')\n", "vm-00001\nvm-00002\nend\n", 0),
        ("for n in range(2):\n    print(n)\n\n!echo from-the-system\n", "0\n1\nfrom-the-system\n", 0),
        ("text = '''\n:not a command\n'''\nprint(text.strip())", ":not a command\n", 0),
        ("", "", 0),
        ("import sys; sys.exit(5)", "", 5),
    ],
)
def test_only_the_output_of_the_code_is_printed(piped, tmp_path, text, out, code):
    done = piped(text, tmp_path)
    assert (done.stdout, done.stderr, done.returncode) == (out, "", code)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("print(1)\n1 / 0\nprint(2)\n", 'File "<stdin>", line 2'),
        ("vms['nope']\n", "error: no VM named 'nope'"),
        (":vm shw x\nprint(2)\n", "did you mean 'show'"),
        ("x = = 1\n", "SyntaxError"),
    ],
)
def test_the_first_failure_ends_it_with_an_exit_code(piped, tmp_path, text, said):
    done = piped(text, tmp_path)
    assert done.returncode != 0
    assert said in done.stderr
    assert "2" not in done.stdout
    assert "defect" not in done.stderr


def test_python_between_commands_stays_together():
    assert list(blocks("if True:\n    a = 1\n\n:vm list\n    ")) == [(1, "if True:\n    a = 1\n\n"), (4, ":vm list"), (5, "    ")]
