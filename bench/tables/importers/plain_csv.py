"""NAS-Bench-201 as a plain CSV file, compressed or not: one line per architecture.

| column | meaning |
|---|---|
| `arch` | the arch string; each of the 15,625 occurs once |
| `index` | ignored: a number of the source's own |
| `<dataset>_<split>_<epochs>` | the mean over an unknown number of trainings; its seed is null |
| `<dataset>_<split>_<epochs>_run<k>` | the training with seed k; the dataset's name gets the ending `-runs` |

Datasets are `cifar10`, `cifar100` and `imagenet16_120` (in tables `imagenet16-120`), splits `valid` and `test`. Single
runs get a dataset of their own, since they and the means need not come from one source. An empty field is a missing
accuracy.
"""

import gzip
import io
import itertools
import re
import zlib
from pathlib import Path

import numpy as np
import pandas as pd

from opselect.bench.tables.importers.rows import Rows
from opselect.spaces.errors import MissingData
from opselect.spaces.nasbench201.space import SIZE
from opselect.spaces.table import InvalidTable, Table

COLUMN = re.compile(r"(cifar10|cifar100|imagenet16_120)_(valid|test)_([0-9]{1,4})(?:_run([0-9]{1,4}))?", re.ASCII)
EXPECTED = "expected arch, index, and columns such as cifar10_test_200 or cifar10_test_200_run0"


# Limit in bytes of the unpacked file. The published accuracies with all single runs have a fifth of this.
LARGEST = 64 * 2**20
LONGEST_LINE = 10_000


def _content(path: Path) -> io.BytesIO:
    """The unpacked lines of the file, at most one more than a complete file has.

    Raises:
        OSError, EOFError, zlib.error: The file cannot be read.
        ValueError: The file is too large, or one of its lines is too long.
    """
    with gzip.open(path) if path.name.lower().endswith(".gz") else path.open("rb") as stream:
        content = stream.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise ValueError(f"more than {LARGEST:,} bytes")
    # pandas reserves memory for every field of every line, even an empty one.
    lines = list(itertools.islice(io.BytesIO(content), SIZE + 2))
    if any(len(line) > LONGEST_LINE or line.count(b",") > lines[0].count(b",") for line in lines):
        raise ValueError(f"a line of more than {LONGEST_LINE:,} bytes, or of more fields than the header")
    return io.BytesIO(b"".join(lines))


def read_csv(path: Path) -> Table:
    """Import a CSV file with the columns that this module describes.

    Args:
        path: Path of the `.csv` or `.csv.gz` file.

    Raises:
        MissingData: The file cannot be read.
        InvalidTable: The header, an architecture or an accuracy is not as described.
    """
    try:
        frame = pd.read_csv(_content(path), dtype={"arch": str}, encoding="utf-8", low_memory=False)
    except OSError as error:
        if isinstance(error, gzip.BadGzipFile):
            raise InvalidTable(f"{path}: damaged ({error})") from None
        raise MissingData(f"{path}: cannot be read ({error.strerror or error})") from error
    except (ValueError, EOFError, zlib.error) as error:
        raise InvalidTable(f"{path}: not readable as CSV ({' '.join(str(error).split())}); {EXPECTED}") from error
    columns = {str(name): COLUMN.fullmatch(str(name)) for name in frame.columns if name not in ("arch", "index")}
    unknown = [name for name, match in columns.items() if match is None]
    if "arch" not in frame.columns or unknown or not columns:
        wrong = f"column {unknown[0]!r}" if unknown else f"header {', '.join(map(repr, frame.columns[:6]))}"
        raise InvalidTable(f"{path}: {wrong[:100]}; {EXPECTED}")
    if frame["arch"].duplicated().any():
        raise InvalidTable(f"{path}: {frame['arch'][frame['arch'].duplicated()].iloc[0]} stands there more than once")
    rows = Rows()
    for name, match in columns.items():
        if match is None:
            continue
        accuracies = pd.to_numeric(frame[name], errors="coerce")
        broken = frame[name].notna() & ~np.isfinite(accuracies)
        if broken.any():
            raise InvalidTable(
                f"{path}: column {name} holds {str(frame[name][broken].iloc[0])[:60]!r}, expected percent"
            )
        dataset, seed = match[1].replace("_", "-"), None
        if match[4] is not None:
            dataset, seed = f"{dataset}-runs", int(match[4])
        known = accuracies.notna()
        entries = zip(frame["arch"][known], accuracies[known].tolist(), strict=True)
        rows.add(
            (
                (architecture, dataset, match[2], int(match[3]), seed, accuracy, None, None, None)
                for architecture, accuracy in entries
            ),
            str(path),
        )
    if len(frame) != SIZE:
        raise InvalidTable(
            f"{path}: {len(frame)}{' or more' if len(frame) > SIZE else ''} architectures, expected all {SIZE}"
        )
    return rows.table(path, "CSV file", {"columns": list(columns)})
