"""Files that operations write to this machine: whole, or not there."""

import os
import shutil
import subprocess
import sys

import pytest

from novacron.errors import AlreadyExistsError, ResourceAllocationError
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


def write_without_end(file):
    with new_file(file) as target:
        while True:
            target.write(b"x" * 65536)
            target.flush()
            use = shutil.disk_usage(file.parent)
            assert use.free >= use.total // 100, "the reserve is used"


def test_a_server_that_sends_without_end_leaves_the_disk_a_reserve(tmp_path):
    """A file system of 8 MiB: writing ends before it is full, the error says why, and nothing half-made stays."""
    if os.getuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", tmp_path], check=False).returncode:
        pytest.skip("no file system can be mounted")
    try:
        with pytest.raises(ResourceAllocationError, match=r"no space for more of '.web.raw.*stay free"):
            write_without_end(tmp_path / "web.raw")
        assert os.listdir(tmp_path) == []
        with new_file(tmp_path / "sparse.raw") as target:  # holes need no space
            target.seek(2**30)
            target.write(b"end")
        assert (tmp_path / "sparse.raw").stat().st_size == 2**30 + 3
        (tmp_path / "others").write_bytes(b"x" * (shutil.disk_usage(tmp_path).free - 32 * 1024))
        with new_file(tmp_path / "web.ovf") as target:  # a small file gets what is left
            target.write(b"x" * 4096)
        assert (tmp_path / "web.ovf").stat().st_size == 4096
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def test_a_killed_process_leaves_no_file_that_looks_whole(tmp_path):
    begin = f"from novacron.handles.files import new_file; new_file({str(tmp_path / 'web.ova')!r}).__enter__()"
    code = f"{begin}; import os; os.kill(os.getpid(), 9)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == -9
    assert not (tmp_path / "web.ova").exists()
    with new_file(tmp_path / "web.ova") as target:
        target.write(b"again")
    assert (tmp_path / "web.ova").read_bytes() == b"again"
