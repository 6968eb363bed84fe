"""Does what the front page says, word for word, in a fresh copy and a fresh environment: `make first-use`.

The shell commands of README.md run in their order, as a newcomer would type them, with the interpreter of a new virtual
environment; then its Python runs there and must print what the page says. It installs PyTorch and runs the default
experiment twice and all tests once, so it takes half an hour and 12 GB of disk.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROMISED = ("runs/digits201/report/report.html", "my_selector/README.md")
"""Files of which the front page says that they are there afterwards."""


def commands(text: str) -> Iterator[str]:
    """The lines of all shell blocks of a page, without comments and empty lines."""
    for block in re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            if command := re.sub(r"\s+#.*", "", line).strip():
                yield command


def main() -> int:
    """Follow the front page; the exit status is that of the first command that fails, or 1 for a broken promise."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--skip", default="", help="Commands to leave out, separated by commas.")
    parser.add_argument("--folder", type=Path, help="New folder to work in; a temporary one by default.")
    arguments = parser.parse_args()
    skipped = {each.strip() for each in arguments.skip.split(",")}
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        copy, environment = folder.absolute() / "opselect", folder.absolute() / "environment"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(copy)], check=True)
        subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
        variables = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "OPSELECT_DATA")}
        variables["PATH"] = f"{environment / 'bin'}:{variables['PATH']}"
        page = (copy / "README.md").read_text(encoding="utf-8")
        # The page names one file in its Python, the reference report, which a checkout has.
        python = "python -m doctest README.md"
        for command in (*commands(page), python):
            if command in skipped:
                continue
            print(f"$ {command}", flush=True)
            status = subprocess.run(["bash", "-c", command], cwd=copy, env=variables).returncode
            if status:
                print(f"first use: {command!r} ended with {status}")
                return status
        missing = [path for path in PROMISED if not (copy / path).exists()]
        if missing:
            print(f"first use: the page promises {', '.join(missing)}, and nothing wrote it")
        return bool(missing)


if __name__ == "__main__":
    sys.exit(main())
