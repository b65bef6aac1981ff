"""The Debian package: installed, upgraded, removed and purged on a real Debian with a real systemd, under load."""

import pathlib
import re
import subprocess

import pytest
import requests

from agent import ROOT, wait_until
from debian_machine import Machine, debian_root, run
from load import Load
from upstream import Upstream

CONFIGURATION = pathlib.Path("/etc/holdfast/config.yaml")
DATA = pathlib.Path("/var/lib/holdfast")
PORTS = {"grpc_port": 4317, "http_port": 4318, "health_port": 13133}

pytestmark = pytest.mark.long


# ---- packages ----
@pytest.fixture(scope="module")
def package():
    """What ./dev package makes."""
    made = subprocess.run([ROOT / "dev", "package"], capture_output=True, text=True, timeout=3600)
    assert made.returncode == 0, made.stdout[-4000:] + made.stderr[-4000:]
    [file] = (ROOT / "build").glob("holdfast_*.deb")
    return file


@pytest.fixture(scope="module")
def share(package, tmp_path_factory):
    """A directory with the package as old.deb, and as new.deb with a higher version and another configuration."""
    directory = tmp_path_factory.mktemp("share")
    (directory / "old.deb").write_bytes(package.read_bytes())
    tree = directory / "tree"
    run("dpkg-deb", "--raw-extract", package, tree)
    control = tree / "DEBIAN" / "control"
    control.write_text(re.sub(r"^Version: .*$", r"\g<0>.1", control.read_text(), flags=re.MULTILINE))
    with open(tree / CONFIGURATION.relative_to("/"), "a") as configuration:
        configuration.write("# of the new version\n")
    run("dpkg-deb", "--root-owner-group", "--build", tree, directory / "new.deb")
    return directory


@pytest.fixture
def machine(package, share, tmp_path):
    dependencies = run("dpkg-deb", "--field", package, "Depends").strip()
    machine = Machine(debian_root(dependencies), tmp_path / "machine", share)
    try:
        machine.boot()
        yield machine
        print(machine.run("journalctl", "--unit=holdfast", "--no-pager", check=False).stdout[-6000:])
    finally:
        machine.close()


class Service:
    """The agent in the machine, as Load and the tests look at it. To be used within the machine's network."""

    def __init__(self, machine):
        self.machine = machine
        self.http_port = PORTS["http_port"]
        self.grpc_endpoint = f"127.0.0.1:{PORTS['grpc_port']}"

    def wait_ready(self):
        def ready():
            try:
                return requests.get(f"http://127.0.0.1:{PORTS['health_port']}/", timeout=5).status_code == 200
            except requests.ConnectionError:
                return False

        wait_until(ready, what="an agent that is ready")

    def status(self):
        return requests.get(f"http://127.0.0.1:{PORTS['health_port']}/status", timeout=5).json()

    def pid(self):
        return int(self.machine.says("systemctl", "show", "--property=MainPID", "--value", "holdfast"))

    def is_active(self):
        return self.machine.run("systemctl", "is-active", "holdfast", check=False).stdout.strip()


def install(machine, name, *options):
    return machine.run("dpkg", *options, "--install", f"/share/{name}").stdout


@pytest.fixture
def service(machine):
    """The package is installed, and the agent runs; everything here is on the machine's network."""
    install(machine, "old.deb")
    service = Service(machine)
    with machine.network():
        service.wait_ready()
        yield service


def fill(service):
    """Sends requests of every signal, over HTTP; returns the ids that were acknowledged."""
    load = Load(service, clients=3, items=10, limit=20).start().join()
    ids = load.acknowledged_ids()
    assert len(ids) == 600
    return ids


def name_upstream(machine, upstream):
    """As an administrator does it."""
    file = machine.root / CONFIGURATION.relative_to("/")
    text = file.read_text()
    assert "http://upstream.invalid:4318" in text
    file.write_text(text.replace("http://upstream.invalid:4318", upstream.url))


def wait_delivered(upstream, ids):
    wait_until(lambda: ids <= set(upstream.ids()), 60, f"delivery of {len(ids)} items")
    assert upstream.objections() == []


# ---- what it says of itself ----
def test_lintian_finds_nothing(package):
    # Spelling in binaries: words of gRPC's, and ends of words that the compiler has cut into instructions.
    done = subprocess.run(["lintian", "--allow-root", "--fail-on=error,warning,info", "--display-info",
                           "--suppress-tags=spelling-error-in-binary", package], capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


def test_the_version_of_the_package_is_that_of_the_program(package):
    version = run("dpkg-deb", "--field", package, "Version").strip()
    assert version == run(ROOT / "build/release/holdfast", "--version").split()[-1] + "-1"


# ---- its life on a machine ----
def test_installed_it_runs_and_holds_what_comes_until_there_is_an_upstream(machine, service):
    assert service.is_active() == "active"
    assert machine.says("systemctl", "is-enabled", "holdfast") == "enabled"
    assert machine.says("stat", "--format=%U", f"/proc/{service.pid()}") == "holdfast"
    ids = fill(service)
    upstream = Upstream()
    name_upstream(machine, upstream)
    machine.run("systemctl", "restart", "holdfast")
    wait_delivered(upstream, ids)
    upstream.down()


def test_after_a_reboot_it_runs_and_holds_what_it_held(machine):
    install(machine, "old.deb")
    with machine.network():
        Service(machine).wait_ready()
        ids = fill(Service(machine))
    machine.power_off()
    upstream = None
    machine.boot()
    with machine.network():
        Service(machine).wait_ready()
        upstream = Upstream()
        name_upstream(machine, upstream)
        machine.run("systemctl", "restart", "holdfast")
        wait_delivered(upstream, ids)
        upstream.down()


def test_an_upgrade_under_load_loses_nothing_and_keeps_a_changed_configuration(machine, service):
    held = fill(service)
    upstream = Upstream()
    name_upstream(machine, upstream)
    before = service.pid()
    load = Load(service, clients=3, items=10).start()
    wait_until(lambda: len(load.acknowledged_ids()) > 300, what="load")
    install(machine, "new.deb", "--force-confold")
    service.wait_ready()
    acknowledged = len(load.acknowledged_ids())
    wait_until(lambda: len(load.acknowledged_ids()) > acknowledged + 300, what="load on the new version")
    load.stop()
    assert service.pid() not in (0, before), "the new version runs"
    wait_delivered(upstream, held | load.acknowledged_ids())
    upstream.down()


def test_an_upgrade_replaces_a_configuration_that_nobody_has_changed(machine, service):
    install(machine, "new.deb")
    service.wait_ready()
    assert machine.says("tail", "-n", "1", CONFIGURATION) == "# of the new version"


def test_an_upgrade_leaves_a_disabled_service_disabled(machine, service):
    machine.run("systemctl", "disable", "--now", "holdfast")
    install(machine, "new.deb")
    assert machine.run("systemctl", "is-enabled", "holdfast", check=False).stdout.strip() == "disabled"
    assert service.is_active() == "inactive"


def test_removed_it_stops_and_what_it_holds_stays_for_the_next_installation(machine, service):
    ids = fill(service)
    machine.run("dpkg", "--remove", "holdfast")
    assert service.is_active() == "inactive"
    assert list((machine.root / DATA.relative_to("/") / "traces").glob("*.seg"))
    install(machine, "old.deb")
    service.wait_ready()
    upstream = Upstream()
    name_upstream(machine, upstream)
    machine.run("systemctl", "restart", "holdfast")
    wait_delivered(upstream, ids)
    upstream.down()


def test_purged_it_leaves_nothing_behind_but_its_user(machine, service):
    before = files_of(machine)
    fill(service)
    machine.run("dpkg", "--purge", "holdfast")
    assert before and files_of(machine) == []
    assert "holdfast" in machine.says("getent", "passwd", "holdfast")
    assert machine.says("systemctl", "list-units", "--all", "--failed", "--quiet", "--no-legend") == ""


def test_a_buffer_on_a_file_system_of_its_own_is_purged_too(machine, service):
    machine.run("systemctl", "stop", "holdfast")
    machine.run("mount", "-t", "tmpfs", "tmpfs", DATA)
    machine.run("systemctl", "start", "holdfast")
    service.wait_ready()
    fill(service)
    assert machine.says("ls", DATA)
    machine.run("dpkg", "--purge", "holdfast")
    assert machine.says("ls", "-A", DATA) == ""


def files_of(machine):
    """All in the file system whose name is the package's, but what dpkg and the journal remember."""
    found = machine.says("find", "/", "-xdev", "-name", "*holdfast*", "-not", "-path", "/proc/*", "-not", "-path", "/sys/*")
    return sorted(found.split())
