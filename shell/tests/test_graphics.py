"""Pictures in terminals that draw them: the test is the terminal, which says what it can and reads what it is sent."""

import base64
import io
import os
import re
import sys

import pexpect
import pytest
from PIL import Image

import novacron

PROGRAM = """
import novacron, rich.console
from novacron_shell.repl.display import Displays
rich.console.Console().print(Displays().draw(novacron.connect("sim://graphics?vms=1").vms["vm-00001"].screenshot()))
"""
CELL = (10, 20)
"""Width and height of a cell of the terminal, in pixels."""
NO_SIXEL, SIXEL = "\x1b[?62;22c", "\x1b[?62;4;22c"
KITTY = "\x1b_Gi=1;OK\x1b\\"
CELL_SIZE = f"\x1b[6;{CELL[1]};{CELL[0]}t"


def drawn(answers: str, columns: int = 100) -> str:
    """Return what a terminal is sent for a screenshot. Its answers lie ready, so that no time limit of a question matters."""
    size = {"COLUMNS": str(columns), "LINES": "40"}
    environment = os.environ | {"TERM": "xterm-256color", "COLORTERM": "truecolor"} | size
    child = pexpect.spawn(
        sys.executable, ["-c", PROGRAM], env=environment, encoding="utf-8", timeout=60, dimensions=(40, columns), echo=False
    )
    child.send(answers)
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0, child.before
    return child.before


@pytest.fixture(scope="module")
def original():
    with novacron.connect("sim://graphics?vms=1") as host:
        return Image.open(io.BytesIO(host.vms["vm-00001"].screenshot().data)).convert("RGB")


@pytest.mark.parametrize("width", [100, 40])
def test_kittys_protocol_gets_the_picture_itself_and_a_place_of_its_shape(original, width):
    said = drawn(NO_SIXEL + KITTY + CELL_SIZE, width)
    messages = [
        (dict(pair.split("=") for pair in control.split(",")), data)
        for control, _, data in (found.partition(";") for found in re.findall(r"\x1b_G(.*?)\x1b\\", said, re.DOTALL))
    ]
    question, *transfer, placement = messages
    assert question[0]["a"] == "q"
    assert [(control["f"], control["m"]) for control, _ in transfer] == [("100", "1")] * (len(transfer) - 1) + [("100", "0")]
    assert all(len(data) <= 4096 for _, data in transfer)  # the protocol's largest piece
    shown = Image.open(io.BytesIO(base64.b64decode("".join(data for _, data in transfer)))).convert("RGB")
    columns, rows = int(placement[0]["c"]), int(placement[0]["r"])
    assert {control["i"] for control, _ in (*transfer, placement)} == {placement[0]["i"]}
    assert said.count("\U0010eeee") == columns * rows
    assert columns == min(width, 80)
    assert shown.size == (columns * CELL[0], rows * CELL[1])
    assert shown.width / shown.height == pytest.approx(original.width / original.height, rel=0.05)
    assert shown.resize((1, 1)).getpixel((0, 0)) == pytest.approx(original.resize((1, 1)).getpixel((0, 0)), abs=8)
    assert "picture of the VM" in said


def test_a_terminal_with_sixel_gets_sixel():
    said = drawn(SIXEL + CELL_SIZE)
    body = re.search(r"\x1bP[\d;]*q(.*?)\x1b\\", said, re.DOTALL)
    assert body
    assert re.search(r"#\d+;2;\d+;\d+;\d+", body[1])  # a colour of the palette
    assert "\x1b_Ga=p" not in said
    assert "picture of the VM" in said


def test_a_terminal_that_draws_no_pictures_gets_half_blocks(original):
    said = drawn(NO_SIXEL + "\x1b_Gi=1;ENOTSUPPORTED\x1b\\" + CELL_SIZE)
    lines = [line for line in said.splitlines() if "▀" in line]
    assert {line.count("▀") for line in lines} == {80}
    assert 80 / (2 * len(lines)) == pytest.approx(original.width / original.height, rel=0.05)
    assert "\x1bP" not in said
    assert "\U0010eeee" not in said
    assert "picture of the VM" in said
