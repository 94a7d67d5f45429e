"""`novacron up`, `vm ip`, `wait`, and the options of the first boot."""

import json
import os

import pytest

from novacron_shell.testing import CommandServer

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
RAW = bytes(510) + b"\x55\xaa" + bytes(4096)


@pytest.fixture(scope="module")
def server():
    with CommandServer() as server:
        yield server


@pytest.fixture
def novacron(tmp_path, server):
    """Run a command with a home directory of its own; `sim://` keeps nothing between two commands."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("NOVACRON_", "XDG_"))}
    environment |= {"NOVACRON_STATE": str(tmp_path / "state"), "HOME": str(tmp_path)}

    def run(*arguments, stdin=None):
        done = server.run(arguments, environment=environment, stdin=stdin)
        assert "Traceback" not in done.stderr + done.stdout
        return done

    return run


@pytest.fixture
def image(tmp_path):
    file = tmp_path / "tiny.img"
    file.write_bytes(RAW)
    return str(file)


@pytest.fixture
def own_key(tmp_path):
    folder = tmp_path / ".ssh"
    folder.mkdir()
    (folder / "id_ed25519.pub").write_text(f"{KEY} me@here\n")
    (folder / "id_ed25519").write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nc2VjcmV0\n")
    return folder


def test_up_makes_a_vm_of_an_image_and_says_how_to_log_in(novacron, image, own_key):
    done = novacron("-c", "sim://lab", "up", image, "web1", "--user", "ann", "--size", "5GiB")
    assert done.returncode == 0, done.stderr
    assert "log in: novacron ssh web1" in done.stderr
    record = json.loads(novacron("-c", "sim://lab", "-o", "json", "up", image, "web1").stdout)
    assert (record["status"], record["vcpus"], record["disks"][0]["size_bytes"]) == ("running", 2, 20 * 2**30)


def test_up_says_that_nobody_can_log_in(novacron, image):
    done = novacron("-c", "sim://lab", "up", image, "web1")
    assert done.returncode == 0
    assert "no SSH key" in done.stderr


def test_up_starts_what_is_there_already(novacron, image):
    uri = "sim://lab?vms=3"
    stopped = novacron("-c", uri, "vm", "list", "-o", "json").stdout
    name = next(vm["name"] for vm in json.loads(stopped) if vm["status"] == "stopped")
    done = novacron("-c", uri, "up", image, name, "--wait", "0")
    assert done.returncode == 0
    assert f"{name} is running" in done.stderr


def test_a_vm_is_created_from_an_image_with_its_first_boot(novacron, image, tmp_path):
    secret = tmp_path / "password"
    secret.touch(mode=0o600)
    secret.write_text("correct horse\n")
    done = novacron(
        "-c",
        "sim://x",
        "vm",
        "create",
        "web1",
        "--image",
        image,
        "--size",
        "2GiB",
        "--user",
        "ann",
        "--ssh-key",
        KEY,
        "--password-file",
        str(secret),
        "--cmd",
        "touch /done",
        "--package",
        "nginx",
        "--hostname",
        "web1.lan",
        "--user-data",
        "-",
        "-o",
        "json",
        stdin="#!/bin/sh\ntrue\n",
    )
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    assert [disk["device"] for disk in record["disks"]] == ["disk", "cdrom"]
    assert record["disks"][0]["size_bytes"] == 2 * 2**30


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--ssh-key", "{home}/.ssh/id_ed25519"], "private key"),
        (["--ssh-key", "/no/such/file.pub"], "can't read"),
        (["--ssh-key", "ssh-ed25519 AAAA"], "ssh_keys"),
        (["--password-file", "{home}/open"], "others may read"),
        (["--size", "5GiB"], "--image"),
        (["--image", "debian13"], "debian-13"),
        (["--user", "Root!"], "user"),
    ],
)
def test_mistakes_are_named(novacron, own_key, tmp_path, options, said):
    (tmp_path / "open").write_text("x")
    (tmp_path / "open").chmod(0o644)
    done = novacron("-c", "sim://x", "vm", "create", "web1", *(each.replace("{home}", str(tmp_path)) for each in options))
    assert done.returncode not in (0, 1)
    assert said in done.stderr
    assert "c2VjcmV0" not in done.stderr
