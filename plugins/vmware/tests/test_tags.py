"""vSphere's own tags over the REST API: the older one is govmomi's simulator's, the newer one a faked boundary before it."""

from __future__ import annotations

import base64
import json
import ssl
import urllib.request

import pytest

import novacron
from novacron import VMSpec, errors
from novacron_vmware import rest
from novacron_vmware.connection import VMwareConnection
from novacron_vmware.reconfiguring import ATTEMPTS, VERSION
from novacron_vmware.sdk import vim


class OtherClient:
    """Somebody else who works with the server's tags."""

    def __init__(self, vcenter):
        self._base = f"https://127.0.0.1:{vcenter.port}/rest/com/vmware/cis"
        self._trusting = ssl.create_default_context()
        self._trusting.check_hostname, self._trusting.verify_mode = False, ssl.CERT_NONE
        secret = base64.b64encode(f"administrator:{vcenter.password}".encode()).decode()
        self._headers = {"Authorization": f"Basic {secret}"}
        self._headers = {"vmware-api-session-id": self.ask("POST", "/session")}

    def ask(self, verb, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._base + path, data, self._headers, method=verb)
        with urllib.request.urlopen(request, context=self._trusting, timeout=30) as answer:
            return json.loads(answer.read() or b"{}").get("value")

    def category(self, name):
        spec = {"name": name, "description": "", "cardinality": "MULTIPLE", "associable_types": []}
        return self.ask("POST", "/tagging/category", {"create_spec": spec})

    def tag(self, category, name):
        return self.ask("POST", "/tagging/tag", {"create_spec": {"name": name, "description": "", "category_id": category}})

    def attach(self, tag, thing, action="attach"):
        body = {"object_id": {"type": "VirtualMachine", "id": thing._moId}}
        self.ask("POST", f"/tagging/tag-association/id:{tag}?~action={action}", body)

    def attached(self, thing):
        body = {"object_id": {"type": "VirtualMachine", "id": thing._moId}}
        return set(self.ask("POST", "/tagging/tag-association?~action=list-attached-tags", body) or ())


@pytest.fixture(params=rest.DIALECTS, ids=["api", "rest"])
def tagged(simulator, request, monkeypatch):
    """The host of a simulator with one generation of the API and the tags env:prod, env:test and team:web; another client; the tags."""
    monkeypatch.setattr(rest, "DIALECTS", (request.param,))
    vcenter = simulator()
    other = OtherClient(vcenter)
    env = other.category("env")
    tags = {"prod": other.tag(env, "prod"), "test": other.tag(env, "test"), "web": other.tag(other.category("team"), "web")}
    with novacron.connect(vcenter.uri(path="/DC0"), name="vc", password=vcenter.password) as host:
        yield host, other, tags


def thing_of(vm):
    return vm.host.dispatcher.driver.native.inventory.find(vm.id)


def test_what_others_attached_is_shown_and_found(tagged):
    """In the record, in a listing, by a filter; it goes when it is taken away."""
    host, other, tags = tagged
    vm = host.vms["DC0_H0_VM0"]
    assert vm.tags == frozenset()
    other.attach(tags["prod"], thing_of(vm))
    assert vm.refresh().tags == {"env:prod"}
    assert [each.name for each in host.vms.list(tag="env:prod")] == ["DC0_H0_VM0"]
    assert {each.name: each.tags for each in host.vms.list(detail="full") if each.tags} == {"DC0_H0_VM0": {"env:prod"}}
    other.attach(tags["prod"], thing_of(vm), "detach")
    assert vm.refresh().tags == frozenset()


def test_a_tag_that_vsphere_has_is_attached_and_others_are_our_own(tagged):
    """Creating, changing, cloning; others see what is vSphere's, and no category or tag is made."""
    host, other, tags = tagged
    asked = {"env:prod", "env:unheard-of", "plain"}
    vm = host.vms.create(VMSpec(name="tagged", memory="64MiB", tags=asked))
    assert vm.tags == asked
    assert other.attached(thing_of(vm)) == {tags["prod"]}
    assert vm.clone("copy").tags == asked
    assert other.attached(thing_of(host.vms["copy"])) == {tags["prod"]}
    vm.update(description="only that")
    assert vm.tags == asked
    vm.update(tags={"env:test", "team:web", "plain"})
    assert vm.tags == {"env:test", "team:web", "plain"}
    assert other.attached(thing_of(vm)) == {tags["test"], tags["web"]}
    vm.update(tags=())
    assert (vm.tags, other.attached(thing_of(vm))) == (frozenset(), set())
    assert len(other.ask("GET", "/tagging/tag")) == 3


def test_an_update_never_detaches_what_others_attached(tagged):
    """Only the vSphere tags that NovaCron attached go when they are not wanted any more."""
    host, other, tags = tagged
    vm = host.vms.create(VMSpec(name="shared", memory="64MiB", tags={"env:prod", "plain"}))
    other.attach(tags["web"], thing_of(vm))
    vm.update(tags={"env:test"})
    assert vm.tags == {"env:test", "team:web"}
    assert other.attached(thing_of(vm)) == {tags["test"], tags["web"]}
    vm.update(tags=())
    assert other.attached(thing_of(vm)) == {tags["web"]}
    vm.update(tags={"team:web"})
    vm.update(tags=())
    assert other.attached(thing_of(vm)) == {tags["web"]}, "it was there before NovaCron asked for it"


def test_a_change_that_fails_leaves_the_tags_as_they_were(tagged, monkeypatch):
    """vSphere's too, whichever of the two sides refuses."""
    host, other, tags = tagged
    vm = host.vms.create(VMSpec(name="tagged", memory="64MiB", tags={"env:prod", "plain"}))
    real = rest.RestAPI.call

    def refuse(self, verb, path, *, action=None, body=None, **more):
        if action == "attach-multiple-tags-to-object" and tags["test"] in body["tag_ids"]:
            return {"success": False, "error_messages": [{"message": "one of that category only"}]}
        return real(self, verb, path, action=action, body=body, **more)

    with monkeypatch.context() as patched:
        patched.setattr(rest.RestAPI, "call", refuse)
        with pytest.raises(errors.InvalidStateError, match="one of that category only"):
            vm.update(tags={"env:test"})
        with pytest.raises(errors.InvalidStateError):
            host.vms.create(VMSpec(name="never", memory="64MiB", tags={"env:test"}))
    assert "never" not in host.vms
    assert vm.refresh().tags == {"env:prod", "plain"}
    with pytest.raises(errors.NovaCronError):
        vm.update(tags={"env:test"}, memory="1PiB")
    assert vm.refresh().tags == {"env:prod", "plain"}
    assert other.attached(thing_of(vm)) == {tags["prod"]}


def test_an_expired_session_is_renewed(tagged):
    """Nobody notices."""
    host, other, tags = tagged
    vm = host.vms["DC0_H0_VM0"]
    other.attach(tags["web"], thing_of(vm))
    api = host.dispatcher.driver.native.tags._api
    assert vm.refresh().tags == {"team:web"}
    api._ask("DELETE", api._dialect.session, None, {"vmware-api-session-id": api._session})
    assert vm.refresh().tags == {"team:web"}


def test_a_listing_of_all_asks_for_tags_once(tagged, monkeypatch):
    """However many VMs there are."""
    host, other, tags = tagged
    for vm in host.vms.list():
        other.attach(tags["prod"], thing_of(vm))
    calls, real = [], rest.RestAPI.call
    monkeypatch.setattr(rest.RestAPI, "call", lambda self, *a, **k: (calls.append(k.get("action")), real(self, *a, **k))[1])
    assert {vm.tags for vm in host.vms.list(detail="full")} == {frozenset({"env:prod"})}
    assert len(calls) == 3, "what is attached, one tag, its category"
    calls.clear()
    host.vms.list(detail="full")
    assert calls == ["list-attached-tags-on-objects"]


def test_the_password_is_not_shown(tagged):
    """Nor what is made of it."""
    host, _, _ = tagged
    native = host.dispatcher.driver.native
    host.vms.list(detail="full")
    secret = native.session.authorization().partition(" ")[2]
    assert secret not in f"{native.tags!r} {vars(native.tags)!r} {vars(native.tags._api)!r}"


def test_an_api_that_does_not_work_yet_hides_no_vm_and_loses_no_tag(tagged, monkeypatch):
    """As in the first minutes of a vCenter: VMs are read, tags are not written as if there were none of vSphere's."""
    host, other, tags = tagged
    api = host.dispatcher.driver.native.tags._api
    vm = host.vms.create(VMSpec(name="early", memory="64MiB", tags={"plain"}))
    other.attach(tags["prod"], thing_of(vm))
    with monkeypatch.context() as patched:
        api._looked, api._dialect = False, None
        patched.setattr(rest.RestAPI, "_ask", lambda self, *rest: (503, b""))
        assert vm.refresh().tags == {"plain"}
        for wanted in ({"env:test"}, {"plainer"}):
            with pytest.raises(errors.HostConnectionError, match="503"):
                vm.update(tags=wanted)
        assert vm.update(description="without tags").tags == {"plain"}
        assert host.vms.create(VMSpec(name="earlier", memory="64MiB", tags={"plain"})).tags == {"plain"}
    assert vm.refresh().tags == {"plain", "env:prod"}


def meddling(monkeypatch, *, often):
    """Let another client change the VM each time that its version was read to be changed."""
    read, left = VMwareConnection.read, [often]

    def reading(self, thing, paths):
        found = read(self, thing, paths)
        if VERSION in paths and left[0]:
            left[0] -= 1
            option = vim.option.OptionValue(key="guestinfo.other", value=str(left[0]))
            self.wait(thing.ReconfigVM_Task(vim.vm.ConfigSpec(extraConfig=[option])), resource="other")
        return found

    monkeypatch.setattr(VMwareConnection, "read", reading)
    return left


def test_a_tag_that_was_attached_before_a_second_attempt_is_still_our_own(tagged, monkeypatch):
    """So it is detached when it is not wanted any more."""
    host, other, tags = tagged
    vm = host.vms["DC0_H0_VM0"]
    left = meddling(monkeypatch, often=2)
    vm.update(tags={"env:prod", "mine"})
    assert left == [0]
    assert other.attached(thing_of(vm)) == {tags["prod"]}
    vm.update(tags={"mine"})
    assert other.attached(thing_of(vm)) == set()
    assert vm.refresh().tags == {"mine"}


def test_tags_that_were_detached_are_attached_again_if_the_change_fails(tagged, monkeypatch):
    host, other, tags = tagged
    vm = host.vms["DC0_H0_VM0"]
    vm.update(tags={"env:prod", "mine"})
    with monkeypatch.context() as patched:
        meddling(patched, often=ATTEMPTS)
        with pytest.raises(errors.BusyError):
            vm.update(tags=())
    assert other.attached(thing_of(vm)) == {tags["prod"]}
    assert vm.refresh().tags == {"env:prod", "mine"}
