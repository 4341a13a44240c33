"""Options from signatures: read from the source, they are what the classes at hand have."""

import importlib
import inspect
import math
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_type_hints

import pytest

from gatlabel.data.options import DATA
from gatlabel.data.readers import READERS
from gatlabel.errors import InputError
from gatlabel.losses import LOSSES
from gatlabel.losses.options import LOSSES as LOSS_OPTIONS
from gatlabel.losses.options import EntryLossOptions, LossOptions
from gatlabel.nn import HEADS
from gatlabel.nn.options import HEADS as HEAD_OPTIONS
from gatlabel.options import Options
from gatlabel.signatures import Range, check_ranges, derived, options_of

DERIVED = [name for name, kind in LOSS_OPTIONS.items() if kind.__name__.endswith("Options")]
needed = {"db": {"rates": 0.1}}


class Example:
    """A class with options of every type; more text.

    Args:
        count: How many, on
            two lines.
        share: A share.
        mode: A mode.
        path: A file.
        pair: Two numbers.
        flag: Whether.
        tensor: No option.
    """

    def __init__(
        self,
        needed: int,
        count: Annotated[int, Range(1, 9)] = 2,
        share: Annotated[float | None, Range(0, below=1)] = None,
        mode: Literal["a", "b"] = "a",
        path: Path | None = None,
        pair: tuple[float, float] = (0.5, 1.0),
        flag: bool = False,
        tensor: "list[Any] | None" = None,
    ) -> None:
        check_ranges(Example.__init__, count=count)


def test_every_type_of_option() -> None:
    kind = options_of(Example, "example", Options)
    assert kind.__doc__ == "A class with options of every type"
    assert list(kind.__dataclass_fields__) == [
        *("name", "count", "share", "mode", "path", "pair", "flag")
    ]
    made = kind(path="a.csv", share=0.5)
    assert (made.name, made.count, made.share, made.path) == ("example", 2, 0.5, Path("a.csv"))
    assert kind.__dataclass_fields__["count"].metadata["help"] == "How many, on two lines."
    for wrong, message in (
        ({"count": 0}, "count=0: must be at least 1"),
        ({"count": 1.5}, "count=1.5: give a whole number"),
        ({"share": 1.0}, "share=1.0: must be at least 0 and below 1"),
        ({"mode": "c"}, "mode='c': give a or b"),
        ({"name": "other"}, "name='other'"),
    ):
        with pytest.raises(InputError, match=message):
            kind(**wrong)


@pytest.mark.parametrize("name", DERIVED)
def test_what_is_read_from_the_source_is_what_the_class_has(name: str) -> None:
    kind, loss = LOSS_OPTIONS[name], LOSSES[name]
    hints = get_type_hints(loss.__init__, include_extras=True)
    ranges = {n: next(a for a in get_args(h) if isinstance(a, Range)) for n, h in hints.items() if
              any(isinstance(a, Range) for a in get_args(h))}  # fmt: skip
    own = set(kind.__dataclass_fields__) - set(EntryLossOptions.__dataclass_fields__)
    assert own == set(ranges)
    for option, allowed in ranges.items():
        metadata = kind.__dataclass_fields__[option].metadata
        assert metadata["help"]
        assert {key: metadata[key] for key in allowed.bounds()} == allowed.bounds()
        default = inspect.signature(loss).parameters[option].default
        assert kind.__dataclass_fields__[option].default == default
        wrong = allowed.least - 1
        with pytest.raises(InputError, match=f"^{option} is "):  # the constructor checks it too
            loss(**needed.get(name, {}), **{option: wrong})
        with pytest.raises(InputError, match=f"^{option}="):
            kind(**{option: wrong})
    assert loss(**needed.get(name, {}), **kind().arguments())
    assert issubclass(kind, LossOptions)


def test_every_choice_has_options_in_the_order_of_its_dictionary() -> None:
    assert list(LOSS_OPTIONS) == list(LOSSES)
    assert list(HEAD_OPTIONS) == list(HEADS)
    assert list(DATA) == ["scenes", *READERS, "python"]


def test_numbers_outside_a_range_are_refused() -> None:
    for wrong in (0, 10, True, "2", math.nan):
        with pytest.raises(InputError, match=r"^count is .*: it must be a number from 1 to 9"):
            Example(1, count=wrong)


def test_what_is_missing_is_named() -> None:
    table = importlib.import_module("gatlabel.losses.table").__name__
    with pytest.raises(ImportError, match="no dictionary NOTHING"):
        derived(table, "NOTHING", {}, {}, Options)
    with pytest.raises(ImportError, match=r"source of json\.nothing"):
        derived("json.nothing", "LOSSES", {}, {}, Options)
