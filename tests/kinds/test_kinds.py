"""What every installed kind states about itself holds."""

import subprocess
import sys
from importlib import import_module

import pytest

import ullage
from ullage.cli.commands import OWN
from ullage.kinds.extract import short_form as extraction
from ullage.kinds.extract.section import Section as Extraction
from ullage.kinds.pii import short_form as verification
from ullage.kinds.pii.section import Section as Verification
from ullage.spec.role import Role
from ullage.spec.section import Section
from ullage.spec.workload import Workload
from ullage.workloads.registry import find_kind, installed_kinds, kind_commands, kind_names, verb_names


@pytest.mark.parametrize("name", kind_names())
def test_every_part_is_where_its_kind_says(name):
    kind = find_kind(name)
    assert kind.name == name
    assert issubclass(kind.section, Section)
    assert callable(import_module(f"{kind.package}.phases").phases)
    for place, function in ((kind.runner, "run"), (kind.reporter, "report")):
        assert not place or callable(getattr(import_module(place), function))
    for verb, place in kind.verbs.items():
        assert getattr(ullage, verb) is getattr(import_module(place), verb)
        assert getattr(ullage, verb).__doc__


@pytest.mark.parametrize("command", [*OWN, *kind_commands()], ids=lambda command: command.name)
def test_every_command_is_where_it_says_and_is_one_line(command):
    module, _, name = command.place.partition(":")
    assert callable(getattr(import_module(module), name))
    assert command.help.endswith(".")
    assert "\n" not in command.help


def test_no_two_commands_or_functions_have_one_name():
    names = [command.name for command in (*OWN, *kind_commands())]
    assert len(set(names)) == len(names)
    verbs = [verb for kind in installed_kinds() for verb in kind.verbs]
    assert len(set(verbs)) == len(verbs)


def test_public_functions_of_kinds_are_listed():
    assert {"verify_pii", "compare_pii", "calibrate_pii", "verify_with_each", "judge"} <= set(verb_names())
    assert {"extract", "open_states", "survey"} <= set(verb_names())
    assert {*verb_names(), *ullage.__all__} <= set(dir(ullage))
    with pytest.raises(AttributeError, match="has no attribute 'verify_pi'"):
        ullage.verify_pi  # noqa: B018


def test_naming_kinds_and_their_parts_loads_none_of_them():
    code = (
        "import sys, ullage; dir(ullage); hasattr(ullage, 'nobody')\n"
        "from ullage import api, cli\n"
        "print(sorted(name for name in sys.modules if name.startswith('ullage.kinds.')"
        " and name.count('.') > 2), {'pydantic', 'torch', 'rich'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[] set()\n"


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["--help"], set()),
        (["pii", "--help"], {"commands", "options", "pipes", "section", "short_form"}),
    ],
)
def test_listing_and_helping_import_commands_alone(words, part):
    code = (
        "import sys, ullage.cli.main as m\n"
        f"try: m.main({words})\n"
        "except SystemExit: print(*(n for n in sys.modules if n.startswith('ullage.kinds.')), sep=',')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    found = done.stdout.splitlines()[-1].split(",")
    assert {name.split(".")[-1] for name in found if name.count(".") > 2} == part


def test_a_verification_takes_every_setting_of_a_file():
    names = set(verification.Settings.__annotations__)
    of_file = set(Verification.model_fields) | set(verification.DEFAULTS)
    assert names == of_file - {"input"}
    assert set(verification.OF_ROLE) <= set(Role.model_fields)
    assert {*verification.OF_WORK, "batch"} <= set(Workload.model_fields)


def test_an_extraction_has_a_default_for_every_setting():
    assert set(extraction.Settings.__annotations__) == set(extraction.DEFAULTS)
    assert {"text_field", "temperature", "store"} <= set(Extraction.model_fields) & set(extraction.DEFAULTS)


@pytest.mark.parametrize(("kind", "turns"), [("assistant", "swapped"), ("evaluate", "sequential")])
def test_a_section_says_how_its_roles_take_turns(kind, turns):
    assert find_kind(kind).section.taking_turns == turns
