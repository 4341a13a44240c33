"""The table of labels that share classifiers names each of them."""

from gatlabel.report import Sharing
from gatlabel.report.page import render
from gatlabel.report.similarity_section import similarity_section
from tests.report.content import make


def test_every_label_that_shares_has_a_row_with_its_similar_labels() -> None:
    names = ["<b>cat</b>", "dog", "cow"]
    sharing = [
        Sharing("<b>cat</b>", 0.5, 7, {"dog": 0.3, "cow": 0.1}),
        Sharing("cow", 0.25, 1, {"dog": 0.25}),
    ]
    page = similarity_section(make(3, names=names, sharing=sharing))
    assert page.count("<tr>") == 3  # with the head
    assert "&lt;b&gt;cat&lt;/b&gt;" in page
    assert "<b>cat" not in page
    assert "dog 0.300, cow 0.100 and 5 more" in page
    assert "dog 0.250</td>" in page
    assert page in render(make(3, names=names, sharing=sharing))


def test_where_none_shares_there_is_no_section() -> None:
    assert similarity_section(make()) == ""
    assert "Shared classifiers" not in render(make())
