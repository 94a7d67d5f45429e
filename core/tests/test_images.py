"""Images: the catalogue, downloads that continue, checksums and signatures, and what is refused."""

import bz2
import gzip
import hashlib
import importlib.util
import json
import lzma
import shutil
import struct
import subprocess
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import novacron
from novacron.errors import (
    AlreadyExistsError,
    ImageError,
    ImageNotFoundError,
    InvalidSpecError,
    InvalidStateError,
    NovaCronError,
    OperationCancelledError,
)
from novacron.images.catalogue import catalogue, find_source
from novacron.images.checksums import check_signature, find_checksum
from novacron.images.inspection import inspect, unpacked
from novacron.jobs import Job

_spec = importlib.util.spec_from_file_location("image_server", Path(__file__).with_name("image_server.py"))
_module = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_module)

RAW = bytes(510) + b"\x55\xaa" + bytes(range(256)) * 400
"""A raw image: what a partition table ends with, and content."""


def qcow2(*, virtual=1 << 30, backing=0, features=0, version=3):
    """Return the beginning of a qcow2 image."""
    head = b"QFI\xfb" + struct.pack(">IQIIQ", version, backing, 0, 16, virtual)
    return head.ljust(72, b"\0") + struct.pack(">Q", features) + bytes(4000)


@pytest.fixture
def server():
    made = _module.ImageServer()
    yield made
    made.close()


@pytest.fixture
def host(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("NOVACRON_IMAGES", raising=False)
    with novacron.connect(f"sim://{tmp_path.name}") as made:
        yield made


def volumes(host):
    return [volume.name for volume in host.pools.volumes()]


def test_every_entry_of_the_catalogue_is_complete():
    known = catalogue("x86_64", extra=())
    assert {"debian-13", "ubuntu-24.04", "fedora-43", "rocky-9"} <= known.keys()
    for source in known.values():
        assert source.url.startswith("https://"), source
        assert (source.checksums or "").startswith("https://"), source
        assert "{" not in source.url + source.checksums, source
        assert all((source.user, source.title)), source


def test_an_architecture_has_its_own_images():
    assert catalogue("aarch64", extra=())["debian-13"].url.endswith("-arm64.qcow2")
    assert "arch" not in catalogue("aarch64", extra=())


def test_a_users_own_catalogue_adds_and_replaces(host, tmp_path, monkeypatch):
    folder = tmp_path / "config" / "novacron" / "images.d"
    folder.mkdir(parents=True)
    (folder / "own.toml").write_text('[gold]\nurl = "https://example.org/{arch}/gold.qcow2"\nuser = "ops"\n')
    more = tmp_path / "more.toml"
    more.write_text('[debian-13]\nurl = "https://mirror.example.org/d13.qcow2"\n')
    monkeypatch.setenv("NOVACRON_IMAGES", str(more))
    known = host.images.available()
    assert known["gold"].url == "https://example.org/x86_64/gold.qcow2"
    assert known["debian-13"].url == "https://mirror.example.org/d13.qcow2"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = 1", "a table"),
        ("[a]\ntitle = 'no url'", "a.url"),
        ("[a]\nurl = 'https://x/y'\nurll = 'z'", "a.urll"),
        ("[a]\nurl = 5", "a.url"),
        ("[a]\nurl = 'https://x/y'\narch = 'x'", "a.arch"),
        ("['../a']\nurl = 'https://x/y'", "a name"),
        ("[a]\nurl = 'ftp://x/y'", "a URL of https"),
        ("[a\nurl", "TOML"),
    ],
)
def test_a_bad_catalogue_is_refused_by_entry_and_field(tmp_path, text, said):
    file = tmp_path / "bad.toml"
    file.write_text(text)
    with pytest.raises(InvalidSpecError, match="invalid") as refused:
        catalogue(extra=[file])
    assert said in str(refused.value)


def test_a_name_that_is_not_known_gets_similar_ones():
    with pytest.raises(ImageNotFoundError) as refused:
        find_source("debian13", extra=())
    assert "debian-13" in refused.value.hint


@pytest.mark.parametrize("url", ["https://me:Sek-ret@example.org/a.qcow2", "http://Sek-ret@[::1/a", "gopher://x/Sek-ret"])
def test_a_url_with_a_password_is_refused_and_not_repeated(url):
    with pytest.raises(InvalidSpecError) as refused:
        find_source(url)
    assert "gopher" in url or "Sek-ret" not in str(refused.value)


@pytest.mark.parametrize(
    "text",
    [
        "{hex}  a.qcow2\n" + "1" * 64 + "  b.qcow2\n",
        "{hex} *a.qcow2",
        "{hex}  ./a.qcow2",
        "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n# a.qcow2: 5 bytes\nSHA256 (a.qcow2) = {hex}\n-----BEGIN PGP SIGNATURE-----",
        "{hex}\n",
    ],
)
def test_the_forms_of_checksum_files_are_read(text):
    assert find_checksum(text.replace("{hex}", "ab" * 32), "a.qcow2") == "ab" * 32


@pytest.mark.parametrize("text", ["", "ab" * 16 + "  a.qcow2", "ab" * 20, "ab" * 32 + "  other", "SHA1 (a.qcow2) = " + "ab" * 20])
def test_weak_or_foreign_checksums_are_none(text):
    assert find_checksum(text, "a.qcow2") is None


@given(st.text(max_size=300), st.text(max_size=40))
def test_reading_a_checksum_file_never_fails(text, name):
    found = find_checksum(text, name)
    assert found is None or len(found) in (64, 128)


def test_an_image_is_pulled_checked_and_listed(host, server):
    server.files["/tiny.img"] = RAW
    digest = hashlib.sha256(RAW).hexdigest()
    image = host.images.pull(f"{server.url}/tiny.img", checksum=digest)
    assert (image.name, image.checksum, image.url) == ("tiny", digest, f"{server.url}/tiny.img")
    assert [each.name for each in host.images.list()] == ["tiny"]
    vm = host.vms.create(name="web1", disks=[{"source": "image:tiny"}])
    assert host.pools.volume(vm.disks["vda"].record.source.rpartition("/")[2]).backing == image.path


def test_the_distributions_checksum_file_decides(host, server, tmp_path, monkeypatch):
    server.files["/d.img"], server.files["/SUMS"] = RAW, f"{hashlib.sha512(RAW).hexdigest()}  d.img\n".encode()
    own = tmp_path / "own.toml"
    own.write_text(f'[d]\nurl = "{server.url}/d.img"\nchecksums = "{server.url}/SUMS"\nuser = "debian"\n')
    monkeypatch.setenv("NOVACRON_IMAGES", str(own))
    image = host.images.ensure("d")
    assert image.user == "debian"
    assert image.checksum == hashlib.sha512(RAW).hexdigest()
    asked = len(server.requests)
    assert host.images.ensure("d") == image
    assert len(server.requests) == asked  # it is there: nobody is asked
    server.files["/SUMS"] = b"nothing of it"
    with pytest.raises(ImageError, match="has no SHA-256"):
        host.images.pull("d", name="other")


def test_a_wrong_checksum_leaves_nothing(host, server):
    server.files["/tiny.img"] = RAW
    with pytest.raises(ImageError, match="does not have the expected checksum"):
        host.images.pull(f"{server.url}/tiny.img", checksum="0" * 64)
    assert volumes(host) == []


def test_an_interrupted_download_continues_where_it_stopped(host, server):
    server.files["/big.img"], server.cut_after = RAW, 60_000
    with pytest.raises(ImageError, match="60000 of"):
        host.images.pull(f"{server.url}/big.img")
    assert volumes(host) == []
    image = host.images.pull(f"{server.url}/big.img", checksum=hashlib.sha256(RAW).hexdigest())
    assert image.name == "big"
    assert [wanted for _, wanted in server.requests] == [None, "bytes=60000-"]


def test_a_file_that_changed_meanwhile_is_fetched_anew(host, server):
    server.files["/big.img"], server.cut_after = RAW, 60_000
    with pytest.raises(ImageError):
        host.images.pull(f"{server.url}/big.img")
    fresh = RAW[:512] + bytes(100_000)
    server.files["/big.img"] = fresh
    host.images.pull(f"{server.url}/big.img", checksum=hashlib.sha256(fresh).hexdigest())


def test_the_cache_is_asked_whether_it_is_fresh(host, server):
    server.files["/tiny.img"] = RAW
    host.images.pull(f"{server.url}/tiny.img", name="one")
    host.images.pull(f"{server.url}/tiny.img", name="two")
    newer = RAW + b"more"
    server.files["/tiny.img"] = newer
    host.images.pull(f"{server.url}/tiny.img", name="three", checksum=hashlib.sha256(newer).hexdigest())


def test_a_cancelled_pull_leaves_no_volume_and_goes_on_later(host, server):
    server.files["/big.img"], server.gate = RAW, threading.Event()
    job = host.images.pull(f"{server.url}/big.img", wait=False)
    assert server.began.wait(60)
    job.cancel()
    server.gate.set()
    with pytest.raises(OperationCancelledError):
        job.result(30)
    assert volumes(host) == []
    server.gate = None
    assert host.images.pull(f"{server.url}/big.img", checksum=hashlib.sha256(RAW).hexdigest()).name == "big"


def test_two_pulls_of_one_file_take_turns(host, server):
    server.files["/tiny.img"] = RAW
    jobs = [host.images.pull(f"{server.url}/tiny.img", name=f"copy{n}", wait=False) for n in range(4)]
    assert sorted(job.result(30).name for job in jobs) == ["copy0", "copy1", "copy2", "copy3"]


@pytest.mark.parametrize("status", [404, 403, 500])
def test_a_server_that_refuses_is_named(host, server, status):
    server.status = status
    with pytest.raises(NovaCronError) as refused:
        host.images.pull(f"{server.url}/x.img")
    assert isinstance(refused.value, ImageNotFoundError if status == 404 else ImageError)
    assert server.url in str(refused.value)


def test_a_name_that_is_taken_is_refused_unless_replaced(host, server):
    server.files["/tiny.img"] = RAW
    host.pools.create_volume(name="tiny", capacity="1MiB")
    with pytest.raises(AlreadyExistsError):
        host.images.pull(f"{server.url}/tiny.img")
    assert host.images.list() == []  # a volume that nobody pulled is no image
    with pytest.raises(ImageNotFoundError, match="is not an image"):
        host.images.get("tiny")
    host.images.pull(f"{server.url}/tiny.img", replace=True)
    assert [image.name for image in host.images.list()] == ["tiny"]


def test_an_image_in_use_is_neither_removed_nor_replaced_nor_pruned(host, server):
    server.files["/tiny.img"] = RAW
    for name in ("used", "unused"):
        host.images.pull(f"{server.url}/tiny.img", name=name)
    host.vms.create(name="web1", disks=[{"source": "image:used"}])
    with pytest.raises(InvalidStateError):
        host.images.remove("used")
    assert [image.name for image in host.images.prune()] == ["unused"]
    with pytest.raises(InvalidStateError):
        host.images.pull(f"{server.url}/tiny.img", name="used", replace=True)
    host.vms["web1"].delete()
    host.images.remove("used")
    assert volumes(host) == []


@pytest.mark.parametrize(("ending", "pack"), [(".xz", lzma.compress), (".gz", gzip.compress), (".bz2", bz2.compress)])
def test_a_compressed_image_is_unpacked(host, tmp_path, ending, pack):
    file = tmp_path / f"tiny.img{ending}"
    file.write_bytes(pack(RAW))
    assert host.images.pull(str(file)).name == "tiny"
    assert unpacked(file, Job("x")).read_bytes() == RAW


def test_a_compressed_image_is_bounded_and_a_damaged_one_is_named(tmp_path):
    file = tmp_path / "bomb.gz"
    file.write_bytes(gzip.compress(bytes(50_000_000)))
    with pytest.raises(ImageError, match="more than"):
        unpacked(file, Job("x"), limit=10_000_000)
    file.write_bytes(gzip.compress(RAW)[:-20])
    with pytest.raises(ImageError, match="can't be unpacked"):
        unpacked(file, Job("x"))
    assert [each.name for each in tmp_path.iterdir()] == ["bomb.gz"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"<!DOCTYPE html><title>Sign in</title>" + bytes(600), "not a disk image"),
        (b"", "not a disk image"),
        (qcow2(backing=200), "backing file"),
        (qcow2(features=4), "another file"),
        (qcow2(version=9), "unknown version 9"),
        (b"QFI\xfb\x00", "cut off"),
    ],
)
def test_what_is_no_complete_image_is_refused(host, tmp_path, content, said):
    file = tmp_path / "x.qcow2"
    file.write_bytes(content)
    with pytest.raises(ImageError, match=said):
        host.images.pull(str(file))
    assert volumes(host) == []


def test_formats_are_told_apart(tmp_path):
    file = tmp_path / "x"
    for content, expected in [
        (qcow2(virtual=5 << 30), ("qcow2", 5 << 30)),
        (RAW, ("raw", len(RAW))),
        (bytes(32769) + b"CD001", ("iso", 32774)),
        (b"KDMV" + struct.pack("<IIQ", 3, 0, 2048) + bytes(500), ("vmdk", 1 << 20)),
    ]:
        file.write_bytes(content)
        assert tuple(inspect(file)) == expected


@given(st.binary(max_size=600))
def test_inspecting_never_fails_but_with_an_image_error(tmp_path_factory, content):
    file = tmp_path_factory.getbasetemp() / "fuzzed"
    file.write_bytes(content)
    try:
        inspect(file)
    except ImageError:
        pass


@pytest.mark.parametrize("name", ["../x", "a/b", "", "-x", "a\n", "x.image.json", "a" * 200])
def test_a_bad_name_is_refused_before_anything_is_fetched(host, server, name):
    with pytest.raises(InvalidSpecError):
        host.images.pull(f"{server.url}/x.img", name=name or "\n")
    assert server.requests == []


def test_a_bad_checksum_is_refused_before_anything_is_fetched(host, server):
    for checksum in ("xyz", "ab" * 16, "g" * 64):
        with pytest.raises(InvalidSpecError):
            host.images.pull(f"{server.url}/x.img", checksum=checksum)
    assert server.requests == []


@pytest.fixture(scope="module")
def signer(tmp_path_factory):
    """A key of GnuPG's of this test's own: a function that signs, and the public keyring."""
    if not shutil.which("gpg") or not shutil.which("gpgv"):
        pytest.fail("gpg and gpgv are needed")
    home = tmp_path_factory.mktemp("gpg")
    home.chmod(0o700)
    run = ["gpg", "--homedir", str(home), "--batch", "--pinentry-mode", "loopback", "--passphrase", ""]
    subprocess.run([*run, "--quick-generate-key", "test@example.org", "default", "default"], check=True, capture_output=True)
    keyring = home / "public.gpg"
    keyring.write_bytes(subprocess.run([*run, "--export"], check=True, capture_output=True).stdout)

    def sign(data, *how):
        return subprocess.run([*run, *how], input=data, check=True, capture_output=True).stdout

    yield sign, keyring
    subprocess.run(["gpgconf", "--homedir", str(home), "--kill", "all"], check=False, capture_output=True)


def test_signatures_are_checked(signer, tmp_path):
    sign, keyring = signer
    sums = b"ab  a.qcow2\n"
    assert check_signature(sums, sign(sums, "--detach-sign"), keyring) == sums
    assert check_signature(sign(sums, "--clear-sign"), None, keyring) == sums
    with pytest.raises(ImageError, match="not valid"):
        check_signature(sums + b"x", sign(sums, "--detach-sign"), keyring)
    with pytest.raises(ImageError, match="not valid"):
        check_signature(sums, None, keyring)
    with pytest.raises(ImageError, match="is missing"):
        check_signature(sums, None, tmp_path / "no.gpg")


def test_a_signed_catalogue_entry_is_pulled_and_a_forged_one_is_not(host, server, signer, tmp_path, monkeypatch):
    sign, keyring = signer
    sums = f"{hashlib.sha256(RAW).hexdigest()}  d.img\n".encode()
    server.files |= {"/d.img": RAW, "/SUMS": sums, "/SUMS.gpg": sign(sums, "--detach-sign")}
    own = tmp_path / "own.toml"
    own.write_text(
        f'[d]\nurl = "{server.url}/d.img"\nchecksums = "{server.url}/SUMS"\nsignature = "{server.url}/SUMS.gpg"\nkeyring = "{keyring}"\n'
    )
    monkeypatch.setenv("NOVACRON_IMAGES", str(own))
    assert host.images.pull("d").signed
    evil = RAW[:512] + b"evil" * 100
    server.files |= {"/d.img": evil, "/SUMS": f"{hashlib.sha256(evil).hexdigest()}  d.img\n".encode()}
    with pytest.raises(ImageError, match="signature"):
        host.images.pull("d", name="forged")
    assert "forged" not in volumes(host)


def test_a_note_that_is_no_note_makes_no_image(host, server):
    server.files["/tiny.img"] = RAW
    image = host.images.pull(f"{server.url}/tiny.img")
    host.pools.delete_volume("tiny.image.json")
    assert host.images.list() == []
    host.pools.create_volume(name="tiny.image.json", capacity="1KiB", format="raw")
    with pytest.raises(ImageNotFoundError):
        host.images.get("tiny")
    assert json.dumps(image.as_dict())
