"""The options of `vigie app add` and `vigie app set`, with the checks of their combinations."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from vigie.cli.output import WrongUsage
from vigie.cli.secret_files import SecretFileOption
from vigie.runtime.resources import RESOURCES
from vigie.storage.directory.names import NIL_GUID, checked_guid
from vigie.synthetic.sample_clients import SAMPLE_CLIENTS

_PERMISSIONS = (
    *(name for each in RESOURCES for name in each.application_permissions),
    *(name for each in RESOURCES for name in each.delegated_permissions),
)


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class NewApplicationOptions:
    """The permissions, the client type and the credentials of a new application."""

    permission: Annotated[
        tuple[str, ...],
        Parameter(
            choices=_PERMISSIONS,
            metavar="PERMISSION...",
            help="Permission of the application; may be repeated.",
        ),
    ] = ()
    redirect_uri: Annotated[
        tuple[str, ...],
        Parameter(metavar="URI...", help="Redirect URI for interactive sign-in; may be repeated."),
    ] = ()
    public_client: Annotated[
        bool, Parameter(help="A public client: it runs on users' devices and has no secret.")
    ] = False
    certificate: Annotated[
        tuple[Path, ...],
        Parameter(metavar="FILE...", help="Certificate credential, a PEM file; may be repeated."),
    ] = ()
    secret: Annotated[bool, Parameter(help="Create a secret in addition to the certificate.")] = False
    client_id: Annotated[str | None, Parameter(metavar="GUID", help="Client id; default: a new one.")] = None
    client_secret_file: SecretFileOption = None

    @property
    def has_secret(self) -> bool:
        """Whether the application gets a secret: by default, one without another credential."""
        asked_for = self.secret or self.client_secret_file is not None
        return asked_for or not (self.certificate or self.public_client)

    def check(self) -> None:
        """Raise WrongUsage for options that cannot be combined, and for a reserved client id."""
        if self.public_client and (self.secret or self.certificate or self.client_secret_file):
            raise WrongUsage("a public client has no credentials; leave out the secret and the certificate")
        if self.secret and self.client_secret_file:
            raise WrongUsage("--secret and --client-secret-file cannot be combined")
        _check_client_id(self.client_id)


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class ApplicationChangeOptions:
    """The changes to an application; what is not given is kept."""

    permission: Annotated[
        tuple[str, ...],
        Parameter(
            choices=_PERMISSIONS,
            metavar="PERMISSION...",
            help="Permission that replaces the present ones; may be repeated.",
        ),
    ] = ()
    no_permission: Annotated[bool, Parameter(help="Remove all permissions.")] = False
    redirect_uri: Annotated[
        tuple[str, ...],
        Parameter(metavar="URI...", help="Redirect URI that replaces the present ones; may be repeated."),
    ] = ()
    no_redirect_uri: Annotated[bool, Parameter(help="Remove all redirect URIs.")] = False
    public_client: Annotated[
        bool, Parameter(help="Make it a public client, which authenticates without a credential.")
    ] = False
    confidential_client: Annotated[
        bool, Parameter(help="Make it a confidential client, which needs a secret or a certificate.")
    ] = False

    def changes(self) -> tuple[tuple[str, ...] | None, tuple[str, ...] | None, bool | None]:
        """The new permissions and redirect URIs, and whether it is public; None for what is kept.

        Raises WrongUsage for options that cannot be combined, and for no change at all.
        """
        changes = (
            _replacement("--permission", self.permission, "--no-permission", cleared=self.no_permission),
            _replacement(
                "--redirect-uri", self.redirect_uri, "--no-redirect-uri", cleared=self.no_redirect_uri
            ),
            _client_type(public=self.public_client, confidential=self.confidential_client),
        )
        if changes == (None, None, None):
            raise WrongUsage("nothing to change; use --permission, --redirect-uri or --public-client")
        return changes


AS_BY_DEFAULT = NewApplicationOptions()
NO_CHANGE = ApplicationChangeOptions()


def _check_client_id(client_id: str | None) -> None:
    """Raise WrongUsage for a reserved one: the nil GUID, and those of `vigie token --user` and `vigie demo`."""
    from vigie.identity.tokens.access_tokens import USER_CLIENT_ID

    reserved = {USER_CLIENT_ID, NIL_GUID, *(each.client_id for each in SAMPLE_CLIENTS)}
    if client_id and checked_guid(client_id) in reserved:
        raise WrongUsage(f"--client-id {client_id} is reserved; use another GUID, or none for a new one")


def _replacement(
    option: str, given: tuple[str, ...], clearing: str, *, cleared: bool
) -> tuple[str, ...] | None:
    """The values that replace the present ones; None when those are kept."""
    if given and cleared:
        raise WrongUsage(f"{option} and {clearing} cannot be combined")
    return given if given or cleared else None


def _client_type(*, public: bool, confidential: bool) -> bool | None:
    """Whether it becomes a public client; None when its type is kept."""
    if public and confidential:
        raise WrongUsage("--public-client and --confidential-client cannot be combined")
    return public if public or confidential else None
