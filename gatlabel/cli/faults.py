"""One-line messages for exceptions that the user or the machine causes.

Code that reads a file checks it and raises an :class:`InputError` with all details. This module
handles the remaining failures of files, devices, memory, locale and other libraries. Exceptions
that are not described here are bugs and keep their traceback.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from gatlabel.errors import InputError, first_line

# By the full name of the type, so that these libraries need not be imported.
_TYPES = {
    "torch.OutOfMemoryError": "out of memory on the device: {}; use a smaller batch or image size",
    "torch.AcceleratorError": "the device failed: {}",
    "safetensors_rust.SafetensorError": "a file of weights cannot be read or written: {}",
    "zipfile.BadZipFile": "a file is damaged: {}",
    "zlib.error": "a file is damaged: {}",
    "_pickle.UnpicklingError": "a file is damaged, or contains more than arrays: {}",
    "xml.etree.ElementTree.ParseError": "a file is not XML: {}",
    "csv.Error": "a file is not CSV: {}",
    "_csv.Error": "a file is not CSV: {}",
    "yaml.error.YAMLError": "a file is not YAML: {}",
    "json.decoder.JSONDecodeError": "a file is not JSON: {}",
    "PIL.Image.DecompressionBombError": "an image is too large: {}",
    "concurrent.futures.process.BrokenProcessPool": (
        "a worker process was killed (out of memory?): {}"
    ),
    "multiprocessing.context.AuthenticationError": "a worker process cannot be reached: {}",
    "argparse.ArgumentError": "{}",
}
# Parts of messages that torch raises as RuntimeError, AssertionError or ImportError.
_MESSAGES = re.compile(
    "|".join(
        (
            r"out of memory",
            r"[Cc]an(?:no|')t allocate memory",
            r"NVIDIA driver",
            r"No CUDA GPUs",
            r"not compiled with CUDA",
            r"CUDA error(?!.*device-side assert)",
            r"[Ii]nvalid device (?:string|ordinal|id)",
            r"at start of device string",
            r"No space left on device",
            r"Too many open files",
            r"File too large",
            r"Read-only file system",
            r"File name too long",
            r"received \d+ items of ancdata",
            r"unable to (?:mmap|open shared memory|write to file|resize file)",
            r"DataLoader worker .*(?:killed|exited unexpectedly)",
            r"DataLoader timed out",
            r"PytorchStream(?:Reader|Writer) failed",
            r"basic_ios::clear",
            r"Parent directory .* does not exist",
            r"cannot be opened(?: for writing)?",
            r"can't start new thread",
            r"cannot open shared object file",
            r"failed to map segment",
            r"Symlink loop",
        )
    )
)
_IN_WORKER = re.compile(r"Caught (\w+) in .*?Original Traceback.*\n[\w.]*\1: (.+)", re.DOTALL)


def fault_of(error: Exception) -> str | None:
    """Returns a one-line message with the error's notes, or ``None`` for a bug."""
    line = _line_for(error)
    notes = "; ".join(" ".join(note.split()) for note in getattr(error, "__notes__", ()))
    return f"{line} ({notes})" if line and notes else line


def _line_for(error: Exception) -> str | None:
    from_worker = _IN_WORKER.search(str(error))  # DataLoader puts the traceback into the message
    message = from_worker[2].strip() if from_worker else None
    if isinstance(error, InputError):
        return message or str(error)
    if isinstance(error, OSError):
        return message or _of_file(error)
    if isinstance(error, MemoryError):
        detail = message or str(error)
        return f"out of memory: {detail}" if detail else "out of memory"
    if isinstance(error, UnicodeError):
        return message or _of_text(error)
    if isinstance(error, ValueError) and str(error).startswith("embedded null"):
        return "the name of a file contains a NUL character"
    for kind in type(error).__mro__:
        if pattern := _TYPES.get(f"{kind.__module__}.{kind.__qualname__}"):
            return pattern.format(message or first_line(error))
        if kind.__module__.startswith("onnxruntime."):
            return f"the ONNX model cannot be run: {message or first_line(error)}"
    of_machine = isinstance(error, RuntimeError | AssertionError | ImportError)
    if of_machine and (found := _MESSAGES.search(message or str(error))):
        return _line_of(message or str(error), found)
    return None


def _of_file(error: OSError) -> str:
    names = [name for name in (error.filename, error.filename2) if isinstance(name, str | bytes)]
    reason = error.strerror or first_line(error)
    if names:
        return f"{' and '.join(map(os.fsdecode, names))}: {reason}"
    if isinstance(error, FileNotFoundError) and not _has_working_folder():
        return "the working directory no longer exists: change to another one"
    return f"a file or device failed: {reason}" if error.strerror else reason


def _has_working_folder() -> bool:
    try:
        Path.cwd()
    except OSError:
        return False
    return True


def _of_text(error: UnicodeError) -> str:
    if isinstance(error, UnicodeEncodeError):
        piece = error.object[max(error.start - 20, 0) : error.start + 20]
        return f"{piece!r} cannot be written as {error.encoding}: use another name"
    return f"text is not in the expected encoding: {first_line(error)}"


def _line_of(message: str, found: re.Match[str]) -> str:
    """Returns the line of a message that contains the match."""
    start = message.rfind("\n", 0, found.start()) + 1
    return message[start:].splitlines()[0].strip()
