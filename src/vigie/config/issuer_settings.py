"""The settings of another issuer: one table of `[[identity.issuers]]`."""

from collections.abc import Iterable
from itertools import permutations
from typing import Annotated

import msgspec
from msgspec import Meta

from vigie.config.validators import Rule, Section, UserIs
from vigie.core.letter_case import lowered
from vigie.core.url_policy import may_be_fetched
from vigie.identity.federation.claim_paths import is_path
from vigie.identity.federation.trusted_issuers import (
    PERMISSIONS,
    TENANT_IN_URL,
    ApplicationMark,
    RoleByClaim,
    TokenType,
    TrustedIssuer,
    UserKey,
)

_ISSUER_PATH = "/.well-known/openid-configuration"


class ApplicationMarkSettings(Section, frozen=True, kw_only=True):
    """One of three: a claim that is there, one that is not, or two that are the same."""

    present: str = ""
    absent: str = ""
    same: tuple[str, ...] = ()


class RoleSettings(Section, frozen=True, kw_only=True):
    """A role for callers that have a value among the claims, over the whole tenant or over device groups."""

    value: str
    role: str
    device_groups: tuple[str, ...] = ()
    whole_tenant: bool = False


def _is_issuer(text: str) -> bool:
    url = text.replace(TENANT_IN_URL, "x", 1)
    return "?" not in url and "{" not in url and _is_url(url)


def _is_url(text: str) -> bool:
    return may_be_fetched(text, from_loopback=True)


def _is_mark(mark: ApplicationMarkSettings) -> bool:
    said = [part for part in ((mark.present,), (mark.absent,), mark.same) if any(part)]
    return len(said) == 1 and all(map(is_path, said[0])) and len(mark.same) in (0, 2)


def _is_role(role: RoleSettings) -> bool:
    return bool(role.value and role.role) and role.whole_tenant != bool(role.device_groups)


def _means_permissions(renamed: dict[str, tuple[str, ...]]) -> bool:
    return all(text and set(names) <= set(PERMISSIONS) for text, names in renamed.items())


def _is_text(text: str) -> bool:
    return bool(text) and text.isprintable()


_HTTPS = "https://, or http:// to this machine"
_CLAIM = "names of claims with dots between those inside each other (\\. for a dot in a name)"
_KNOWN_PERMISSIONS = f"of {', '.join(PERMISSIONS)}"

_IssuerUrl = Annotated[
    str, Rule(f"a URL without query ({_HTTPS}), with {TENANT_IN_URL} once at most", _is_issuer)
]
_Url = Annotated[str, Rule(f"empty, or a URL ({_HTTPS})", _is_url)]
_File = Annotated[str, Rule("empty, or the path of a file", str.isprintable)]
_Some = Annotated[tuple[str, ...], Meta(min_length=1), Rule("a list of one text or more", _is_text)]
_Any = Annotated[tuple[str, ...], Rule("a list of texts", _is_text)]
_Claim = Annotated[str, Rule("empty, or a claim", is_path)]
_Claims = Annotated[tuple[str, ...], Rule(f"a list of {_CLAIM}", is_path)]
_SomeClaims = Annotated[tuple[str, ...], Meta(min_length=1), Rule(f"a list, not empty, of {_CLAIM}", is_path)]
_Types = Annotated[
    tuple[str, ...], Meta(min_length=1), Rule("a list of at+jwt, JWT or both", set(TokenType).__contains__)
]
_Mark = Annotated[
    ApplicationMarkSettings,
    Rule("one of { present = CLAIM }, { absent = CLAIM } and { same = [CLAIM, CLAIM] }", _is_mark),
]
_Renamed = Annotated[
    dict[str, tuple[str, ...]],
    Rule(f"a table of texts, each with a list {_KNOWN_PERMISSIONS}", _means_permissions),
]
_Permissions = Annotated[
    tuple[str, ...],
    Meta(min_length=1),
    Rule(f"a list, not empty, {_KNOWN_PERMISSIONS}", set(PERMISSIONS).__contains__),
]
_Roles = Annotated[
    tuple[RoleSettings, ...],
    Rule("a list of { value, role } with either device_groups or whole_tenant = true", _is_role),
]


class IssuerSettings(Section, frozen=True, kw_only=True):
    """An issuer whose tokens are accepted, for what these settings allow and nothing else."""

    issuer: Annotated[
        _IssuerUrl,
        f"What `iss` of its tokens is, letter by letter; {TENANT_IN_URL} is the value of tenant_claim.",
    ]
    discovery: Annotated[
        _Url,
        f"Its discovery document; empty: at the issuer ({TENANT_IN_URL} as common), {_ISSUER_PATH} behind it.",
    ] = ""
    ca: Annotated[_File, "Certificates in PEM to trust in asking it, instead of the system's."] = ""
    audiences: Annotated[_Some, "What `aud` of its tokens has to be or contain, any one of these."]
    tenants: Annotated[_Some, "The ids or domains of the tenants that it may speak for."]
    tenant_claim: Annotated[
        _Claim, "What names the tenant, by id or domain; empty: tenants has one, and it is that one."
    ] = ""
    token_types: Annotated[
        _Types, "What `typ` in the header of its access tokens is; none counts as JWT."
    ] = (TokenType.ACCESS_TOKEN.value,)
    applications: Annotated[_Any, "The ids of the applications whose tokens are accepted; empty: all."] = ()
    application_when: Annotated[
        _Mark, "What tells an application's token from a user's; empty: every token is a user's."
    ] = ApplicationMarkSettings()
    application_from: Annotated[
        _SomeClaims, "Where the id of the application is; the first there is counts."
    ] = (
        "client_id",
        "azp",
        "appid",
    )
    application_permissions_from: Annotated[_Claims, "Where an application's permissions are."] = ("roles",)
    user_from: Annotated[_SomeClaims, "Where the id of a user is; the directory may know it."] = ("sub",)
    user_is: Annotated[
        UserIs, "What that is in the directory: a UPN, or the id that `vigie user list` shows."
    ] = UserKey.UPN.value
    user_name_from: Annotated[
        _Claims, "Where the name is of a user that the directory does not know; none: the id."
    ] = ()
    user_permissions_from: Annotated[_Claims, "Where the permissions of a user's token are."] = (
        "scp",
        "scope",
    )
    permissions: Annotated[
        _Renamed, "What the issuer calls permissions, with those that each means here."
    ] = msgspec.field(default_factory=dict)
    may_grant: Annotated[_Permissions, "The permissions that its tokens can have, whatever they say."]
    roles_from: Annotated[_Claims, "Where a user's groups or app roles are."] = ()
    roles: Annotated[
        _Roles, "The roles these give, instead of `vigie user grant`; empty: the directory's grants count."
    ] = ()

    def as_trusted(self) -> TrustedIssuer:
        """The issuer as the program knows it."""
        base = self.issuer.replace(TENANT_IN_URL, "common").rstrip("/")
        return TrustedIssuer(
            url=self.issuer,
            discovery_url=self.discovery or f"{base}{_ISSUER_PATH}",
            ca=self.ca,
            audiences=frozenset(self.audiences),
            tenants=frozenset(map(lowered, self.tenants)),
            tenant_claim=self.tenant_claim,
            token_types=frozenset(TokenType(each) for each in self.token_types),
            applications=frozenset(self.applications),
            application_when=ApplicationMark(**msgspec.structs.asdict(self.application_when)),
            application_from=self.application_from,
            application_permissions_from=self.application_permissions_from,
            user_from=self.user_from,
            user_is=UserKey(self.user_is),
            user_name_from=self.user_name_from,
            user_permissions_from=self.user_permissions_from,
            permissions=self.permissions,
            may_grant=frozenset(self.may_grant),
            roles_from=self.roles_from,
            roles=tuple(RoleByClaim(**msgspec.structs.asdict(role)) for role in self.roles),
        )


def conflict_of(issuers: Iterable[IssuerSettings]) -> str | None:
    """The reason why these issuers cannot be combined; None when they can."""
    issuers = tuple(issuers)
    for each in issuers:
        where = f"[[identity.issuers]] {each.issuer}:"
        if not each.tenant_claim and (len(each.tenants) > 1 or TENANT_IN_URL in each.issuer):
            return f"{where} tenant_claim is required, to tell the tenants of tokens apart"
        if bool(each.roles) != bool(each.roles_from):
            return f"{where} set both roles and roles_from, or neither"
    for one, other in permutations(issuers, 2):
        if one.as_trusted().may_have_issued(other.issuer):
            return f"[[identity.issuers]] {other.issuer}: is a duplicate, or {one.issuer} matches it too"
    return None
