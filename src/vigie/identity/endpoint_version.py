"""The two versions of the OAuth endpoints, and the words in which they differ."""

from enum import Enum

from vigie.core.letter_case import lowered


class EndpointVersion(Enum):
    """A version of the endpoints. Its value is the `ver` of the ID tokens that come from there."""

    V1 = "1.0"
    V2 = "2.0"

    @classmethod
    def of_path(cls, path: str) -> "EndpointVersion":
        """The version that a path names."""
        return cls.V2 if f"{cls.V2.path_segment}/" in lowered(path) else cls.V1

    @property
    def path_segment(self) -> str:
        """The part of its paths that names the version: version 1 is not named."""
        return "/v2.0" if self is EndpointVersion.V2 else ""

    @property
    def target_fields(self) -> tuple[str, ...]:
        """The fields that may say what a token is for; when none is there, the first is the missing one."""
        return ("scope",) if self is EndpointVersion.V2 else ("resource", "scope")

    @property
    def has_resource_parameter(self) -> bool:
        """Whether a request may name a `resource`; ID and refresh tokens then come without asking."""
        return self is EndpointVersion.V1

    @property
    def user_name_claims(self) -> tuple[str, ...]:
        """The claims of ID tokens that hold the user principal name."""
        return ("preferred_username",) if self is EndpointVersion.V2 else ("upn", "unique_name")

    @property
    def verification_uri_name(self) -> str:
        """The name of the address that a device shows."""
        return "verification_uri" if self is EndpointVersion.V2 else "verification_url"

    def number(self, value: int) -> int | str:
        """A number as answers spell it: version 1 has texts."""
        return value if self is EndpointVersion.V2 else str(value)
