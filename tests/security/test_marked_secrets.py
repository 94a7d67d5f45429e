"""Secrets of every kind are marked, used for real, and then looked for in everything that NovaCron writes or shows."""

from __future__ import annotations

import contextlib
import logging
import signal
import sqlite3
import subprocess
import sys
import threading
import traceback
from pathlib import Path

import keyring
import pytest

import novacron
from novacron.errors import NovaCronError
from novacron.plugins import hookimpl
from novacron.secrets import KEYRING
from novacron.testing.marked import KINDS, SecretSearch, mark
from novacron.workflow import steps

pytestmark = [pytest.mark.lab, pytest.mark.timeout(240)]

MARKS = {kind: mark(kind) for kind in KINDS}


@pytest.fixture
def findings(lab, tmp_path, monkeypatch, secret_search):
    """The session's search; at the end of a test nothing may be found, in nothing that was written or shown."""
    state = tmp_path / "state"
    monkeypatch.setenv("NOVACRON_STATE", str(state))  # for the command line
    root = logging.getLogger()
    level, before = root.level, secret_search.looked_at
    root.setLevel(logging.DEBUG)
    yield secret_search
    root.setLevel(level)
    secret_search.look_at_files(state)
    for host in lab.hosts:
        secret_search.look_at_files(Path(host.folder), "*.log")
    assert secret_search.looked_at - before > 10
    assert not secret_search.found, sorted({*secret_search.found})


@pytest.fixture
def site(findings, tmp_path):
    """A site of the test's own; it is closed before its state is searched."""
    with novacron.Site(tmp_path / "state", actor="ann") as made:
        yield made


@pytest.fixture
def host(site, lab):
    """A real host, connected by that site."""
    return site.connect(lab.hosts[0].uri, name=lab.hosts[0].name)


def attempt(findings: SecretSearch, what, *arguments, **options):
    """Do something and look at what comes back: the result's repr and plain values, or the error with its whole traceback."""
    try:
        result = what(*arguments, **options)
    except NovaCronError as error:
        texts = [str(error), repr(error), str(error.as_dict()), "".join(traceback.format_exception(error)), str(error.hint)]
        for text in texts:
            findings.look(f"an error of {getattr(what, '__name__', what)}", text)
        return None
    findings.look(f"a result of {getattr(what, '__name__', what)}", repr(result))
    record = getattr(result, "record", result)
    if hasattr(record, "as_dict"):
        findings.look(f"a record of {getattr(what, '__name__', what)}", str(record.as_dict()))
    return result


def novacron_command(findings: SecretSearch, *arguments: str, given: str | None = None):
    """Run the command line and look at what it prints."""
    done = subprocess.run(["novacron", *arguments], input=given, capture_output=True, text=True, timeout=100, check=False)
    findings.look(f"the output of novacron {arguments[0]}", done.stdout + done.stderr)
    return done


def test_uris_with_secrets_are_refused_without_being_repeated(findings, site):
    for uri in (
        f"vsphere://admin:{MARKS['uri']}@127.0.0.1/",
        f"vsphere://admin:{MARKS['uri']}/x@127.0.0.1/",
        f"vsphere://admin:{MARKS['uri']}#x@127.0.0.1/",
        f"vsphere://admin:{MARKS['uri']}?x@127.0.0.1:notaport/",
        f"vsphere://admin:{MARKS['uri']}[x@127.0.0.1/",
        f"admin:{MARKS['uri']}@127.0.0.1",
        f"vsphere://admin@127.0.0.1/?password={MARKS['query']}",
        f"vsphere://admin@127.0.0.1/?token={MARKS['query']}",
        f"qemu+ssh://root@127.0.0.1/system?passwd={MARKS['query']}#x",
    ):
        assert attempt(findings, site.connect, uri, timeout=5) is None
        assert attempt(findings, site.fleet.add, "marked", uri) is None
        assert novacron_command(findings, "host", "add", "marked", uri, "--no-check").returncode != 0
        assert novacron_command(findings, "-c", uri, "vm", "list").returncode != 0


class Kept(keyring.backend.KeyringBackend):
    """A backend of the keyring, as the desktop's ones are."""

    priority = 1

    def get_password(self, service, username):
        return MARKS["keyring"] if (service, username) == (KEYRING, "by-keyring") else None

    def set_password(self, service, username, password):
        raise NotImplementedError


class Vault:
    """A plugin with secrets."""

    @hookimpl
    def secret_backends(self):
        return [{"by-plugin": MARKS["plugin"]}.get]


def test_secrets_of_encrypted_disks_are_nowhere(findings, site, host, tmp_path, monkeypatch):
    """The passphrase comes from a variable, from a file, from the keyring and from a plugin; it is used, and used wrongly."""
    monkeypatch.setenv("NOVACRON_SECRET_BY_VARIABLE", MARKS["environment"])
    file = tmp_path / "passphrase"
    file.touch(mode=0o600)
    file.write_text(MARKS["file"])
    monkeypatch.setenv("NOVACRON_SECRET_BY_FILE_FILE", str(file))
    monkeypatch.setattr(keyring.core, "_keyring_backend", Kept())
    site.plugins.register(Vault(), "vault")
    for name, kind in (("by-variable", "environment"), ("by-file", "file"), ("by-keyring", "keyring"), ("by-plugin", "plugin")):
        assert site.secrets.get(name) == MARKS[kind]
        volume = attempt(
            findings, host.pools.create_volume, name=f"{name}.qcow2", capacity="1MiB", format="qcow2", encryption=name
        )
        assert volume.encrypted
        host.pools.delete_volume(f"{name}.qcow2")
    vm = host.vms.create(name="marked-luks", disks=[{"size": "1MiB", "encryption": "by-variable"}])
    try:
        monkeypatch.setenv("NOVACRON_SECRET_BY_VARIABLE", MARKS["luks"])  # not the one that it was encrypted with
        assert attempt(findings, vm.start) is None
        attempt(findings, vm.refresh)
        findings.look("an export", vm.export().text)
    finally:
        vm.delete(force=True)


def test_what_is_given_to_a_guest_is_nowhere(findings, host, boot, wait_for_agent):
    seed = f"#cloud-config\npassword: {MARKS['cloud-init']}\n"
    vm = boot(host, "marked-guest", cloud_init={"user_data": seed})
    wait_for_agent(vm)
    attempt(findings, vm.guest.set_password, "root", MARKS["guest-password"])
    attempt(findings, vm.guest.set_password, "nobody-there", MARKS["guest-password"])
    for arguments in (
        ("/bin/sh", "-c", "true", "--token", MARKS["token"]),
        ("/bin/true", f"--token={MARKS['token']}"),
        ("/bin/true", "-H", f"Authorization: Bearer {MARKS['bearer']}"),
        ("/bin/true", f"-p{MARKS['option']}"),
        ("/bin/true", '{"api_key": "' + MARKS["option"] + '"}'),
        ("/no/such/program", "--password", MARKS["option"]),
    ):
        attempt(findings, vm.guest.exec, *arguments)
    attempt(findings, vm.refresh)
    findings.look("an export", vm.export().text)
    vm.delete(force=True)


def test_a_displays_password_of_an_imported_vm_is_nowhere(findings, host):
    vm = host.vms.create(name="marked-display", display={"type": "vnc"})
    text = vm.export().text
    vm.delete()
    marked = text.replace("type='vnc'", f"type='vnc' passwd='{MARKS['display'][:8]}'").replace(
        'type="vnc"', f'type="vnc" passwd="{MARKS["display"][:8]}"'
    )
    assert marked != text
    attempt(findings, host.vms.import_definition, marked)
    vm = host.vms["marked-display"]
    try:
        findings.look("an export", vm.export().text)
        assert MARKS["display"][:8] not in vm.export().text
        assert MARKS["display"][:8] not in str(vm.record.as_dict())
    finally:
        vm.delete(force=True)


def test_a_flow_keeps_no_secret(findings, host):
    """Steps whose arguments are secret are refused, for a flow is stored."""
    vm = host.vms.create(name="marked-flow")
    try:
        attempt(findings, steps.guest_password_set, user="root", password=MARKS["flow"])
        attempt(
            findings, lambda: steps.guest_exec(command="/bin/true", arguments=["--password", MARKS["flow"]], timeout=1).run(vm)
        )
    finally:
        vm.delete(force=True)


CRASH = """
import faulthandler, os, sys
import novacron
faulthandler.enable()
with novacron.Site(sys.argv[1]) as site:
    context, password = [site, site.secrets, site.database], site.secrets.get("by-variable")
    print(context, {"site": site}, f"{site.secrets}", flush=True)
    os.abort()
"""


def test_a_crash_report_and_a_repr_show_no_secret(findings, tmp_path, monkeypatch):
    """Python's fault handler names the lines of all threads, without values."""
    monkeypatch.setenv("NOVACRON_SECRET_BY_VARIABLE", MARKS["environment"])
    monkeypatch.setenv("NOVACRON_SECRET_DATABASE_KEY", MARKS["file"])
    words = [sys.executable, "-c", CRASH, str(tmp_path / "crashed")]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path)
    assert done.returncode == -signal.SIGABRT, done.stderr
    assert "Fatal Python error" in done.stderr
    for what, text in (("a crash report", done.stderr), ("a repr", done.stdout)):
        assert text
        findings.look(what, text)
    novacron_command(findings, "-c", "sim://crash", "call", "vm_get", "vm=x", f"timeout={'9' * 5000}")
    findings.look_at_files(tmp_path / "crashed")


def test_the_search_itself_finds_what_is_there(tmp_path):
    """The check can fail: a mark in a file, a database, a process list, a log or an error is found."""
    search = SecretSearch("own")
    (tmp_path / "x").write_text(mark("luks", "own"))
    with contextlib.closing(sqlite3.connect(tmp_path / "x.db")) as database:
        database.execute("create table t (a)")
        database.execute("insert into t values (?)", (mark("file", "own"),))
        database.commit()
    search.look_at_files(tmp_path)
    assert {each.split(" ")[0] for each in search.found} == {"luks", "file"}
    with search.watching():
        NovaCronError(mark("bmc", "own"))
        logging.getLogger("x").warning("%s", mark("flow", "own"))
        with subprocess.Popen(["sh", "-c", "read x", mark("token", "own")], stdin=subprocess.PIPE) as process:
            while "token" not in {each.split(" ")[0] for each in search.found} and process.poll() is None:
                threading.Event().wait(0.01)
            process.communicate(b"\n")
    assert {each.split(" ")[0] for each in search.found} == {"luks", "file", "bmc", "flow", "token"}
