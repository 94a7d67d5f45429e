"""Many vCenters in enhanced linked mode as one fleet; `govc sso.service.ls` tells the same vCenters."""

from __future__ import annotations

from urllib.parse import quote, urlsplit

import pytest
from click.testing import CliRunner

import novacron
from novacron import errors
from novacron_lab.govc import Govc
from novacron_lab.vcenter import VCenter
from novacron_shell.cli import cli


@pytest.fixture(scope="module")
def linked():
    """Three vCenters that know each other, with one VM in one datacenter each."""
    flags = ("-machines", "1", "-hosts", "1", "-standalone", "0")
    with VCenter(*flags) as one, VCenter(*flags) as two, VCenter(*flags) as three:
        for each, others in ((one, (two, three)), (two, (one, three)), (three, (one, two))):
            each.link(*others)
        yield one, two, three


def test_each_vcenter_lists_all_as_govc_does(linked):
    for vcenter in linked:
        with novacron.connect(vcenter.uri(), password=vcenter.password) as host:
            found = host.native.vcenter_list()
        told = Govc(vcenter).lines("sso.service.ls", "-t", "vcenterserver", "-P", "vmomi", "-U")
        assert sorted(each.address for each in found) == sorted(urlsplit(url).netloc for url in told)
        assert [each.current for each in found] == [True, False, False]
        assert found[0].address == f"127.0.0.1:{vcenter.port}"


def test_one_login_reaches_the_vms_of_all(linked):
    """The password that was given for one vCenter is used for the others, whose URIs the list has."""
    with novacron.connect(linked[0].uri(), password=linked[0].password) as host:
        uris = [each.uri for each in host.native.vcenter_list()]
    seen = set()
    for uri in uris:
        with novacron.connect(uri, password=linked[0].password) as host:
            seen |= {(host.dispatcher.driver.native.address[1], vm.name) for vm in host.vms.list()}
    assert seen == {(vcenter.port, "DC0_C0_RP0_VM0") for vcenter in linked}


def test_parameters_of_the_uri_hold_for_the_others_however_they_are_written(linked, tmp_path):
    """Names of parameters have no case."""
    file = tmp_path / "a password"
    file.write_text(linked[0].password)
    file.chmod(0o600)
    query = f"?Verify=no&PASSWORD_FILE={quote(str(file))}"
    with novacron.connect(linked[0].uri(query=query)) as host:
        uris = [each.uri for each in host.native.vcenter_list()]
    assert [urlsplit(uri).query for uri in uris] == [f"verify=no&password_file={quote(str(file))}"] * len(linked)
    for uri in uris:
        novacron.connect(uri).close()


def test_the_fleet_gets_all_linked_vcenters_by_one_command(linked, own_state, monkeypatch):
    """`host add --linked`; the same command again changes nothing, and `vm list` shows the VMs of all."""
    monkeypatch.setenv("NOVACRON_VSPHERE_PASSWORD", linked[0].password)

    def run(*words):
        done = CliRunner().invoke(cli, words)
        assert done.exit_code == 0, done.output
        return done.output

    with novacron.Site() as site:
        monkeypatch.setattr(novacron, "fleet", lambda: site.fleet)
        monkeypatch.setattr(novacron, "connect", site.connect)
        first = run("host", "add", "main", linked[0].uri(), "--linked")
        assert first.count("is in the fleet") == 3
        names = {each.name for each in site.fleet.list()}
        assert names == {"main", f"vc-{linked[1].port}", f"vc-{linked[2].port}"}
        run("host", "add", "main", linked[0].uri(), "--linked", "--replace")
        assert {each.name for each in site.fleet.list()} == names
        assert site.fleet.vms.list().total == 3


def test_no_name_of_a_linked_vcenter_stands_for_another_server(linked, own_state, monkeypatch):
    """The host got the URI of the linked vCenter that has its name, and what was meant for one went to the other. Nothing is added."""
    monkeypatch.setenv("NOVACRON_VSPHERE_PASSWORD", linked[0].password)
    with novacron.Site() as site:
        monkeypatch.setattr(novacron, "fleet", lambda: site.fleet)
        monkeypatch.setattr(novacron, "connect", site.connect)
        for name, known, said in (
            (f"vc-{linked[1].port}", {}, "two linked vCenters would be named"),
            ("main", {f"vc-{linked[2].port}": "sim://other"}, "the fleet has hosts named"),
        ):
            for other, uri in known.items():
                site.fleet.add(other, uri)
            done = CliRunner().invoke(cli, ["host", "add", name, linked[0].uri(), "--linked"])
            assert isinstance(done.exception, errors.AlreadyExistsError)
            assert said in str(done.exception)
            assert {each.name for each in site.fleet.list()} == set(known)


def test_an_esxi_is_not_linked(esxi):
    with (
        novacron.connect(esxi.uri("esx"), password=esxi.password) as host,
        pytest.raises(errors.UnsupportedOperationError, match="not linked"),
    ):
        host.native.vcenter_list()


def test_a_host_that_has_no_linked_mode_is_refused(own_state):
    done = CliRunner().invoke(cli, ["host", "add", "lab", "sim://linked", "--linked"])
    assert isinstance(done.exception, errors.UnsupportedOperationError)
    assert "no linked mode" in str(done.exception)
