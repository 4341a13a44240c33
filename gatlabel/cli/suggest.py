"""``gatlabel suggest``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from gatlabel.cli.output import add_row, make_table, show, show_block, show_json, show_table
from gatlabel.cli.parsing import Parser, at_least_one, check_outputs, make_parser, parse
from gatlabel.errors import InputError
from gatlabel.printing import fitted, put

if TYPE_CHECKING:
    from gatlabel.active import Pool, Question

DESCRIPTION = (
    "Ranks images, or single questions about them, by how much a run would learn from an answer, "
    "and updates the run with the answers in seconds."
)
SHOWN = 20  # maximum number of rows of the table


def suggest_parser() -> Parser:
    """Creates the parser of the command."""
    parser = make_parser("suggest", DESCRIPTION)
    parser.add_argument("run", type=Path, help="The run folder.")
    parser.add_argument("pool", type=Path, help="Folder of images without labels.")
    parser.add_argument(
        "--by", type=Literal["questions", "images"], default="questions", help="What to rank."
    )
    parser.add_argument("--count", type=int, default=100, help="Number to choose.")
    parser.add_argument(
        "--per-image", type=int, default=1, help="Maximum number of questions per image."
    )
    parser.add_argument(
        "--answers",
        nargs="+",
        type=Path,
        default=[],
        help="Answers so far: CSV (image, label, answer) or JSON from Label Studio.",
    )
    parser.add_argument(
        "--ask",
        type=bool,
        default=False,
        help="Ask in the terminal, answered by single keys; answers are added to the last file of "
        "--answers.",
    )
    parser.add_argument("--update", type=Path | None, help="Write the updated run to this folder.")
    parser.add_argument("--output", type=Path | None, help="Write all rows, .csv or .json.")
    parser.add_argument("--json", type=bool, default=False, help="Print JSON instead of a table.")
    parser.add_argument(
        "--device", type=str, default="auto", help="auto, cpu, cuda, cuda:1 or mps."
    )
    return parser


def suggest_command(words: list[str]) -> None:
    """Ranks what to annotate next, asks, or updates the run."""
    options = parse(suggest_parser(), words)
    at_least_one(options, "count", "per_image")
    check_outputs(options, "output")
    if not options.pool.is_dir():
        raise InputError(f"the pool {options.pool} is not a folder of images")
    if options.ask and (not options.answers or options.answers[-1].suffix.lower() != ".csv"):
        raise InputError("--ask needs a CSV file to write answers to: give --answers answers.csv")
    if options.ask and options.by == "images":
        raise InputError("--ask is for single questions: omit --by images")
    from gatlabel.active import AnswerFile, open_pool, read_answers, update_run
    from gatlabel.fewshot.run_features import image_paths
    from gatlabel.training.finished_runs import open_run

    images = image_paths([options.pool])
    labels = open_run(options.run)[0].labels
    session = AnswerFile(options.answers[-1]) if options.ask else None
    files = [p for p in options.answers if not (options.ask and not _begun(p))]
    answers = [answer for path in files for answer in read_answers(path, labels)]
    pool = open_pool(options.run, images, options.pool, answers, device=options.device)
    if session is not None:
        from gatlabel.active.session import Asked, ask, single_keys

        asked = [
            Asked(pool.ids[q.row], pool.model.labels[q.label], q.probability)
            for q in pool.questions(options.count, options.per_image)
        ]
        with single_keys() as read_key:
            given = ask(asked, session, read_key, _prompt)
        show(f"{given} answers in {session.path}")
        if options.update is not None and given:
            answers = [answer for path in options.answers for answer in read_answers(path, labels)]
            pool = open_pool(options.run, images, options.pool, answers, device=options.device)
    elif options.by == "images":
        _show_images(pool, options.count, options.output, options.json)
    else:
        _show_questions(
            pool, pool.questions(options.count, options.per_image), options.output, options.json
        )
    if options.update is not None:
        update_run(pool, options.update)
        if not options.json:
            known = int((pool.answers >= 0).sum())
            show(f"{options.update}: the run, updated with {known} answers")


def _begun(path: Path) -> bool:
    return path.is_file() and path.stat().st_size > 0 and len(path.read_bytes().splitlines()) > 1


def _prompt(text: str) -> None:
    line = text.rstrip()
    put(fitted(line, "stdout") + text[len(line) :], "stdout")


def _show_questions(
    pool: Pool, questions: list[Question], output: Path | None, as_json: bool
) -> None:
    from gatlabel.active import write_questions

    rows = [(pool.ids[q.row], pool.model.labels[q.label], q) for q in questions]
    if as_json:
        show_json(
            [
                {
                    "image": image,
                    "label": label,
                    "probability": q.probability,
                    "information": q.information,
                }
                for image, label, q in rows
            ]
        )
    else:
        table = make_table(("image", "label", "probability", "information"), left=2)
        for image, label, q in rows[:SHOWN]:
            add_row(table, image, label, f"{q.probability:.2f}", f"{q.information:.3f}")
        show_table(table)
        _more(len(rows))
    if output is not None:
        write_questions(pool, questions, output)


def _show_images(pool: Pool, count: int, output: Path | None, as_json: bool) -> None:
    from gatlabel.files import write_json, write_text

    rows = pool.images(count)
    if as_json:
        show_json([{"image": image, "information": gain} for image, gain in rows])
    else:
        table = make_table(("image", "information"))
        for image, gain in rows[:SHOWN]:
            add_row(table, image, f"{gain:.3f}")
        show_table(table)
        _more(len(rows))
    if output is not None and output.suffix.lower() == ".json":
        write_json(output, [{"data": {"image": image}} for image, _ in rows])
    elif output is not None:
        write_text(output, "".join(f"{line}\n" for line in _csv_lines(rows)))


def _csv_lines(rows: list[tuple[str, float]]) -> list[str]:
    import csv
    import io

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["image", "information"])
    writer.writerows([image, f"{gain:.4f}"] for image, gain in rows)
    return text.getvalue().splitlines()


def _more(count: int) -> None:
    if count > SHOWN:
        show(f"… and {count - SHOWN} more; --output writes all")
    elif not count:
        show_block("no questions left")
