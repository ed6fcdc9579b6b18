"""Serve: roles that answer whoever asks, in the order of asking."""

from ullage.workloads.kind import Kind

KIND = Kind("serve", __name__)
