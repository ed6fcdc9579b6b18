"""Fetches the scripts that the planner page ships from npm's registry: pinned versions, with their licences.

    python tools/scripts.py              # those in the manifest, again
    python tools/scripts.py htmx.org=4.0.2   # another version; its hashes are written down

Files that are not what the manifest says end the program before anything is written.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import sys
import tarfile
import urllib.request
from pathlib import Path

STATIC = Path(__file__).parents[1] / "src/ullage/ui/static"
MANIFEST = STATIC / "scripts.json"
REGISTRY = "https://registry.npmjs.org"


def main() -> None:
    asked = dict(word.split("=", 1) for word in sys.argv[1:])
    manifest = json.loads(MANIFEST.read_text(encoding="utf-8"))
    unknown = asked.keys() - {each["package"] for each in manifest}
    if unknown:
        sys.exit(f"{', '.join(sorted(unknown))}: not in {MANIFEST.name}")
    written = {}
    for each in manifest:
        version = asked.get(each["package"], each["version"])
        known = version == each["version"] and each["integrity"]
        archive = fetched(each["package"], version)
        integrity = "sha512-" + base64.b64encode(hashlib.sha512(archive).digest()).decode()
        if known and integrity != each["integrity"]:
            sys.exit(f"{each['package']} {version}: {integrity} is not {each['integrity']}")
        each |= {"version": version, "integrity": integrity}
        for file in each["files"]:
            held = member(archive, file["from"])
            digest = hashlib.sha256(held).hexdigest()
            if known and file["sha256"] not in ("", digest):
                sys.exit(f"{file['name']}: {digest} is not {file['sha256']}")
            file["sha256"] = digest
            written[file["name"]] = held
    for name, held in written.items():
        (STATIC / name).write_bytes(held)
    MANIFEST.write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    print(*sorted(written), sep="\n")


def fetched(package: str, version: str) -> bytes:
    """The archive of a version, as npm's registry has it."""
    with urllib.request.urlopen(f"{REGISTRY}/{package}/-/{package}-{version}.tgz", timeout=60) as answer:
        found: bytes = answer.read()
    return found


def member(archive: bytes, name: str) -> bytes:
    """One file of it."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as held:
        file = held.extractfile(f"package/{name}")
        assert file is not None, name
        return file.read()


if __name__ == "__main__":
    main()
