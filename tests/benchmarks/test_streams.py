"""Volumes through streams, as quick as `virsh vol-upload --sparse`, holes kept on both sides."""

import hashlib
import os
import subprocess
import time

import pytest

pytestmark = [pytest.mark.benchmark, pytest.mark.lab, pytest.mark.timeout(900)]

DATA, HOLE, PIECES = 2**25, 2**27, 8
"""Bytes: each piece is so much data and then so much nothing."""
RATIO = 1.15


@pytest.fixture
def image(tmp_path):
    """A sparse file of 1.25 GiB with 256 MiB in it."""
    path = tmp_path / "image"
    with path.open("wb") as file:
        for _ in range(PIECES):
            file.write(os.urandom(DATA))
            file.seek(HOLE, os.SEEK_CUR)
        file.truncate(PIECES * (DATA + HOLE))
    return path


def checksum(path):
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def seconds(work):
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def best(ours, theirs):
    """The least time of each, taken in turns."""
    pairs = [(seconds(ours), seconds(theirs)) for _ in range(4)]
    return min(a for a, _ in pairs), min(b for _, b in pairs)


def test_upload_and_download_keep_up_with_virsh(lab, lab_hosts, image, tmp_path):
    host, uri = lab_hosts[0], lab.hosts[0].uri
    size = image.stat().st_size
    for name in ("ours", "theirs"):
        host.pools.create_volume(name=f"{name}.raw", capacity=size, format="raw")
    virsh = ["virsh", "-q", "-c", uri]

    def download_ours():
        (tmp_path / "ours").unlink(missing_ok=True)
        host.pools.download("ours.raw", tmp_path / "ours")

    def download_theirs():
        (tmp_path / "theirs").unlink(missing_ok=True)
        subprocess.run(
            [*virsh, "vol-download", "--sparse", "--pool", "default", "theirs.raw", str(tmp_path / "theirs")], check=True
        )

    upload_theirs = [*virsh, "vol-upload", "--sparse", "--pool", "default", "theirs.raw", str(image)]
    try:
        up = best(lambda: host.pools.upload(image, "ours.raw"), lambda: subprocess.run(upload_theirs, check=True))
        down = best(download_ours, download_theirs)
        wanted = checksum(image)
        for path in (lab.shared / "ours.raw", tmp_path / "ours"):
            assert checksum(path) == wanted
            assert path.stat().st_blocks * 512 <= PIECES * DATA * 1.02, f"{path} has lost its holes"
    finally:
        for name in ("ours", "theirs"):
            host.pools.delete_volume(f"{name}.raw")
    print(
        f"\nupload {up[0]:.2f} s, {up[0] / up[1]:.2f} times virsh; download {down[0]:.2f} s, {down[0] / down[1]:.2f} times virsh"
    )
    assert up[0] <= RATIO * up[1]
    assert down[0] <= RATIO * down[1]
