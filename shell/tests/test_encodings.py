"""Files with text that are given to commands: their encoding, and what cloud-init would ignore in them."""

import codecs
import itertools
import json

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from novacron import errors
from novacron_shell.cli import cli
from novacron_shell.encodings import decoded

XML = '<?xml version="1.0" encoding="{}"?>\n<domain><name>Zür</name></domain>'
LETTERS = st.text(st.characters(min_codepoint=32, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=30)

WORLDS = itertools.count()


@pytest.fixture
def novacron():
    """Return a function that runs a command on a host with three VMs and returns its output, or the text and hint of its error."""
    world = f"texts-{next(WORLDS)}"

    def run(*arguments, exit_code=0, error=None):
        done = CliRunner().invoke(cli, ["-c", f"sim://{world}?vms=3", *arguments])
        if error is not None:
            assert isinstance(done.exception, error), (done.output, done.exception)
            return f"{done.exception} {done.exception.hint}"
        assert done.exit_code == exit_code, (done.output, done.exception)
        return done.output

    return run


@pytest.mark.parametrize(
    ("declared", "encoding"),
    [
        ("UTF-16", "utf-16"),
        ("UTF-16", "utf-16-le"),
        ("UTF-16", "utf-16-be"),
        ("UTF-8", "utf-16"),
        ("UTF-8", "utf-8"),
        ("utf8", "utf-8-sig"),
        ("ISO-8859-1", "iso-8859-1"),
        ("iso-8859-15", "iso-8859-15"),
        ("windows-1252", "cp1252"),
        ("UTF-32", "utf-32"),
    ],
)
def test_xml_is_read_in_the_encoding_that_it_declares(declared, encoding):
    assert decoded(XML.format(declared).encode(encoding)) == XML.format("UTF-8")


@given(LETTERS)
def test_text_comes_back_from_every_encoding(letters):
    for encoding in ("utf-8", "utf-8-sig"):
        assert decoded(f"#{letters}".encode(encoding)) == f"#{letters}"
    for encoding in ("utf-16", "utf-32", "utf-16-le"):
        assert decoded(f"<?xml version='1.0'?>{letters}".encode(encoding)) == f"<?xml version='1.0'?>{letters}"
    head = "<?xml version='1.0' encoding='latin1'?>"
    assert decoded(f"{head}{letters}".encode("latin-1")) == head.replace("latin1", "UTF-8") + letters


@given(st.binary(max_size=80), st.sampled_from([b"", codecs.BOM_UTF16_LE, codecs.BOM_UTF32_BE, b"<?xml encoding='", b"<\0?\0"]))
def test_any_bytes_are_text_or_refused(content, begin):
    try:
        decoded(begin + content)
    except (UnicodeError, LookupError):
        pass


@pytest.mark.parametrize("name", ["unicode_escape", "idna", "rot13", "base64", "nothing", "utf_7", "undefined"])
def test_other_encodings_are_refused(name):
    with pytest.raises(LookupError):
        decoded(f"<?xml version='1.0' encoding='{name}'?><a/>".encode())


@pytest.mark.parametrize("encoding", ["utf-16", "iso-8859-1", "utf-8"])
def test_a_definition_is_imported_in_its_encoding(tmp_path, encoding):
    """Into libvirt's own simulator, as virsh does."""
    pytest.importorskip("libvirt")
    file = tmp_path / "vm.xml"
    file.write_bytes(
        f"<?xml version='1.0' encoding='{encoding}'?>\n<domain type='test'><name>caf\u00e9</name>"
        "<memory unit='MiB'>64</memory><os><type>hvm</type></os></domain>".encode(encoding)
    )
    done = CliRunner().invoke(cli, ["-c", "test:///default", "vm", "import", str(file), "-o", "json"])
    assert done.exit_code == 0, (done.output, done.exception)
    assert json.loads(done.stdout)["name"] == "caf\u00e9"


def test_a_file_in_no_encoding_is_refused_with_its_name(novacron, tmp_path):
    (tmp_path / "vm.xml").write_bytes(b"\xff<domain>\xfc")
    assert "vm.xml is not text in UTF-8" in novacron("vm", "import", str(tmp_path / "vm.xml"), exit_code=2)


BAD = {
    "indent": ("#cloud-config\npackages:\n  - a\n - b\n", "line 4"),
    "colon": ("#cloud-config\nuser: a\npassword: hunter2: x\n", "line 3"),
    "tab": ("#cloud-config\nruncmd:\n\t- ls\n", "line 3"),
    "open": ("#cloud-config\nruncmd: [ls\n", "line 3"),
}


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.parametrize("option", ["--user-data", "--vendor-data", "--network-config"])
def test_bad_yaml_for_cloud_init_is_refused_with_its_line(novacron, tmp_path, option, kind):
    text, line = BAD[kind]
    (tmp_path / "data.yaml").write_text(text)
    said = novacron(
        "vm", "create", "new", "--memory", "64MiB", option, str(tmp_path / "data.yaml"), error=errors.InvalidSpecError
    )
    assert line in said
    assert "data.yaml" in said
    assert "hunter2" not in said
    assert "new" not in novacron("vm", "list", "-o", "name").split()


@pytest.mark.parametrize("text", ["#cloud-config\n- a\n", "#cloud-config\njust text\n"])
def test_cloud_config_that_is_no_mapping_is_refused(novacron, tmp_path, text):
    (tmp_path / "data.yaml").write_text(text)
    assert "mapping" in novacron("vm", "create", "new", "--user-data", str(tmp_path / "data.yaml"), exit_code=2)


@pytest.mark.parametrize(
    "text", ["#cloud-config\n{}\n", "#cloud-config\n", "#!/bin/sh\na: b: c\n", "## template: jinja\n#cloud-config\n{% if x %}\n"]
)
def test_other_user_data_is_taken_as_it_is(novacron, tmp_path, text):
    (tmp_path / "data").write_text(text)
    novacron("vm", "create", "new", "--memory", "64MiB", "--user-data", str(tmp_path / "data"))


def test_a_url_as_a_medium_says_how_to_get_it(novacron):
    url = "https://u:hunter2@h.example/a.iso?token=hunter2"
    novacron("disk", "attach", "vm-00003", "device=cdrom")
    for arguments in (("disk", "attach", "vm-00003", f"source={url}"), ("vm", "create", "new", "--set", f"iso={url}")):
        said = novacron(*arguments, error=errors.InvalidSpecError)
        assert "novacron image pull URL" in said
        assert "hunter2" not in said
    drive = next(
        disk["target"] for disk in json.loads(novacron("disk", "list", "vm-00003", "-o", "json")) if disk["device"] == "cdrom"
    )
    said = novacron("disk", "media", "vm-00003", drive, "ftp://h/a.iso", error=errors.InvalidSpecError)
    assert "novacron image pull URL" in said
