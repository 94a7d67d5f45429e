"""A site owns everything; two of them share nothing, and a closed one leaves nothing behind."""

import gc
import json
import os
import threading

import pytest

import novacron
from novacron import Site, errors
from novacron.plugins.driver import ConnectContext, Driver, DriverProvider
from novacron.site import default_site


class Vault:
    @staticmethod
    def secret_backends():
        return [{"key": "of the vault"}.get]


def marked(plugin):
    from novacron.plugins import hookimpl

    plugin.secret_backends = staticmethod(hookimpl(plugin.secret_backends))
    return plugin


def audit_of(site):
    return [json.loads(line) for line in (site.state / "audit.jsonl").read_text().splitlines()]


def test_two_sites_share_nothing(tmp_path):
    with Site(tmp_path / "a", actor="ann") as a, Site(tmp_path / "b", actor="bob") as b:
        a.fleet.add("one", "sim://one")
        a.fleet.settings["migrations_per_host"] = 5
        a.plugins.register(marked(Vault), "vault")
        a.drivers.register(DriverProvider(name="toy", schemes=("toy",), connect=lambda uri, context: Driver([])))
        assert [host.name for host in a.fleet.list()] == ["one"]
        assert b.fleet.list() == []
        assert b.fleet.settings["migrations_per_host"] == 2
        assert a.secrets.get("key") == "of the vault"
        with pytest.raises(errors.SecretNotFoundError):
            b.secrets.get("key")
        with pytest.raises(errors.UnsupportedOperationError, match="no driver"):
            b.connect("toy://x")
        assert (a.identity.actor, b.identity.actor) == ("ann", "bob")
        assert a.locks is not b.locks
        assert not (tmp_path / "b" / "audit.jsonl").exists() or "fleet_add" not in (tmp_path / "b" / "audit.jsonl").read_text()
    assert audit_of(a)[0]["operation"] == "fleet_add"


def everything_open():
    """Return the threads and descriptors of this process."""
    gc.collect()
    descriptors = {}
    for number in os.listdir("/proc/self/fd"):
        try:
            descriptors[number] = os.readlink(f"/proc/self/fd/{number}")
        except OSError:
            continue
    return set(threading.enumerate()), set(descriptors.values())


def test_a_closed_site_leaves_no_thread_connection_or_file(tmp_path):
    default_site().close()  # its heartbeat opens the database at any time if an earlier test has used it
    with Site(tmp_path / "warm-up") as site:  # loads modules and whatever a process keeps once
        site.connect("sim://left").vms.create(name="web1")
        site.fleet.list()
    threads, files = everything_open()
    with Site(tmp_path / "state") as site:
        site.fleet.add("left", "sim://left")
        host = site.fleet.hosts["left"]
        other = site.connect("sim://left")
        subscription = other.subscribe(print)
        host.vms.create(name="web2", start=True)
        site.fleet.ask(["left"], lambda each: each.ping())
        assert site.step_kinds.names()
        assert everything_open()[1] - files
        del subscription
    assert host.closed
    assert other.closed
    for thread in set(threading.enumerate()) - threads:
        thread.join(60)
    assert everything_open()[0] - threads == set()
    assert everything_open()[1] - files == set()


def test_a_closed_site_can_not_be_used(tmp_path):
    site = Site(tmp_path)
    fleet, database = site.fleet, site.database
    site.close()
    site.close()
    with pytest.raises(errors.InvalidStateError, match="closed"):
        site.connect("sim://closed")
    with pytest.raises(errors.NovaCronError, match="closed"):
        fleet.list()
    with pytest.raises(errors.StorageError, match="closed"), database.transaction():
        pass


def test_the_default_site_is_made_anew_once_it_was_closed():
    first = default_site()
    assert default_site() is first
    first.close()
    assert default_site() is not first
    assert novacron.connect("sim://anew").ping().host == "anew"


def test_drivers_are_given_secrets_addresses_and_the_state_directory_of_their_site(tmp_path):
    given = []
    provider = DriverProvider(name="toy", schemes=("toy",), connect=lambda uri, context: given.append(context) or Driver([]))
    with Site(tmp_path) as site:
        site.drivers.register(provider)
        with pytest.raises(errors.PluginError):
            site.connect("toy://x")
        context: ConnectContext = given[0]
        assert context.secrets is site.secrets
        assert context.macs is site.macs
        assert context.state is site.state


def test_the_audit_log_names_who_asked_and_who_executed(tmp_path):
    with Site(tmp_path, actor="svc") as site:
        host = site.connect("sim://actors")
        job = host.acting_for("ann").submit("vm_create", spec=novacron.VMSpec(name="web1"))
        job.result()
        host.vms.create(name="web2")
        assert (job.actor, job.executor) == ("ann", "svc")
        lines = [line for line in audit_of(site) if line["operation"] == "vm_create"]
        assert [(line["actor"], line["executor"]) for line in lines] == [("ann", "svc"), ("svc", "svc")]
        assert not host.acting_for("ann").closed
    assert host.acting_for("ann").closed


def test_the_actor_is_the_user_of_the_process_whatever_the_environment_says(tmp_path, monkeypatch):
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, "somebody-else")
    import pwd

    assert Site(tmp_path).identity.actor == pwd.getpwuid(os.getuid()).pw_name


def test_repr_of_the_fleet_its_hosts_and_settings_reads_no_database(tmp_path):
    with Site(tmp_path / "never", database="sqlite:////nonexistent/folder/state.db") as site:
        for thing in (
            site,
            site.fleet,
            site.fleet.hosts,
            site.fleet.settings,
            site.database,
            site.state,
            site.audit,
            site.drivers,
        ):
            assert repr(thing)
            assert dir(thing)
    assert not (tmp_path / "never").exists()


@pytest.mark.parametrize(
    ("daemon", "embedded", "expected", "message"),
    [
        (errors.AccessDeniedError, None, errors.AccessDeniedError, "this user may not use libvirt on this machine"),
        (
            errors.HostConnectionError,
            errors.UnsupportedOperationError,
            errors.HostConnectionError,
            "libvirt does not run on this",
        ),
        (errors.HostConnectionError, errors.HostConnectionError, errors.HostConnectionError, "libvirt does not run on this"),
    ],
)
def test_without_any_host_the_error_says_how_to_add_one(daemon, embedded, expected, message, tmp_path):
    def fail(uri, context):
        raise (embedded if "embed" in uri.text else daemon)("Failed to connect socket to '/var/run/libvirt/libvirt-sock'")

    with Site(tmp_path) as site:
        site.drivers.register(DriverProvider(name="kvm", schemes=("qemu",), connect=fail))
        with pytest.raises(expected, match=f"no host was named, and {message}") as caught:
            site.connect()
    assert "novacron host add" in caught.value.hint
    assert (caught.value.outcome, caught.value.host) == ("not_sent", "local")


def test_a_misspelt_name_of_the_module_is_named_with_those_that_it_has():
    """Python suggests a name only if the error says where it looked."""
    with pytest.raises(AttributeError) as raised:
        novacron.conect  # noqa: B018
    assert (raised.value.name, raised.value.obj) == ("conect", novacron)
