"""Bytes of one pass: temporaries, caches, logits, gradients."""
