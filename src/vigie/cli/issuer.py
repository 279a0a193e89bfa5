"""The command `vigie issuer set`."""

from typing import Annotated

from cyclopts import Parameter

from vigie.cli.common import PLAIN, Common, emit_fields, opened, require_authorization_server, settings_of
from vigie.cli.output import CommandFailed, WrongUsage, print_status


async def set_issuer(
    url: Annotated[str, Parameter(help="URL that clients use, http(s)://host[:port].")],
    /,
    *,
    common: Common = PLAIN,
) -> None:
    """Set the issuer of tokens, effective when each server is restarted."""
    if not url:
        raise WrongUsage("the issuer must be http(s)://host[:port]; it was empty")
    # Checked like the setting of the same name.
    settings_of(common, {"identity.issuer": url})
    async with opened(common, create=False) as installation:
        require_authorization_server(installation)
        if fixed := installation.settings.identity.issuer:
            raise CommandFailed(
                f"[identity] issuer = {fixed} in the settings overrides the database; change the setting instead"
            )
        before = await installation.issuer()
        await installation.directory.change_issuer(url)
    print_status("restart the servers: they then reject the tokens issued so far, and clients get new ones")
    emit_fields(common, {"issuer": url, "was": before})
