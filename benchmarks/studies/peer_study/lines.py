"""How many lines the user of each method writes: counted in the code that runs."""

from __future__ import annotations

import re
from pathlib import Path

HERE = Path(__file__).parent
#: The parts of each method's code: they stand between ``# user: begin NAME`` and ``# user: end``.
PARTS = {
    "default": ("gatlabel_method.py:default",),
    "linear": ("gatlabel_method.py:default",),
    "ridge": ("passes.py:features", "closed_form.py:ridge"),
    "sklearn-logistic": ("passes.py:features", "closed_form.py:sklearn"),
    "sklearn-svm": ("passes.py:features", "closed_form.py:sklearn"),
    "fastai": ("fastai_method.py:fastai",),
    "plain": ("plain_loop.py:imports", "plain_loop.py:page"),
}
ONE_COMMAND = ("default", "linear")  # the function that builds the command is not the user's


def user_lines() -> dict[str, int]:
    """Returns lines by method, without blank ones; those of the other heads are not counted."""
    return {
        name: 1 if name in ONE_COMMAND else sum(map(_count, parts)) for name, parts in PARTS.items()
    }


def _count(part: str) -> int:
    file, name = part.split(":")
    text = (HERE / file).read_text(encoding="utf-8")
    found = re.search(rf"^# user: begin {name}\n(.*?)^# user: end", text, re.DOTALL | re.MULTILINE)
    if found is None:
        raise SystemExit(f"{file} has no part {name!r}")
    return sum(1 for line in found[1].split("\n") if line.strip())
