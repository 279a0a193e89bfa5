"""Why there is no token: the refusal that every grant raises."""

from vigie.core.errors import for_caller, for_log


class TokenRefusal(Exception):
    """No token. `code` is the number behind AADSTS; `api/oauth/error_responses.py` decides about the status.

    `detail` is for the log: the message without what is marked as `user_text`.
    """

    def __init__(self, code: int, message: str) -> None:
        self.message = for_caller(message)
        super().__init__(self.message)
        self.code = code
        self.detail = for_log(message)
