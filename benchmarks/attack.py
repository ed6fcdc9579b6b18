"""Runs what is too long or too unsteady for `make test`, one after another.

    python benchmarks/attack.py --list                    # names, about how long, and what is stale
    python benchmarks/attack.py pii_faults plan_speed     # these
    python benchmarks/attack.py --tier attack             # all of a tier
    python benchmarks/attack.py --tier attack stale       # of these only what is stale

`make attack` and `make bench` call it. Each writes its file under benchmarks/results; docs/measured.md is
made again at the end. Exits with 1 where one failed, or did not hold.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import attacks
import result_file
from attacks import ROOT, Attack, RegistryError
from result_file import RESULTS, DamagedResultError

STALE = "stale"


def state(attack: Attack, path: Path) -> str:
    """In words: fresh, or stale and why; first what did not hold. Raises DamagedResultError."""
    found = result_file.read(path)
    age = _age(found.changed(result_file.hashes(attack)), found.date)
    broken = [claim for claim, holds in found.claims.items() if not holds]
    return f"did not hold: {'; '.join(broken)} ({age})" if broken else age


def _age(changed: list[str] | None, date: str | None) -> str:
    if changed is None:
        return "stale: from before sources were hashed, unknown"
    if not changed:
        return f"fresh, of {date}"
    more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
    return f"stale: since {date} changed {', '.join(changed[:3])}{more}"


def survey(folder: Path = RESULTS) -> tuple[dict[str, str], list[str]]:
    """State of every result file by name; and what is missing, damaged or known to no one, in a line each."""
    states, wrong, known = {}, [], set()
    for attack in attacks.load().values():
        for path in attack.results(folder):
            known.add(path)
            try:
                states[path.stem] = state(attack, path)
            except (DamagedResultError, RegistryError) as error:
                wrong.append(str(error))
    unknown = sorted(set(folder.glob("*.json")) - known)
    wrong += [f"{path.name}: no attack writes this file" for path in unknown]
    return states, wrong


def run(attack: Attack) -> bool:
    """Whether it ended well; its own words on the screen."""
    print(f"\n== {attack.name}: {attack.about} (about {attack.minutes} minutes)", flush=True)
    if attack.needs:
        print(f"   needs {attack.needs}", flush=True)
    begun = time.monotonic()
    done = subprocess.run([sys.executable, str(attack.script), *attack.arguments], cwd=ROOT, check=False)
    minutes = (time.monotonic() - begun) / 60
    print(
        f"== {attack.name}: {'done' if done.returncode == 0 else 'FAILED'} in {minutes:.1f} minutes",
        flush=True,
    )
    return done.returncode == 0


def show() -> None:
    states, wrong = survey()
    for attack in attacks.load().values():
        print(f"{attack.name:18} {attack.tier:6} {attack.minutes:4g} min  {attack.about}")
        for path in attack.results(RESULTS):
            print(f"{'':18} {states.get(path.stem, 'missing or damaged')}")
    for line in wrong:
        print(line)


def chosen(names: Sequence[str], tier: str | None) -> list[Attack]:
    """What to run; exits where a name is unknown."""
    known = attacks.load()
    if unknown := [name for name in names if name != STALE and name not in known]:
        sys.exit(f"no attack is named {', '.join(unknown)}; there are {', '.join(known)}")
    found = [attack for attack in known.values() if tier in (None, attack.tier)]
    if STALE in names:
        states, _ = survey()
        fresh = {name for name, words in states.items() if words.startswith("fresh")}
        return [one for one in found if not {path.stem for path in one.results(RESULTS)} <= fresh]
    return [known[name] for name in names] or found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*")
    parser.add_argument("--tier", choices=attacks.TIERS)
    parser.add_argument("--list", action="store_true")
    asked = parser.parse_args()
    if asked.list:
        return show()
    if not asked.names and asked.tier is None:
        parser.error("name what to run, or a --tier")
    failed = [attack.name for attack in chosen(asked.names, asked.tier) if not run(attack)]
    import tables

    tables.write()
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")
    return None


if __name__ == "__main__":
    main()
