import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gatlabel.decisions import Decision
from gatlabel.errors import InputError
from gatlabel.graph import Cooccurrence
from gatlabel.labels import LabelSet
from gatlabel.nn import GATHead
from gatlabel.report import LabelResult, ReportContent, write_report
from gatlabel.report.images import jpeg_uri
from gatlabel.report.page import render
from tests.report.content import make, ring

NAMES = LabelSet([f"label {k}" for k in range(5)])
CALIBRATED = Decision(NAMES, dict.fromkeys(NAMES, 0.2), dict.fromkeys(NAMES, (0.0, 1.0)), "vector")
VOID = {"meta", "img"}


class Checker(HTMLParser):
    """Collects text, addresses and tags, and checks that every element is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]
        assert not any(name.startswith("on") for name, _ in attrs)
        if tag == "img":
            assert dict(attrs)["alt"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def check(content: ReportContent) -> Checker:
    page = render(content)
    checker = Checker()
    checker.feed(page)
    checker.close()
    assert checker.open == []
    for address in checker.addresses:
        assert address.startswith(("data:image/jpeg;base64,", "#"))
    for address in checker.addresses:
        if address.startswith("#"):
            assert f'id="{address[1:]}"' in page
    assert not re.search(r"https?://|@import|url\((?!#)", page)
    assert "NaN" not in page.partition("<script>")[0]
    assert 'nan"' not in page
    return checker


def test_the_page_is_self_contained() -> None:
    checker = check(make())
    words = " ".join(checker.words)
    for expected in (
        "a run", "uninterpolated", "0.543", "linear head", "a split was made", "Learning curves",
        "AP per label", "Label graph and learned attention", "Worst mistakes",
    ):  # fmt: skip
        assert expected in words
    assert checker.tags.count("img") > 12


def test_names_cannot_become_markup() -> None:
    names = ["<b>bold</b>", '"><script>alert(1)</script>', "猫 & dog", "'"]
    checker = check(
        make(
            names=names,
            L=4,
            title="<i>title</i>",
            ids=[f'</p>"{k}<img>' for k in range(30)],
            notes=["<u>note</u>"],
            protocol={"<k>": "<v>"},
            metrics={"<s>": {"<m>": 0.5}},
        )
    )
    assert not {"u", "k", "v", "s", "m"} & set(checker.tags)
    assert checker.tags.count("script") == 1
    words = " ".join(checker.words)
    for name in (*names, "<i>title</i>", "<u>note</u>", "<k>", "<v>", "<s>", "<m>"):
        assert name in words


@pytest.mark.parametrize(
    "changes",
    [
        {"L": 1, "attention": None},
        {"L": 2, "attention": None},
        {"L": 600, "N": 13},
        {"N": 0},
        {"curves": (), "per_label": (), "graph": None, "attention": None, "baselines": ()},
        {"metrics": {}, "protocol": {}, "notes": ()},
        {"thumbnail": None},
        {"targets": np.full((30, 5), -1.0)},
        {"metrics": {"val": {"mAP": float("nan")}}},
        {"logits": np.full((30, 5), np.inf)},
        {"decision": None},
        {"decision": CALIBRATED},
        {"ids": [f"caf\udce9 {k}\x01" for k in range(30)]},
        {"attention": torch.ones(10)},
    ],
    ids=lambda changes: "-".join(changes),
)
def test_unusual_content(changes: dict[str, object]) -> None:
    check(make(**changes))  # type: ignore[arg-type]


def test_a_graph_without_edges() -> None:
    names = [f"label {k}" for k in range(5)]
    words = " ".join(check(make(graph=ring(names, 0), attention=torch.ones(0, 2))).words)
    assert "5 labels, 0 directed edges, 5 labels without any neighbour" in words


def test_labels_without_ap_are_last_with_a_dash() -> None:
    rows = [LabelResult("label 0", 0.1, 0, float("nan")), LabelResult("label 1", 0.1, 5, 0.9)]
    page = render(make(per_label=rows))
    body = page.partition("AP per label")[2].partition("<tbody>")[2].partition("</tbody>")[0]
    assert body.index("label 1") < body.index("label 0")
    assert '<td class="n" data-value="">–</td>' in body


def test_thumbnails_are_small_and_keep_their_colours() -> None:
    pixels = np.zeros((300, 400, 3), np.uint8)
    pixels[..., 0] = 200
    pixels[..., 2] = 60
    address = jpeg_uri(pixels)
    image = Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2])))
    assert image.size == (160, 120)
    np.testing.assert_allclose(np.asarray(image).mean((0, 1)), [200, 0, 60], atol=4)


def test_only_images_on_the_page_are_loaded() -> None:
    loaded = []

    def load(index: int) -> torch.Tensor:
        loaded.append(index)
        return torch.zeros(3, 10, 10, dtype=torch.uint8)

    render(make(N=500, thumbnail=load))
    assert 12 <= len(loaded) <= 36


def test_the_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "run" / "report.html"
    write_report(make(), path)
    before = path.read_bytes()
    assert len(before) < 3_000_000

    def broken(index: int) -> torch.Tensor:
        raise InputError("cannot decode 7.jpg")

    with pytest.raises(InputError, match=r"7\.jpg"):
        write_report(make(thumbnail=broken), path)
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == ["report.html"]


def test_the_largest_report_stays_below_three_megabytes(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    noise = torch.from_numpy(rng.integers(0, 255, (3, 160, 160), dtype=np.uint8))
    names = [f"a rather long label name, number {k}" for k in range(600)]
    write_report(make(L=600, N=60, names=names, thumbnail=lambda _: noise), tmp_path / "r.html")
    assert (tmp_path / "r.html").stat().st_size < 3_000_000


def test_a_label_graph_and_the_attention_of_a_head() -> None:
    names = [f"label {k}" for k in range(5)]
    targets = np.random.default_rng(0).integers(0, 2, (80, 5))
    graph = Cooccurrence.from_targets(targets, names).graph("npmi")
    found = GATHead(8, graph=graph, hidden=4, heads=2).attention()
    assert found is not None
    edges, weights = found
    assert edges.equal(graph.edge_index)
    words = " ".join(check(make(graph=graph, attention=weights)).words)
    assert f"5 labels, {edges.shape[1]} directed edges" in words
