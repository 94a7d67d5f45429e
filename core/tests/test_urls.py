"""Secrets in addresses, in misspelt fields and in options of devices: rejected, and neither repeated nor stored."""

import copy
import glob
import json
import os
import traceback

import pytest

from novacron import Site, errors
from novacron.fleets.fencing.debian import FenceProgram
from novacron.images.catalogue import catalogue, find_source
from novacron.images.download import fetch_text
from novacron.labs import Lab
from novacron.monitoring.alerting.configuration import read_configuration
from novacron.monitoring.remote import RemoteWriter
from novacron.records.fencing import FenceTarget
from novacron.specs import VMSpec
from novacron.specs.spec import Spec
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
    target = FenceTarget("n", "id", {"program": "fence_test", **options}, timeout=60, hosts={}, confirmed_by="")
    refused(FenceProgram().off, target)
    assert not (tmp_path / "ran").exists()
    FenceProgram().off(FenceTarget("n", "id", {"program": "fence_test"}, timeout=60, hosts={}, confirmed_by=""))
    assert (tmp_path / "ran").exists()


def test_a_fence_program_gets_the_password_of_its_device_and_no_other_secret(tmp_path, monkeypatch):
    program = tmp_path / "fence_test"
    program.write_text(f"#!/bin/sh\nenv > {tmp_path}/environment; cat > {tmp_path}/input\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("NOVACRON_SECRET_DATABASE_KEY", SECRET)
    monkeypatch.setenv("NOVACRON_VSPHERE_PASSWORD", SECRET)
    monkeypatch.setenv("NOVACRON_DATABASE", f"postgresql://u:{SECRET}@db/x")
    options = {"program": "fence_test", "password": "of-the-device"}
    FenceProgram().off(FenceTarget("n", "id", options, timeout=60, hosts={}, confirmed_by=""))
    assert "of-the-device" in (tmp_path / "input").read_text()
    environment = (tmp_path / "environment").read_text()
    assert SECRET not in environment
    assert "PATH=" in environment


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
        {"disks": [{"size": "1MiB", "encryption": f"{SECRET} !"}]},
    ],
    ids=str,
)
def test_the_value_of_a_misspelt_field_is_not_repeated(fields):
    assert "unknown, allowed" in str(refused(VMSpec.parse, fields)) or "pasword" not in str(fields)


def secret_names():
    """Return each spec with each of its fields that take the name of a secret."""
    return {
        (spec, name) for spec in Spec.__subclasses__() for name, of in spec.__annotations__.items() if "SecretName" in str(of)
    }


def test_a_secret_that_is_given_instead_of_its_name_is_not_repeated():
    found = secret_names()
    assert {(spec.__name__, name) for spec, name in found} >= {("VolumeSpec", "encryption"), ("CloudInitSpec", "password")}
    for spec, name in found:
        refused(spec.parse, {name: f"{SECRET} !"})


ALERTS = {
    "rules": [{"alert": "A", "expr": "up == 0", "for": "5m", "labels": {"a": "b"}, "annotations": {"a": "b"}, "no_data": "keep"}],
    "receivers": [{"name": "r", "sinks": [{"type": "email", "to": "a", "from": "b", "server": "c", "tls": "tls"}]}],
    "route": {"receiver": "r", "matchers": ["a=b"], "group_by": ["a"], "group_wait": "5s", "routes": [{"receiver": "r"}]},
    "inhibit_rules": [{"source_matchers": ["a=b"], "target_matchers": ["a=b"], "equal": ["a"]}],
}
LAB = {
    "name": "x",
    "host": "h",
    "parameters": {"n": 1},
    "profiles": {"p": {"memory": "1GiB"}},
    "pools": {"default": {"type": "dir"}},
    "networks": {"lan": {"type": "isolated"}},
    "vms": {"web": {"count": 2, "running": True, "profile": "p", "host": "h"}},
}
CATALOGUE = {"img": {"url": "https://example.org/a.qcow2", "arch": {"x86_64": "amd64"}, "checksum": "0", "title": "t"}}
SHOWN = ("expr", "memory", "name", "type", "profile", "alert")
"""Fields whose values are shown, because the message is of no use without them."""


def with_one_wrong_value(content):
    """Yield copies of the content, each with a secret instead of one value."""
    wrong = (SECRET, [SECRET], [{"a": SECRET}], {"a": SECRET}, f"${{x}} {SECRET}")
    items = content.items() if isinstance(content, dict) else enumerate(content)
    for key, value in items:
        if key in SHOWN:
            continue
        for secret in wrong:
            changed = copy.copy(content)
            changed[key] = secret
            yield changed
        for inside in with_one_wrong_value(value) if isinstance(value, (dict, list)) else ():
            changed = copy.copy(content)
            changed[key] = inside
            yield changed


def toml(value):
    """Return a value as TOML, on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {toml(inner)}" for key, inner in value.items()) + "}"
    return f"[{', '.join(map(toml, value))}]" if isinstance(value, list) else json.dumps(value)


def read_catalogue(folder, content):
    file = folder / "images.toml"
    file.write_text("".join(f"{json.dumps(key)} = {toml(value)}\n" for key, value in content.items()))
    catalogue(extra=[file])


@pytest.mark.parametrize(
    ("read", "content"),
    [
        (lambda _, content: read_configuration(content, "alerts.yaml"), ALERTS),
        (lambda _, content: Lab.parse(content), LAB),
        (read_catalogue, CATALOGUE),
    ],
    ids=["alerts", "lab", "images"],
)
def test_a_secret_in_the_wrong_place_of_a_file_is_not_repeated(tmp_path, read, content):
    messages = []
    for changed in with_one_wrong_value(content):
        try:
            read(tmp_path, changed)
        except errors.NovaCronError as error:
            messages.append(shown(error))
    assert len(messages) > 10
    assert not [message for message in messages if SECRET in message]
