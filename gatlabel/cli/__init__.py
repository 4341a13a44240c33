"""The command line: ``gatlabel COMMAND``.

Exit codes: 0 success, 2 invalid input or a failure of a file, device or terminal (one line, no
traceback), 130 interrupted, 143 terminated, 1 anything else. Every command also accepts
``--quiet`` and ``--verbose``, which set how much is reported, and ``--debug``, which prints
tracebacks.
"""

from __future__ import annotations

import importlib
import logging
import sys
import time
from collections.abc import Sequence
from contextlib import suppress

from gatlabel.cli.faults import fault_of
from gatlabel.cli.output import (
    ReaderClosed,
    finish,
    note,
    note_traceback,
    prepared_streams,
    show,
    show_block,
)
from gatlabel.cli.verbosity import DEBUG, logged
from gatlabel.errors import InputError, Interrupted, unknown_choice
from gatlabel.interruptions import Signals, Stopped
from gatlabel.logs import LOGGER
from gatlabel.memory import keep_freed_memory
from gatlabel.printing import clipped

USAGE = """\
usage: gatlabel COMMAND [options]

  train      train a model; without options, on the built-in scenes
  evaluate   evaluate a trained run or a bundle on a split or on other data
  decide     choose thresholds and calibration of a trained run
  predict    label images with a trained run or an exported bundle
  export     write a trained run as ONNX or as a program of torch.export
  graph      build, show or compare label graphs
  explain    heat maps and neighbours of an image, or effects of a graph's edges
  fewshot    measure how well a run learns new labels from few images
  extend     add a label to a trained run, from few images or similar labels
  suggest    choose what to annotate next, and update the run with the answers
  pretrain   train an encoder on images without labels
  benchmark  compare label graphs or heads, with controls and statistics
  completion print a script that completes commands and options in a shell

gatlabel COMMAND --help lists the options of a command; gatlabel --version
prints the version. Every command accepts --quiet (results and warnings only),
--verbose (details, with times) and --debug (the traceback of an error).
"""
COMMANDS = (
    *("train", "evaluate", "decide", "predict", "export", "graph", "explain", "fewshot"),
    *("extend", "suggest", "pretrain", "benchmark", "completion"),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        argv: The arguments after ``gatlabel``; default: those of the process.

    Returns:
        The exit code.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    debug = DEBUG in words
    with prepared_streams():
        try:
            try:
                rest = [word for word in words if word != DEBUG]
                with logged(rest) as rest, Signals() as signals, signals.first():
                    _dispatch(rest)
            except SystemExit:  # --help has been printed
                finish()
                raise
            finish()
        except ReaderClosed:
            return 1
        except (Stopped, Interrupted) as error:
            return _end(error, str(error), error.exit_code, debug)
        except KeyboardInterrupt as error:  # in a thread, or raised by a library
            return _end(error, str(error) or "interrupted", 130, debug)
        except Exception as error:
            line = fault_of(error)
            if line is None:
                note_traceback(error)
                return 1
            return _end(error, line, 2, debug)
        finally:
            with suppress(InputError, ReaderClosed):  # results before an error are printed too
                finish()
    return 0


def _end(error: BaseException, line: str, code: int, debug: bool) -> int:
    if debug:
        note_traceback(error)
    note(f"gatlabel: {clipped(line)}")
    return code


def _dispatch(words: list[str]) -> None:
    if not words or words[0] in ("-h", "--help", "help"):
        show_block(USAGE)
        return
    if words[0] == "--version":
        from gatlabel import __version__

        show(f"gatlabel {__version__}")
        return
    if words[0] not in COMMANDS:
        raise unknown_choice("command", words[0], COMMANDS)
    keep_freed_memory()
    # imported here, as help and invalid options need no torch
    module = importlib.import_module(f"gatlabel.cli.{words[0]}")
    began = time.monotonic()
    getattr(module, f"{words[0]}_command")(words[1:])
    logging.getLogger(LOGGER).debug("%s done in %.1f s", words[0], time.monotonic() - began)
