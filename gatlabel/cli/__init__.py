"""The command line: ``gatlabel train | evaluate | predict | export | graph | explain | benchmark``.

Exit codes: 0 done, 2 the caller's mistake (one line, no traceback), 1 anything else.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from gatlabel.errors import InputError, unknown_choice

USAGE = """\
usage: gatlabel COMMAND [options]

  train      train a model; without options, on the built-in scenes
  evaluate   evaluate a trained run on a split or on other data
  predict    label pictures with a trained run or an exported bundle
  export     write a trained run as ONNX or as a program of torch.export
  graph      build, show or compare label graphs
  explain    what each edge of a trained run's label graph lent and did
  benchmark  compare label graphs or heads, with controls and statistics

gatlabel COMMAND --help lists the options of a command; gatlabel --version prints the version.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        argv: The words after ``gatlabel``; default: those of the process.

    Returns:
        The exit code.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        return _dispatch(words)
    except InputError as error:
        print(f"gatlabel: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader of our output has had enough
        sys.stderr.close()
        return 1
    except KeyboardInterrupt:
        print("gatlabel: interrupted", file=sys.stderr)
        return 1


def _dispatch(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help", "help"):
        print(USAGE, end="")
        return 0
    if words[0] == "--version":
        from gatlabel import __version__

        print(f"gatlabel {__version__}")
        return 0
    commands = _commands()
    if words[0] not in commands:
        raise unknown_choice("command", words[0], commands)
    commands[words[0]](words[1:])
    return 0


def _commands() -> dict[str, Callable[[list[str]], None]]:
    # imported here: `gatlabel --help` should not wait for torch
    from gatlabel.cli.benchmark import benchmark_command
    from gatlabel.cli.evaluate import evaluate_command
    from gatlabel.cli.explain import explain_command
    from gatlabel.cli.export import export_command
    from gatlabel.cli.graph import graph_command
    from gatlabel.cli.predict import predict_command
    from gatlabel.cli.train import train_command

    return {
        "train": train_command,
        "evaluate": evaluate_command,
        "predict": predict_command,
        "export": export_command,
        "graph": graph_command,
        "explain": explain_command,
        "benchmark": benchmark_command,
    }
