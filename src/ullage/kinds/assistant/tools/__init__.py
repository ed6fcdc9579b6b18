"""Tools that a specialist may call while it answers: each call is checked, bounded and written down.

In: what a model wrote, or a server's `tool_calls`. Out: messages that tell the model what came of it. A call
that goes wrong fails by itself, in one line, and the talk goes on.

    tool      the protocol                    calculator, retrieval  Ullage's own
    calls     calls in what a model wrote     own                    a user's functions
    exchange  the calls of one request        process, child         the process of one call of those
"""
