"""Whatever goes wrong is one line and an exit code; bugs keep their traceback."""

import csv
import errno
import json
import os
import pickle
import subprocess
import sys
import warnings
import xml.etree.ElementTree
import zipfile
import zlib
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import pytest
import torch
import yaml
from PIL import Image

from gatlabel.cli import COMMANDS, main
from gatlabel.cli.faults import fault_of
from gatlabel.errors import InputError, Interrupted, MissingExtraError

LOADER = (
    "Caught {} in DataLoader worker process 0.\nOriginal Traceback (most recent call last):\n  x"
)


def of_errno(number: int, name: str | None = "runs/a\x1b/model.bin") -> OSError:
    return OSError(number, os.strerror(number), name)


def unencodable() -> UnicodeError:
    try:
        "caf\udce9".encode()
    except UnicodeError as error:
        return error
    raise AssertionError


def of_a_run() -> MemoryError:
    error = MemoryError("9 TiB")
    error.add_note("in the run gat · npmi, seed 3")
    return error


FAULTS: dict[str, tuple[BaseException, str]] = {
    **{
        errno.errorcode[number]: (of_errno(number), rf"runs/a\x1b/model.bin: {os.strerror(number)}")
        for number in (
            *(errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENAMETOOLONG),
            *(errno.EFBIG, errno.ELOOP, errno.EISDIR, errno.ENOTDIR, errno.ENOENT, errno.EIO),
            *(errno.EDQUOT, errno.ETXTBSY, errno.EMFILE, errno.ENOTEMPTY, errno.EXDEV),
        )
    },
    "two names": (OSError(errno.EXDEV, "Bad link", "a", None, "b"), "a and b: Bad link"),
    "no name": (of_errno(errno.ENOSPC, None), "a file or device failed: No space left on device"),
    "truncated": (OSError("image file is truncated"), "image file is truncated"),
    "not an image": (Image.UnidentifiedImageError("cannot identify x"), "cannot identify x"),
    "input": (InputError("say what to do"), "say what to do"),
    "two lines": (InputError("a\nb"), r"a\nb"),
    "extra": (MissingExtraError("install it"), "install it"),
    "memory": (MemoryError(), "out of memory"),
    "memory, how much": (MemoryError("Unable to allocate 9 TiB"), "out of memory: Unable to alloc"),
    "memory of a run": (of_a_run(), "out of memory: 9 TiB (in the run gat · npmi, seed 3)"),
    "device memory": (torch.OutOfMemoryError("CUDA out of memory. Tried 9 GiB"), "smaller batch"),
    "cpu memory": (RuntimeError("x\n  can't allocate memory: you tried\ny"), "can't allocate"),
    "driver": (RuntimeError("Found no NVIDIA driver on your system."), "no NVIDIA driver"),
    "no cuda": (AssertionError("Torch not compiled with CUDA enabled"), "not compiled with CUDA"),
    "device": (RuntimeError("Expected one of cpu, cuda at start of device string: x"), "string: x"),
    "torch.save": (RuntimeError("[enforce fail at x] . PytorchStreamWriter failed"), "Writer"),
    "worker killed": (
        RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed."),
        "is killed by signal",
    ),
    "pool": (BrokenProcessPool("A process was terminated abruptly"), "a worker process"),
    "nul": (ValueError("embedded null byte"), "NUL character"),
    "encoding": (unencodable(), r"'caf\udce9' cannot be written as utf-8"),
    "decoding": (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"), "not in the expected encoding"),
    "zip": (zipfile.BadZipFile("File is not a zip file"), "a file is damaged: File is not"),
    "zlib": (zlib.error("Error -3"), "a file is damaged: Error -3"),
    "pickle": (pickle.UnpicklingError("Weights only load failed\nlong"), "Weights only load fail"),
    "yaml": (yaml.scanner.ScannerError("a", None, "bad"), "a file is not YAML"),
    "json": (json.JSONDecodeError("Expecting value", "x", 0), "not JSON: Expecting value"),
    "xml": (xml.etree.ElementTree.ParseError("no element found"), "not XML: no element found"),
    "csv": (csv.Error("line contains NUL"), "not CSV: line contains NUL"),
    "loop": (RuntimeError("Symlink loop from 'a'"), "Symlink loop from 'a'"),
    "library": (ImportError("libtorch.so: failed to map segment from shared object"), "libtorch"),
    "input of a worker": (
        InputError(f"{LOADER.format('InputError')}\ngatlabel.errors.InputError: a.png is bad\n"),
        "gatlabel: a.png is bad",
    ),
    "file of a worker": (
        OSError(f"{LOADER.format('OSError')}\nOSError: [Errno 28] No space left on device\n"),
        "gatlabel: [Errno 28] No space left on device",
    ),
}
BUGS = [
    KeyError("x"), TypeError("x"), ValueError("x"), IndexError("x"), RuntimeError("x"),
    AssertionError("x"), AttributeError("x"), ZeroDivisionError("x"), NotImplementedError("x"),
    RecursionError("x"), ModuleNotFoundError("No module named 'torchvision'"),
    RuntimeError("CUDA error: device-side assert triggered"),
    RuntimeError("Expected all tensors to be on the same device, found cuda:0 and cpu!"),
]  # fmt: skip


def run_raising(
    error: BaseException, monkeypatch: pytest.MonkeyPatch, *words: str, printed: str = ""
) -> int:
    """Runs a command that prints something and fails."""

    def fail(words: list[str]) -> None:
        from gatlabel.cli.output import show

        assert "--debug" not in words
        if printed:
            show(printed)
        raise error

    monkeypatch.setattr("gatlabel.cli.predict.predict_command", fail)
    return main(["predict", *words])


@pytest.mark.parametrize(("error", "part"), FAULTS.values(), ids=FAULTS)
def test_faults_are_one_line(error, part: str, monkeypatch, capsys) -> None:
    assert run_raising(error, monkeypatch, printed="found so far") == 2
    out, err = capsys.readouterr()
    assert out == "found so far\n"
    assert err.startswith("gatlabel: ")
    assert part in err
    assert err.count("\n") == 1
    assert "Traceback" not in err


@pytest.mark.parametrize("error", BUGS, ids=ascii)
def test_bugs_keep_their_traceback(error, monkeypatch, capsys) -> None:
    assert fault_of(error) is None
    assert run_raising(error, monkeypatch) == 1
    err = capsys.readouterr().err
    assert err.startswith("Traceback")
    assert type(error).__name__ in err.splitlines()[-1]


@pytest.mark.parametrize("words", [["--debug"], ["a", "--debug", "b"], ["a", "b", "--debug"]])
def test_debug_shows_where_any_error_comes_from(words, monkeypatch, capsys) -> None:
    assert run_raising(InputError("bad\x1b"), monkeypatch, *words) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("Traceback")
    assert lines[-1] == r"gatlabel: bad\x1b"


def test_debug_is_taken_anywhere(capsys) -> None:
    for words in (["--debug", "graph", "shwo"], ["graph", "--debug", "shwo"], ["--debug", "trian"]):
        assert main(words) == 2
        assert "Traceback" in capsys.readouterr().err
    assert main(["--debug"]) == 0
    assert capsys.readouterr().out.startswith("usage:")


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (KeyboardInterrupt(), 130, "gatlabel: interrupted"),
        (Interrupted("go on with --resume a"), 130, "gatlabel: go on with --resume a"),
        (Interrupted("go on with --resume a", 143), 143, "gatlabel: go on with --resume a"),
    ],
)
def test_interrupts_have_codes_of_their_own(error, code, line, monkeypatch, capsys) -> None:
    assert run_raising(error, monkeypatch) == code
    assert capsys.readouterr().err == f"{line}\n"


def test_a_very_long_message_is_clipped(monkeypatch, capsys) -> None:
    assert run_raising(InputError("x" * 10**6), monkeypatch) == 2
    assert len(capsys.readouterr().err) < 2100


def test_a_traceback_is_cleaned_too(monkeypatch, capsys) -> None:
    assert run_raising(KeyError("a\x1b[31m\nb"), monkeypatch) == 1
    assert "\x1b" not in capsys.readouterr().err


def test_warnings_are_one_cleaned_line(monkeypatch, capsys) -> None:
    def warn(words: list[str]) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn("no vector for \x1b[31mred\n  and others", stacklevel=1)

    monkeypatch.setattr("gatlabel.cli.predict.predict_command", warn)
    assert main(["predict"]) == 0
    assert capsys.readouterr().err == "warning: no vector for \\x1b[31mred and others\n"


def test_the_streams_are_as_before(monkeypatch, capsys) -> None:
    before = (sys.stdout, sys.stderr, sys.stdout.errors, warnings.showwarning)
    assert run_raising(KeyError("x"), monkeypatch) == 1
    assert (sys.stdout, sys.stderr, sys.stdout.errors, warnings.showwarning) == before


def test_a_note_that_cannot_be_written_stops_nothing(monkeypatch, capsys) -> None:
    from gatlabel.cli.output import note

    class Gone:
        errors, encoding = "strict", "utf-8"

        def write(self, text: str) -> int:
            raise of_errno(errno.EIO, None)

        def flush(self) -> None:
            self.write("")

    def train(words: list[str]) -> None:
        note("epoch 1")
        print("a bar of a library", file=sys.stderr, flush=True)

    monkeypatch.setattr("gatlabel.cli.predict.predict_command", train)
    monkeypatch.setattr("sys.stderr", Gone())
    assert main(["predict"]) == 0


@pytest.mark.parametrize(("number", "code"), [(errno.ENOSPC, 2), (errno.EPIPE, 1)])
def test_a_bar_on_an_output_that_is_gone_stops_nothing(number, code, monkeypatch, capsys) -> None:
    """A library's bar does not end training; that results could not be printed is said after."""

    class Gone:
        encoding = "utf-8"

        def write(self, text: str) -> int:
            raise of_errno(number, None)

        def flush(self) -> None:
            raise of_errno(number, None)

    trained = []

    def train(words: list[str]) -> None:
        for epoch in range(3):
            print("a bar", flush=True)
            trained.append(epoch)

    monkeypatch.setattr("gatlabel.cli.predict.predict_command", train)
    monkeypatch.setattr("sys.stdout", Gone())
    assert main(["predict"]) == code
    assert trained == [0, 1, 2]
    error = capsys.readouterr().err
    assert error == ("" if code == 1 else "gatlabel: cannot write to standard output: "
                     "No space left on device\n")  # fmt: skip


STARTED = "import sys; from gatlabel.cli import main; sys.exit(main())"


def shell(line: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Runs a line of the shell."""
    return subprocess.run(
        ["/bin/sh", "-c", line],
        env={**os.environ, "PYTHON": sys.executable, "STARTED": STARTED, **environment},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        encoding="ascii",  # all that these may print
        errors="surrogateescape",
        timeout=120,
    )


GATLABEL = '"$PYTHON" -c "$STARTED"'
ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("words", ["--help", "--version"])
def test_a_full_device_as_output(words: str) -> None:
    done = shell(f"{GATLABEL} {words} >/dev/full")
    assert done.returncode == 2
    assert done.stderr == ("gatlabel: cannot write to standard output: No space left on device\n")


@pytest.mark.parametrize(
    ("line", "code", "error"),
    [
        (
            f"{GATLABEL} --help >&-",
            2,
            "gatlabel: cannot write to standard output: it is closed",
        ),
        (f"{GATLABEL} trian 2>&-", 2, ""),
        (f"{GATLABEL} trian >&- 2>&- <&-", 2, ""),
        (f"{GATLABEL} trian 2>/dev/full", 2, ""),
        (f"{GATLABEL} --help <&- >/dev/null", 0, ""),
        (f"({GATLABEL} --help; echo $? >&2) | true", 0, None),
    ],
)
def test_closed_outputs(line: str, code: int, error: str | None) -> None:
    done = shell(line)
    assert done.returncode == code
    if error is None:  # whether the reader is gone when it is written to is chance
        assert done.stderr in ("0\n", "1\n")
    else:
        assert done.stderr.strip() == error


@pytest.mark.parametrize(
    "environment",
    [ASCII, {"PYTHONIOENCODING": "ascii:strict"}, {**ASCII, "COLUMNS": "1", "TERM": "nonsense"}],
    ids=["locale", "encoding", "terminal"],
)
def test_an_output_that_lacks_the_characters(environment: dict[str, str]) -> None:
    done = shell(f"{GATLABEL} 'tr\x1b[31mä猫'", **environment)
    assert done.returncode == 2
    assert done.stderr.startswith("gatlabel: unknown command 'tr\\x1b[31m")
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr


def test_json_in_an_ascii_locale_is_json() -> None:
    value = {"größe": "猫\udcff\x1b\u202e"}
    code = f"from gatlabel.cli.output import show_json; show_json({value!a})"
    done = shell(GATLABEL, **ASCII, STARTED=code)
    assert json.loads(done.stdout) == value


def test_every_command_has_its_module() -> None:
    for command in COMMANDS:
        assert (Path(main.__globals__["__file__"]).parent / f"{command}.py").is_file()
