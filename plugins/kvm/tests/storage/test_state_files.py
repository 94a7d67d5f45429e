"""Whose UEFI variables a file holds, in each notation of libvirt."""

import libvirt
import pytest

import novacron
from novacron_kvm.storage import state_files
from novacron_kvm.storage.state_files import copies_of, owns_variables, renaming_variables, state_folders, unique
from novacron_kvm.xml.parsing import parse
from novacron_kvm.xml.sources import boot_files

FOLDER = "/var/lib/libvirt/qemu/nvram"
OWN = f"{FOLDER}/web1_VARS.fd"
EFI = "<domain type='test'><name>web1</name><memory>1024</memory><os firmware='efi'><type>hvm</type></os></domain>"
PLAIN, TYPED = "<nvram>{}</nvram>", "<nvram type='file'><source file='{}'/></nvram>"


@pytest.fixture
def connection():
    opened = libvirt.open("test:///default")
    yield opened
    opened.close()


@pytest.fixture
def define(connection):
    """Return a function that defines a VM with UEFI variables, and returns what libvirt makes of the definition."""

    defined = []

    def made(name, notation, path):
        text = (
            f"<domain type='test'><name>{name}</name><memory>1024</memory><os><type>hvm</type>"
            f"<loader readonly='yes' type='pflash'>/c</loader>{notation.format(path)}</os></domain>"
        )
        defined.append(connection.defineXML(text))
        return parse(defined[-1].XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))

    yield made
    for domain in defined:  # another test may keep the state of the test driver open
        domain.undefine()


@pytest.mark.parametrize("notation", [PLAIN, TYPED], ids=["text", "source"])
@pytest.mark.parametrize(
    ("path", "own"),
    [
        (OWN, True),
        ("/home/ada/.config/libvirt/qemu/nvram/web1_VARS.fd", True),
        ("/srv/embedded/lib/qemu/nvram/web1_VARS.fd", True),
        ("/images/db1.qcow2", False),
    ],
    ids=["of the system", "of a user", "of embed", "elsewhere"],
)
def test_variables_are_a_vm_s_own_only_in_a_folder_of_libvirt(connection, define, notation, path, own):
    root = define("web1", notation, path)
    assert owns_variables(connection, root) is own
    folder, _, name = path.rpartition("/")
    assert state_folders(root) == {folder: [name]}
    assert path in boot_files(root)


@pytest.mark.parametrize("theirs", [PLAIN, TYPED], ids=["text", "source"])
@pytest.mark.parametrize("ours", [PLAIN, TYPED], ids=["text", "source"])
def test_variables_that_two_vms_name_belong_to_neither(connection, define, ours, theirs):
    roots = define("web1", ours, OWN), define("thief", theirs, OWN.replace("web1", "./web1"))
    assert [owns_variables(connection, root) for root in roots] == [False, False]


def test_copies_of_a_snapshot_are_not_those_of_one_whose_name_begins_like_it(define):
    """Deleting the snapshot v1 would delete the state of v1.1."""
    root = define("web1", PLAIN, OWN)
    uuid, name = root.findtext("uuid"), "web1_VARS.fd"
    kept = {snapshot: f"/images/{unique(f'{uuid}.{snapshot}')}.nvram.{name}" for snapshot in ("v1", "v1.1", "v1.nvram")}
    memory = [f"/images/{unique(f'{uuid}.{snapshot}')}.memory" for snapshot in ("v1.1", "v1.nvram")]
    earlier = [f"/images/{uuid}.{snapshot}.{left}" for snapshot in ("v1.1", "v1.nvram") for left in ("memory", f"nvram.{name}")]
    for snapshot, path in kept.items():
        found = copies_of(root, f"{uuid}.{snapshot}", [*kept.values(), *memory, *earlier])
        assert path in [copy.path for copy in found]
        assert {copy.path for copy in found} - {path} <= {f"/images/{uuid}.{snapshot}.nvram.{name}"}, "that of an earlier version"
        assert {(copy.folder, copy.name) for copy in found} == {(OWN.rpartition("/")[0], name)}


@pytest.mark.parametrize(("path", "kept"), [("/data/web1.fd", ("/data/web1.fd",)), (OWN, ())], ids=["elsewhere", "its own"])
def test_deleting_a_vm_tells_the_variables_that_stay(path, kept):
    with novacron.connect("test:///default") as host:
        vm = host.vms.import_definition(
            "<domain type='test'><name>deleted</name><memory>1024</memory><os><type>hvm</type>"
            f"<loader readonly='yes' type='pflash'>/c</loader><nvram>{path}</nvram></os></domain>"
        )
        assert vm.delete().kept == kept


@pytest.fixture
def variables(connection):
    """The folder of UEFI variables of the system."""
    pool = connection.storagePoolCreateXML(f"<pool type='dir'><name>nvram</name><target><path>{FOLDER}</path></target></pool>", 0)
    yield pool
    pool.destroy()


def test_variables_that_another_vm_names_stay_when_a_vm_of_their_name_is_renamed(connection, variables, define, monkeypatch):
    define("db1", TYPED, OWN)
    create = lambda name: variables.createXML(f"<volume><name>{name}</name><capacity>1024</capacity></volume>", 0)  # noqa: E731
    monkeypatch.setattr(state_files, "_existing", lambda *_: variables)  # libvirt's test driver finds no pool by its folder,
    monkeypatch.setattr(state_files, "_copy", lambda volume, pool, name: create(name))  # and reads no volumes
    create("web1_VARS.fd")
    domain = connection.defineXML(EFI)
    try:
        with renaming_variables(connection, domain, "web2"):
            domain.rename("web2", 0)
        assert {*variables.listVolumes()} == {"web1_VARS.fd", "web2_VARS.fd"}
    finally:
        domain.undefine()


def test_a_vm_of_a_session_is_renamed_although_the_folder_of_the_system_can_not_be_read(connection):
    """Its variables are in a folder of the user, which libvirt does not tell."""
    domain = connection.defineXML(EFI)
    try:
        with renaming_variables(Session(), domain, "web2"):
            domain.rename("web2", 0)
        assert connection.lookupByUUIDString(domain.UUIDString()).name() == "web2"
    finally:
        domain.undefine()


class Session:
    """The daemon of a user, who may read nothing of the system."""

    def getURI(self):
        return "qemu+ssh://ann@lab/session"
