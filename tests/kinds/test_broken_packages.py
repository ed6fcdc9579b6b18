"""A package that brings something broken is named in one line and takes nothing else with it."""

import os
import subprocess
import sys

import pytest

KIND = "from ullage.workloads.kind import Command, Kind\nKIND = Kind('odd', __name__, {})\n"
COMMANDS = "commands=(Command('odd', 'Goes on.', 'odd.commands:odd'),), verbs={'oddly': 'odd.verbs'}"
CASES = {
    "raises": ("odd", "raise OSError('no library\\nin two lines')", "OSError: no library in two lines"),
    "leaves": ("odd", "import sys; sys.exit(7)", "SystemExit: 7"),
    "brings nothing": ("odd", "", "has no attribute 'KIND'"),
    "brings a number": ("odd", "KIND = 5", "is no Kind of that name"),
    "takes a name": ("extract", "from ullage.workloads.kind import Kind\nKIND = Kind('extract', __name__)",
                     "is not used: Ullage has one of that name"),
}  # fmt: skip


def bring(site, package, name, module):
    """Installs a package that brings kind `name` from `module`."""
    info = site / f"{package}-1.0.dist-info"
    info.mkdir(exist_ok=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[ullage.kinds]\n{name} = {module}:KIND\n")


@pytest.fixture
def ullage(tmp_path):
    """Runs the command line where a package brings kind `name`, by the text of its module."""

    def call(name, text, *arguments, code=0, **parts):
        bring(tmp_path, "odd", name, "odd")
        (tmp_path / "odd").mkdir(exist_ok=True)
        for module, content in {"__init__": text, **parts}.items():
            (tmp_path / "odd" / f"{module}.py").write_text(content)
        environment = {**os.environ, "PYTHONPATH": str(tmp_path), "COLUMNS": "200"}
        command = [sys.executable, *(arguments if arguments[0] == "-c" else ("-m", "ullage", *arguments))]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path)
        assert done.returncode == code, (done.stdout, done.stderr)
        return done.stdout + done.stderr

    return call


@pytest.mark.parametrize(("name", "text", "said"), CASES.values(), ids=CASES)
def test_help_says_it_and_the_rest_works(ullage, name, text, said):
    assert said in " ".join(ullage(name, text, "--help").split())
    assert "werewolf" in ullage(name, text, "schema")
    assert "estimate_model" in ullage(name, text, "-c", "import ullage; print(dir(ullage))")


def test_a_section_that_is_none(ullage, tmp_path):
    text, parts = KIND.format(COMMANDS), {"section": "Section = 5\n"}
    (tmp_path / "file.yaml").write_text("{kind: odd, roles: {model: 'ullage:tiny'}, budget: {gpus: cpu}}")
    assert ullage("odd", text, "plan", "file.yaml", code=2, **parts).count("\n") == 1
    assert "werewolf" in ullage("odd", text, "schema", **parts)


@pytest.mark.parametrize("commands", ["import no_such_module\n", "", "raise SystemExit\n"])
def test_a_command_that_cannot_be_loaded(ullage, commands):
    said = ullage("odd", KIND.format(COMMANDS), "odd", code=2, commands=commands)
    assert said.startswith("ullage: error: command odd: ")
    assert said.count("\n") == 1


def test_two_packages_of_one_name(ullage, tmp_path):
    bring(tmp_path, "another", "odd", "another")
    (tmp_path / "file.yaml").write_text("{kind: odd, roles: {model: 'ullage:tiny'}, budget: {gpus: cpu}}")
    said = ullage("odd", KIND.format(""), "plan", "file.yaml", code=2)
    both = "another 1.0 (another:KIND), odd 1.0 (odd:KIND)"
    assert f"kind odd is brought by several packages: {both}; remove all but one" in said
    assert "werewolf" in ullage("odd", KIND.format(""), "schema")
