"""What torch's caching allocator makes of the tensors it is asked for: sizes, settings, the replay.

Requests in bytes come in, blocks and segments go out. It knows no tensor, no model and no plan, and needs no
torch: planning replays weights as a trace replays a pass.
"""
