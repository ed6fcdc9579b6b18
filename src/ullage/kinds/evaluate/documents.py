"""What is told of two evaluations beside each other."""

from __future__ import annotations

from typing import Final

from ullage.kinds.evaluate.paired import PairedEvaluations

DOCUMENTS: Final = {"compared": PairedEvaluations}
