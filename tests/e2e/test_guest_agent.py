"""The guest from inside, through a real agent in a real guest."""

import os
import time

import pytest

from novacron import errors
from novacron.testing.marked import mark

PASSWORD = mark("guest-password")

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def a(lab_hosts):
    return lab_hosts[0]


@pytest.fixture(scope="module")
def shared_vm(a, boot_shared):
    """A guest on the network; `vm` gives it to each test when its agent answers."""
    return boot_shared(a, "agent", nics=[{"network": "default"}])


@pytest.fixture
def vm(shared_vm):
    until_it_answers(shared_vm)
    return shared_vm


def until_it_answers(vm, seconds=40):
    deadline = time.monotonic() + seconds
    while True:
        try:
            return vm.guest.info()
        except errors.GuestAgentUnavailableError:
            assert time.monotonic() < deadline, "no agent"
            time.sleep(0.3)


def until_it_fails(vm, seconds=40):
    """Ask the agent until it does not answer; return the error."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            vm.guest.info()
        except (errors.GuestAgentUnavailableError, errors.OperationTimeoutError) as error:
            return error
        time.sleep(0.1)
    raise AssertionError("the agent answers all the time")


def test_the_guest_says_who_it_is(vm):
    vm.console.wait_for("NOVACRON ADDRESS ", 60)
    info = until_it_answers(vm)
    assert (info.hostname, info.os) == ("novacron-guest", "NovaCron guest")
    assert info.kernel.split(".")[0].isdecimal()
    address = vm.console.text.partition("NOVACRON ADDRESS ")[2].split()[0]
    assert address in info.addresses


def test_programs_run_with_input_output_and_status(vm):
    done = vm.guest.exec("sh", "-c", "cat; echo oops >&2; exit 3", stdin=b"some input\n")
    assert (done.exit_status, done.stdout, done.stderr) == (3, b"some input\n", b"oops\n")
    assert vm.guest.exec("sh", "-c", "kill -15 $$").exit_status == 128 + 15
    assert vm.guest.exec("echo", "$HOME; reboot").stdout == b"$HOME; reboot\n", "no shell sees it"
    with pytest.raises(errors.GuestAgentError, match="nothing-such"):
        vm.guest.exec("nothing-such")


def test_a_program_that_does_not_end_is_killed(vm):
    with pytest.raises(errors.OperationTimeoutError) as caught:
        vm.guest.exec("sleep", "4711", timeout=1)
    assert caught.value.outcome == "failed"
    job = vm.host.submit("guest_exec", vm=vm.id, argv=["sleep", "4712"], stdin=b"", seconds=60.0)
    time.sleep(1)
    job.cancel()
    with pytest.raises(errors.OperationCancelledError):
        job.result(60)
    running = vm.guest.exec("ps").stdout
    assert b"4711" not in running
    assert b"4712" not in running


def test_files_are_written_and_read_whatever_is_in_them(vm):
    data = os.urandom(1_300_000)
    vm.guest.write("/tmp/data", data)
    assert vm.guest.read("/tmp/data") == data
    vm.guest.write("/tmp/data", b"")
    assert vm.guest.read("/tmp/data") == b""
    for path in ("/nowhere/x", "/tmp"):
        with pytest.raises(errors.GuestAgentError):
            vm.guest.write(path, b"x")
    with pytest.raises(errors.GuestAgentError, match="No such file"):
        vm.guest.read("/nowhere")


def test_file_systems_are_frozen_and_thawed(vm):
    with vm.guest.frozen():
        assert vm.refresh().status == "running"
    vm.guest.thaw()
    assert vm.guest.exec("true").exit_status == 0


def test_keys_are_authorised_and_no_password_is_kept(vm, tmp_path):
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ6dQGBpQ8Ww3Yq1w8gqZlq0N0nTTJ6cYF9vKzXlq7xG me@here"
    vm.guest.set_ssh_keys("root", [key])
    assert vm.guest.read("/root/.ssh/authorized_keys").decode().strip() == key
    with pytest.raises(errors.NovaCronError) as caught:
        vm.guest.set_password("nobody-such", PASSWORD)
    assert PASSWORD not in f"{caught.value!r} {caught.value} {caught.value.as_dict()} {caught.value.__cause__!r}"
    audit = os.path.join(os.environ["NOVACRON_STATE"], "audit.jsonl")
    with open(audit) as file:
        assert PASSWORD not in file.read()


def test_a_password_is_set(vm):
    before = vm.guest.read("/etc/shadow")
    vm.guest.set_password("root", PASSWORD)
    after = vm.guest.read("/etc/shadow")
    assert after != before
    assert PASSWORD.encode() not in after


def test_without_an_agent_it_is_said(a, boot):
    vm = boot(a, "agentless", ticks=0, kernel=None, guest_agent=False)
    with pytest.raises(errors.GuestAgentUnavailableError) as caught:
        vm.guest.info()
    assert caught.value.hint
    vm.stop()
    with pytest.raises(errors.GuestAgentUnavailableError, match="stopped"):
        vm.guest.exec("true")


def test_an_agent_that_hangs_ends_a_call_in_time(vm, monkeypatch):
    from novacron_kvm.operations import guest

    monkeypatch.setattr(guest, "PATIENCE", 3)
    pid = vm.guest.exec("pidof", "qemu-ga").stdout.decode().split()[-1]
    vm.guest.exec("sh", "-c", f"(sleep 1; kill -STOP {pid}; sleep 10; kill -CONT {pid}) >/dev/null 2>&1 &")
    assert until_it_fails(vm).hint
    assert vm.refresh().status == "running"
    until_it_answers(vm, 40)


def test_an_agent_that_dies_is_said_and_the_vm_goes_on(a, boot):
    vm = boot(a, "dying-agent")
    until_it_answers(vm)
    pid = vm.guest.exec("pidof", "qemu-ga").stdout.decode().split()[-1]
    vm.guest.exec("sh", "-c", f"(sleep 1; kill -9 {pid}) >/dev/null 2>&1 &")
    until_it_fails(vm)
    vm.console.wait_for_more_ticks()
