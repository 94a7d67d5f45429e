"""Images on a real host: pulled from a local web server, used by a VM that runs, protected while they are used."""

import hashlib
import importlib.util
import subprocess
from pathlib import Path

import pytest

from novacron.errors import ImageError, InvalidStateError

pytestmark = pytest.mark.lab

_spec = importlib.util.spec_from_file_location("image_server", Path(__file__).parents[2] / "core" / "tests" / "image_server.py")
_module = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_module)


@pytest.fixture
def server():
    made = _module.ImageServer()
    yield made
    made.close()


@pytest.fixture
def pulled(lab_hosts, monkeypatch, tmp_path):
    """Return a function that pulls an image, removed at the end."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    host, made = lab_hosts[0], []

    def pull(url, **options):
        image = host.images.pull(url, **options)
        made.append(image.name)
        return image

    yield pull
    for name in made:
        host.images.remove(name)


def an_image(folder: Path, size: str = "48M") -> bytes:
    """Return a qcow2 image with some content."""
    raw, image = folder / "content.raw", folder / "image.qcow2"
    raw.write_bytes(bytes(510) + b"\x55\xaa" + b"novacron" * 4096)
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, image], check=True)
    subprocess.run(["qemu-img", "resize", "-q", image, size], check=True)
    return image.read_bytes()


def test_a_pulled_qcow2_image_is_one_for_libvirt_and_a_vm_runs_on_it(lab_hosts, pulled, server, boot, tmp_path):
    host = lab_hosts[0]
    data = an_image(tmp_path)
    server.files["/tiny.qcow2"] = data
    image = pulled(f"{server.url}/tiny.qcow2", name="e2e-image", checksum=hashlib.sha256(data).hexdigest())
    assert (image.format, image.capacity_bytes) == ("qcow2", 48 * 1024**2)
    assert "e2e-image" in [each.name for each in host.images.list()]
    vm = boot(host, "image-user", disks=[{"source": "image:e2e-image"}])
    assert vm.disks["vda"].record.format == "qcow2"
    with pytest.raises(InvalidStateError):
        host.images.remove("e2e-image")
    with pytest.raises(InvalidStateError):
        host.images.pull(f"{server.url}/tiny.qcow2", name="e2e-image", replace=True)
    assert host.images.get("e2e-image") == image
    assert host.images.prune() == []
    vm.delete(force=True)


def test_an_image_that_names_a_file_of_the_host_never_reaches_the_pool(lab_hosts, server, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    host, evil = lab_hosts[0], tmp_path / "evil.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", "/etc/shadow", "-F", "raw", evil, "1M"], check=True)
    server.files["/evil.qcow2"] = evil.read_bytes()
    before = [volume.name for volume in host.pools.volumes()]
    with pytest.raises(ImageError, match="backing file"):
        host.images.pull(f"{server.url}/evil.qcow2", name="evil")
    assert [volume.name for volume in host.pools.volumes()] == before
