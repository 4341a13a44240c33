"""``gatlabel suggest``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gatlabel.active.options import SuggestConfig
from gatlabel.cli.config_files import config_parser, configured, require_options, show_config
from gatlabel.cli.output import add_row, make_table, show, show_block, show_json, show_table
from gatlabel.cli.parsing import Namespace, Parser, check_outputs, parse
from gatlabel.errors import InputError
from gatlabel.printing import fitted, put

if TYPE_CHECKING:
    from gatlabel.active import Pool, Question

DESCRIPTION = (
    "Ranks images, or single questions about them, by how much a run would learn from an answer, "
    "and updates the run with the answers in seconds."
)
PLACES = {"run": "The run folder", "pool": "Folder of images without labels"}
SHOWN = 20  # rows of the table


def suggest_parser() -> Parser:
    """Makes the parser of the command."""
    switches = {"json": "Print JSON instead of a table"}
    return config_parser("suggest", DESCRIPTION, SuggestConfig, PLACES, **switches)


def suggest_command(words: list[str]) -> None:
    """Ranks what to annotate next, asks, or updates the run."""
    options = parse(suggest_parser(), words)
    config = configured(SuggestConfig, options, PLACES)
    if options.print_config:
        show_config(config.to_dict())
        return
    require_options(config, "suggest", run="the run folder", pool="the folder of images")
    check_outputs(Namespace(output=config.output), "output")
    _suggest(config, as_json=options.json)


def _suggest(config: SuggestConfig, *, as_json: bool) -> None:
    run, folder = config.run, config.pool
    assert run is not None
    assert folder is not None
    if not folder.is_dir():
        raise InputError(f"the pool {folder} is not a folder of images")
    from gatlabel.active import AnswerFile, open_pool, read_answers, update_run
    from gatlabel.fewshot.run_features import image_paths
    from gatlabel.training.finished_runs import open_run

    images = image_paths([folder])
    labels = open_run(run)[0].labels
    session = AnswerFile(config.answers[-1]) if config.ask else None

    def opened(files: Sequence[Path]) -> Pool:
        answers = [answer for path in files for answer in read_answers(path, labels)]
        return open_pool(run, images, folder, answers, device=config.device)

    pool = opened([p for p in config.answers if not (config.ask and not _begun(p))])
    if session is not None:
        from gatlabel.active.session import Asked, ask, single_keys

        asked = [
            Asked(pool.ids[q.row], pool.model.labels[q.label], q.probability)
            for q in pool.questions(config.count, config.per_image)
        ]
        with single_keys() as read_key:
            given = ask(asked, session, read_key, _prompt)
        show(f"{given} answers in {session.path}")
        if config.update is not None and given:
            pool = opened(config.answers)
    elif config.by == "images":
        _show_images(pool, config.count, config.output, as_json)
    else:
        questions = pool.questions(config.count, config.per_image)
        _show_questions(pool, questions, config.output, as_json)
    if config.update is not None:
        made = update_run(pool, config.update)
        if not as_json:
            show(f"{config.update}: the run, updated with {made.answers} answers", *made.notes)


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
