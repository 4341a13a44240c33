"""Tables that spreadsheets do not execute and that read back as what was written."""

import csv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatlabel.csv_files import guarded, read_rows, unguarded, write_csv
from gatlabel.errors import InputError


@pytest.mark.parametrize(
    ("cell", "written"),
    [
        ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"),
        ("+1+1", "'+1+1"),
        ("-2+3", "'-2+3"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        ("\r=1", "'\r=1"),
        ("＝1+1", "'＝1+1"),
        ("'=1", "''=1"),
        ("-0.5", "-0.5"),
        ("+1e-3", "+1e-3"),
        ("cat", "cat"),
        ("'tis", "'tis"),
        ("a=b", "a=b"),
        ("", ""),
    ],
)
def test_formulas_get_an_apostrophe(cell: str, written: str) -> None:
    assert guarded(cell) == written
    assert unguarded(written) == cell


@given(st.text("'=+-@\t\r1a", max_size=6) | st.text())
def test_reading_gives_back_what_was_written(cell: str) -> None:
    assert unguarded(guarded(cell)) == cell


def test_numbers_stay_numbers_and_names_are_cleaned(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    rows = [{"=name": "=x", "value": -0.5, "count": 3, "left out": 1}, {"=name": "a\x1b,\n\"'"}]
    write_csv(path, ["=name", "value", "count"], rows)
    with path.open(newline="", encoding="utf-8") as file:
        plain = list(csv.reader(file))
    assert plain[:2] == [["'=name", "value", "count"], ["'=x", "-0.5", "3"]]
    read = read_rows(path, "table")
    assert read[0] == {"=name": "=x", "value": "-0.5", "count": "3"}
    assert read[1] == {"=name": "a\\x1b,\\n\"'", "value": "", "count": ""}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a,b\n1\n", "line 2: 1 cells for 2 columns"),
        ("a,b\n1,2\n1,2,3\n", "line 3: 3 cells for 2 columns"),
        ('a,b\n"1,2\n', "line"),
        ("a\n" + "x" * 200_000 + "\n", "line 2: field larger than"),
    ],
)
def test_damaged_tables_are_named_with_their_line(
    content: str, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.csv"
    path.write_text(content)
    with pytest.raises(InputError, match=rf"the table .*a\.csv, {message}"):
        read_rows(path, "table")
