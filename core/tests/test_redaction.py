"""Errors about invalid input never repeat a secret."""

import json
import os
import threading

import pytest

from novacron.errors import SpecProblem
from novacron.redaction import redacted

KEY = "-----BEGIN OPENSSH PRIVATE KEY-----\nc2VjcmV0\n-----END OPENSSH PRIVATE KEY-----"


@pytest.mark.parametrize(
    "text", [KEY, KEY.partition("-----END")[0], f"x {KEY} y", KEY.replace("OPENSSH ", ""), KEY.replace("OPENSSH", "RSA")]
)
def test_private_keys_are_redacted(text):
    assert "c2VjcmV0" not in redacted(text)
    assert "c2VjcmV0" not in str(SpecProblem("cloud_init.ssh_keys.0", text, "a public key"))


@pytest.mark.parametrize("path", ["password", "guest.password", "a.0.passphrase", "api_token", "secret"])
def test_a_field_that_is_named_like_a_secret_is_not_repeated(path):
    assert "hunter2" not in str(SpecProblem(path, "hunter2", "text"))


def test_other_fields_are_repeated_as_they_were_given():
    assert str(SpecProblem("name", "web 2", "a name")) == "name: got 'web 2', allowed: a name"


@pytest.mark.parametrize(
    "text",
    [
        "Cookie: sid=hunter2; theme=dark",
        'curl -H "Set-Cookie: a=hunter2" https://h/',
        'Authorization: Digest username="u", response="hunter2"',
        "Proxy-Authorization: Negotiate hunter2==",
        "X-Auth-Key: hunter2",
        "https://h/a?se=2026&sig=hunter2&x=1",
        "https://s3.example.org/a?X-Amz-Signature=hunter2",
        "curl -u admin:hunter2 https://h/",
        "curl --user=admin:hunter2 https://h/",
        "curl --proxy-user 'admin:hunter2' https://h/",
        "sshpass -p hunter2 ssh h",
        "sshpass -phunter2 ssh h",
        "sshpass -p 'hunter2 ' ssh h",
        "git clone https://h/ with glpat-hunter2hunter2",
        "ghp_hunter2hunter2hunter2",
        "eyJhbGciOiJIUzI1NiJ9.eyJodW50ZXIyIjoxfQ.hunter2",
        "vsphere://h/?sessionid=hunter2",
        "session_id: hunter2",
        "mysql -phunter2",
        "mysql -uroot -phunter2 db",
        "sudo /usr/bin/mysqldump -p'hunter2 x' db",
        'mariadb -h h -p"hunter2" -e "select 1"',
        '["mysql", "-u", "root", "-phunter2"]',
        "- mongosh\n- -u admin: x\nmongosh -u a -p hunter2 h",
        '["mongodump", "-p", "hunter2"]',
        "redis-cli -h h -a hunter2 ping",
        "ipmitool -I lanplus -U a -P hunter2 power off",
        "7z a -phunter2 x.7z",
        "ldapsearch -x -w hunter2",
        "usermod -p hunter2 root",
        "openssl enc -aes-256-cbc -k hunter2",
        "openssl rsa -passin pass:hunter2",
        "smbclient -U user%hunter2 //h/s",
        "htpasswd -cb file user hunter2",
        "echo root:hunter2 | chpasswd",
        "echo hunter2|sudo passwd --stdin root",
        "chpasswd <<< root:hunter2",
        "curl -uadmin:hunter2 https://h/",
        "users:\n  password: |-\n    hunter2\n    hunter2\n",
        "db_password: >\n  hunter2",
        "docker login -u bob -p hunter2 registry.example.org",
        "docker --config /x login -phunter2",
        "sudo podman login -u bob -p 'hunter2 x' r",
        "helm registry login -u bob -p hunter2 r",
        '["docker", "login", "-u", "bob", "-p", "hunter2"]',
        '{"passwords": ["hunter2", "hunter2"], "name": "web1"}',
        '{"secret": {"a": {"b": "]}"}, "c": "hunter2"}, "name": "web1"}',
        "tokens=[hunter2, hunter2] x",
    ],
)
def test_secrets_of_programs_and_protocols_are_redacted(text):
    assert "hunter2" not in redacted(text)
    assert "***" in redacted(text)


@pytest.mark.parametrize(
    "text",
    [
        "docker run --user 1000:1000 image",
        "chown -u web:",
        "https://h/a?side=left",
        "the cookie of a guest",
        "sshpass -f file",
        "mysql -p db",
        "mysql -P3306 db",
        "ssh -p2222 h",
        "ssh -p 2222 h mkdir -p /srv/x",
        "docker run -p8080:80 image",
        "ps -p 1; kill -p x",
        "tar -pxf a.tar",
        "description: |\n  text\n",
        "echo a | grep b",
        "My-Ubuntu%2024.04.qcow2",
        "openssl req -keyout /etc/k.pem",
        "eyJ",
        "docker run -p 8080:80 login",
        "password:\nname: web1",
        "name: web1\nlist:\n- a\n- b\n",
    ],
)
def test_text_without_a_secret_stays(text):
    assert redacted(text) == text


@pytest.mark.parametrize(
    "words",
    [
        ["mysql", "-phunter2"],
        ["/usr/bin/mysqldump", "-u", "root", "-phunter2", "db"],
        ["sudo", "mysql", "-phunter2"],
        ["sshpass", "-p", "hunter2", "ssh", "h"],
        ["sshpass", "-phunter2"],
        ["mongosh", "-u", "a", "-p", "hunter2"],
        ["redis-cli", "-a", "hunter2"],
        ["ipmitool", "-P", "hunter2"],
        ["usermod", "-p", "hunter2", "root"],
        ["curl", "-u", "admin:hunter2", "https://h/"],
        ["curl", "-uadmin:hunter2"],
        ["sh", "-c", "mysql -phunter2"],
        ["docker", "login", "-u", "bob", "-p", "hunter2"],
        ["sudo", "/usr/bin/podman", "login", "-phunter2", "r"],
        ("mysql", "--password=hunter2"),
    ],
)
def test_secrets_in_the_arguments_of_programs_are_redacted(words):
    assert "hunter2" not in str(redacted(words))
    assert "hunter2" not in str(redacted({"argv": words}))
    assert "***" in str(redacted(words))


@pytest.mark.parametrize(
    "words",
    [
        ["mysql", "-p", "db"],
        ["mkdir", "-p", "/a"],
        ["ssh", "-p", "22", "h"],
        ["docker", "-p8:8"],
        ["docker", "run", "-p", "8:8", "login"],
        ["login", "-p", "x"],
        ["chown", "-u", "1:1"],
        ["openssl", "-keyout", "/k"],
    ],
)
def test_arguments_without_a_secret_stay(words):
    assert redacted(words) == words


@pytest.mark.parametrize(
    "block",
    [
        "{0}password: |\n{0}  hunter2\n\n{0}    hunter2\n",
        "{0}password: |2-\n{0}   hunter2\n",
        "{0}password: >- # ours\n{0}  hunter2\n",
        "{0}password: !secret |\n{0}  hunter2\n",
        "{0}password: &a |\n{0}  hunter2\n",
        "{0}'db.password' : |+\n{0}  hunter2\n",
        "{0}password:\n{0}  hunter2\n",
        "{0}passwords:\n{0}  - hunter2\n{0}  - hunter2\n",
        "{0}passwords:\n{0}- hunter2\n{0}-\n{0}  hunter2\n",
        "{0}passwords: # two\n{0}- hunter2\n",
        "{0}passwords: [hunter2, hunter2]\n",
        "{0}passwords: [hunter2,\n{0}  hunter2]\n",
        "{0}tokens:\n{0}  a: hunter2\n{0}  b: [hunter2]\n",
        "{0}chpasswd:\n{0}  list: |\n{0}    root:hunter2\n",
    ],
)
@pytest.mark.parametrize("place", ["top", "mapping", "item"])
def test_blocks_of_yaml_are_redacted_and_the_keys_beside_them_stay(block, place):
    indent = {"top": "", "mapping": "    ", "item": "  "}[place]
    text = block.format(indent)
    text = f"- {text.removeprefix(indent)}" if place == "item" else text
    before, after = (
        {"top": "", "mapping": "users:\n", "item": "users:\n"}[place],
        f"{indent}name: web1\n{indent}other: a b\nlast: 1\n",
    )
    shown = redacted(before + text + after)
    assert "hunter2" not in shown
    assert shown.startswith(before)
    assert shown.endswith(after)
    assert shown.count("***") in (1, 2)


@pytest.mark.parametrize(
    "text",
    [
        "docker login " * 20_000,
        "secret: [" * 20_000,
        "- " * 50_000 + "a",
        "password:\n" * 20_000,
        "mysql " * 20_000,
        "openssl -" * 20_000,
        "echo " * 20_000,
        "password: |\n" * 20_000,
        " " * 99_999,
    ],
)
def test_long_text_takes_no_long_time(text):
    """A pattern with unlimited repetitions takes minutes for these."""
    redacted(text)


def test_what_cloud_init_gives_to_a_guest_is_hidden():
    """Vendor data, the network configuration (a password of a WLAN) and commands may hold secrets, like user data."""
    given = {"user_data": "a", "vendor_data": "b", "network_config": "c", "commands": ["d"], "hostname": "web1"}
    assert redacted(given) == {**dict.fromkeys(given, "***"), "hostname": "web1"}


@pytest.mark.parametrize("begin", ['password="', "password='", "token: '", "--password '", "mysql -p'"])
def test_a_quotation_that_nothing_closes_hides_no_later_line(begin):
    """Whoever may choose a name must not hide what else is in a log; a secret on indented lines is part of the quotation."""
    shown = redacted(f"{begin}hunter2 and more\n  hunter2 goes on\nVM web1 was deleted by bob\nVM web2 too")
    assert "hunter2" not in shown
    assert shown.endswith("\nVM web1 was deleted by bob\nVM web2 too")


@pytest.mark.parametrize(
    "value",
    [
        "mysql --password Sekret",
        "mysql --db-password=Sekret",
        "pwd: Sekret",
        "password='a Sekret'",
        'token="a \\" Sekret"',
        '{"api_key": "a Sekret"}',
        '{"credentials": "Sekret"}',
        "Authorization: Bearer Sekret",
        "bearer Sekret.abc-def",
        "-----BEGIN OPENSSH PRIVATE KEY-----\nSekret\n-----END OPENSSH PRIVATE KEY-----",
        "-----BEGIN RSA PRIVATE KEY-----\nSekret",
        "vsphere://u:Sek/ret/Sekret@h/",
        "https://u:p@Sekret@h/",
        "<password type='x'>Sekret</password>",
        "aws_secret_access_key=Sekret",
        ["mysql", "--password", "Sekret"],
        ["x", "--api-key", "Sekret"],
        {"credentials": {"a": "Sekret"}},
        {"pwd": "Sekret"},
        {"api_key": "Sekret"},
        {"apikey": "Sekret"},
        {"a": [{"Passphrase": "Sekret"}]},
        b"Sekret",
        {"Authorization": "x Sekret"},
    ],
)
def test_secrets_are_redacted_wherever_they_stand(value):
    assert "Sekret" not in json.dumps(redacted(value))


def test_plain_text_is_not_redacted():
    text = "no secret 'disk-key'; set NOVACRON_SECRET_DISK_KEY on vsphere://user@vc:443/dc, 'web1' is a basic VM"
    assert redacted(text) == text


def test_redacting_long_text_takes_no_long_time():
    for text in ("password" * 20000, "-" * 200000, "://a:" * 40000, "'" * 100000 + "token='", "bearer " * 30000):
        timer = threading.Timer(200, os._exit, (3,))
        timer.start()
        redacted(text)
        timer.cancel()
