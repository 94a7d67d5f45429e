"""Secrets in addresses, in misspelt fields and in options of devices: rejected, and neither repeated nor stored."""

import glob
import os
import traceback

import pytest

from novacron import Site, errors
from novacron.fleets.fencing.debian import FenceProgram
from novacron.images.catalogue import find_source
from novacron.images.download import fetch_text
from novacron.monitoring.alerting.configuration import read_configuration
from novacron.monitoring.remote import RemoteWriter
from novacron.records.fencing import FenceTarget
from novacron.specs import VMSpec
from novacron.urls import problem_of

SECRET = "Hunt3r2Secret"
WITH_A_SECRET = [
    f"https://root:{SECRET}@bmc1/",
    f"https://root:{SECRET}/x@bmc1/",
    f"https://root:{SECRET}#x@bmc1/",
    f"https://root:{SECRET}?x@bmc1/",
    f"https://root:{SECRET}[x@bmc1/",
    f"https://{SECRET}@bmc1/",
    f"https://bmc1/?token={SECRET}",
    f"https://bmc1/?a=1&api_key={SECRET}",
    f"https://bmc1/#{SECRET}",
    f"https://bmc1:{SECRET}/",
    f"https://bmc1/ {SECRET}",
]


def shown(error):
    """Return all that an error can show."""
    return "".join([str(error), repr(error), str(error.as_dict()), str(error.hint), *traceback.format_exception(error)])


def refused(call, *arguments, **options):
    with pytest.raises(errors.InvalidSpecError) as caught:
        call(*arguments, **options)
    assert SECRET not in shown(caught.value)
    return caught.value


@pytest.fixture(scope="module")
def fleet(tmp_path_factory):
    folder = tmp_path_factory.mktemp("secrets")
    with Site(folder / "state") as site:
        site.fleet.add("fenced", "sim://test-urls-fenced")
        site.fleet.nodes.refresh(["fenced"])
        yield site.fleet
    for path in glob.glob(f"{folder}/**", recursive=True):
        if os.path.isfile(path):
            with open(path, "rb") as file:
                assert SECRET.encode() not in file.read(), path


@pytest.mark.parametrize("url", WITH_A_SECRET)
def test_no_address_with_a_secret_is_accepted_or_repeated(fleet, url):
    assert SECRET not in problem_of(url)
    refused(RemoteWriter, url)
    refused(fleet.fencing.set, "fenced", "redfish", url=url, username="a", password_secret="bmc")
    for kind in ("webhook", "alertmanager"):
        receiver = {"name": "x", "sinks": [{"type": kind, "url": url}]}
        refused(read_configuration, {"receivers": [receiver]}, "alerts.yaml")
    if "bmc1/?" not in url:
        refused(find_source, url)


def test_a_presigned_url_of_an_image_is_used_and_not_shown():
    url = f"https://127.0.0.1:1/a.qcow2?X-Amz-Signature={SECRET}&token={SECRET}"
    assert find_source(url).url == url
    with pytest.raises(errors.ImageError, match=r"127\.0\.0\.1:1/a\.qcow2\?\.\.\.") as caught:
        fetch_text(url)
    assert SECRET not in "".join([str(caught.value), repr(caught.value), str(caught.value.as_dict())])


@pytest.mark.parametrize(
    "sink",
    [
        {"type": "emial", "password": SECRET},
        {"type": "webhook", "url": "https://h", "pasword": SECRET},
        {"type": "email", "to": "a", "from": "b", "server": f"u:{SECRET}@smtp:25"},
        {"type": "webhook", "url": "https://h", "token": [SECRET]},
        {"type": [SECRET]},
        [SECRET],
        SECRET,
    ],
    ids=str,
)
def test_a_sink_s_secret_is_not_repeated(sink):
    refused(read_configuration, {"receivers": [{"name": "x", "sinks": [sink]}]}, "alerts.yaml")
    refused(read_configuration, {"receivrs": [{"name": "x", "sinks": [sink]}]}, "alerts.yaml")
    refused(read_configuration, {"receivers": [sink]}, "alerts.yaml")


def test_an_empty_file_of_certificates_does_not_turn_their_check_off(fleet):
    refused(fleet.fencing.set, "fenced", "redfish", url="https://h", username="a", password_secret="bmc", ca_file="")
    receiver = {"name": "x", "sinks": [{"type": "webhook", "url": "https://h", "ca": ""}]}
    refused(read_configuration, {"receivers": [receiver]}, "alerts.yaml")


@pytest.mark.parametrize(
    "name",
    [
        "password",
        "Password",
        "login_password",
        "snmp_priv_passwd",
        "pass",
        "api_key",
        "apikey",
        "key",
        "privatekey",
        "auth_token",
        "snmp_community",
        "cookie",
        "passwd",
        "pasword\naction",
    ],
)
def test_a_fence_device_takes_secrets_by_name_only(fleet, name):
    refused(fleet.fencing.set, "fenced", "program", program="fence_ipmilan", **{name: SECRET})
    refused(fleet.fencing.set, "fenced", "redfish", url="https://h", username="a", password_secret="b", **{name: SECRET})


def test_names_of_secrets_and_of_files_are_accepted(fleet):
    options = {
        "password_secret": "bmc",
        "snmp_community_secret": "c",
        "identity_file": "/root/.ssh/id",
        "username": "root",
        "lanplus": "1",
    }
    assert fleet.fencing.set("fenced", "program", program="fence_ipmilan", **options).options["username"] == "root"


@pytest.mark.parametrize("option", ["action", "option"])
def test_a_fence_device_can_not_turn_off_into_on(fleet, option):
    refused(fleet.fencing.set, "fenced", "program", program="fence_ipmilan", **{option: "on"})


@pytest.mark.parametrize(
    "options",
    [
        {"ipmitool_path": "/tmp/evil"},
        {"password_script": "/tmp/evil"},
        {"ip": "1\naction=on"},
        {"ip": "1\raction=on"},
    ],
    ids=str,
)
def test_a_stored_fence_device_runs_no_program_of_its_own(tmp_path, monkeypatch, options):
    """Whoever can write the state database writes these options."""
    program = tmp_path / "fence_test"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    target = FenceTarget("n", "id", {"program": "fence_test", **options}, timeout=5, hosts={}, confirmed_by="")
    refused(FenceProgram().off, target)
    assert not (tmp_path / "ran").exists()
    FenceProgram().off(FenceTarget("n", "id", {"program": "fence_test"}, timeout=5, hosts={}, confirmed_by=""))
    assert (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "fields",
    [
        {"pasword": SECRET},
        {"cloud_init": {"pasword": SECRET}},
        {"cloud_init": SECRET},
        {"cloud_init": [SECRET]},
        {"cloud_init": {"password": [SECRET]}},
        {"display": {"type": "vnc", "pasword": SECRET}},
        {"disks": [{"size": "1MiB", "pass_phrase": SECRET}]},
        {"disks": [{"size": "1MiB", "encryption": {"pass": SECRET}}]},
    ],
    ids=str,
)
def test_the_value_of_a_misspelt_field_is_not_repeated(fields):
    assert "unknown, allowed" in str(refused(VMSpec.parse, fields)) or "pasword" not in str(fields)
