"""``-q``, ``-v``, ``--log-file``, ``-h``, ``help``, completion and suggestions: the same for every command."""

import logging
import os
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from revisage.cli import app
from revisage.cli.classic import modern
from revisage.cli.console import complain, say, set_up_output, warn
from revisage.cli.suggestions import COMMANDS, OPTIONS

COMMAND_NAMES = [command.callback.__name__ for command in app.registered_commands]


@pytest.fixture(autouse=True)
def loggers():
    """Leave the loggers as they were."""
    kept = {name: logging.getLogger(name) for name in ("revisage", "revisage.cli.console")}
    levels = {name: logger.level for name, logger in kept.items()}
    yield
    for name, logger in kept.items():
        logger.setLevel(levels[name])
        for handler in logger.handlers[:]:
            logger.removeHandler(handler)
            handler.close()


def run(*arguments):
    return CliRunner().invoke(app, list(arguments), prog_name="revisage")


@pytest.mark.parametrize("name", COMMAND_NAMES)
def test_every_command_has_them(name):
    done = run(name, "-h")
    assert done.exit_code == 0
    for option in ("-q, --quiet", "-v, --verbose", "--log-file", "-h, --help"):
        assert option in done.output


def test_quiet_prints_only_warnings_and_errors(capsys):
    set_up_output(quiet=True)
    say("a result")
    warn("something is missing")
    complain("something failed")
    assert capsys.readouterr() == ("", "warning: something is missing\nerror: something failed\n")


def test_verbose_prints_more_and_what_the_library_logs(capsys):
    say("detail", only_verbose=True)
    set_up_output(verbose=True)
    say("more detail", only_verbose=True)
    logging.getLogger("revisage.batch").debug("from the library")
    assert capsys.readouterr() == ("more detail\n", "debug: from the library\n")


def test_the_log_file_holds_everything_and_is_appended_to(tmp_path, capsys):
    log = tmp_path / "logs" / "run.log"
    set_up_output(quiet=True, log_file=log)
    say("a result")
    complain("a failure")
    logging.getLogger("revisage.batch").debug("from the library")
    assert [line.split(" ", 2)[2] for line in log.read_text().splitlines()] == [
        "INFO a result",
        "ERROR a failure",
        "DEBUG from the library",
    ]
    assert capsys.readouterr().out == ""


def test_a_log_file_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").touch()
    done = subprocess.run(
        [sys.executable, "-m", "revisage", "models", "--log-file", str(tmp_path / "file" / "x.log")],
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: cannot write ")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "suggestion"),
    [
        ("restore a.jpg --silent", "--quiet"),
        ("restore a.jpg --qiuet", "--quiet"),
        ("restore a.jpg --fidelity 1", "--strength"),
        ("restore a.jpg --outdir x", "--output"),
        ("restore a.jpg --gpu 0", "--device"),
        ("restore a.jpg --keep-time", "--preserve-mtime"),
        ("evaluate --debug", "--verbose"),
        ("evaluate --out x", "--output"),
    ],
)
def test_an_unknown_option_gets_the_one_that_means_the_same(arguments, suggestion):
    done = run(*arguments.split())
    assert done.exit_code == 2
    assert done.output.rstrip().endswith(f"did you mean {suggestion}?")


@pytest.mark.parametrize("given", ["1.5", "high"])
def test_a_wrong_value_is_named(given):
    done = run("restore", "a.jpg", "--strength", given)
    assert done.exit_code == 2
    assert "--strength" in (message := done.output.splitlines()[-1])
    assert given in message


def test_no_line_of_the_list_of_commands_is_cut():
    assert "..." not in run("--help").output.partition("Commands:")[2]


def test_an_option_of_another_command_is_not_suggested():
    assert "did you mean" not in run("models", "--upscale", "2").output


@pytest.mark.parametrize(("name", "suggestion"), [("restor", "restore"), ("upscale", "restore"), ("download", "fetch")])
def test_an_unknown_command_gets_the_one_that_means_the_same(name, suggestion):
    done = run(name, "photo.jpg")
    assert done.exit_code == 2
    assert f"No such command '{name}'; did you mean {suggestion}?" in done.output


def test_suggestions_lead_to_what_there_is():
    helps = "".join(run(name, "-h").output for name in COMMAND_NAMES)
    assert {*COMMANDS.values()} <= {*COMMAND_NAMES}
    assert not [option for option in set(OPTIONS.values()) if option not in helps]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_of_shells(shell):
    variables = {"COMP_WORDS": "revisage res", "COMP_CWORD": "1", "_TYPER_COMPLETE_ARGS": "revisage res"}
    environment = {**os.environ, **variables, "_REVISAGE_COMPLETE": f"complete_{shell}"}
    if shell == "fish":
        environment["_TYPER_COMPLETE_FISH_ACTION"] = "get-args"
    done = subprocess.run(
        [sys.executable, "-m", "revisage"], env=environment, capture_output=True, text=True, timeout=600
    )
    assert "restore" in done.stdout
    assert "Usage" not in done.stdout


@pytest.mark.parametrize("line", ["help restore", "help"])
def test_help_is_a_command_too(line):
    done = subprocess.run(
        [sys.executable, "-m", "revisage", *line.split()], capture_output=True, text=True, timeout=600, check=True
    )
    assert done.stdout.startswith(f"Usage: revisage {line.removeprefix('help').strip()}".rstrip())


@pytest.mark.parametrize("line", ["restore a.jpg -v", "restore -v a.jpg", "restore -vq a.jpg", "restore a.jpg -v -s"])
def test_v_without_a_version_is_verbose(line):
    if line.endswith("-s"):
        line += " 2"
    assert "--model" not in modern(line.split())
    assert any(argument.startswith("-v") for argument in modern(line.split()))
