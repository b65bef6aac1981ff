"""The systemd unit is one that systemd understands without a word."""

import subprocess

import pytest

from agent import BINARY, ROOT

UNIT = ROOT / "systemd" / "holdfast.service"
EXPOSURE_MAX = 1.5


@pytest.fixture
def unit(tmp_path):
    """The unit as if the binary were installed: verify wants it to be there."""
    text = UNIT.read_text()
    assert "ExecStart=/usr/bin/holdfast --config /etc/holdfast/config.yaml\n" in text
    copy = tmp_path / "holdfast.service"
    copy.write_text(text.replace("/usr/bin/holdfast", str(BINARY)))
    return copy


def analyze(*arguments):
    return subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, timeout=60)


def test_verify_says_nothing(unit):
    done = analyze("verify", "--man=no", str(unit))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_verify_would_say_something(unit):
    unit.write_text(unit.read_text().replace("ProtectSystem=strict", "ProtectSystem=tight"))
    done = analyze("verify", "--man=no", str(unit))
    assert "tight" in done.stdout + done.stderr, "verify exits 0 even then: its output is what counts"


def test_the_sandbox_is_hard(unit):
    done = analyze("security", "--offline=true", str(unit))
    overall = [line for line in done.stdout.splitlines() if "Overall exposure level" in line]
    assert float(overall[0].split(":")[1].split()[0]) <= EXPOSURE_MAX, done.stdout
