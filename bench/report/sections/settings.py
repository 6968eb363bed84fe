"""What was run and where: settings, data, versions and machines, and what a repetition may be expected to give."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from opselect.bench.report.formatting import UNDEFINED, assignments, listing, seed_listing, value_text
from opselect.bench.report.render import SELECTOR, Block, Column, Table
from opselect.bench.runs.records import Code, Record
from opselect.bench.runs.run import Run


@dataclass(frozen=True)
class SettingsRow:
    """How one label was configured."""

    label: str
    selector: str
    settings: str
    supernet_training: str
    code: str


@dataclass(frozen=True)
class Fact:
    """One line of the reproducibility or environment table."""

    item: str
    value: str


def settings_table(run: Run) -> Table[SettingsRow]:
    """The settings of every selector and of the supernet that it used."""
    rows = list(dict.fromkeys(_settings_row(record) for record in run.all))
    return Table(
        name="settings",
        title="Settings",
        columns=(
            SELECTOR,
            Column("Registered name", show=lambda row: row.selector, numeric=False, key="selector", priority=3),
            Column("Settings", show=lambda row: row.settings, numeric=False),
            Column("Supernet training", show=lambda row: row.supernet_training, numeric=False),
            Column(
                "Code",
                show=lambda row: row.code,
                numeric=False,
                shown=any(row.code != UNDEFINED for row in rows),
                priority=2,
            ),
        ),
        notes=(_hyperparameters_note(run), *_code_notes(rows)) if rows else (),
        blocks=[Block("", rows)],
        data=rows,
    )


def _hyperparameters_note(run: Run) -> str:
    """How the settings were chosen, in the words of the experiment file."""
    if run.hyperparameters is None:
        return "How the hyper-parameters were chosen: the experiment file does not say (its key 'hyperparameters')."
    return f"How the hyper-parameters were chosen, by the experiment file: {run.hyperparameters}"


def _code_notes(rows: Sequence[SettingsRow]) -> list[str]:
    if all(row.code == UNDEFINED for row in rows):
        return []
    return [
        "Code: digest of the code of the selector and of all that it uses, and where that is not opselect alone, the "
        "packages that it comes from."
    ]


def _settings_row(record: Record) -> SettingsRow:
    trial = record.trial
    training = "not trained" if trial.training is None else assignments(trial.training)
    return SettingsRow(record.label, trial.method, assignments(trial.settings), training, _code_text(trial.code))


def _code_text(code: Code | None) -> str:
    if code is None:
        return UNDEFINED
    return ", ".join([code.digest, *(f"{name} {version}" for name, version in sorted(code.packages.items()))])


def reproducibility_table(run: Run) -> Table[Fact]:
    """What determines the outcome and is the same for all selectors."""
    trials = [record.trial for record in run.all]
    tables = [trial.table for trial in trials if trial.table is not None]
    software = sorted({name for trial in trials for name in trial.software})
    return _fact_table(
        "reproducibility",
        "What was run",
        {
            "Experiment": [record.experiment for record in run.all],
            "Space": [trial.space for trial in trials],
            "Images": [trial.images for trial in trials],
            "Images, hash": [trial.images_hash for trial in trials],
            "Images, order": [
                f"sorted by class in the file, shuffled with seed {trial.order_seed}"
                for trial in trials
                if trial.order_seed is not None
            ],
            "Images, augmentation": [
                assignments(trial.augmentation) for trial in trials if trial.augmentation is not None
            ],
            "Initial weights of supernets": [
                "as the published code draws them" for trial in trials if trial.initialization == "reference"
            ],
            "Table": [f"{table.name}, dataset {table.dataset}, {table.epochs} epochs" for table in tables],
            "Validation accuracies": [f"after {table.valid_epochs} epochs" for table in tables],
            "Table, fingerprint": [table.fingerprint for table in tables],
            "Seeds": [seed_listing(run.seeds)] if run.seeds else [],
            "Device": [trial.device for trial in trials],
            "All open edges scored at every step": ["yes" if trial.observe else "no" for trial in trials],
        }
        | {f"Version of {name}": [trial.software.get(name, UNDEFINED) for trial in trials] for name in software},
    )


def environment_table(run: Run) -> Table[Fact]:
    """The machines, which may differ between two runs of one experiment."""
    environments = [_with_uncommitted_changes(record.environment) for record in run.all]
    items = sorted({item for environment in environments for item in environment})
    return _fact_table(
        "environment",
        "Where it ran",
        {
            item: [value_text(environment[item]) for environment in environments if item in environment]
            for item in items
        },
    )


def _with_uncommitted_changes(environment: Mapping[str, Any]) -> dict[str, Any]:
    """The environment with a line of its own for what git appends to a commit whose files were changed."""
    commit = environment.get("commit")
    if not isinstance(commit, str):
        return dict(environment)
    clean_commit = commit.removesuffix("-dirty")
    return {
        **environment,
        "commit": clean_commit,
        "uncommitted changes": "no" if clean_commit == commit else "yes, so the commit does not say what ran",
    }


def _fact_table(name: str, title: str, facts: Mapping[str, Sequence[str]]) -> Table[Fact]:
    """A line per item that has values, with each different value once."""
    rows = [Fact(item, "; ".join(sorted(set(values)))) for item, values in facts.items()]
    rows = [row for row in rows if row.value]
    return Table(
        name=name,
        title=title,
        columns=(
            Column("Item", show=lambda row: row.item, numeric=False),
            Column("Value", show=lambda row: row.value, numeric=False),
        ),
        blocks=[Block("", rows)],
        data=rows,
    )


def repetition(run: Run) -> tuple[str, ...]:
    """Paragraphs on what a repetition may be expected to give."""
    devices = sorted({record.trial.device for record in run.all})
    if not devices:
        return ()
    paragraphs = [
        "Every random number comes from a stream that the trial's seed and its purpose determine. The same code, "
        "settings, data, versions and kind of processor give all of this report again, byte for byte, but times, "
        "memory and machines, which stand in a section of their own.",
        "Not determined: on another kind of processor, with another number of threads or with other versions, sums may "
        "differ in their last bits; training amplifies that, so architectures and accuracies may differ as well.",
    ]
    if devices != ["cpu"]:
        paragraphs.append(
            f"Trials ran on {' and '.join(devices)}: on a GPU sums have no fixed order, so not even a repetition on "
            "the same machine is sure to give the same bits."
        )
    paragraphs.append("'opselect reproduce FOLDER' runs the experiment of a folder again and says what came out equal.")
    return tuple(paragraphs)


def supernet_size_notes(run: Run) -> list[str]:
    """Which supernets are smaller than the space's own, so that their numbers are not taken for those of full ones."""
    sizes: dict[str, list[str]] = {}
    # In spaces with genotypes, stages have no number of cells of their own.
    has_genotypes = any(result.cells for result in run.all_results)
    units = (
        ("channels", "channel(s) in the first stage"),
        ("cells", "cell(s)" if has_genotypes else "cell(s) a stage"),
    )
    for label, records in run.records.items():
        for training in {json.dumps(record.trial.training): record.trial.training for record in records}.values():
            parts = [f"{training[key]} {unit}" for key, unit in units if training and training.get(key) is not None]
            if training and parts:
                sizes.setdefault(f"{', '.join(parts)}, {training['epochs']} epochs", []).append(label)
    notes = [f"The trained supernets of {listing(labels)} are small: {size}." for size, labels in sizes.items()]
    return [*notes, "All other supernets have the full size of the space."] if notes else []
