"""The OpenAPI document holds: what it says of every path is so, of good bodies and of bad ones."""

import os
import subprocess
import sys

import pytest

pytest.importorskip("schemathesis")

MORE = ("400", "413")
"""What a schema cannot say of a body that it takes: that a text is too long for its role, that what is to be
a picture is none, that a role does something else (400); that a picture has too many pixels (413)."""
PATHS = 9


def test_every_path_does_what_the_document_says(server, tmp_path):
    """All of schemathesis' checks, in a process of its own: its plugin of pytest needs an older one."""
    good = ["2xx", "401", "403", "404", "409", *MORE]
    config = tmp_path / "schemathesis.toml"
    config.write_text(f"[checks]\npositive_data_acceptance.expected-statuses = {good}\n")
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(config), "run"]
    command += [f"{server.address}/openapi.json", "--checks", "all", "--max-examples", "20"]
    command += ["--phases", "examples,coverage,fuzzing,stateful", "--generation-deterministic", "--no-color"]
    command += ["--continue-on-failure", "--header", f"Authorization: Bearer {server.token}"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env={**os.environ})
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert f"Tested: {PATHS}" in done.stdout
    assert "API Links:    1 covered / 1 selected" in done.stdout
