"""Nothing that a file may name reaches a terminal as it is."""

import ast
import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import gatlabel
from gatlabel.printing import NARROWEST, WIDEST, clean, clean_lines, clipped, console, json_text

PACKAGE = Path(gatlabel.__file__).parent
UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]"
)

NAMES = {
    "\x1b[31mred": r"\x1b[31mred",
    "\x1b]0;title\x07": r"\x1b]0;title\x07",
    "\x9b31m": r"\x9b31m",
    "a\nb\r\tc\x00\x7f": r"a\nb\r\tc\x00\x7f",
    "\u202egnp.exe": r"\u202egnp.exe",
    "\u2066a\u2069": r"\u2066a\u2069",
    "r\u200bed\ufeff\xad": r"r\u200bed\ufeff\xad",
    "a\u2028b\u2029c\x85d": r"a\u2028b\u2029c\x85d",
    "caf\udce9": r"caf\udce9",
    "\U000e0041": r"\U000e0041",
    "猫 & größe ﬁ 🐈 [bold] :cat: $x$ \\": "猫 & größe ﬁ 🐈 [bold] :cat: $x$ \\",
}


@pytest.mark.parametrize(("name", "shown"), NAMES.items(), ids=map(ascii, NAMES))
def test_invisible_characters_become_visible(name: str, shown: str) -> None:
    assert clean(name) == shown
    assert json.loads(json_text([name])) == [name]
    assert not UNSAFE.search(json_text([name], indent=None))


@given(st.text(st.characters(codec=None)))
def test_cleaned_text_is_one_safe_line_that_stays_as_it_is(text: str) -> None:
    shown = clean(text)
    assert not UNSAFE.search(shown)
    assert clean(shown) == shown
    shown.encode("utf-8")
    assert "\n".join(map(clean, text.split("\n"))) == clean_lines(text)


@given(st.recursive(st.text() | st.floats() | st.integers() | st.none(), st.lists, max_leaves=5))
def test_json_is_json_in_any_encoding(value: object) -> None:
    for ascii_only in (True, False):
        text = json_text(value, ascii_only=ascii_only)
        text.encode("ascii" if ascii_only else "utf-8")
        assert not UNSAFE.search(text.replace("\n", ""))
        json.loads(text, parse_constant=lambda name: pytest.fail(name))


def test_a_long_message_loses_its_middle() -> None:
    assert clipped("short", 10) == "short"
    text = clipped("a" * 5000 + "b" * 5000, 100)
    assert len(text) == 100
    assert text.startswith("aaa")
    assert text.endswith("bbb")


@pytest.mark.parametrize("columns", ["0", "1", "²", "-3", "99999999999999999999", "", "80"])
def test_tables_have_a_width_that_can_be_read(
    columns: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setenv("LINES", columns)
    assert NARROWEST <= console().width <= WIDEST


def test_everything_that_is_printed_goes_through_one_place() -> None:
    """``print``, consoles and streams are used by the modules that clean, and by no others."""
    found = []
    for path in PACKAGE.rglob("*.py"):
        if path.relative_to(PACKAGE).as_posix() in ("printing.py", "cli/output.py"):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            printed = isinstance(node, ast.Call) and getattr(node.func, "id", "") in (
                *("print", "Console", "input"),
            )
            stream = isinstance(node, ast.Attribute) and node.attr in ("stdout", "stderr")
            if printed or stream:
                found.append(f"{path.name}:{node.lineno}")
    assert found == []
