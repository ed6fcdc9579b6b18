"""Bytes of captured states: which sites there are, and where what is kept of them lies."""
