"""Why there is no token: the refusal that every grant raises."""

from vigie.core.errors import Refusal


class TokenRefusal(Refusal):
    """No token. `code` is the number behind AADSTS; `api/oauth/error_responses.py` decides about the status."""

    def __init__(self, code: int, message: str, *, detail: str = "") -> None:
        super().__init__(message, detail=detail)
        self.code = code
