"""--quiet and --verbose, on any command and anywhere among its words; messages of the logger."""

import logging
import re
from pathlib import Path

import pytest

from gatlabel.cli import main
from gatlabel.cli.parsing import make_parser, parse
from gatlabel.cli.verbosity import is_quiet, logged
from gatlabel.graph import Cooccurrence
from gatlabel.logs import log


def test_messages_are_lines_on_the_error_output(capsys: pytest.CaptureFixture[str]) -> None:
    with logged(["train"]) as words:
        log("reading")
        log("warning: something is odd")
        logging.getLogger("gatlabel.features").warning("damaged\nfile")
        logging.getLogger("gatlabel.features").debug("details")
    assert words == ["train"]
    assert capsys.readouterr().err == (
        "reading\nwarning: something is odd\nwarning: damaged\\nfile\n"
    )
    log("afterwards")
    assert capsys.readouterr().err == ""


def test_quiet_keeps_warnings_and_verbose_adds_details(capsys) -> None:
    with logged(["--quiet", "train", "--head", "gat"]) as words:
        assert is_quiet()
        log("reading")
        log("warning: something is odd")
    assert words == ["train", "--head", "gat"]
    assert capsys.readouterr().err == "warning: something is odd\n"
    with logged(["train", "--verbose"]):
        assert not is_quiet()
        logging.getLogger("gatlabel.features").debug("details")
    assert re.fullmatch(r"\d\d:\d\d:\d\d details\n", capsys.readouterr().err)


def test_quiet_turns_the_progress_bar_off() -> None:
    parser = make_parser("summary", "")
    parser.add_argument("--progress", type=bool, default=True)
    with logged(["--quiet"]) as words:
        assert parse(parser, words).progress is False
        assert parse(parser, ["--progress"]).progress is True
    with logged([]) as words:
        assert parse(parser, words).progress is True


def test_every_command_accepts_both(tmp_path: Path, capsys) -> None:
    counts, graph = tmp_path / "counts.json", tmp_path / "graph.json"
    Cooccurrence.from_targets([[1, 1, 0], [0, 1, 1]], ["cat", "dog", "cow"]).save(counts)
    words = ["graph", "build", str(counts), str(graph), "--graph", "complete"]
    for option, details in (("--quiet", False), ("--verbose", True)):
        assert main([option, *words]) == main([*words, option]) == 0
        found = capsys.readouterr()
        described = "3 labels: complete, 6 edges, about 2 neighbours per label\n"
        assert found.out == 2 * described
        assert ("done in" in found.err) is details
    assert main(["graph", "--quiet", "--verbose"]) == 2
    assert "give only one of them" in capsys.readouterr().err
