"""Files that operations write to this machine: whole, or not there."""

import os
import subprocess
import sys

import pytest

from novacron.errors import AlreadyExistsError
from novacron.handles.files import new_file


def test_a_file_gets_its_name_when_it_is_whole(tmp_path):
    with new_file(tmp_path / "web.ova") as target:
        target.write(b"half")
        target.flush()
        assert not (tmp_path / "web.ova").exists()
        target.write(b" and half")
    assert os.listdir(tmp_path) == ["web.ova"]
    assert (tmp_path / "web.ova").read_bytes() == b"half and half"


@pytest.mark.parametrize("name", ["a" * 255, "文" * 84 + "abc"])
def test_a_file_may_have_the_longest_name_of_a_file_system(tmp_path, name):
    """255 bytes; what it is called until it is whole may not be longer."""
    with new_file(tmp_path / name) as target:
        target.write(b"x")
    assert os.listdir(tmp_path) == [name]


def test_a_failure_leaves_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt), new_file(tmp_path / "web.ova"):
        raise KeyboardInterrupt
    assert os.listdir(tmp_path) == []


def test_a_file_that_is_there_or_appears_meanwhile_is_kept(tmp_path):
    file = tmp_path / "web.ova"
    with pytest.raises(AlreadyExistsError), new_file(file):
        file.write_bytes(b"theirs")
    assert file.read_bytes() == b"theirs"
    with pytest.raises(AlreadyExistsError), new_file(file):
        pass
    assert os.listdir(tmp_path) == ["web.ova"]


def test_a_killed_process_leaves_no_file_that_looks_whole(tmp_path):
    begin = f"from novacron.handles.files import new_file; new_file({str(tmp_path / 'web.ova')!r}).__enter__()"
    code = f"{begin}; import os; os.kill(os.getpid(), 9)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == -9
    assert not (tmp_path / "web.ova").exists()
    with new_file(tmp_path / "web.ova") as target:
        target.write(b"again")
    assert (tmp_path / "web.ova").read_bytes() == b"again"
