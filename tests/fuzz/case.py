"""One case: a folder of input, the call on it, and its allowed outcomes."""

from __future__ import annotations

import hashlib
import io
import os
import random
import re
import shutil
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from gatlabel.cli import main
from gatlabel.errors import InputError
from tests.fuzz.guard import BrokenRule, Guard, guarded
from tests.fuzz.samples import Samples

T = TypeVar("T")
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\ud800-\udfff]")
_BAR = re.compile(r"[^\n]*\r|\x1b\[[0-9;?]*[A-Za-z]")  # progress bars move the cursor


class WrongError(AssertionError):
    """An outcome that no input may have."""


@dataclass
class Case:
    """What a part of the fuzzer gets to make files and to call the package with.

    Attributes:
        rng: What decides, all of it.
        samples: Files that are right.
        folder: The working directory; ``given`` below it is the input, which stays as it is.
        refused: Whether something was refused, as opposed to done.
        words: Of the last command line.
        said: What the last command has printed to the error output.
        guard: The rules.
    """

    rng: random.Random
    samples: Samples
    folder: Path
    refused: bool = False
    words: list[str] = field(default_factory=list)
    said: str = ""
    guard: Guard = None  # type: ignore[assignment]

    @property
    def given(self) -> Path:
        """The folder of input."""
        return self.folder / "given"

    def put(self, name: str, content: bytes | str) -> Path:
        """Writes a file of input."""
        path = self.given / name
        path.parent.mkdir(parents=True, exist_ok=True)
        data = content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass")
        path.write_bytes(data)
        return path

    def call(self, function: Callable[..., T], *arguments: Any, **options: Any) -> T | None:
        """Calls the Python API; what it refuses with an InputError gives ``None``."""
        with self._held():
            try:
                return function(*arguments, **options)
            except InputError as error:
                self.refused = True
                if not str(error).strip():
                    raise WrongError("an InputError without a message") from error
        return None

    def command(self, *words: object, changes: str | None = None) -> int:
        """Runs a command line; anything but done or one line is wrong.

        Args:
            words: After ``gatlabel``.
            changes: What may change below the input: paths that begin so.
        """
        self.words = [os.fspath(word) if isinstance(word, Path) else str(word) for word in words]
        with self._held(changes), _streams() as (out, err):
            try:
                code = main(self.words)
            except SystemExit as error:
                code = error.code if isinstance(error.code, int) else 99
        self.refused = code != 0
        self.said = err.read()
        _judge(code, out.read(), self.said, debug=code == 2 and "--debug" in self.words)
        return code

    @contextmanager
    def _held(self, changes: str | None = None) -> Iterator[None]:
        before = _contents(self.given)
        with guarded(self.guard), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
        names = sorted({name for name, _ in before ^ _contents(self.given)})
        names = [name for name in names if changes is None or not name.startswith(changes)]
        if names:
            raise WrongError(f"the input has changed: {', '.join(names)[:300]}")
        left = sorted(p.name for p in Path(tempfile.gettempdir()).iterdir())
        if left:
            raise WrongError(f"left among temporary files: {left[:5]}")


def _contents(folder: Path) -> set[tuple[str, str]]:
    found = set()
    for path in folder.rglob("*"):
        name = str(path.relative_to(folder))
        if path.is_symlink() or not path.is_file():
            found.add((name, "link" if path.is_symlink() else "other"))
        else:
            found.add((name, hashlib.blake2b(path.read_bytes()).hexdigest()))
    return found


def _judge(code: int, out: str, err: str, debug: bool = False) -> None:
    """Judges what a command has printed and how it has ended."""
    lines = [line for line in _BAR.sub("", err).split("\n") if line.strip()]
    said = [line for line in lines if line.startswith("gatlabel: ")]
    if "Traceback (most recent call last)" in err + out and not debug:
        raise WrongError(f"a traceback, exit code {code}:\n{err[-3000:]}")
    if code not in (0, 2):
        raise WrongError(f"exit code {code}: {lines[-3:]}")
    if code == 0 and said:
        raise WrongError(f"exit code 0 with {said}")
    if code == 2 and (len(said) != 1 or lines[-1] != said[0]):
        raise WrongError(f"exit code 2 with {len(said)} lines of error: {lines[-5:]}")
    for text in (out, _BAR.sub("", err)):
        if found := _CONTROLS.search(text):
            raise WrongError(f"prints {found[0]!r} in {text[max(found.start() - 80, 0) :][:160]!r}")


class _Stream(io.TextIOWrapper):
    """A standard stream in memory, with an encoding as a terminal has."""

    def read(self, size: int | None = -1) -> str:  # type: ignore[override]
        self.flush()
        return self.buffer.getvalue().decode("utf-8", "surrogatepass")  # type: ignore[attr-defined]


@contextmanager
def _streams() -> Iterator[tuple[_Stream, _Stream]]:
    before = sys.stdout, sys.stderr
    found = tuple(_Stream(io.BytesIO(), encoding="utf-8", newline="") for _ in before)
    sys.stdout, sys.stderr = found
    try:
        yield found  # type: ignore[misc]
    finally:
        sys.stdout, sys.stderr = before


@dataclass(frozen=True)
class Outcome:
    """How a case ended.

    Attributes:
        kind: ``done``, ``refused`` or ``wrong``.
        said: What was wrong; empty otherwise.
    """

    kind: str
    said: str = ""


Part = Callable[[Case], None]


def run_case(
    name: str, part: Part, seed: int, number: int, samples: Samples, keep: Path | None = None
) -> Outcome:
    """Runs one case in a folder of its own.

    Args:
        name: Of the part.
        part: Makes the input and calls the package.
        seed: Of all cases.
        number: Of this case.
        samples: Files that are right.
        keep: A folder to copy the input of a wrong case to.
    """
    asked = name in ("configs", "words")
    home = Path.cwd()
    with tempfile.TemporaryDirectory(prefix="gatlabel-fuzz-", dir=samples.cases) as place:
        folder = Path(place).resolve()
        (folder / "given").mkdir()
        (folder / "tmp").mkdir()
        case = Case(random.Random(f"{seed}:{name}:{number}"), samples, folder)
        case.guard = Guard(folder, samples.secret, asked=asked)
        os.chdir(folder)
        before, tempfile.tempdir = tempfile.tempdir, str(folder / "tmp")
        try:
            part(case)
        except (KeyboardInterrupt, GeneratorExit):
            raise
        except BaseException as error:
            if keep is not None:
                shutil.copytree(case.given, keep, symlinks=True, dirs_exist_ok=True,
                                ignore=shutil.ignore_patterns("pipe*"))  # fmt: skip
            return Outcome("wrong", _story(case, error))
        finally:
            tempfile.tempdir = before
            os.chdir(home)
        return Outcome("refused" if case.refused else "done")


def _story(case: Case, error: BaseException) -> str:
    words = f"words: {case.words}\n" if case.words else ""
    if isinstance(error, WrongError):
        return words + str(error)
    if isinstance(error, BrokenRule) and "too long" not in str(error):
        return f"{words}BrokenRule: {error}"
    return words + "".join(traceback.format_exception(error))[-6000:]
