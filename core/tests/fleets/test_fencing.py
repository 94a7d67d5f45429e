"""Fencing: a node counts as off only if its devices say so twice; secrets stay secret; plugins add agents."""

import logging
import os
import stat
import sys
import threading
import uuid

import pytest

from novacron import Site, errors
from novacron.drivers.sim.state.world import world
from novacron.fleets.fencing.fencer import Fencer
from novacron.plugins import hookimpl
from novacron.records.capacity import FleetNode
from novacron.records.fencing import FenceDevice, FenceTarget

NODE = FleetNode(id="n1", name="kvm1", host="kvm1")


class Scripted:
    """A device that answers what the test says; the last answer is repeated. An exception is raised."""

    name, required, optional = "scripted", (), None

    def __init__(self, *answers, off=None):
        self.answers, self.error, self.offs = list(answers), off, 0

    def off(self, target):
        self.offs += 1
        if self.error:
            raise self.error

    def status(self, target):
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


class Agents:
    def __init__(self, **agents):
        self.agents = agents

    def find(self, name):
        return self.agents[name]


def fenced(*levels, confirmed_by="", **agents):
    """Fence a node with devices of these levels: [["a", "b"], ["c"]]."""
    clock = Clock()
    fencer = Fencer(Agents(**agents), {}.__getitem__, {}, patience=10, pause=1, clock=clock, sleep=clock.sleep)
    devices = [
        FenceDevice(node="n1", name=name, agent=name, level=number) for number, names in enumerate(levels, 1) for name in names
    ]
    return fencer.fence(NODE, devices, confirmed_by=confirmed_by)


@pytest.mark.parametrize(
    ("answers", "off"),
    [
        (["off"], True),
        (["on", "on", "off"], True),
        (["on"], False),
        (["unknown"], False),
        (["off", "on", "off", "on"] * 10, False),  # never twice in a row
        (["off", errors.HostConnectionError("no answer")] * 10, False),
        ([errors.AuthenticationError("wrong password")], False),
        ([errors.AuthenticationError("too many sessions"), "off"], True),  # once may be a busy BMC
        ([RuntimeError("a defect of the agent")], False),
        (["Off"], False),
        ([None], False),
        ([True], False),
    ],
)
def test_a_node_is_off_only_if_its_device_says_so_twice_in_a_row(answers, off):
    assert fenced(["a"], a=Scripted(*answers)).off is off


@pytest.mark.parametrize("error", [errors.OperationTimeoutError("late"), errors.DriverError("it is off already"), OSError("x")])
def test_the_status_decides_and_not_the_answer_to_the_command(error):
    assert fenced(["a"], a=Scripted("off", off=error)).off
    assert not fenced(["a"], a=Scripted("on", off=error)).off


def test_all_devices_of_a_level_must_be_off_and_the_next_level_is_used_otherwise():
    assert not fenced(["a", "b"], a=Scripted("off"), b=Scripted("on")).off
    unused, used = Scripted("off"), Scripted("off")
    assert fenced(["a"], ["b"], a=used, b=unused).off
    assert (used.offs, unused.offs) == (1, 0)
    failed, second = Scripted(errors.HostConnectionError("x")), Scripted("off")
    result = fenced(["a"], ["b"], a=failed, b=second)
    assert result.off
    assert any("a: unknown" in step for step in result.steps)


def test_a_node_without_devices_is_never_off():
    assert not fenced().off


def test_errors_of_agents_do_not_show_their_texts():
    result = fenced(["a"], a=Scripted(ValueError("password=hunter2")))
    assert "hunter2" not in str(result)
    assert "ValueError" in str(result)
    assert "hunter2" not in repr(FenceTarget("n", "n", {"password": "hunter2"}))


@pytest.fixture
def site(tmp_path):
    with Site(tmp_path / "state") as made:
        yield made


@pytest.fixture
def node(site):
    """A simulated node `a`, and its host's state."""
    machine = f"fence-{uuid.uuid4().hex[:8]}"
    site.fleet.add("a", f"sim://{machine}")
    site.fleet.nodes.refresh(["a"])
    return world(machine)


def test_a_person_confirms(site, node):
    site.fleet.fencing.set("a", "manual")
    device, found = site.fleet.fencing.list("a")[0], site.fleet.nodes["a"]
    fencer = site.fleet._fencer()
    assert not fencer.fence(found, [device]).off
    fencer = Fencer(fencer._agents, fencer._secrets, {}, pause=0)
    assert fencer.fence(found, [device], confirmed_by="ann").off


@pytest.mark.parametrize(
    ("agent", "options", "field"),
    [
        ("redfish", {"url": "https://bmc", "username": "u", "password": "hunter2"}, "password_secret"),
        ("redfish", {"url": "https://bmc", "username": "u"}, "password_secret"),
        ("redfish", {"username": "u", "password_secret": "x"}, "url"),
        ("redfish", {"url": "https://bmc", "username": "u", "password_secret": "x", "colour": "red"}, "colour"),
        ("program", {"program": "fence_ipmilan", "passwd": "hunter2"}, "passwd_secret"),
        ("manual", {"level": 0}, "level"),
        ("manual", {"level": 10}, "level"),
        ("manual", {"name": "a b"}, "name"),
        ("vm", {"host": "x"}, "vm"),
    ],
)
def test_invalid_devices_are_named_and_not_stored(site, node, agent, options, field):
    with pytest.raises(errors.InvalidSpecError) as caught:
        site.fleet.fencing.set("a", agent, **options)
    assert field in [problem.path for problem in caught.value.problems]
    assert "hunter2" not in str(caught.value) + str(caught.value.as_dict())
    assert site.fleet.fencing.list() == []


def test_a_bmc_without_encryption_is_refused_when_it_is_given_and_not_when_it_is_needed(site, node, monkeypatch):
    given = {"url": "http://bmc-kvm1.example", "username": "admin", "password_secret": "bmc"}
    with pytest.raises(errors.InvalidSpecError, match="without encryption"):
        site.fleet.fencing.set("a", "redfish", **given)
    assert site.fleet.fencing.list("a") == []
    monkeypatch.setenv("NOVACRON_CLEARTEXT_SECRETS", "1")
    assert site.fleet.fencing.set("a", "redfish", **given)


def test_unknown_nodes_and_agents_are_named(site, node):
    with pytest.raises(errors.NodeNotFoundError, match="ghost"):
        site.fleet.fencing.set("ghost", "manual")
    with pytest.raises(errors.NotFoundError) as caught:
        site.fleet.fencing.set("a", "ghost")
    assert "redfish" in caught.value.hint


def test_a_missing_secret_is_named_by_the_test(site, node, monkeypatch):
    monkeypatch.setattr("novacron.secrets._kept", lambda name: None)
    site.fleet.fencing.set("a", "redfish", url="https://127.0.0.1:1", username="u", password_secret="bmc-a")
    [reading] = site.fleet.fencing.test("a")
    assert reading.status == "unknown"
    assert "bmc-a" in reading.error


def test_a_node_that_is_a_vm_is_stopped_through_its_host(site, node):
    machine = f"outer-{uuid.uuid4().hex[:8]}"
    site.fleet.add("outer", f"sim://{machine}")
    vm = site.fleet.hosts["outer"].vms.create(name="node-a", start=True)
    site.fleet.fencing.set("a", "vm", host="outer", vm="node-a")
    fencer = site.fleet._fencer()
    fencer = Fencer(fencer._agents, fencer._secrets, site.fleet.hosts, pause=0, patience=1)
    devices, found = site.fleet.fencing.list("a"), site.fleet.nodes["a"]
    assert site.fleet.fencing.test()[0].status == "on"
    assert fencer.fence(found, devices).off
    assert vm.refresh().record.status == "stopped"
    assert fencer.fence(found, devices).off  # it is off already
    world(machine).disconnect()
    assert not Fencer(fencer._agents, fencer._secrets, site.fleet.hosts, pause=0, patience=0).fence(found, devices).off


PROGRAM = """#!{python}
import pathlib, sys
given = dict(line.strip().split("=", 1) for line in sys.stdin if "=" in line)
state = pathlib.Path({state!r})
assert len(sys.argv) == 1 and given["passwd"] == "hunter2", "the password is wrong: " + str(given)
if given["action"] == "off":
    state.write_text("off")
elif given["action"] == "status":
    sys.exit(2 if state.read_text() == "off" else 0)
else:
    sys.exit("never")
"""


def test_a_fence_program_gets_its_options_on_standard_input(site, node, tmp_path, monkeypatch):
    """The program does what those of Debian's fence-agents do: options on standard input, exit status 2 for "off"."""
    program, state = tmp_path / "bin" / "fence_example", tmp_path / "power"
    program.parent.mkdir()
    program.write_text(PROGRAM.format(python=sys.executable, state=str(state)))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    state.write_text("on")
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("NOVACRON_SECRET_PDU", "wrong")
    site.fleet.fencing.set("a", "program", program="fence_example", ip="192.0.2.1", plug="3", passwd_secret="pdu")
    assert site.fleet.fencing.test("a")[0].status == "unknown"
    monkeypatch.setenv("NOVACRON_SECRET_PDU", "hunter2")
    assert site.fleet.fencing.test("a")[0].status == "on"
    fencer = Fencer(site.fleet._fencer()._agents, site.secrets.get, {}, pause=0)
    assert fencer.fence(site.fleet.nodes["a"], site.fleet.fencing.list("a")).off
    assert "hunter2" not in (tmp_path / "state" / "state.db").read_bytes().decode(errors="replace")


@pytest.mark.parametrize("program", ["fence_no_such_program", "/bin/sh", "rm", "fence_x; reboot"])
def test_a_program_that_is_no_fence_agent_is_named(site, node, program):
    site.fleet.fencing.set("a", "program", program=program)
    [reading] = site.fleet.fencing.test("a")
    assert reading.status == "unknown"
    assert reading.error


@pytest.fixture
def bmc(tmp_path):
    """A real Redfish server with one system, which needs the password "hunter2"; yields its URL and its power."""
    import bcrypt
    from sushy_tools.emulator import main
    from sushy_tools.emulator.resources.systems.fakedriver import FakeDriver
    from werkzeug.serving import make_server

    class System(FakeDriver):
        power, obeys, said, rejected = "On", True, [], 0

        def get_power_state(self, identity):
            return System.power

        def set_power_state(self, identity, state):
            System.said.append(state)
            if System.obeys:
                System.power = "Off"

    users = tmp_path / "users"
    users.write_text("admin:" + bcrypt.hashpw(b"hunter2", bcrypt.gensalt(4)).decode() + "\n")
    systems = [{"uuid": str(uuid.uuid5(uuid.NAMESPACE_DNS, "kvm1")), "name": "kvm1", "power_state": "On", "nics": []}]
    app, wsgi = main.app, main.app.wsgi_app
    checked = main.RedfishAuthMiddleware(wsgi, str(users))

    def counted(environ, start):
        def begin(status, *more):
            System.rejected += status.startswith("401")
            return start(status, *more)

        return checked(environ, begin)

    app.configure(extra_config={"SUSHY_EMULATOR_FAKE_SYSTEMS": systems, "SUSHY_EMULATOR_STATE_DIR": str(tmp_path)})
    driver = System.initialize(app.config, app.logger)()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(main.Application, "systems", property(lambda self: driver))
        server = make_server("127.0.0.1", 0, counted, threaded=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", System
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_redfish_bmc_switches_off_and_is_read_twice(site, node, bmc, monkeypatch, caplog):
    url, system = bmc
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("NOVACRON_SECRET_BMC", "hunter2")
    site.fleet.fencing.set("a", "redfish", url=url, username="admin", password_secret="bmc")
    assert [(each.status, each.error) for each in site.fleet.fencing.test("a")] == [("on", "")]
    devices, found = site.fleet.fencing.list("a"), site.fleet.nodes["a"]
    fencer = Fencer(site.fleet._fencer()._agents, site.secrets.get, {}, pause=0, patience=0)
    system.obeys = False  # it answers 204, and the server stays on
    assert not fencer.fence(found, devices).off
    system.obeys, system.power = True, "PoweringOff"
    assert fencer.read(found, devices[0]).status != "off"
    system.power = "On"
    assert Fencer(site.fleet._fencer()._agents, site.secrets.get, {}, pause=0).fence(found, devices).off
    assert set(system.said) == {"ForceOff"}
    assert "hunter2" not in caplog.text


def test_a_bmc_with_a_wrong_password_is_named(site, node, bmc, monkeypatch):
    url, system = bmc
    monkeypatch.setenv("NOVACRON_SECRET_BMC", "wrong")
    site.fleet.fencing.set("a", "redfish", url=url, username="admin", password_secret="bmc")
    [reading] = site.fleet.fencing.test("a")
    assert (reading.status, "password" in reading.error) == ("unknown", True)
    fencer = Fencer(site.fleet._fencer()._agents, site.secrets.get, {}, pause=0, patience=0)
    assert not fencer.fence(site.fleet.nodes["a"], site.fleet.fencing.list("a")).off
    assert system.power == "On"


def test_a_wrong_password_is_not_tried_until_the_account_is_locked(site, node, bmc, monkeypatch, caplog):
    """BMCs lock an account after some wrong passwords. Fencing read the status every second, and the controller in each round."""
    url, system = bmc
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("NOVACRON_SECRET_BMC", "open-sesame")
    site.fleet.fencing.set("a", "redfish", url=url, username="admin", password_secret="bmc")
    clock, [device], found = Clock(), site.fleet.fencing.list("a"), site.fleet.nodes["a"]
    fencer = Fencer(site.fleet._fencer()._agents, site.secrets.get, {}, patience=60, pause=1, clock=clock, sleep=clock.sleep)
    result = fencer.fence(found, [device])
    assert (result.off, system.power, system.rejected, clock.now) == (False, "On", 2, 0.0)
    assert any("rejected the user or the password" in step for step in result.steps)
    readings = [fencer.read(found, device) for _ in range(20)]
    assert (system.rejected, {each.status for each in readings}) == (2, {"unknown"})
    assert "so that the account is not locked it is not asked for 300 s" in readings[-1].error
    clock.sleep(301)
    assert fencer.read(found, device).status == fencer.read(found, device).status == "unknown"
    assert system.rejected == 3
    assert "open-sesame" not in caplog.text + str(result) + str(readings) + repr(vars(fencer))
    monkeypatch.setenv("NOVACRON_SECRET_BMC", "hunter2")  # it is asked at once when the password was corrected
    assert (fencer.read(found, device).status, system.rejected) == ("on", 3)


def test_a_login_that_a_fence_program_could_not_make_is_named(site, node, tmp_path, monkeypatch):
    program, asked = tmp_path / "fence_denied", tmp_path / "asked"
    program.write_text(f"#!/bin/sh\necho >> {asked}\nexit 3\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    site.fleet.fencing.set("a", "program", program="fence_denied")
    fencer, [device], found = site.fleet._fencer(), site.fleet.fencing.list("a"), site.fleet.nodes["a"]
    readings = [fencer.read(found, device).error for _ in range(5)]
    assert all("fence_denied could not log in to the fence device" in each for each in readings)
    assert len(asked.read_text().splitlines()) == 2


def test_a_bmc_that_does_not_answer_is_not_off(site, node, monkeypatch):
    monkeypatch.setenv("NOVACRON_SECRET_BMC", "hunter2")
    site.fleet.fencing.set("a", "redfish", url="http://127.0.0.1:1", username="admin", password_secret="bmc")
    [reading] = site.fleet.fencing.test("a")
    assert (reading.status, "can't be reached" in reading.error) == ("unknown", True)


SMART_PLUG = '''
    """Switches nodes off by writing to a file."""

    from pathlib import Path

    from novacron.plugins import hookimpl


    class SmartPlug:
        name, required, optional = "smart-plug", ("file",), ()

        def off(self, target):
            Path(target.options["file"]).write_text("off")

        def status(self, target):
            return "off" if Path(target.options["file"]).read_text() == "off" else "on"


    @hookimpl
    def fence_agents():
        return [SmartPlug()]
'''


def test_an_agent_of_an_installed_package_of_twenty_lines_works(installed, tmp_path):
    (tmp_path / "power").write_text("on")
    script = f"""
        from novacron import Site
        with Site(state) as site:
            site.fleet.add("a", "sim://a")
            site.fleet.nodes.refresh()
            site.fleet.fencing.set("a", "smart-plug", file={str(tmp_path / "power")!r})
            before = site.fleet.fencing.test("a")[0].status
            print(before, site.fleet._fencer().fence(site.fleet.nodes["a"], site.fleet.fencing.list("a")).off)
    """
    assert installed("smart_plug", SMART_PLUG, script) == "on True\n"


def test_an_agent_of_a_plugin_can_be_registered(site, node):
    class Plugin:
        @hookimpl
        def fence_agents(self):
            return [Scripted("on")]

    site.plugins.register(Plugin(), "scripted")
    site.fleet.fencing.set("a", "scripted", anything="x")
    assert site.fleet.fencing.test("a")[0].status == "on"
