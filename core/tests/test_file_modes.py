"""Other users can neither read nor replace what NovaCron writes for itself, whatever the umask is."""

import os
import stat
import subprocess
import sys

import pytest

from novacron import Site, errors
from novacron.errors import ImageError
from novacron.images import download
from novacron.jobs import Job
from novacron.state import make_private

PROGRAM = """
import os, sys, pathlib
os.umask(0)
folder = pathlib.Path(sys.argv[1])
import novacron
with novacron.Site(folder / "above" / "state") as site:
    host = site.connect("sim://modes?vms=1")
    host.vms.list()[0].stop()
    site.fleet.add("a", "sim://modes?vms=1")
"""


def modes(folder):
    return {str(path.relative_to(folder)): stat.S_IMODE(path.lstat().st_mode) for path in folder.rglob("*")}


def test_nothing_is_open_to_others_with_a_umask_of_zero(tmp_path):
    """A folder above that others can write to would let them put their own folder in its place."""
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path / "cache"), "XDG_STATE_HOME": str(tmp_path / "s")}
    subprocess.run([sys.executable, "-c", PROGRAM, str(tmp_path)], env=environment, check=True, timeout=60)
    found = modes(tmp_path)
    assert {"above", "above/state", "above/state/state.db", "above/state/audit.jsonl", "cache", "cache/novacron"} <= found.keys()
    assert {name: oct(mode) for name, mode in found.items() if mode & 0o077} == {}


def test_folders_that_are_there_keep_their_mode(tmp_path):
    (tmp_path / "a").mkdir(mode=0o755)
    make_private(tmp_path / "a" / "b" / "c")
    assert [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("a", "a/b", "a/b/c")] == [0o755, 0o700, 0o700]


@pytest.mark.parametrize("ending", [".part", ".json.new", ".lock"])
def test_a_link_in_the_cache_of_images_is_not_followed(tmp_path, ending, monkeypatch):
    """In a cache that others can write to, a link would let them choose the file that is written."""
    victim = tmp_path / "victim"
    victim.write_text("mine")
    cache = tmp_path / "cache"
    name = download.hashlib.sha256(b"http://127.0.0.1:1/x.img").hexdigest()[:16] + "-x.img"
    cache.mkdir()
    (cache / f"{name}{ending}").symlink_to(victim)

    class Answer:
        headers, url, status = {"ETag": '"a"'}, "http://127.0.0.1:1/x.img", 200

        def __init__(self):
            self.pieces = [b"theirs"]

        def read1(self, _):
            return self.pieces.pop() if self.pieces else b""

    @download.contextmanager
    def opened(url, headers):
        yield Answer()

    monkeypatch.setattr(download, "_opened", opened)
    with pytest.raises((ImageError, OSError)):
        download.fetch("http://127.0.0.1:1/x.img", Job("fetch", "x"), folder=cache)
    assert victim.read_text() == "mine"


def test_a_state_directory_that_others_can_write_to_is_refused(tmp_path):
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(0o777)
    with Site(folder) as site:
        with pytest.raises(errors.StorageError, match="other users can write") as caught:
            site.fleet.list()
        assert "chmod 700" in caught.value.hint
    assert list(folder.iterdir()) == []


def test_the_database_is_private_from_the_first_moment(tmp_path):
    previous = os.umask(0)
    try:
        with Site(tmp_path / "state") as site:
            site.fleet.list()
            assert {path.stat().st_mode & 0o077 for path in (tmp_path / "state").iterdir()} == {0}
            assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700
    finally:
        os.umask(previous)


def test_a_database_that_is_a_link_is_refused(tmp_path):
    (tmp_path / "state").mkdir(mode=0o700)
    (tmp_path / "elsewhere").write_text("")
    (tmp_path / "state" / "state.db").symlink_to(tmp_path / "elsewhere")
    with Site(tmp_path / "state") as site, pytest.raises(errors.StorageError, match="link"):
        site.fleet.list()
