"""What is told of captured states."""

from __future__ import annotations

from typing import Final

from ullage.capture.survey import SurveyDocument

DOCUMENTS: Final = {"survey": SurveyDocument}
