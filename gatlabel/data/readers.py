"""The readers of annotation files, by their names in ``--data``."""

from __future__ import annotations

from collections.abc import Callable

from gatlabel.data.coco_reader import read_coco
from gatlabel.data.csv_reader import read_csv
from gatlabel.data.json_reader import read_json
from gatlabel.data.source import DataSplits
from gatlabel.data.voc_reader import read_voc

#: The arguments of a reader are the root folder of the data, and options by keyword.
READERS: dict[str, Callable[..., DataSplits]] = {
    "csv": read_csv,
    "voc": read_voc,
    "coco": read_coco,
    "json": read_json,
}
