"""Shell completion and manual page say what --help says, and each shell makes use of them."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios

import pytest

from agent import BINARY

TEXT_COLUMN = 30  # of --help


def holdfast(*arguments):
    return subprocess.run([BINARY, *arguments], capture_output=True, text=True, timeout=30, check=True).stdout


def read_help(path=()):
    """{path of a command: {"Options": {name: text}, "Subcommands": …, "Positionals": …}}, from --help."""
    tables = {"Options": {}, "Subcommands": {}, "Positionals": {}}
    table = {}
    for line in holdfast(*path, "--help").splitlines():
        if line.endswith(":") and line[:-1] in tables:
            table = tables[line[:-1]]
        elif line.startswith(" " * TEXT_COLUMN):
            table[names] = line.strip()
        elif line.startswith("  "):
            names = line.split()[0]
            table[names] = line[TEXT_COLUMN:]
    found = {path: tables}
    for command in tables["Subcommands"]:
        found |= read_help((*path, command))
    return found


def names_of(table):
    return [name for names in table for name in names.split(",")]


@pytest.fixture(scope="module")
def commands():
    found = read_help()
    assert found["quarantine", "replay"]["Options"]["--dry-run"] == "Say what would be sent", "--help is understood"
    assert all(text for tables in found.values() for table in tables.values() for text in table.values())
    return found


# ---- the manual page ----
def test_the_manual_page_describes_every_command_and_option_as_help_does(commands):
    page = re.sub(r"\\f[BIR]", "", holdfast("manual")).replace("\\-", "-").replace("\\e", "\\")
    sections = dict(re.findall(r"^\.SS holdfast (.*)\n((?:(?!\.S[SH]).*\n)*)", page, re.MULTILINE))
    sections = {tuple(name.split()): text for name, text in sections.items()}
    sections[()] = re.search(r"^\.SH SYNOPSIS\n(.|\n)*?\n\.SH COMMANDS", page, re.MULTILINE)[0]
    assert sections.keys() == commands.keys()
    for path, tables in commands.items():
        section = sections[path]
        for names, text in (tables["Options"] | tables["Positionals"]).items():
            assert names.split(",")[-1] in section, (path, names)
            assert f"\n{text}.\n" in section + sections[()], (path, names)
        for command, text in tables["Subcommands"].items():
            assert f"\n{text}.\n" in sections[(*path, command)]


def test_man_shows_the_manual_page_without_a_warning(tmp_path):
    page = tmp_path / "holdfast.1"
    page.write_text(holdfast("manual"))
    shown = subprocess.run(["man", "--warnings", "--encoding=UTF-8", "--local-file", page], capture_output=True,
                           text=True, timeout=30, env=os.environ | {"LC_ALL": "C.UTF-8", "MANWIDTH": "80", "PAGER": "cat"})
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "holdfast quarantine replay" in shown.stdout


# ---- completion ----
class Bash:
    def __init__(self, directory):
        self.script = directory / "holdfast.bash"
        self.script.write_text(holdfast("completion", "bash"))

    def complete(self, *words):
        """What may stand in the place of the last word."""
        asked = ('source "$1"; shift; COMP_WORDS=(holdfast "$@"); COMP_CWORD=$#; '
                 '_holdfast; printf "%s\\n" "${COMPREPLY[@]}"')
        done = subprocess.run(["bash", "--norc", "-c", asked, "bash", self.script, *words], capture_output=True,
                              text=True, timeout=30, check=True, cwd=self.script.parent)
        assert done.stderr == ""
        return done.stdout.split()


class Fish:
    def __init__(self, directory):
        self.script = directory / "holdfast.fish"
        self.script.write_text(holdfast("completion", "fish"))

    def complete(self, *words):
        line = " ".join(("holdfast", *words))
        done = subprocess.run(["fish", "--no-config", "-c", 'source $argv[1]; complete -C $argv[2]', self.script, line],
                              capture_output=True, text=True, timeout=30, check=True, cwd=self.script.parent,
                              env=os.environ | {"HOME": str(self.script.parent)})
        assert done.stderr == ""
        return [each.split("\t")[0] for each in done.stdout.splitlines()]


class Zsh:
    """Its completion lives in the line editor only, so it is asked on a terminal."""

    def __init__(self, directory):
        (directory / "_holdfast").write_text(holdfast("completion", "zsh"))
        self.terminal, other_end = pty.openpty()
        fcntl.ioctl(other_end, termios.TIOCSWINSZ, struct.pack("HHHH", 500, 300, 0, 0))
        self.process = subprocess.Popen(["zsh", "-f", "-i"], stdin=other_end, stdout=other_end, stderr=other_end,
                                        cwd=directory, start_new_session=True,
                                        env=os.environ | {"TERM": "dumb", "ZDOTDIR": str(directory)})
        os.close(other_end)
        self._ask("fpath=($PWD $fpath) LISTMAX=0; unsetopt PROMPT_SP ALWAYS_LAST_PROMPT; "
                  "autoload -U compinit && compinit -u -D; bindkey '^I' list-choices; PS1=REA''DY; ")

    def complete(self, *words):
        # A list has one line for each word with its text, or several words in a line without.
        _, *lines = self._ask(" ".join(["holdfast", *words]) + "\t\x15").splitlines()
        return [word for line in lines for word in line.split(" -- ")[0].split()]

    def _ask(self, typed):
        """What appears. Ends with the next prompt: only then the line editor reads, and not the terminal itself."""
        os.write(self.terminal, typed.encode() + b"print DO''NE\n")
        said = b""
        while not re.search(rb"DONE\r\n.*READY", said, re.DOTALL):
            said += os.read(self.terminal, 65536)
        return said.decode()

    def close(self):
        os.close(self.terminal)
        self.process.kill()
        self.process.wait()


SHELLS = [Bash, Fish, Zsh]


@pytest.fixture(params=SHELLS, ids=lambda each: each.__name__.lower())
def shell(request, tmp_path):
    shell = request.param(tmp_path)
    yield shell
    if isinstance(shell, Zsh):
        shell.close()


def test_every_command_and_option_is_completed(shell, commands):
    for path, tables in commands.items():
        offered = shell.complete(*path, "")
        assert set(tables["Subcommands"]) <= set(offered), path
        offered = shell.complete(*path, "--")
        assert {name for name in names_of(tables["Options"]) if name.startswith("--")} <= set(offered), path


def test_values_of_options_are_completed(shell, tmp_path):
    (tmp_path / "one.yaml").touch()
    (tmp_path / "buffers").mkdir()
    assert {"traces", "metrics", "logs"} <= set(shell.complete("buffer", "cat", "--signal", ""))
    assert {"bash", "zsh", "fish"} <= set(shell.complete("completion", ""))
    assert "one.yaml" in shell.complete("--config", "")
    directories = {each.rstrip("/") for each in shell.complete("buffer", "ls", "--directory", "")}
    assert "buffers" in directories and "one.yaml" not in directories
    assert "one.yaml" in shell.complete("buffer", "import", "")


def test_options_of_another_command_are_not_completed(shell):
    assert "--dry-run" not in shell.complete("buffer", "ls", "--")
    assert "ls" not in shell.complete("validate", "")
