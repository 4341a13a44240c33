"""Questions in the terminal, each answered by a single key."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from gatlabel.active.answers import AnswerFile
from gatlabel.errors import InputError
from gatlabel.labels import ABSENT, PRESENT

KEYS = {"y": PRESENT, "n": ABSENT, "s": None}
QUIT = ("q", "\x03", "\x04", "")


class Asked(NamedTuple):
    """A question in the terminal: image, label, and probability by the model."""

    image: str
    label: str
    probability: float


def ask(
    questions: Sequence[Asked],
    answers: AnswerFile,
    read_key: Callable[[], str],
    show: Callable[[str], None],
) -> int:
    """Asks until all questions are answered or the user quits; each answer is saved immediately.

    Args:
        questions: The questions, in order.
        answers: The file to write answers to.
        read_key: Returns the next key; an empty text is the end of the input.
        show: Shows a text without a line break.

    Returns:
        The number of answers, skipped questions included.
    """
    show("y present, n absent, s skip, q quit\n")
    for number, question in enumerate(questions):
        show(
            f"{number + 1}/{len(questions)}  {question.image}  {question.label}? "
            f"({question.probability:.2f}) "
        )
        key = read_key().lower()
        while key not in KEYS and key not in QUIT:
            key = read_key().lower()
        if key in QUIT:
            show("q\n")
            return number
        show(f"{key}\n")
        answers.add(question.image, question.label, KEYS[key])
    return len(questions)


@contextmanager
def single_keys() -> Iterator[Callable[[], str]]:
    """Reads single keys from the terminal and restores its mode afterwards.

    Raises:
        InputError: If the standard input is not a terminal, or the system has no termios.
    """
    try:
        import termios
        import tty
    except ImportError as error:
        raise InputError(
            "single keys need a terminal of Linux or macOS: write the questions with --output"
        ) from error
    if sys.stdin is None or not sys.stdin.isatty():
        raise InputError("--ask needs a terminal: write the questions to a file with --output")
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    try:
        tty.setcbreak(descriptor, termios.TCSADRAIN)  # keeps keys typed before
        yield lambda: os.read(descriptor, 1).decode("ascii", "replace")
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
