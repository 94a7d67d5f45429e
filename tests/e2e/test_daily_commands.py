"""Commands that people type all day, on real hosts and guests."""

import json
import threading

import pytest
from click.testing import CliRunner

import novacron as api
from novacron.monitoring.discovery import guest_targets
from novacron_shell.cli import cli

pytestmark = [pytest.mark.lab, pytest.mark.timeout(180)]


@pytest.fixture
def novacron(lab_hosts):
    def run(*arguments, stdin=None, code=0):
        done = CliRunner().invoke(cli, ["-c", lab_hosts[0].uri, *arguments], input=stdin)
        assert done.exit_code == code, (done.output, done.exception)
        return done

    return run


def test_wait_address_events_screenshot_console_and_stop_by_pattern(lab_hosts, boot, novacron, tmp_path, own_state):
    vm = boot(lab_hosts[0], "daily", ticks=1, display={"type": "vnc"}, nics=[{"network": "default"}])
    assert "running" in novacron("wait", vm.name, "running").stderr
    assert vm.name in novacron("wait", vm.name, "agent", "--timeout", "60s").stderr
    address = novacron("vm", "ip", vm.name, "-4", "--source", "--wait", "60s", "-o", "json").stdout
    assert json.loads(address)[0]["source"] in ("hypervisor", "lease", "agent")
    lists = (("vm", "list", "-o", "wide"), ("vm", "list", "--columns", "addresses"), ("nic", "list", vm.name))
    for words in (*lists, ("vm", "show", vm.name)):
        assert json.loads(address)[0]["address"] in novacron(*words).stdout, words
    assert json.loads(address)[0]["address"] in novacron("vm", "list", "--full", "-o", "json").stdout
    fleet = api.fleet()
    fleet.add("kvm1", lab_hosts[0].uri)
    assert json.loads(address)[0]["address"] in [target.address for target in guest_targets(fleet)]
    fleet.hosts.close()
    checks = json.loads(novacron("doctor", vm.name, "--all", "-o", "json").stdout)
    assert {("disk", "ok"), ("guest agent", "ok"), ("address", "ok")} <= {(each["check"], each["status"]) for each in checks}
    picture = tmp_path / "screen"
    novacron("screenshot", vm.name, str(picture))
    assert picture.read_bytes()[:2] in (b"P6", b"\x89P")
    ended = threading.Event()

    def change():
        while not ended.wait(0.5):
            vm.suspend()
            vm.resume()

    changing = threading.Thread(target=change)
    changing.start()
    try:
        seen = novacron("events", "--count", "1", "--type", "vm.status", "--vm", vm.name, "--for", "60s", "-o", "json").stdout
    finally:
        ended.set()
        changing.join()
    assert json.loads(seen)["resource"] == vm.name
    assert vm.name in novacron("stop", f"{vm.name[:-1]}?", "--dry-run", "-o", "name").stdout
    assert "1 of 1 done" in novacron("stop", f"{vm.name[:-1]}?").stderr
    assert "--yes" in novacron("vm", "delete", vm.name, stdin="y\n", code=2).stderr
