"""Commands and options that messages, help and the manual name exist."""

import ast
import pkgutil
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import gatlabel
from gatlabel.cli import COMMANDS, main
from gatlabel.cli.parsing import Parser

PACKAGE = Path(gatlabel.__file__).parent
MANUAL = sorted((PACKAGE.parent / "docs").glob("*.md"))
LEAVES = (
    *("train", "evaluate", "predict", "export", "explain", "fewshot", "extend", "suggest"),
    *("decide", "pretrain"),
    *("graph build", "graph show", "graph compare"),
    *("benchmark graphs", "benchmark heads", "benchmark methods", "benchmark summary"),
)
ALWAYS = {"--help", "--debug", "--quiet", "--verbose"}
OPTION = re.compile(r"(?<![\w(-])--[a-z][a-z.-]*[a-z]\b(?!-)")


@pytest.fixture(scope="module")
def options() -> dict[str, set[str]]:
    """The options of every command."""
    found: dict[str, set[str]] = {}
    with pytest.MonkeyPatch.context() as patch:

        def record(parser: Parser, words: list[str], namespace: object) -> None:
            flags = {flag for action in parser._actions for flag in action.option_strings}
            switches = {flag for flag in flags if _type(parser, flag) is bool}
            off = {re.sub(r"([\w-]+)$", r"no-\1", flag[2:]) for flag in switches}
            found[command] = flags | ALWAYS | {f"--{flag}" for flag in off}
            raise KeyboardInterrupt

        patch.setattr(Parser, "parse_args", record)
        for command in LEAVES:
            assert main(command.split()) == 130
    assert set(found) == set(LEAVES)
    assert "--image-size" in found["train"]
    assert "--no-progress" in found["benchmark summary"]
    return found


def _type(parser: Parser, flag: str) -> object:
    return parser.hints.get(parser._option_string_actions[flag].dest)


def messages() -> Iterator[tuple[str, str]]:
    """All text of the package that may be printed: strings that are no documentation of code."""
    for path in sorted(PACKAGE.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        documents = {id(n.value) for n in ast.walk(tree) if isinstance(n, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and id(node) not in documents:
                yield f"{path.relative_to(PACKAGE)}:{node.lineno}", str(node.value)


def test_options_in_messages_exist(options: dict[str, set[str]]) -> None:
    known = set().union(*options.values(), {"--version"}, {"--nproc-per-node"})  # torchrun's
    unknown = [
        (where, option)
        for where, text in messages()
        for option in OPTION.findall(text)
        if option not in known
    ]
    assert unknown == []


def test_commands_in_messages_exist() -> None:
    """What follows the name is a command, and the same with the second word of a command."""
    second = {
        command: {leaf.removeprefix(command).strip() for leaf in LEAVES if leaf.startswith(command)}
        for command in COMMANDS
    }
    wrong = []
    for where, text in messages():
        for word, after in re.findall(
            r"(?<!of )(?<!of a )\bgatlabel ([a-z]+)(?: ([a-z]+))?(?= --| and| or|$)", text
        ):
            if word not in COMMANDS or (after and after not in second[word]):
                wrong.append((where, f"gatlabel {word} {after}"))
    assert wrong == []


@pytest.mark.parametrize("path", MANUAL, ids=lambda path: path.stem)
def test_commands_of_the_manual_exist(path: Path, options: dict[str, set[str]]) -> None:
    text = path.read_text(encoding="utf-8").replace("\\\n", " ")
    lines = re.findall(r"^(?:    |\$ )?gatlabel .*", text, re.MULTILINE)
    lines += re.findall(r"`(gatlabel [^`]+)`", text)
    for line in lines:
        words = line.split("#")[0].replace("$", "").split()[1:]
        leaf = next((name for name in LEAVES if words[: name.count(" ") + 1] == name.split()), None)
        if leaf is None:
            assert words[0] in ("--help", "--version", "COMMAND", *COMMANDS), line
            continue
        for option in OPTION.findall(" ".join(words)):
            assert option in options[leaf], line


@pytest.mark.parametrize("command", LEAVES)
def test_the_hint_of_an_unknown_option_is_a_command_that_lists_them(command: str, capsys) -> None:
    assert main([*command.split(), "--frobnicate"]) == 2
    error = capsys.readouterr().err
    hint = re.search(r"\(gatlabel (.+) --help lists them\)", error)
    assert hint
    assert hint[1] == command
    with pytest.raises(SystemExit) as stop:
        main([*hint[1].split(), "--help"])
    assert stop.value.code == 0
    assert f"usage: gatlabel {command} [" in capsys.readouterr().out


def test_extras_that_are_named_exist() -> None:
    project = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text(encoding="utf-8"))
    extras = set(project["project"]["optional-dependencies"])
    texts = [text for _, text in messages()] + [path.read_text(encoding="utf-8") for path in MANUAL]
    named = {name for text in texts for name in re.findall(r"gatlabel\[([a-z]+)\]", text)}
    for path in PACKAGE.rglob("*.py"):
        named |= set(re.findall(r'require_extra\("\w+", "(\w+)"\)', path.read_text("utf-8")))
    assert {"onnx", "lite"} <= named
    assert named <= extras


def test_names_in_messages_can_be_imported() -> None:
    found = {
        name
        for _, text in messages()
        for name in re.findall(r"(?<![\w/.])gatlabel(?:\.\w+)+(?=[ ,;:)])", text)
        if not name.startswith("gatlabel.state")  # keys in files
    }
    assert "gatlabel.graph.hierarchy_graph" in found
    for name in found:
        pkgutil.resolve_name(name)
