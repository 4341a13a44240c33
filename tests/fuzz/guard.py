"""What no case may do: take too long or too much memory, write elsewhere, connect, run programs."""

from __future__ import annotations

import os
import re
import resource
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

SECONDS = 10.0  # of the processor: the machine may be shared
WAITING = 90.0  # seconds by the clock, for what waits and does not work
MEMORY = 1536 << 20  # bytes that a case may add
_ROOM = 4 << 30  # bytes of addresses that the process may add: it fails, and the machine lives

_PROGRAMS = {"subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "pty.spawn"}
_NETWORK = {"socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "urllib.Request"}
_CHANGES = {"os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink",
            "os.truncate", "os.chmod", "os.chown", "shutil.rmtree", "shutil.move"}  # fmt: skip
_DEVICES = {"/dev/null", "/dev/full"}
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class BrokenRule(BaseException):
    """A case did what none may do."""


class Guard:
    """The rules of one case, and which were broken.

    Args:
        folder: The only folder that may be written to.
        secret: A file that may not be opened.
        asked: Whether the case itself names files and hosts, as a command line does: to write
            elsewhere or to connect is refused then, as a system would, but breaks no rule.
    """

    def __init__(self, folder: Path, secret: Path, *, asked: bool = False) -> None:
        self.folder, self.secret, self.asked = folder.resolve(), secret, asked
        self.broken: list[str] = []

    def check(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Judges one event of the interpreter.

        Raises:
            PermissionError: If it is against the rules.
        """
        if event == "open":
            path, _, flags = arguments
            if isinstance(flags, int) and flags & _WRITING:
                self._require_inside(event, path)
            elif not self.asked and self._is(path, self.secret):
                self._refuse(f"opens {path}")
        elif event in _CHANGES:
            paths = (
                arguments[:2] if event in ("os.rename", "os.link", "shutil.move") else arguments[:1]
            )
            for path in paths:
                self._require_inside(event, path)
        elif event in _PROGRAMS:
            self._refuse(f"{event} {arguments!r:.200}")
        elif event in _NETWORK and not self._is_local(arguments):
            self._refuse(f"{event} {arguments!r:.200}", self.asked)

    def _require_inside(self, event: str, path: Any) -> None:
        if isinstance(path, int) or path is None:
            return
        with suppress(OSError, ValueError):  # no file can have the name
            place = Path(os.path.realpath(os.fsdecode(path)))
            if not (
                place.is_relative_to(self.folder)
                or str(place) in _DEVICES
                or place.name.startswith("torchinductor_")
            ):  # torch makes it on import
                self._refuse(f"{event} {place}", self.asked)

    def _is(self, path: Any, other: Path) -> bool:
        with suppress(OSError, ValueError, TypeError):
            return not isinstance(path, int) and os.path.realpath(os.fsdecode(path)) == str(other)
        return False

    @staticmethod
    def _is_local(arguments: tuple[Any, ...]) -> bool:
        return isinstance(arguments[-1], str | bytes) and not isinstance(arguments[0], str)

    def _refuse(self, what: str, allowed: bool = False) -> None:
        if not allowed:
            self.broken.append(what)
        raise PermissionError(13, "Permission denied", what)


_current: list[Guard] = []
_is_installed: list[bool] = []


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if _current:
        _current[-1].check(event, arguments)


@contextmanager
def guarded(guard: Guard) -> Iterator[None]:
    """Holds a block to the rules.

    Raises:
        BrokenRule: If one was broken; at once where time is up, else at the end.
    """
    if not _is_installed:
        sys.addaudithook(_hook)  # for the life of the process
        _is_installed.append(True)
    before = _reset_peak()
    with _time_limit(), _address_limit():
        _current.append(guard)
        try:
            yield
        finally:
            _current.pop()
    if guard.broken:
        raise BrokenRule("; ".join(dict.fromkeys(guard.broken)))
    peak = _status("VmHWM")
    if peak - before > MEMORY:
        raise BrokenRule(f"took {(peak - before) >> 20} MiB")


@contextmanager
def _time_limit() -> Iterator[None]:
    def stop(number: int, frame: object) -> None:
        kind = "clock" if number == signal.SIGALRM else "processor"
        raise BrokenRule(f"took too long by the {kind}")

    old = {number: signal.signal(number, stop) for number in (signal.SIGALRM, signal.SIGPROF)}
    signal.setitimer(signal.ITIMER_PROF, SECONDS, 1.0)  # again, if it was swallowed
    signal.setitimer(signal.ITIMER_REAL, WAITING, 1.0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in old.items():
            signal.signal(number, handler)


@contextmanager
def _address_limit() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    size = _status("VmSize")
    if size:
        resource.setrlimit(resource.RLIMIT_AS, (size + _ROOM, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _reset_peak() -> int:
    """Resets the peak resident memory; returns the current resident memory."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
        return _status("VmRSS")
    return 1 << 62  # not measured here


def _status(name: str) -> int:
    with suppress(OSError):
        found = re.search(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())
        return int(found[1]) << 10 if found else 0
    return 0
