"""Builds, once, what the tests need of other languages; everything lands in build/ and is kept until its source changes."""

import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess

from agent import ROOT

HERE = pathlib.Path(__file__).resolve().parent
BUILD = ROOT / "build"


def run(*command, cwd=None, env=None, timeout=600):
    """Runs to its end and returns its standard output; a failure shows all it said."""
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, timeout=timeout)
    assert done.returncode == 0, (
        f"{' '.join(map(str, command))} ended with {done.returncode}\n"
        f"{done.stdout.decode(errors='replace')[-4000:]}\n{done.stderr.decode(errors='replace')[-4000:]}")
    return done.stdout


def _fingerprint(files):
    digest = hashlib.sha256()
    for file in sorted(files):
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


def _make_once(directory, files, make):
    stamp = directory / "stamp"
    fingerprint = _fingerprint(files)
    if not stamp.exists() or stamp.read_text() != fingerprint:
        stamp.unlink(missing_ok=True)
        directory.mkdir(parents=True, exist_ok=True)
        make()
        stamp.write_text(fingerprint)
    return directory


def node_programs():
    """The directory with tests/integration/node and its node_modules."""
    source = HERE / "node"
    target = BUILD / "node"
    files = [*source.glob("*.js"), source / "package.json", source / "package-lock.json"]

    def make():
        for file in files:
            shutil.copy(file, target)
        run("npm", "ci", "--no-audit", "--no-fund", "--omit=dev", cwd=target)

    return _make_once(target, files, make)


def java_classpath(project="java"):
    """The class path with tests/integration/<project> and its dependencies."""
    source = HERE / project
    target = BUILD / project
    files = [source / "pom.xml", *source.rglob("*.java")]
    _make_once(target, files, lambda: run(
        "mvn", "--batch-mode", "--quiet", "-f", source / "pom.xml", "process-classes"))
    return f"{target / 'classes'}:{target / 'dependency'}/*"


# ---- Go ----
COLLECTOR = "v0.162.0"  # with go/collector.yaml


def _go(*arguments, cwd, timeout=3600):
    """Runs go, last in line for the cores: these builds take minutes. An older go fetches the toolchain that it is asked for."""
    wanted = "the tests of --all build Go programs: install Go 1.21 or newer (https://go.dev/dl; Debian 12 has 1.19)"
    assert shutil.which("go"), wanted
    said = run("go", "env", "GOVERSION").decode().strip()
    assert tuple(map(int, re.findall(r"\d+", said)[:2])) >= (1, 21), f"{wanted}; here it is {said}"
    environment = {**os.environ, "GOFLAGS": "-mod=mod -buildvcs=false", "GOTOOLCHAIN": "auto", "GOWORK": "off"}
    return run("nice", "go", *arguments, cwd=cwd, env=environment, timeout=timeout)


def go_program(name, package, module, version):
    """A program that others publish as a Go module: the path of its binary.

    Built as a dependency of an empty module, since `go install` refuses modules with replace directives; the versions of
    all that it needs follow from `version` (minimal version selection), and its own go.sum checks them.
    """
    target = BUILD / "go" / name
    binary = target / name
    wanted = target / "wanted"  # go.mod itself gets all that follows from it
    target.mkdir(parents=True, exist_ok=True)
    wanted.write_text(f"module holdfast/{name}\n\ngo 1.25\n\nrequire {module} {version}\n")

    def make():
        shutil.copy(wanted, target / "go.mod")
        # What its authors have written down of the modules it needs: the checksum database need not know them all.
        published = json.loads(_go("mod", "download", "-json", f"{module}@{version}", cwd=target))
        shutil.copyfile(pathlib.Path(published["Dir"]) / "go.sum", target / "go.sum")
        _go("build", "-trimpath", "-ldflags=-s -w", "-o", binary, package, cwd=target)

    _make_once(target, [wanted], make)
    return binary


def telemetrygen():
    module = "github.com/open-telemetry/opentelemetry-collector-contrib/cmd/telemetrygen"
    return go_program("telemetrygen", module, module, "v0.161.0")


def jaeger():
    return go_program("jaeger", "github.com/jaegertracing/jaeger/cmd/jaeger", "github.com/jaegertracing/jaeger", "v1.76.0")


def prometheus():
    return go_program(
        "prometheus", "github.com/prometheus/prometheus/cmd/prometheus", "github.com/prometheus/prometheus", "v0.315.0")


def collector():
    """The OpenTelemetry Collector with the components of go/collector.yaml: the path of its binary."""
    module = "go.opentelemetry.io/collector/cmd/builder"
    builder = go_program("builder", module, module, COLLECTOR)
    manifest = HERE / "go" / "collector.yaml"
    target = BUILD / "go" / "collector"
    binary = target / "otelcol"

    def make():
        # Left to itself the builder would ask for every module in its newest version: these are resolved from a go.mod.
        run(builder, "--config", manifest, "--skip-get-modules", "--skip-compilation", cwd=target)
        requirements = re.findall(r"gomod: (.+)", manifest.read_text())
        (target / "go.mod").write_text("\n".join([
            "module holdfast/collector", "", "go 1.25", "", f"require go.opentelemetry.io/collector/otelcol {COLLECTOR}",
            *(f"require {each}" for each in requirements), ""]))
        _go("build", "-trimpath", "-ldflags=-s -w", "-o", binary, ".", cwd=target)

    _make_once(target, [manifest], make)
    return binary


def go_sdk_client():
    """go/client.go: the OpenTelemetry SDK for Go behind the same command line as node/client.js."""
    source = HERE / "go"
    target = BUILD / "go" / "client"
    files = [source / "client.go", source / "go.mod"]

    def make():
        for file in files:
            shutil.copy(file, target)
        _go("build", "-o", target / "client", ".", cwd=target)

    _make_once(target, files, make)
    return target / "client"
