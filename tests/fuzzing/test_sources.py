"""Nothing in our sources reads by means that run what they read, or writes names unescaped; found in the syntax."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted(path for folder in ("bench", "selectors", "spaces") for path in (ROOT / folder).rglob("*.py"))

ALLOWED = {
    (
        "bench/runtime/dask_cluster.py",
        "pickle.loads",
    ): "what the task's own sender has pickled, on a worker of the user's cluster, which runs pickles by its nature",
    ("bench/runtime/processes.py", "pickle.loads"): "what the process that has started this one, or was started by it, "
    "sends through a pipe that no other process has",
    (
        "bench/plug_ins/new.py",
        "Environment without autoescape",
    ): "what it writes is Python and TOML, which no browser reads",
}
"""File and call, and why it is harmless."""


def dangers(source: str) -> list[str]:
    """The calls in a source that run what they read."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module in ("pickle", "cPickle", "dill", "shelve", "marshal"):
            found += [f"{node.module}.{alias.name}" for alias in node.names]
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        first = name.split(".")[0]
        last = name.rpartition(".")[2]
        keywords = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
        if name in ("eval", "exec", "compile", "__import__", "os.system", "os.popen"):
            found.append(name)
        if last in ("load", "loads", "Unpickler") and name.split(".")[0] in (
            "pickle",
            "dill",
            "marshal",
            "joblib",
            "yaml",
        ):
            found.append(name)
        if last in ("read_pickle", "open_memmap") or name.startswith("shelve."):
            found.append(name)
        if last == "load" and first == "torch" and keywords.get("weights_only") != "True":
            found.append(name)
        if keywords.get("allow_pickle", "False") != "False":
            found.append(f"{name}(allow_pickle)")
        if keywords.get("shell", "False") != "False":
            found.append(f"{name}(shell)")
        if last in ("Environment", "Template") and keywords.get("autoescape") != "True":
            found.append(f"{name} without autoescape")
    return found


def test_our_sources_hold_no_such_call_but_the_allowed_ones() -> None:
    assert len(SOURCES) > 50
    found = {(str(path.relative_to(ROOT)), call) for path in SOURCES for call in dangers(path.read_text())}
    assert found == ALLOWED.keys()


def test_templates_mark_nothing_as_safe() -> None:
    for path in (ROOT / "bench").rglob("*.html"):
        text = path.read_text()
        assert "safe" not in text and "autoescape" not in text


@pytest.mark.parametrize(
    "source",
    [
        "import pickle\npickle.load(stream)",
        "pickle.Unpickler(stream).load()",
        "from pickle import loads",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "np.load(path, allow_pickle=True)",
        "eval(text)",
        "exec(text)",
        "yaml.load(text)",
        "subprocess.run(text, shell=True)",
        "jinja2.Environment()",
        "pd.read_pickle(path)",
        "joblib.load(path)",
    ],
)
def test_such_a_call_is_found(source: str) -> None:
    assert dangers(source)


def test_harmless_calls_are_not() -> None:
    harmless = "torch.load(path, weights_only=True); np.load(path, allow_pickle=False); json.loads(text); model.eval()"
    assert dangers(harmless) == []
