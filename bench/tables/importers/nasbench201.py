"""Published accuracies of NAS-Bench-201, whatever file they come in, as one compact table."""

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
    """The table in a published file; which kind it is, its name tells.

    Args:
        source: an official `.pth` file, a folder of NATS-Bench (topology), a `.csv` or `.csv.gz` file, the `data.anb`
            of AnalogNAS-Bench, or `analognasbench` for the one of the installed package.
        progress: told how much is done, and of how much.
        workers: processes, where there are many files to read.

    Raises:
        MissingData: it is not there.
        InvalidTable: it is damaged, or of another kind.
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
