import json
import os
import select
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

import datastore as ds
from datastore.cli.app import app
from datastore.cli.failures import failure_of

EVIL = "evil\x1b[31m\x9b\u202e.txt"
SHOWN = "evil\\u001b[31m\\u009b\\u202e.txt"


def all_commands(group=app, path=()):
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from all_commands(command, (*path, name))
        else:
            yield (*path, name), command


COMMANDS = dict(all_commands())


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_command_has_help_with_an_example_and_json(run, path):
    text = run(*path, "--help").out
    assert f"  datastore {' '.join(path)}" in text.partition("Example")[2]
    assert "--json" in text
    for param in COMMANDS[path].params:
        assert isinstance(param, click.Argument) or param.help, param.name


def test_the_help_lists_every_command_in_one_line_each(run):
    text = run("--help").out
    assert run().out == text
    assert "…" not in text.partition("Commands:")[2].partition("Errors")[0]
    assert "..." not in text.partition("Commands:")[2]
    for path in COMMANDS:
        assert f"  {path[0]} " in text


def test_the_help_loads_nothing_heavy():
    heavy = ("pandas", "pyarrow", "fsspec", "numpy", "sqlite3", "rich", "yaml", "asyncio")
    program = (
        "import sys; from datastore.cli.app import app; app(['--help'], standalone_mode=False); "
        f"print([m for m in {heavy} if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("Usage: datastore")
    assert done.stderr.strip() == "[]"


def test_the_version(run):
    assert ds.__version__ in run("--version").out


@pytest.mark.parametrize(
    ("args", "hint"),
    [
        (["lgo", "garments"], "did you mean 'log'?"),
        (["log", "--jsno", "garments"], "did you mean --json?"),
        (["log"], "datastore log --help"),
        (["log", "garments", "-n", "many"], "datastore log --help"),
        (["repo", "lits"], "did you mean 'list'?"),
    ],
)
def test_a_wrong_command_line_names_the_way_out(fail, args, hint):
    assert hint in fail(*args, code=2)


def test_errors_as_json(garments):
    garments.branch("main").objects.put("train.csv", b"")
    garments.branch("main").commit("Empty it")
    done = CliRunner().invoke(app, ["merge", "garments", "exp", "--json"])
    assert (done.exit_code, done.stdout) == (1, "")
    error = json.loads(done.stderr)["error"]
    assert (error["kind"], error["keys"], error["url"]) == ("merge-conflict", ["train.csv"], None)
    assert "--choose" in error["hint"]
    done = CliRunner().invoke(app, ["cat", "ds://garments/x.csv", "--json"])
    error = json.loads(done.stderr)["error"]
    assert (error["kind"], error["url"]) == ("not-found", "ds://garments@main/x.csv")
    done = CliRunner().invoke(app, ["log", "--json"])
    assert (done.exit_code, json.loads(done.stderr)["error"]["kind"]) == (2, "usage")


def test_errors_of_the_system_are_one_line():
    told = failure_of(PermissionError(13, "Permission denied", "/etc/x"))
    assert (told.message, told.exit_code) == ("permission denied: '/etc/x'", 1)


def test_a_key_or_message_cannot_steer_the_terminal(run, fail, garments):
    main = garments.branch("main")
    main.objects.put(EVIL, b"x")
    for command in (["ls", "ds://garments"], ["status", "garments"], ["ls", "-r", "ds://garments", "--json"]):
        text = run(*command).out
        assert not {"\x1b", "\x9b", "\u202e"} & set(text)
    assert [row[2] for row in run("status", "garments").rows] == [SHOWN]
    main.commit("Hello\x1b[2J\tworld")
    assert run("log", "garments", "-n", 1).rows[0][3] == "Hello\\u001b[2J\\u0009world"
    assert "\x1b" not in fail("cat", f"ds://garments/{EVIL}x")
    assert run("ls", "-r", "ds://garments", "--json").json[0]["key"] == EVIL


def test_ctrl_c_is_130_and_one_word(monkeypatch):
    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setattr("datastore.api.repos", interrupted)
    done = CliRunner().invoke(app, ["repo", "list"])
    assert (done.exit_code, done.stdout, done.stderr.strip()) == (130, "", "interrupted")


def test_a_reader_who_leaves_early_is_no_error(garments):
    main = garments.branch("main")
    main.objects.put("large.txt", b"line\n" * 1_000_000)
    for args in (["cat", "ds://garments/large.txt"], ["log", "garments"]):
        command = [sys.executable, "-m", "datastore.cli", *args]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            process.stdout.close()
            assert process.stderr.read() == b""
            process.wait(timeout=60)


def test_text_that_a_console_cannot_show_is_written_out(garments, shell):
    garments.branch("main").objects.put("größe→.csv", b"x")
    done = shell("status", "garments", env={**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"})
    assert (done.returncode, done.stdout) == (0, b"added\t1\tgr\\xf6\\xdfe\\u2192.csv" + os.linesep.encode())


class Terminal:
    """The command on a terminal of its own."""

    def __init__(self, *args, env=None):
        self.fd, theirs = os.openpty()
        command = [sys.executable, "-m", "datastore.cli", *args]
        environ = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "60", **(env or {})}
        self.process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environ)
        os.close(theirs)

    def read(self, until=None):
        """Return what is shown, up to a text, or to the end."""
        data = b""
        while until is None or until not in data:
            assert select.select([self.fd], [], [], 60)[0], data
            try:
                chunk = os.read(self.fd, 65536)
            except OSError:  # how Linux says that the other side is gone
                chunk = b""
            if not chunk:
                break
            data += chunk
        return data.decode().replace("\r\n", "\n")

    def write(self, data):
        os.write(self.fd, data)

    def end(self):
        """Return the exit code."""
        code = self.process.wait(timeout=60)
        os.close(self.fd)
        return code


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals that Python can open")
class TestOnATerminal:
    def show(self, *args, **options):
        terminal = Terminal(*args, **options)
        text = terminal.read()
        return text, terminal.end()

    def test_colour_and_short_ids(self, garments):
        head = garments.branch("main").head.id
        text, code = self.show("log", "garments")
        assert code == 0
        assert f"\x1b[33m{head[:8]}\x1b[0m" in text
        assert head not in text
        assert "33m" not in self.show("log", "garments", env={"NO_COLOR": "1"})[0]

    def test_a_long_key_is_whole_and_an_evil_one_is_harmless(self, garments):
        key = "images/" + "very-long-folder/" * 8 + "a.png"
        garments.branch("main").objects.put(key, b"x")
        garments.branch("main").objects.put(EVIL, b"x")
        text, _ = self.show("status", "garments")
        assert f"  {key}\n" in text
        assert f"  {SHOWN}\n" in text
        assert "2 uncommitted changes" in text
        assert "datastore commit garments@main" in text

    def test_cat_shows_text_and_refuses_the_rest(self, garments):
        main = garments.branch("main").objects
        main.put("text.txt", b"a\tb\r\n\x1b[31mc\xff\n")
        main.put("model.bin", b"\x00\x01")
        assert self.show("cat", "ds://garments/text.txt") == ("a\tb\r\n\\u001b[31mc\\xff\n", 0)
        text, code = self.show("cat", "ds://garments/model.bin")
        assert (code, "> file" in text) == (1, True)

    def test_a_question_waits_for_the_answer(self, garments):
        garments.branch("main").objects.put("x.csv", b"1")
        for answer, code, left in ((b"n\n", 1, 1), (b"y\n", 0, 0)):
            terminal = Terminal("reset", "garments")
            assert "this drops 1 uncommitted change of garments@main" in terminal.read(b"[y/N]")
            terminal.write(answer)
            rest = terminal.read()
            assert terminal.end() == code
            assert len(garments.branch("main").uncommitted()) == left
            assert ("Traceback" in rest) is False

    def test_many_files_are_copied_with_a_bar(self, garments, folder):
        (folder / "data").mkdir()
        for i in range(30):
            (folder / "data" / f"{i}.txt").write_text("x")
        text, code = self.show("cp", "-r", "data/", "ds://garments/data/")
        assert (code, "30 copied" in text) == (0, True)

    def test_ctrl_c_while_it_works(self, garments, monkeypatch):
        program = (
            "import datastore.api, os, signal, time; "
            "datastore.api.repos = lambda: os.kill(os.getpid(), signal.SIGINT) or time.sleep(30); "
            "from datastore.cli import main; import sys; sys.argv[1:] = ['repo', 'list']; main()"
        )
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
        assert (done.returncode, done.stdout, done.stderr.strip()) == (130, "", "interrupted")
