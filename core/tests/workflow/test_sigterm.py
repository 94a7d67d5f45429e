"""A process that SIGTERM ends in a run says how to resume the run."""

import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

CODE = """
from novacron.workflow import step

@step(name="linger")
def linger(context, path):
    with open(path, "w", buffering=1) as begun:
        begun.write("begun\\n")
        context.wait(60)
"""


@pytest.fixture
def novacron(tmp_path):
    environment = os.environ | {"NOVACRON_STATE": str(tmp_path / "state")}

    def start(*arguments):
        command = [str(Path(sys.executable).with_name("novacron")), *arguments]
        return subprocess.Popen(
            command, env=environment, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    return start


def test_sigterm_in_a_run_says_how_to_resume_it(novacron, tmp_path):
    code, fifo = tmp_path / "lingering.py", tmp_path / "begun"
    code.write_text(CODE)
    os.mkfifo(fifo)
    begun = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    process = novacron("-c", "sim://sigterm?vms=1", "flow", "run", "*", f"linger:path={fifo}", "--load", str(code))
    try:
        assert select.select([begun], [], [], 60)[0], "the step did not begin"
    finally:
        process.send_signal(signal.SIGTERM)
        output, said = process.communicate(timeout=60)
        os.close(begun)
    assert process.returncode == -signal.SIGTERM
    assert output == ""
    listed, _ = novacron("run", "list", "-o", "json").communicate(timeout=60)
    (run,) = json.loads(listed)
    assert run["status"] == "interrupted"
    lines = [line for line in said.splitlines() if "SIGTERM" in line]
    assert lines == [
        f"SIGTERM: the run {run['id']} is interrupted. A worker continues it, or resume it with: novacron run resume {run['id']}"
    ]
    assert "Traceback" not in said
