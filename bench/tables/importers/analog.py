"""AnalogNAS-Bench: CIFAR-10 accuracies of all 15,625 cells, trained anew, and under the noise of analog hardware.

Source: arXiv 2506.18495; the file is `data.anb` of the package analog-nasbench. It is read without the package, which
unpickles it. Its tuples are NASLib's (source-major): read so, the baseline accuracies and those of NAS-Bench-201 have a
rank correlation of 0.99. The file names neither split nor epochs: the split is `test`, and the epochs are those of the
recipe of NAS-Bench-201, 200.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from opselect.bench.tables.importers.rows import Row, Rows
from opselect.spaces.errors import MissingData, in_one_line
from opselect.spaces.nasbench201.encodings import ENCODINGS
from opselect.spaces.nasbench201.space import nasbench201
from opselect.spaces.restricted_pickle import HARMLESS, RestrictedUnpickler
from opselect.spaces.table import InvalidTable, Table

PACKAGE = "analognasbench"
FILE_NAME = "data.anb"
EPOCHS = 200
DRIFT_SECONDS = (60, 3600, 86400, 2592000)
DATASETS = {
    "baseline_accuracy": "cifar10",
    "ptq_accuracy": "cifar10-post-training-quantization",
    "qat_accuracy": "cifar10-quantization-aware",
    "noisy_accuracy": "cifar10-noisy",
    "analog_accuracy": "cifar10-analog",
    **{f"baseline_drift_{seconds}": f"cifar10-noisy-drift-{seconds}s" for seconds in DRIFT_SECONDS},
    **{f"analog_drift_{seconds}": f"cifar10-analog-drift-{seconds}s" for seconds in DRIFT_SECONDS},
}
"""The attributes of the file and what a table calls them; drift is the accuracy so long after programming."""


def installed_file() -> Path:
    """The data file of the installed package; the package is not imported.

    Raises:
        MissingData: it is not installed.
    """
    specification = find_spec(PACKAGE)
    if specification is None or not specification.submodule_search_locations:
        raise MissingData(f"the package {PACKAGE} is not installed; get it with: pip install 'opselect[analognas]'")
    return Path(specification.submodule_search_locations[0]) / FILE_NAME


def read_analog(path: Path) -> Table:
    """Import the data file of AnalogNAS-Bench.

    Raises:
        MissingData: it cannot be read.
        InvalidTable: it is damaged, or something else.
    """
    # New for every file: what a hostile one does to them is gone with it.
    names = {(f"{PACKAGE}.data", name): type(name, (), {}) for name in ("Architecture", "DriftMeasurement")}
    try:
        with path.open("rb") as stream:
            content = RestrictedUnpickler(stream, {**HARMLESS, **names}).load()
        rows = Rows()
        for key, measured in content.items():
            rows.add(_rows_of(key, measured), str(path))
    except InvalidTable:
        raise
    except OSError as error:
        raise MissingData(f"{path}: cannot be read ({error.strerror or error})") from error
    except Exception as error:  # damaged bytes can mean anything
        raise InvalidTable(
            f"{path}: {in_one_line(error)}; expected {FILE_NAME} of the package analog-nasbench"
        ) from error
    return rows.table(path, "AnalogNAS-Bench", {"epochs": "not in the file: those of the recipe of NAS-Bench-201"})


def _rows_of(key: Any, measured: Any) -> list[Row]:
    architecture = nasbench201.format(ENCODINGS["naslib"].from_tuple(key))
    values = {name: getattr(measured, name) for name in DATASETS}
    return [
        (architecture, DATASETS[name], "test", EPOCHS, None, float(getattr(value, "value", value)), None, None, None)
        for name, value in values.items()
    ]
