"""Volumes while a host of the fleet does not answer."""

import pytest

import novacron
from novacron import errors
from novacron_kvm.operations import volumes
from novacron_kvm.storage.disk_users import Users


@pytest.fixture
def host(monkeypatch):
    """A host of a fleet of which another host is silent. libvirt's test driver has no time stamps: that of a volume is its capacity."""
    monkeypatch.setattr(volumes, "users_everywhere", lambda *_, **__: Users([], ["gone"]))
    monkeypatch.setattr(volumes, "looks_of", lambda volume: (str(volume.info()[1]),))
    with novacron.connect("test:///default") as connected:
        yield connected


def names(host):
    return {volume.name for volume in host.pools.volumes("default-pool")}


def sending(monkeypatch, act):
    """Let `act` stand for the stream, which the test driver has not. It takes libvirt's volume."""

    monkeypatch.setattr("novacron_kvm.storage.streams.upload", lambda connection, volume, source, job: act(volume))


def test_a_file_is_sent_into_a_new_volume(host, tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(b"x" * 4096)
    sent = []
    sending(monkeypatch, lambda volume: sent.append(volume.name()))
    host.pools.upload(tmp_path / "file", "sent.img", "default-pool")
    assert sent == ["sent.img"]
    with pytest.raises(errors.InvalidStateError, match="'gone' does not answer"):  # a VM there may be linked to it by now
        host.pools.delete_volume("sent.img", "default-pool")


def test_a_new_volume_is_removed_if_sending_fails(host, tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(b"x" * 4096)
    before = names(host)

    def fail(volume):
        raise errors.OperationCancelledError("stopped")

    sending(monkeypatch, fail)
    with pytest.raises(errors.OperationCancelledError):
        host.pools.upload(tmp_path / "file", "failed.img", "default-pool")
    assert names(host) == before


def test_a_new_volume_that_was_changed_meanwhile_stays(host, monkeypatch):
    made = host.pools.create_volume("default-pool", name="changed.img", capacity="1MiB", format="raw")
    monkeypatch.setattr(volumes, "looks_of", lambda volume: ("changed",))
    for operation in ("volume_delete", "volume_wipe"):
        with pytest.raises(errors.InvalidStateError, match="'gone' does not answer"):
            host.invoke(operation, pool="default-pool", volume=made.name)
    assert made.name in names(host)


def test_without_time_stamps_a_new_volume_is_as_any_other(host, monkeypatch):
    monkeypatch.setattr(volumes, "looks_of", lambda volume: None)
    made = host.pools.create_volume("default-pool", name="unstamped.img", capacity="1MiB", format="raw")
    with pytest.raises(errors.InvalidStateError, match="'gone' does not answer"):
        host.pools.delete_volume(made.name, "default-pool")
