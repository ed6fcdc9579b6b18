"""Many models on few devices: roles are lent, parked in host memory, or on disk.

In: roles with their weights (`RoleWeights`), one budget a device and one for host. Out: leases, each a model
that stays where it is until it is given back. It knows no torch, moves no bytes itself, and never exceeds a
budget.

    turns     who is served next           moves    what has to be done for it, and in which order
    eviction  who leaves                   moving   the moves, carried out
    accounts  whose the bytes are          state    who is where, who waits, what moves
"""

from ullage.runtime.pool.lease import AsyncLease, Lease
from ullage.runtime.pool.pool import Pool
from ullage.runtime.pool.prediction import last_used, transitions
from ullage.runtime.pool.role import Role
from ullage.runtime.pool.terms import Terms

__all__ = ["AsyncLease", "Lease", "Pool", "Role", "Terms", "last_used", "transitions"]
