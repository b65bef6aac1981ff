"""Builds, once, what the tests need of other languages; everything lands in build/ and is kept until its source changes."""

import hashlib
import pathlib
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
