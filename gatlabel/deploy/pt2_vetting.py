"""Security check of a pt2 archive before torch reads it.

``torch.export.load`` can unpickle objects, evaluates size expressions and guards as Python, looks
up any operator by name and loads compiled libraries. Its documentation warns against loading
untrusted files. Files written by gatlabel need none of these features, so a file that uses one is
refused. This is a guard, not a proof: the remaining operators and torch's reader are native code
that was not designed for hostile input.
"""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gatlabel.errors import InputError

PROGRAM = "models/model.json"
TABLES = ("data/weights/model_weights_config.json", "data/constants/model_constants_config.json")
EXAMPLE = "data/sample_inputs/model.pt"
_FILES = re.compile(
    r"data/weights/weight_\d+|data/constants/tensor_\d+|extra/bundle\.json|byteorder"
    r"|archive_format|archive_version|\.data/version|\.data/serialization_id|version"
    r"|\.format_version|\.storage_alignment"
)
_OPERATOR = re.compile(
    r"torch\.ops\.aten\.(\w+)\.\w+|torch\.sym_[a-z]+|_operator\.(?!attr|item|method|call)[a-z]+"
)
_TOUCH_FILES = {"from_file", "save"}  # the operators of aten that open files by name
# No powers: torch passes sizes to sympy, which would evaluate 9 ** 9 ** 9 without end. The sizes of
# our heads and encoders have 80 characters at most.
_NAMES = r"Symbol|Integer|Rational|Add|Mul|Max|Min|Mod|FloorDiv|CleanDiv|Eq|Ne|Ge|Gt|Le|Lt"
_SIZE = re.compile(
    rf"(?=.{{0,1000}}\Z)(?:[\s\d()=,-]|'[su]\d+'"
    rf"|\b(?:[su]\d+|{_NAMES}|positive|nonnegative|integer|True|False)\b)*",
    re.DOTALL,
)
_TREE = re.compile(
    r'(?:[\s\[\]{},:\d]|"(?:type|context|children_spec|null|\[\]|builtins\.\w+)"|null)*'
)
_WORD = re.compile(r"[\w.:+-]*")
_TEXT = re.compile(r"[\w\s.,>+-]*")  # argument of an operator: a mode, or the equation of an einsum
_ALLOWED = {
    "expr_str": _SIZE,
    "in_spec": _TREE,
    "out_spec": _TREE,
    "as_string": _TEXT,
    "as_strings": _TEXT,
}
# arguments that are programs, objects or functions
_REFUSED = {"as_graph", "as_custom_obj", "as_operator"}


def vet(path: Path) -> None:
    """Refuses an archive that would make torch run more than tensor operators.

    Raises:
        InputError: If the file is not such an archive, or contains anything other than weights,
            sizes and operators of torch on tensors.
    """
    try:
        reason = next(_findings(path), None)
    except Exception as error:  # torch's reader and json raise various errors
        raise InputError(f"{path} is not a readable pt2 archive") from error
    if reason is not None:
        raise InputError(f"{path} is refused: {reason}, which bundles of gatlabel do not have")


def _findings(path: Path) -> Iterator[str]:
    from torch.export.pt2_archive import PT2ArchiveReader

    with zipfile.ZipFile(path) as archive, PT2ArchiveReader(str(path)) as reader:
        names = reader.get_file_names()
        listed = [name.partition("/")[2] for name in archive.namelist()]
        if len(set(listed)) != len(listed):
            yield "it holds two parts of the same name"
        if sorted(names) != sorted(listed):
            yield "two readers find different parts in it"
        for name in names:
            if name not in (PROGRAM, *TABLES, EXAMPLE) and not _FILES.fullmatch(name):
                yield f"it holds {name}"
        if reader.read_bytes(EXAMPLE):
            yield "it holds pickled example inputs"
        for table in TABLES:
            for key, entry in json.loads(reader.read_string(table))["config"].items():
                if entry["use_pickle"] is not False or not _WORD.fullmatch(entry["path_name"]):
                    yield f"it holds {key} pickled"
        program = json.loads(reader.read_string(PROGRAM))
    if program.get("guards_code"):
        yield "it holds Python code"
    for key, value in _leaves(program):
        if key in _REFUSED:
            yield f"it holds an argument {key}"
        if key == "target" and isinstance(value, str):
            operator = _OPERATOR.fullmatch(value)
            if operator is None or operator[1] in _TOUCH_FILES:
                yield f"it calls {value}"
        elif isinstance(value, str) and not _ALLOWED.get(key, _WORD).fullmatch(value):
            yield f"it holds the text {value[:40]!r} as {key}"


def _leaves(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Yields every value of a JSON tree with its key, and every key."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield "key", name
            yield name, None
            yield from _leaves(inner, name)
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner, key)
    else:
        yield key, value
