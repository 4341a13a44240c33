"""Every problem with a file is reported in one line that names the file."""

import json
import os
import signal
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest

from gatlabel.array_reading import read_npz
from gatlabel.data import decode_image
from gatlabel.errors import InputError
from gatlabel.reading import opened, read_at_most, read_bytes, read_json, read_text
from gatlabel.training.config import read_options
from gatlabel.training.recipes import read_config
from gatlabel.yaml_reading import parse_yaml

Make = Callable[[Path], str | Path]


@pytest.fixture(autouse=True)
def _no_hanging() -> Iterator[None]:
    """A reader that waits for ever fails here, not the whole run of tests."""
    signal.signal(signal.SIGALRM, lambda *_: pytest.fail("still waiting"))
    signal.alarm(60)
    yield
    signal.alarm(0)


def folder(path: Path) -> Path:
    path.mkdir()
    return path


def pipe(path: Path) -> Path:
    os.mkfifo(path)
    return path


def loop(path: Path) -> Path:
    path.symlink_to(path)
    return path


def below_a_file(path: Path) -> Path:
    path.write_text("x")
    return path / "below"


def holes(path: Path) -> Path:
    with path.open("wb") as file:
        file.truncate(1 << 42)
    return path


NO_FILE: dict[str, tuple[Make, str]] = {
    "missing": (lambda path: path, "No such file or directory"),
    "folder": (folder, "Is a directory"),
    "pipe": (pipe, "a pipe, a socket or a device"),
    "device": (lambda path: Path("/dev/zero"), "a pipe, a socket or a device"),
    "loop": (loop, "symbolic links"),
    "below a file": (below_a_file, "Not a directory"),
    "long": (lambda path: path.with_name("x" * 300), "File name too long"),
    "deep": (lambda path: path / ("x/" * 3000), "File name too long"),
    "nul": (lambda path: f"{path}\0", "invalid file name"),
    "surrogate": (lambda path: f"{path}\ud800", "invalid file name"),
    "holes": (holes, "larger than"),
}
READERS = {
    "text": lambda path: read_text(path, "thing"),
    "json": lambda path: read_json(path, "thing"),
    "npz": lambda path: read_npz(path, "thing"),
    "config": lambda path: read_options(Path(path)),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(("make", "reason"), NO_FILE.values(), ids=NO_FILE)
def test_paths_that_are_not_files(make: Make, reason: str, reader: str, tmp_path: Path) -> None:
    path = make(tmp_path / "some.thing")
    if reader == "npz" and reason == "larger than":
        reason = "not an npz file"  # its parts are read, not all of it
    with pytest.raises(InputError, match=reason) as caught:
        READERS[reader](path)
    assert os.fspath(path) in str(caught.value)


BAD_JSON = {
    "no json": (b"a: b", "is not JSON: line 1"),
    "empty": (b"", "is not JSON: line 1"),
    "line": (b"{\n\n'a': 1}", "is not JSON: line 3"),
    "latin": ("[1,\n'ü']".encode("latin-1"), "line 2 is not UTF-8"),
    "utf16": ("[]".encode("utf-16"), "line 1 is not UTF-8"),
    "deep": (b"[" * 10**6, "nested more than 100 deep"),
    "deeper than it is used": (b"[" * 150 + b"]" * 150, "nested more than 100 deep"),
    "deep objects": (b'{"a":' * 120 + b"1" + b"}" * 120, "nested more than 100 deep"),
    "deep, brackets in text": (
        b'[["' + b"]" * 500 + b'"],' + b"[" * 150 + b"]" * 151,
        "nested more than 100 deep",
    ),
    "deep, hidden by text": (b'["]",' * 150 + b"1" + b',"["]' * 150, "nested more than 100 deep"),
    "101 deep": (b"[" * 101 + b"]" * 101, "nested more than 100 deep"),
    "4301 digits": (b"[" + b"9" * 4301 + b"]", "beyond 64 bits"),
    "40 digits": (b'{"a": ' + b"9" * 40 + b"}", "beyond 64 bits"),
    "64 bits": (b"[9223372036854775808]", "9223372036854775808 is beyond 64 bits"),
    "twice": (b'{"a": 1,\n"b": {"c": 1, "c": 2}}', "'c' appears twice"),
}


@pytest.mark.parametrize(("content", "reason"), BAD_JSON.values(), ids=BAD_JSON)
def test_invalid_json(content: bytes, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "some.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match=reason) as caught:
        read_json(path, "thing")
    assert "some.json" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unusual_but_valid_json_is_read(tmp_path: Path) -> None:
    value = {
        "brackets": ["[" * 500, "]}" * 300],
        "digits": ["9" * 50, 0.12345678901234567890123, -(2**63), 2**63 - 1, 1e19],
        "nested": json.loads("[" * 99 + "]" * 99),
        "text": "größe\u2028\x1b\ud800",
    }
    path = tmp_path / "odd.json"
    path.write_text("\ufeff" + json.dumps(value), encoding="utf-8")
    assert read_json(path, "thing") == value


def test_line_breaks_of_all_systems_and_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"\xef\xbb\xbfa\r\nb\rc\n")
    assert read_text(path, "thing") == path.read_text(encoding="utf-8-sig") == "a\nb\nc\n"


def test_the_largest_size(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"12345")
    assert read_bytes(path, "thing", 5) == b"12345"
    with pytest.raises(InputError, match="larger than 0 KiB"):
        read_bytes(path, "thing", 4)


@pytest.mark.parametrize("name", ["text", "image"])
def test_a_small_file_takes_no_memory_for_the_largest(name: str, tmp_path: Path) -> None:
    """Where addresses are limited, 4 GiB reserved for each file would be refused."""
    path = tmp_path / "a.png"
    path.write_text("cat")
    reader: Callable[[Path], object] = decode_image if name == "image" else read_whole
    tracemalloc.start()
    with pytest.raises(InputError, match="not an image") if name == "image" else nullcontext():
        reader(path)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 1 << 24


def read_whole(path: Path) -> None:
    assert read_text(path, "text") == "cat"


def test_files_that_grow_or_claim_to_be_empty_are_read_to_their_end(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"cat")
    with (tmp_path / "a").open("rb") as file:
        size = os.stat_result((0o100644, 0, 0, 0, 0, 0, 0, 0, 0, 0))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "fstat", lambda handle: size)
            assert read_at_most(file, 3) == b"cat"
            file.seek(0)
            assert read_at_most(file, 2) is None


def test_errors_of_the_block_stay_what_they_are(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x")
    with pytest.raises(ValueError, match="mine") as caught, opened(tmp_path / "a", "thing"):
        raise ValueError("mine")
    assert not isinstance(caught.value, InputError)


def open_files() -> int:
    folder = Path("/proc/self/fd")
    return len(list(folder.iterdir())) if folder.is_dir() else 0


def test_readers_leave_no_file_open(tmp_path: Path) -> None:
    before = open_files()
    for name, (make, _) in NO_FILE.items():
        with pytest.raises(InputError):
            read_text(make(tmp_path / name.replace(" ", "-")), "thing")
    assert open_files() == before


LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 10)}]\n"
    for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)
MERGES = "a: &a {k: 1, l: 2}\n" + "".join(
    f"{new}: &{new} {{<<: [{', '.join([f'*{old}'] * 10)}]}}\n"
    for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)
BAD_YAML = {
    "brackets": ("[a", "is not YAML"),
    "two documents": ("a: 1\n--- b: 2", "is not YAML"),
    "tab": ("a:\n\t- b", "is not YAML"),
    "control": ("a: \x1b", "is not YAML"),
    "undefined alias": ("a: *b", "is not YAML"),
    "python": ("a: !!python/object/apply:os.system ['true']", "is not YAML"),
    "python name": ("a: !!python/name:os.system", "is not YAML"),
    "date": ("a: 2020-99-99", "a value that cannot be read: month must be in 1..12"),
    "time": ("a: 2001-12-14t21:59:43.10-99:99", "a value that cannot be read"),
    "timestamp": ("a: !!timestamp x", "a value that cannot be read"),
    "bool": ("a: !!bool maybe", "a value that cannot be read"),
    "int": ("a: !!int ''", "a value that cannot be read"),
    "float": ("a: !!float x", "a value that cannot be read"),
    "binary": ("a: 0b_", "a value that cannot be read"),
    "digits": (f"a: {'9' * 5000}", "a value that cannot be read"),
    "list as key": ("? [a]\n: b", "is not YAML"),
    "deep": ("[" * 5000, "nested more than 100 deep"),
    "deep and whole": ("[" * 150 + "]" * 150, "nested more than 100 deep"),
    "deep blocks": ("- " * 3000 + "a", "nested more than 100 deep"),
    "deep keys": ("? " * 600 + "a", "nested more than 100 deep"),
    "itself": ("a: &a [*a]", "line 1: the value contains itself"),
    "laughs": (LAUGHS, "more than 10000 values"),
    "merges": (MERGES, "more than 10000 values"),
    "twice": ("a: 1\nb: 2\na: 3", "line 3: 'a' appears twice"),
    "twice below": ("a: {b: 1,\n b: 2}", "line 2: 'b' appears twice"),
}


@pytest.mark.parametrize(("text", "reason"), BAD_YAML.values(), ids=BAD_YAML)
def test_invalid_yaml(text: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"the file x.*{reason}") as caught:
        parse_yaml(text, "the file x")
    assert "\n" not in str(caught.value)
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(InputError, match=rf"x\.yaml.*{reason}"):
        read_options(tmp_path / "x.yaml")


def test_yaml_that_is_fine() -> None:
    text = "a: &x [1, 2.5, yes, null]\nb: *x\nc: {d: 2020-01-02, <<: {e: f}}\n'': 'größe'"
    value = parse_yaml(text, "it")
    assert value["a"] == value["b"] == [1, 2.5, True, None]
    assert value["c"]["e"] == "f"
    assert parse_yaml("", "it") is None
    assert parse_yaml("# nothing", "it") is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("- a", "has no options"),
        ("just text", "has no options"),
        ("0", "has no options"),
        ("bacbone: a", "unknown option 'bacbone'; did you mean 'encoder.backbone'"),
        (
            "encoder: {bacbone: a}",
            "unknown option 'encoder.bacbone'; did you mean 'encoder.backbone'",
        ),
        ("1: 2", "unknown option '1'"),
        ("null: 2", "unknown option 'None'"),
        (f"# {'x' * 2_000_000}", "larger than 1024 KiB"),
    ],
)
def test_a_config_of_no_options(text: str, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=rf"run\.yaml.*{reason}"):
        read_config(path)


def test_archives_of_others(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, a=np.arange(3))
    assert read_npz(path, "thing")["a"].tolist() == [0, 1, 2]
    whole = path.read_bytes()
    np.savez(path, a=np.array([{}], dtype=object))
    pickled = path.read_bytes()
    huge = whole.replace(b"'shape': (3,), }      ", b"'shape': (10**12,), } ")
    for content in (b"", b"PK", whole[:100], whole[:-30], pickled, huge, b"\x93NUMPY" + whole):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"cannot read the thing .*a\.npz"):
            read_npz(path, "thing")
