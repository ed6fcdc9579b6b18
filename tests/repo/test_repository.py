"""What a reader of the repository may rely on."""

import io
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pages
import pytest

ROOT = Path(__file__).parents[2]
ROOMS = sorted((ROOT / "src/ullage").glob("*/__init__.py"))


def tracked():
    listed = subprocess.run(["git", "ls-files"], capture_output=True, text=True, cwd=ROOT, check=True)
    return [ROOT / name for name in listed.stdout.split("\n") if name]


@pytest.mark.parametrize("room", ROOMS, ids=lambda path: path.parent.name)
def test_every_room_says_what_it_is_for(room):
    assert room.read_text().startswith('"""')


def test_no_source_file_outgrows_a_reader():
    long = {p.name: n for p in (ROOT / "src").rglob("*.py") if (n := len(p.read_text().splitlines())) > 420}
    assert not long


def test_links_in_the_documentation_lead_somewhere():
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text()):
            if not target.startswith("http"):
                assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_nothing_names_a_path_of_some_machine():
    pattern = re.compile(r"/(?:home|root|work)/\w+|[A-Z]:\\\\Users")
    for path in tracked():
        if path.suffix in {".py", ".md", ".toml", ".yml", ".yaml", ".txt", ".cfg", ""} and path.is_file():
            if path == Path(__file__):
                continue
            assert not pattern.search(path.read_text(errors="ignore")), path


def test_the_changelog_knows_the_version():
    import ullage

    assert f"[{ullage.__version__}]" in (ROOT / "CHANGELOG.md").read_text()


def commands(page):
    lines = page.read_text().splitlines()
    found = [line.strip() for line in lines if line.startswith("    ullage ") and "my-model" not in line]
    return [line for line in found if not line.startswith("ullage demo")]  # tests/cli/test_demo.py has it


TRIED = [ROOT / "README.md", *sorted((ROOT / "docs" / "howto").glob("*.md"))]


@pytest.mark.parametrize("page", TRIED, ids=lambda page: page.stem)
def test_the_commands_of_a_page_work_one_after_another(tmp_path, page):
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    assert len(commands(page)) >= (8 if page.stem == "README" else 2)
    with pages.piped(tmp_path):
        for command in commands(page):
            words = shlex.split(command.split(" > ")[0], comments=True)[1:]
            out, err = io.StringIO(), io.StringIO()
            assert pages.call(words, out, err) in (0, 3), command + err.getvalue()
            assert out.getvalue(), command
            if words[0] not in ("extract", "run"):  # which show their progress
                assert err.getvalue() == "", command
