"""Which VM of another host needs a file of ours: decided by what both hosts report of it."""

import pytest

from novacron_kvm.storage import other_hosts
from novacron_kvm.storage.host_files import File

INODE = ("0600", "64055", "64055", "8388608", "qcow2")


def file(key="/shared/a.qcow2", mtime="100.5", inode=INODE):
    return File(key, key.rpartition("/")[2], "default", None, inode, ("196624", "196616", mtime, mtime))


class Domain:
    def __init__(self, name, active=True):
        self._name, self._active = name, active

    def name(self):
        return self._name

    def isActive(self):
        return self._active


class Connection:
    def __init__(self, domains):
        self.domains = domains

    def listAllDomains(self, flags):
        return [domain for domain in self.domains if domain.isActive() or not flags]


@pytest.fixture
def users(monkeypatch):
    """Return a function that says who needs our file, on a host whose VM "w" uses another."""

    def find(ours, theirs, *, key="/shared/a.qcow2", active=True, only_running=False):
        class Files:
            def __init__(self, conn):
                pass

            def used_by(self, domain):
                return {theirs.key if theirs else key}

            def file(self, path):
                return theirs

        monkeypatch.setattr(other_hosts, "HostFiles", Files)
        connection = Connection([Domain("w", active)])
        found = other_hosts.find_users(connection, {"/shared/a.qcow2": ("/shared/a.qcow2", ours)}, only_running=only_running)
        return [(user.vm, user.running) for user in found]

    return find


@pytest.mark.parametrize(
    ("theirs", "same"),
    [
        (file(), True),
        (file("/mnt/elsewhere/a.qcow2"), True),  # the same storage, mounted at another path
        (file(mtime="131"), True),  # somebody writes, or the network file system caches
        (file(mtime="161"), False),  # local storage with the same path
        (file("/mnt/elsewhere/a.qcow2", mtime="101"), False),
        (file(inode=(*INODE[:3], "9000000", "qcow2")), False),
        (None, True),  # nothing is known of it but its path
    ],
)
def test_a_file_is_recognised(users, theirs, same):
    assert users(file(), theirs) == ([("w", True)] if same else [])


def test_a_file_without_times_is_recognised_by_its_path_only(users):
    unknown = file()._replace(changes=(None, None, None, None))
    assert users(unknown, unknown._replace(key="/mnt/b")) == []
    assert users(None, None, key="/other") == []


def test_stopped_vms_do_not_count_where_only_running_ones_matter(users):
    assert users(file(), file(), active=False) == [("w", False)]
    assert users(file(), file(), active=False, only_running=True) == []
