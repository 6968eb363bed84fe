"""What a change of the house must leave as it is: `python -m tests.freeze FOLDER` writes it, `diff -r` compares two.

Run it before the first move and after the last one, in the same environment, and read every difference. It takes the
registered names, all help texts, what the conformance kit and the published numbers say, and the reports that are
remade from the committed records.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

OPSELECT = Path(sys.executable).with_name("opselect")
ROOT = Path(__file__).parents[1]
KINDS = ("spaces", "images", "tables", "selectors", "supernets", "scores", "proxies", "combinations")
SECONDS = re.compile(r'"seconds": [0-9.e-]+')
NEEDS_DATA = ("cifar10", "cifar100", "imagenet16-120", "svhn", "nasbench201")
"""Images and tables that are no part of the package."""


def output(*arguments: str) -> str:
    """What a command prints on both streams, and its exit status."""
    done = subprocess.run(
        [OPSELECT, *arguments], cwd=ROOT, capture_output=True, text=True, env=os.environ | {"COLUMNS": "200"}
    )
    return f"{done.stdout}{done.stderr}exit status {done.returncode}\n"


def help_texts(command: tuple[str, ...] = ()) -> dict[str, str]:
    """By command, the help of it and of all its sub-commands."""
    text = output(*command, "--help")
    listed = re.findall(r"^│ ([a-z][a-z-]*) ", text.partition("─ Commands ")[2], flags=re.MULTILINE)
    texts = {" ".join(command) or "opselect": text}
    for name in listed:
        texts |= help_texts((*command, name))
    return texts


def main(folder: Path) -> None:
    """Write everything to a new folder."""
    folder.mkdir(parents=True)
    (folder / "names.json").write_text(output("list", "--json"))
    names = json.loads(output("list", "--json").rpartition("exit status")[0])
    for command, text in help_texts().items():
        (folder / f"help {command}.txt").write_text(text)
    for kind in KINDS:
        for name in names[kind]:
            if not (kind in ("images", "tables") and name in NEEDS_DATA):
                said = output("conformance", name, "--json")
                (folder / f"conformance {kind} {name}.json").write_text(SECONDS.sub('"seconds": 0', said))
    (folder / "published.json").write_text(
        output("published", "results/digits201", "results/nasbench201/scores", "--json")
    )
    for records in sorted((ROOT / "results").glob("**/experiment.toml")):
        if (records.parent / "report.md").exists():
            target = folder / "reports" / records.parent.relative_to(ROOT / "results")
            output("report", str(records.parent), "--output", str(target))
            for picture in [*target.rglob("*.pdf"), *target.rglob("*.png"), *target.rglob("*.html")]:
                picture.unlink()
            shutil.rmtree(target / "figures", ignore_errors=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
