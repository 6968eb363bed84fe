"""Published accuracies of NAS-Bench-201 as one compact table, from any of the kinds of files that hold them."""

from pathlib import Path

from opselect.bench.tables.importers.analog import PACKAGE, installed_file, read_analog
from opselect.bench.tables.importers.nats import read_nats
from opselect.bench.tables.importers.official import read_official
from opselect.bench.tables.importers.plain_csv import read_csv
from opselect.bench.tables.importers.rows import Progress
from opselect.spaces.errors import MissingData
from opselect.spaces.files import is_file
from opselect.spaces.table import InvalidTable, Table


def import_nasbench201(source: str, progress: Progress, workers: int = 1) -> Table:
    """Import a published file or folder; the ending of its name determines its kind.

    Args:
        source: Path of an official `.pth` file, a folder of NATS-Bench (topology), a `.csv` or `.csv.gz` file, or the
            `data.anb` of AnalogNAS-Bench; or `analognasbench` for the file in the installed package.
        progress: Called with the amount that is done and the total, in units of the kind of file.
        workers: Number of processes, used for folders of many files.

    Raises:
        MissingData: The file or folder does not exist or cannot be read.
        InvalidTable: The file is damaged or of another kind.
    """
    path = installed_file() if source == PACKAGE else Path(source)
    if not is_file(path):
        if path.is_dir():
            return read_nats(path, progress, workers)
        raise MissingData(f"{path}: no such file or folder")
    name = path.name.lower()
    if name.endswith(".pth"):
        return read_official(path, progress)
    if name.endswith((".csv", ".csv.gz")):
        return read_csv(path)
    if name.endswith(".anb"):
        return read_analog(path)
    raise InvalidTable(
        f"{path}: unknown kind of file; expected an official .pth file, a NATS-Bench folder, .csv, .csv.gz or .anb"
    )
