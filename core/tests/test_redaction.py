"""Errors about invalid input never repeat a secret."""

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
        "eyJ",
    ],
)
def test_text_without_a_secret_stays(text):
    assert redacted(text) == text


def test_what_cloud_init_gives_to_a_guest_is_hidden():
    """Vendor data, the network configuration (a password of a WLAN) and commands may hold secrets, like user data."""
    given = {"user_data": "a", "vendor_data": "b", "network_config": "c", "commands": ["d"], "hostname": "web1"}
    assert redacted(given) == {**dict.fromkeys(given, "***"), "hostname": "web1"}
