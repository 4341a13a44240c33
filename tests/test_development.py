"""The examples of docs/development.md join the common testers, as the page says.

Its code is executed here, and the test classes in it are collected by pytest.
"""

import re
from pathlib import Path

PAGE = Path(__file__).resolve().parent.parent / "docs" / "development.md"
SECTIONS = ("Add a head", "Add a loss", "Add a graph variant")


def classes_of(section: str, names: dict[str, object]) -> None:
    """Executes the definitions of a section; not its examples, which write files."""
    text = PAGE.read_text(encoding="utf-8").split(f"## {section}\n")[1].split("\n## ")[0]
    for code in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        if re.search(r"^(class|def) ", code, re.MULTILINE):
            exec(compile(code, str(PAGE), "exec"), names)


found: dict[str, object] = {"__name__": __name__}
for title in SECTIONS:
    classes_of(title, found)
globals().update({name: value for name, value in found.items() if name.startswith("Test")})


def test_each_example_has_its_test() -> None:
    joined = {name for name in found if name.startswith("Test")}
    assert joined == {"TestMeanHead", "TestBrierLoss", "TestJaccard"}
