"""Coverage-guided fuzzing of the readers in Python, by atheris: `python -m tests.fuzzing.coverage_guided READER [...]`.

atheris is no dependency: `pip install atheris`. What follows the reader goes to libFuzzer, `-runs=100000` for example.
"""

import sys
from pathlib import Path

import atheris  # type: ignore[import-not-found]

with atheris.instrument_imports(include=["opselect.bench", "opselect.spaces", "tomllib", "pickle", "json"]):
    from .campaign import prepared
    from .targets import TARGETS, attempt


def main() -> None:
    """Feed one reader until something is found or the runs are over."""
    target = TARGETS[sys.argv.pop(1)]
    with prepared() as folder:
        corpus = folder / "corpus"
        corpus.mkdir()
        for number, content in enumerate(target.valid()):
            (corpus / str(number)).write_bytes(content)
        words = folder / "words"
        words.write_text("".join('"' + "".join(f"\\x{byte:02x}" for byte in each) + '"\n' for each in target.tokens))

        def once(content: bytes) -> None:
            attempt(target, content, Path(folder))

        options = [f"-dict={words}", "-rss_limit_mb=4096", "-timeout=20", f"-artifact_prefix={Path.cwd()}/"]
        atheris.Setup([*sys.argv, *options, str(corpus)], once)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
