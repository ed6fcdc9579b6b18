"""Where partitions are carried to: a Ray cluster at an address.

Ray Data is not used: its pool of actors does a lost block again without saying so, for ever or never, and
what has to be counted here is how often each partition has killed whoever did it.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from ullage.errors import InputError, MissingExtraError, UnsupportedError
from ullage.records.parts import Parts
from ullage.runtime.opening import Options
from ullage.runtime.session import Session

if TYPE_CHECKING:
    from ullage.scale.fleet import Fleet

ANSWER_SECONDS: Final = 5.0
ADDRESS: Final = "RAY_ADDRESS"
TLS: Final = "RAY_USE_TLS"
PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS: Final = bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
"""A frame without any: its length in three bytes, its type, its flags, its stream in four."""
FRAME_TYPE: Final = 3


@dataclass(slots=True)
class Cluster:
    """Carries partitions to the cluster at `address` ("ray": RAY_ADDRESS, or the one of this machine)."""

    address: str
    options: Options
    _fleet: Fleet = field(init=False)

    def __post_init__(self) -> None:
        """Raises UnsupportedError for an address of Ray's client, MissingExtraError without Ray."""
        if self.address.startswith("ray://"):
            raise UnsupportedError(
                f"--on {self.address}: Ray's client keeps no actor for a job; give HOST:PORT of the "
                "cluster's head, or submit the command there: ray job submit -- ullage run FILE --on ray"
            )
        try:
            import ray  # noqa: F401
        except ImportError as error:
            raise MissingExtraError("ray", "ray", "running on a cluster") from error

    @contextmanager
    def ready(self, session: Session, parts: Parts) -> Iterator[None]:
        """Connected to the cluster, whose nodes were looked at. Raises InputError where it cannot be used."""
        import ray

        from ullage.scale.fleet import Fleet

        ours = _connect(self.address)
        try:
            self._fleet = Fleet(self.address, self.options, session, parts)
            self._fleet.look()
            yield
        finally:
            if ours:
                ray.shutdown()

    def carry(self, session: Session, parts: Parts) -> None:
        """Does all that are left. Raises InputError where the cluster cannot, StalledError where nothing
        goes on any more; what is done is kept."""
        self._fleet.run()


def _connect(address: str) -> bool:
    """Whether it was this that connected: a program that is of a cluster already stays so, and its actors
    run there. Raises InputError where no cluster answers: at an address at once, as Ray waits a minute or
    more."""
    import ray

    if ray.is_initialized():
        return _connected(address)
    found, named = address, f"--on {address}"
    if address == "ray" and os.environ.get(ADDRESS):
        found = os.environ[ADDRESS]
        named = f"--on ray ({ADDRESS} is {found})"
    if "://" in found or found == "local":
        raise InputError(f"{named}: is not HOST:PORT of a cluster's head")
    host, _, port = found.rpartition(":")
    if host:
        try:
            _greet(host.strip("[]"), int(port))
        except (OSError, OverflowError, ValueError) as error:
            raise InputError(f"{named}: no Ray cluster can be used there: {error}") from error
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        found = "auto" if found == "ray" else found
        ray.init(address=found, log_to_driver=False, configure_logging=False)
    except Exception as error:  # Ray raises anything here: ConnectionError, RuntimeError, ValueError
        said = _other_versions(str(error)) or " ".join(str(error).split())[:300]
        raise InputError(f"{named}: no Ray cluster can be used there: {said}") from error
    return True


def _greet(host: str, port: int) -> None:
    """Raises OSError where nothing answers as a head does: Ray would ask anything else that listens for ever.

    A head speaks gRPC: who opens with HTTP/2's preface and settings gets settings (RFC 9113, section 3.4).
    """
    with socket.create_connection((host, port), ANSWER_SECONDS) as there:
        if os.environ.get(TLS, "0") != "0":
            return
        there.sendall(PREFACE + SETTINGS)
        first = there.recv(len(SETTINGS))
    if first[FRAME_TYPE : FRAME_TYPE + 1] != SETTINGS[FRAME_TYPE : FRAME_TYPE + 1]:
        raise OSError(
            "what listens there is no head of a Ray cluster (its port is 6379 unless another was said)"
        )


def _connected(address: str) -> bool:
    """That this did not connect. Raises InputError where this program is of another cluster."""
    import ray

    here = ray.get_runtime_context().gcs_address
    if address not in ("ray", here):
        raise InputError(f"--on {address}: this program is connected to the Ray cluster at {here} already")
    return False


def _other_versions(said: str) -> str:
    """What Ray says of a cluster of another Ray or Python, in a line; "" where it says something else."""
    pairs = re.findall(r"Ray: (\S+)\s+Python: (\S+)", said)
    if len(pairs) != 2:
        return ""
    (theirs, their_python), (ours, our_python) = pairs
    return (
        f"it runs Ray {theirs} on Python {their_python}, and this is Ray {ours} on Python {our_python}; run "
        "the command with theirs"
    )
