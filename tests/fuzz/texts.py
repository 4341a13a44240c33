"""Changes of tables, of lines and of XML."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from random import Random

CELLS = (
    *("", " ", "0", "1", "-1", "0.5", "yes", "NaN", "inf", "1e400", "0,7", "9" * 40, "1_0", "2"),
    *(
        "cat",
        "dog",
        "cat|dog",
        "cat|cat",
        "|",
        "||",
        "train",
        "val",
        "a.png",
        "./a.png",
        "x//a.png",
    ),
    *("/dev/zero", "../a.png", "pipe.png", "folder", "c" * 300, "c" * 140_000, "\0", "\u2028"),
    *("\x1b[31m", "=1+1", "caf\u00e9", "cafe\u0301", "a\nb", 'a"b', "\ufeff", "\x85", "image"),
)


def corrupt_table(rng: Random, text: str, words: Sequence[str] = (), delimiter: str = ",") -> str:
    """Returns a CSV text with one to four changed cells, rows or columns."""
    rows = list(csv.reader(io.StringIO(text), delimiter=delimiter))
    for _ in range(rng.choice((1, 1, 2, 4))):
        _change_rows(rng, rows, (*words, *CELLS) if rng.random() < 0.5 else words or CELLS)
    stream = io.StringIO()
    quoting = rng.choice((csv.QUOTE_MINIMAL, csv.QUOTE_MINIMAL, csv.QUOTE_ALL))
    csv.writer(stream, delimiter=delimiter, quoting=quoting, lineterminator=rng.choice(
        ("\n", "\n", "\r\n", "\r"))).writerows(rows)  # fmt: skip
    return stream.getvalue()


def _change_rows(rng: Random, rows: list[list[str]], words: Sequence[str]) -> None:
    if not rows:
        rows.append([rng.choice(words)])
        return
    row = rng.choice(rows) if rng.random() < 0.7 else rows[0]  # often the heading
    place = rng.randrange(len(row)) if row else 0
    kind = rng.choice(("cell", "cell", "cell", "more", "fewer", "row", "away", "column", "swap"))
    if kind == "cell" and row:
        row[place] = rng.choice(words) if rng.random() < 0.8 else row[place] + rng.choice(words)
    elif kind == "more":
        row.insert(place, rng.choice(words))
    elif kind == "fewer" and row:
        del row[place]
    elif kind == "row":
        rows.insert(rng.randint(0, len(rows)), list(row))
    elif kind == "away":
        rows.remove(row)
    elif kind == "column":
        for each in rows:
            each.insert(place, rng.choice((each[place] if place < len(each) else "", "1", "")))
    elif kind == "swap":
        rng.shuffle(row)


def corrupt_lines(rng: Random, text: str, words: Sequence[str] = ()) -> str:
    """Returns a text with one to three changed lines."""
    lines = text.split("\n")
    words = (*words, *CELLS)
    for _ in range(rng.choice((1, 1, 3))):
        place = rng.randrange(len(lines))
        kind = rng.choice(("line", "blank", "twice", "away", "word", "join"))
        if kind == "line":
            lines[place] = rng.choice(words)
        elif kind == "blank":
            lines.insert(place, rng.choice(("", " ", "\t", "#")))
        elif kind == "twice":
            lines.insert(place, lines[place])
        elif kind == "away" and len(lines) > 1:
            del lines[place]
        elif kind == "word":
            lines[place] += rng.choice((" ", "\t", ",", "")) + rng.choice(words)
        elif kind == "join":
            lines[place] = rng.choice((" ", "\r", "\u2028", "")).join((lines[place], lines[-1]))
    return "\n".join(lines)


def corrupt_xml(rng: Random, text: str) -> str:
    """Returns XML with one to three changed elements, or with entities."""
    for _ in range(rng.choice((1, 1, 3))):
        tags = list(re.finditer(r"<(\w+)>([^<]*)</\1>", text))
        if not tags:
            return text
        tag = rng.choice(tags)
        name = rng.choice((tag[1], "object", "name", "filename", "difficult", "a" * 300, "x:y"))
        content = rng.choice((tag[2], *CELLS, "&#0;", "&#x1b;", "&e;", "<name>cat</name>", "]]>"))
        new = rng.choice((f"<{name}>{content}</{name}>", "", tag[0] * 2, f"<{name}/>", f"<{name}>",
                          f"<!-- {content} -->", "<o>" * 300 + "</o>" * 300))  # fmt: skip
        text = text[: tag.start()] + new + text[tag.end() :]
    if rng.random() < 0.1:
        entities = "".join(f'<!ENTITY e{k} "{f"&e{k - 1};" * 10}">' for k in range(1, 12))
        text = f'<!DOCTYPE x [<!ENTITY e0 "{"e" * 100}"><!ENTITY e "cat">{entities}]>' + text
    return text
