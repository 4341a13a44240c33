from pathlib import Path

import numpy as np
import pytest

from gatlabel.errors import InputError
from gatlabel.labels import LabelSet

CAFE, DECOMPOSED = "caf\u00e9", "cafe\u0301"


@pytest.mark.parametrize(
    ("names", "message"),
    [
        *(
            (["cat", f"do{sign}g"], f"label 1: .*U\\+{ord(sign):04X}")
            for sign in "\n\r\t\0\x0b\x0c"
        ),
        *((["cat", f"do{sign}g"], f"U\\+{ord(sign):04X}") for sign in "\x1b\x85\u2028\u2029\ufeff"),
        (["\ud800"], r"U\+D800"),
        ([" cat"], "label 0: .* starts or ends with a blank"),
        (["cat\u00a0"], "label 0: .* starts or ends with a blank"),
        ([""], "non-empty"),
        (["\u3000"], "non-empty"),
        ([3], "3 is not a label name"),
        ([None], "None is not a label name"),
        ([10**5000], "thousands of digits is not a label name"),
        (["a", "b", "a"], "label 'a' appears twice, at 0 and 2"),
        ([CAFE, "x", DECOMPOSED], r"'cafe\\u0301', at 0 and 2, are one name in two Unicode forms"),
        ("cat", "needs a list of names"),
        (None, "needs a list of names, not None"),
        (3, "needs a list of names, not 3"),
    ],
)
def test_names_that_files_would_not_give_back(names: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        LabelSet(names)
    assert "\n" not in str(caught.value)


def test_a_name_in_another_unicode_form_is_hinted_at() -> None:
    with pytest.raises(InputError, match=r"'cafe\\u0301' and the label 'caf\\xe9' are one name"):
        LabelSet(["x", CAFE]).index(DECOMPOSED)
    with pytest.raises(InputError, match="did you mean 'cat'"):
        LabelSet(["cat"]).index("cats")


@pytest.mark.parametrize("text", ["cat\n\n dog \nc, d|e", "\ufeffcat\r\ndog\r\nc, d|e\r\n"])
def test_label_files_of_all_systems(tmp_path: Path, text: str) -> None:
    (tmp_path / "classes.txt").write_text(text, newline="", encoding="utf-8")
    assert LabelSet.load(tmp_path / "classes.txt").names == ("cat", "dog", "c, d|e")


def test_names_of_numpy_are_texts() -> None:
    assert LabelSet(np.array(["cat", "dog"])).index("dog") == 1
