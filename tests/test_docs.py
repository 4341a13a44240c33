"""Every Python example of README and docs runs, every link between pages leads somewhere, and the
generated pages are current."""

import doctest
import importlib
import pkgutil
import re
import runpy
import shutil
from pathlib import Path

import pytest
from PIL import Image

import gatlabel

ROOT = Path(__file__).resolve().parent.parent
PAGES = [*ROOT.glob("*.md"), *sorted((ROOT / "docs").rglob("*.md"))]
SLOW = {"compare_graphs", "export_onnx"}
SCRIPTS = [
    pytest.param(path, id=path.stem, marks=[pytest.mark.slow] if path.stem in SLOW else [])
    for path in sorted((ROOT / "docs" / "examples").glob("*.py"))
]


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.filterwarnings("ignore:.*LeafSpec.*")  # of Lightning, about itself
def test_example_scripts_run_and_fit_a_page(script: Path, tmp_path: Path, monkeypatch) -> None:
    assert len(script.read_text(encoding="utf-8").splitlines()) <= 70
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(script), run_name="__main__")
    assert not list(tmp_path.iterdir())  # they clean up


def test_generated_pages_are_current() -> None:
    """Run ``make docs`` after a change of options, public names or titles, and for a new page."""
    pages = runpy.run_path(str(ROOT / "docs" / "make_reference.py"))["PAGES"]
    for name, page in pages.items():
        assert page() == (ROOT / "docs" / name).read_text(encoding="utf-8"), f"{name}: make docs"


def test_every_page_is_reached_from_the_index() -> None:
    start = ROOT / "docs" / "index.md"
    reached, left = {start}, [start]
    while left:
        page = left.pop()
        for target in re.findall(r"\]\(([^)#:]+\.md)", page.read_text(encoding="utf-8")):
            place = (page.parent / target).resolve()
            if place not in reached and place.is_file():
                reached.add(place)
                left.append(place)
    assert set((ROOT / "docs").rglob("*.md")) <= reached


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_examples_run(page: Path, tiny_csv: Path, tmp_path: Path, monkeypatch) -> None:
    shutil.copytree(tiny_csv, tmp_path / "my-images")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "__example__"}  # a page's examples build on each other
    for code in re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
        exec(compile(code, str(page), "exec"), names)


def anchors(page: Path) -> set[str]:
    """The headings of a page, as links name them."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    plain = (re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading) for heading in headings)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in plain}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target, anchor in re.findall(r"\]\(([^)#]*)#?([^)]*)\)", page.read_text(encoding="utf-8")):
        if "://" in target:
            continue
        place = page.parent / target if target else page
        assert place.exists(), f"{page.name} links to {target}"
        if anchor and place.suffix == ".md":
            assert anchor in anchors(place), f"{page.name} links to {target}#{anchor}"


def photos(folder: Path) -> None:
    """The images that the example of gatlabel.data reads."""
    folder.mkdir()
    lines = ["image,split,labels"]
    for number, labels in enumerate(["cat", "dog", "sofa", "cat|sofa", "dog"]):
        Image.new("RGB", (40, 40), (50 * number, 90, 120)).save(folder / f"{number}.png")
        lines.append(f"{number}.png,{'train' if number < 4 else 'val'},{labels}")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")


def modules() -> list[str]:
    found = pkgutil.walk_packages(gatlabel.__path__, "gatlabel.")
    return ["gatlabel", *(module.name for module in found)]


@pytest.mark.parametrize("name", modules())
def test_docstring_examples_run(name: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    photos(tmp_path / "photos")
    module = importlib.import_module(name)
    extra = {"Path": Path}
    result = doctest.testmod(module, extraglobs=extra, optionflags=doctest.ELLIPSIS)
    assert result.failed == 0
