"""AnalogNAS-Bench: CIFAR-10 accuracies of all 15,625 cells, trained again, and under the noise of analog hardware.

Source: arXiv 2506.18495; the file is `data.anb` of the package analog-nasbench. It is read without that package, whose
code would unpickle it without restrictions. Its tuples are in NASLib's encoding (source-major): in this encoding, the
baseline accuracies and those of NAS-Bench-201 have a rank correlation of 0.99. The file names neither split nor epochs:
the split is `test`, and the epochs are those of NAS-Bench-201's training recipe, 200.
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
"""Dataset names of the table by attribute of the file. Drift is the accuracy after the given time since programming."""


def installed_file() -> Path:
    """The path of the data file in the installed package, which is not imported.

    Raises:
        MissingData: The package is not installed.
    """
    specification = find_spec(PACKAGE)
    if specification is None or not specification.submodule_search_locations:
        raise MissingData(f"the package {PACKAGE} is not installed; get it with: pip install 'opselect[analognas]'")
    return Path(specification.submodule_search_locations[0]) / FILE_NAME


def read_analog(path: Path) -> Table:
    """Import the data file of AnalogNAS-Bench.

    Args:
        path: Path of the file `data.anb`.

    Raises:
        MissingData: The file cannot be read.
        InvalidTable: The file is damaged or holds something else.
    """
    # New classes for every file, so that a hostile file cannot change those of the next one.
    names = {(f"{PACKAGE}.data", name): type(name, (), {}) for name in ("Architecture", "DriftMeasurement")}
    try:
        with path.open("rb") as stream:
            content = RestrictedUnpickler(stream, {**HARMLESS, **names}).load()
        rows = Rows()
        for key, measurements in content.items():
            rows.add(_rows_of(key, measurements), str(path))
    except InvalidTable:
        raise
    except OSError as error:
        raise MissingData(f"{path}: cannot be read ({error.strerror or error})") from error
    except Exception as error:  # a damaged file can fail in any way
        raise InvalidTable(
            f"{path}: {in_one_line(error)}; expected {FILE_NAME} of the package analog-nasbench"
        ) from error
    return rows.table(path, "AnalogNAS-Bench", {"epochs": "not in the file: those of the recipe of NAS-Bench-201"})


def _rows_of(key: Any, measurements: Any) -> list[Row]:
    architecture = nasbench201.format(ENCODINGS["naslib"].from_tuple(key))
    values = {name: getattr(measurements, name) for name in DATASETS}
    return [
        (architecture, DATASETS[name], "test", EPOCHS, None, float(getattr(value, "value", value)), None, None, None)
        for name, value in values.items()
    ]
