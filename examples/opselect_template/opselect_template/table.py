"""A table: accuracies of all 64 architectures on opselect's digits, trained by `python -m opselect_template.table`."""

import csv
from functools import cache
from pathlib import Path

import pyarrow as pa
import torch
from torch.nn import functional

from opselect.spaces.digits import digits
from opselect.spaces.images import LabelledImages
from opselect.spaces.seeds import torch_generator
from opselect.spaces.table import COLUMNS, Table
from opselect_template.space import SPACE

FILE = Path(__file__).with_name("accuracies.csv")
EPOCHS = 5
SEEDS = (0, 1)


def opselect_template_table() -> Table:
    """Validation and test accuracy after 5 epochs, two seeds; what is not known of a network is missing."""
    with FILE.open(newline="", encoding="utf-8") as file:
        rows = [
            {
                "architecture": row["architecture"],
                "dataset": "digits",
                "split": split,
                "epochs": EPOCHS,
                "seed": int(row["seed"]),
                "accuracy": float(row[split]),
            }
            for row in csv.DictReader(file)
            for split in ("valid", "test")
        ]
    columns = [pa.array([row.get(field.name) for row in rows]).cast(field.type) for field in COLUMNS]
    return Table(SPACE, pa.table(columns, schema=COLUMNS), {"made": "by python -m opselect_template.table"})


@cache
def trained_accuracies(text: str, seed: int) -> tuple[float, float]:
    """Validation and test accuracy in percent of one architecture, trained with SGD on the thousand training digits."""
    data, generator = digits(), torch_generator("template table", text, seed)
    network = SPACE.network(SPACE.parse(text), 1, data.classes, seed)
    optimizer = torch.optim.SGD(network.parameters(), 0.1, momentum=0.9, nesterov=True, weight_decay=5e-4)
    for _ in range(EPOCHS):
        for chosen in torch.split(torch.randperm(len(data.train), generator=generator), 50):
            optimizer.zero_grad()
            loss = functional.cross_entropy(network(data.train.images[chosen]), data.train.labels[chosen])
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    network.eval()

    @torch.no_grad()
    def accuracy(images: LabelledImages) -> float:
        return 100 * float((network(images.images).argmax(1) == images.labels).float().mean())

    assert data.valid is not None
    return accuracy(data.valid), accuracy(data.test)


def main() -> None:
    """Train every architecture with every seed and write the file: a few minutes."""
    torch.set_num_threads(1)
    with FILE.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["architecture", "seed", "valid", "test"])
        for architecture in SPACE.enumerate():
            for seed in SEEDS:
                text = SPACE.format(architecture)
                # Equal architectures have equal accuracies.
                valid, test = trained_accuracies(SPACE.format(SPACE.canonical(architecture)), seed)
                writer.writerow([text, seed, f"{valid:.3f}", f"{test:.3f}"])


if __name__ == "__main__":
    main()
