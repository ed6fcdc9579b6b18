"""The small world: what the bundled model `ullage:tiny` was trained on, and is asked about.

In: a task's name, a split, a seed. Out: labelled examples, each a chat and the answers that are right.
Never: torch, a file of the user's, chance without a seed. A test name is a new pair of a first and a last
name that training has seen apart, and no prompt of one split occurs in another.
"""

from ullage.tinyworld.dataset import TASKS, conversations, examples, json_lines
from ullage.tinyworld.example import Conversation, Example, Turn
from ullage.tinyworld.splits import SPLITS

__all__ = ["SPLITS", "TASKS", "Conversation", "Example", "Turn", "conversations", "examples", "json_lines"]
