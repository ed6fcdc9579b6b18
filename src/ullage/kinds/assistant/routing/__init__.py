"""Who answers a request: a router's word, likeness to examples, or rules.

In: requests, and the router's engine where one is asked. Out: a route for each, which always names a
specialist that is there, and says where it is not the one that was chosen. Never: the specialists themselves.
"""

from ullage.kinds.assistant.routing.route import Request, Route, Router

__all__ = ["Request", "Route", "Router"]
