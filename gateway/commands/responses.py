"""What a caller reads of a command that is not decided yet, or of what became of it."""

from __future__ import annotations

from pydantic import BaseModel

from gateway.http.responses import LinksOut


class ActionOut(BaseModel):
    """An action that is not decided yet, or its outcome; for a refused one the `allowed_transitions` that were allowed."""

    action_id: str
    status: str
    case_id: str
    kind: str
    revision: int | None = None
    problem: str | None = None
    detail: str | None = None
    allowed_transitions: list[str] | None = None
    links: LinksOut
