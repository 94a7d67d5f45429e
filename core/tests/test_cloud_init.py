"""What cloud-init reads: the spec's fields and user data of one's own, both in force; what it would ignore is refused."""

import base64
import json
from email import message_from_string

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from novacron.cloud_init import seed, user_data
from novacron.errors import InvalidSpecError
from novacron.specs import CloudInitSpec

KEY = "ssh-ed25519 " + base64.b64encode(b"\0\0\0\x0bssh-ed25519\0\0\0\x20" + bytes(32)).decode() + " ann@desk"


def secret(name):
    return {"root-password": "correct horse"}[name]


def config_of(text):
    assert text.startswith("#cloud-config\n")
    return yaml.safe_load(text)


def parts_of(text):
    """Return the parts of a MIME message: type and text."""
    return [
        (part.get_content_type(), part.get_payload(decode=True).decode(), part["Merge-Type"])
        for part in message_from_string(text).walk()
        if not part.is_multipart()
    ]


def test_nothing_asked_is_an_empty_cloud_config():
    documents = seed(CloudInitSpec(), "web1", secret)
    assert config_of(documents.user_data) == {}
    assert yaml.safe_load(documents.meta_data) == {"instance-id": "web1", "local-hostname": "web1"}
    assert (documents.network_config, documents.vendor_data) == (None, None)


def test_user_data_alone_are_passed_on_unchanged():
    for text in ("#cloud-config\npackages: [nginx]\n", "#!/bin/sh\ntouch /x\n"):
        assert user_data(CloudInitSpec(user_data=text), secret) == text


def test_the_fields_are_cloud_config():
    spec = CloudInitSpec(ssh_keys=[KEY], password="root-password", commands=["touch /a", "echo 'ä: \"x\"'"], packages=["nginx"])
    config = config_of(user_data(spec, secret))
    assert config["ssh_authorized_keys"] == [KEY]
    assert config["runcmd"] == ["touch /a", "echo 'ä: \"x\"'"]
    assert (config["packages"], config["package_update"]) == (["nginx"], True)
    assert config["chpasswd"] == {"expire": False}
    assert "correct horse" not in json.dumps(config)
    import bcrypt

    assert bcrypt.checkpw(b"correct horse", config["password"].encode())


def test_a_user_of_ones_own_has_the_keys_and_the_password():
    config = config_of(user_data(CloudInitSpec(user="ann", ssh_keys=[KEY], password="root-password"), secret))
    default, ann = config["users"]
    assert default == "default"
    assert (ann["name"], ann["ssh_authorized_keys"], ann["lock_passwd"]) == ("ann", [KEY], False)
    assert ann["hashed_passwd"].startswith("$2b$")
    assert "password" not in config
    assert config_of(user_data(CloudInitSpec(user="ann"), secret))["users"][1]["lock_passwd"] is True


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("#cloud-config\nssh_authorized_keys: [x]\n", "text/cloud-config"),
        ("#!/bin/sh\ntouch /x\n", "text/x-shellscript"),
        ("#include\nhttp://x/\n", "text/x-include-url"),
        ("#cloud-config-archive\n- x\n", "text/cloud-config-archive"),
        ("## template: jinja\n#cloud-config\n{}\n", "text/jinja2"),
    ],
)
def test_keys_are_added_to_user_data_of_ones_own(text, kind):
    """Neither replaces the other: both are parts, and ours says how it is merged."""
    own, ours = parts_of(user_data(CloudInitSpec(user_data=text, ssh_keys=[KEY]), secret))
    assert own == (kind, text, None)
    assert ours[0] == "text/cloud-config"
    assert config_of(ours[1]) == {"ssh_authorized_keys": [KEY]}
    assert "append" in ours[2]


def test_a_multipart_message_gets_one_part_more():
    first = user_data(CloudInitSpec(user_data="#!/bin/sh\ntrue\n", commands=["a"]), secret)
    both = parts_of(user_data(CloudInitSpec(user_data=first, ssh_keys=[KEY]), secret))
    assert [kind for kind, _, _ in both] == ["text/x-shellscript", "text/cloud-config", "text/cloud-config"]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"user_data": "packages: [nginx]"}, "user_data"),
        ({"user_data": ""}, "user_data"),
        ({"user_data": " #cloud-config"}, "user_data"),
        ({"user_data": "Content-Type: text/plain\n\nx"}, "user_data"),
        ({"vendor_data": "x"}, "vendor_data"),
        ({"ssh_keys": ["ssh-ed25519 AAAA me@here"]}, "ssh_keys"),
        ({"ssh_keys": [KEY.replace("ssh-ed25519 ", "ssh-rsa ")]}, "ssh_keys"),
        ({"ssh_keys": [KEY + "\nssh-rsa x"]}, "ssh_keys"),
        ({"ssh_keys": ["-----BEGIN OPENSSH PRIVATE KEY-----"]}, "ssh_keys"),
        ({"ssh_keys": [""]}, "ssh_keys"),
        ({"hostname": "-x"}, "hostname"),
        ({"hostname": "a b"}, "hostname"),
        ({"user": "Root!"}, "user"),
        ({"password": "correct horse battery"}, "password"),
        ({"packages": ["a b"]}, "packages"),
        ({"commands": [""]}, "commands"),
    ],
)
def test_what_cloud_init_would_ignore_is_refused(fields, field):
    with pytest.raises(InvalidSpecError) as refused:
        CloudInitSpec(**fields)
    assert field in str(refused.value)


def test_a_private_key_is_not_repeated():
    with pytest.raises(InvalidSpecError) as refused:
        CloudInitSpec(ssh_keys=["-----BEGIN OPENSSH PRIVATE KEY-----\nc2VjcmV0\n"])
    assert "c2VjcmV0" not in str(refused.value)


@pytest.mark.parametrize("key", [KEY, f"  {KEY}\n", KEY.rpartition(" ")[0]])
def test_public_keys_are_taken_as_they_are_in_files(key):
    assert CloudInitSpec(ssh_keys=[key]).ssh_keys == (key.strip(),)


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=50), max_size=4))
def test_every_command_arrives_as_it_was_given(commands):
    text = user_data(CloudInitSpec(commands=commands), secret)
    assert json.loads(text.partition("\n")[2]).get("runcmd", []) == commands


def test_a_password_that_can_not_be_hashed_is_refused():
    with pytest.raises(InvalidSpecError, match="at most 72"):
        user_data(CloudInitSpec(password="long"), lambda _: "x" * 73)
