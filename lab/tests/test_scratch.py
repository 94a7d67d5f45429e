"""Temporary folders of killed processes go, with the processes that were started for them; those of living ones stay."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from novacron_lab import scratch

LEAVES = """
import subprocess, sys
from pathlib import Path
from novacron_lab import scratch
folder = scratch.make_folder("test", Path(sys.argv[1]))
(folder / "file").write_text("kept")
child = subprocess.Popen(["tail", "-f", folder / "file"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
print(folder, child.pid, flush=True)
sys.stdin.read()
"""


def test_what_a_killed_process_left_is_removed_and_what_a_living_one_uses_is_kept(tmp_path):
    mine = scratch.make_folder("test", tmp_path)
    (tmp_path / f"{scratch.PREFIX}-not-ours").mkdir()
    owner = subprocess.Popen(
        [sys.executable, "-c", LEAVES, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        folder, child = owner.stdout.readline().split()
        assert scratch.remove_abandoned(tmp_path) == []
        assert Path(folder, "file").exists()
    finally:
        owner.kill()
        owner.communicate()
    assert Path(f"/proc/{child}/exe").exists()
    assert scratch.remove_abandoned(tmp_path) == [Path(folder)]
    assert not Path(f"/proc/{child}/exe").exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([mine.name, f"{scratch.PREFIX}-not-ours"])
    assert mine.stat().st_mode & 0o777 == 0o700


MOUNTS = """
import subprocess, sys
from pathlib import Path
from novacron_lab import scratch
disk = scratch.make_folder("test", Path(sys.argv[1])) / "a disk"
disk.mkdir()
subprocess.run(["mount", "--bind", sys.argv[2], disk], check=True)
print(disk.parent, flush=True)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to mount")
def test_what_a_killed_process_mounted_is_unmounted_and_keeps_its_files(tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "file").write_text("kept")
    owner = subprocess.run([sys.executable, "-c", MOUNTS, tmp_path, elsewhere], capture_output=True, text=True, check=True)
    folder = Path(owner.stdout.strip())
    try:
        assert (folder / "a disk" / "file").read_text() == "kept"
        assert scratch.remove_abandoned(tmp_path) == [folder]
        assert not folder.exists()
        assert str(folder) not in Path("/proc/self/mounts").read_text()
        assert (elsewhere / "file").read_text() == "kept"
    finally:
        subprocess.run(["umount", folder / "a disk"], check=False, capture_output=True)
