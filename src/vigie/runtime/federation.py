"""The tokens of other issuers, built from the settings; loaded only where `[[identity.issuers]]` names one."""

from collections.abc import Callable
from functools import partial

from vigie.config.settings import SettingsError
from vigie.core.instants import TICKS_PER_SECOND, Instant
from vigie.identity.federation.http_client import fetch
from vigie.identity.federation.jwks_cache import Fetched, JwksCache
from vigie.identity.federation.tokens import FederatedTokens
from vigie.identity.federation.trusted_issuers import TrustedIssuer
from vigie.observability.event_log import log
from vigie.observability.metrics import Metrics
from vigie.runtime.installation import Installation


def build_federated_tokens(
    installation: Installation, own_issuer: str, metrics: Metrics, *, steady_clock: Callable[[], Instant]
) -> FederatedTokens:
    """The trusted issuers of the settings. Raises SettingsError where one of them is this installation itself."""

    def on_fetched(fetched: Fetched) -> None:
        metrics.issuer_fetches.count("failed" if fetched.failure else "fetched")
        if fetched.failure:
            log.warning("issuer_unreachable", issuer=fetched.issuer, reason=fetched.failure)
        else:
            log.info("issuer_keys_fetched", issuer=fetched.issuer, count=fetched.key_count)

    def keys_of(issuer: TrustedIssuer) -> JwksCache:
        return JwksCache(
            issuer.url,
            issuer.discovery_url,
            fetch=partial(fetch, ca=issuer.ca),
            steady_clock=steady_clock,
            on_fetched=on_fetched,
        )

    identity = installation.settings.identity
    trusted = [each.as_trusted() for each in identity.issuers]
    for each in trusted:
        if own_issuer and f"{each.url}/".startswith(f"{own_issuer}/"):
            raise SettingsError(
                f"[[identity.issuers]] {each.url}: this is the issuer of this installation, which is "
                "trusted already; remove the table"
            )
    return FederatedTokens(
        {issuer: keys_of(issuer) for issuer in trusted},
        installation.directory,
        clock_skew_ticks=identity.clock_skew_seconds * TICKS_PER_SECOND,
        every_stub=installation.settings.incidents.has_open_stubs,
    )
