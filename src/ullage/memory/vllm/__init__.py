"""Bytes of a model that vLLM serves: its weights, its cache, its own reserve."""
