"""The command that says in whose name tokens are issued."""

from typing import Annotated

from cyclopts import Parameter

from vigie.cli.common import PLAIN, Common, emit_fields, opened, require_authority, settings_of
from vigie.cli.output import CommandFailed, WrongUsage, print_status


async def set_issuer(
    url: Annotated[str, Parameter(help="The URL that clients use, http(s)://host[:port].")],
    /,
    *,
    common: Common = PLAIN,
) -> None:
    """Issue tokens in another name, from the next start of each server on."""
    if not url:
        raise WrongUsage("the issuer is http(s)://host[:port]; it was empty")
    # The setting of that name has the rule.
    settings_of(common, {"identity.issuer": url})
    async with opened(common, create=False) as installation:
        require_authority(installation)
        if fixed := installation.settings.identity.issuer:
            raise CommandFailed(
                f"[identity] issuer = {fixed} in the settings overrides the database; change it there"
            )
        before = await installation.issuer()
        await installation.directory.change_issuer(url)
    print_status(
        "restart the servers: from then on they reject the tokens issued so far, and clients get new ones"
    )
    emit_fields(common, {"issuer": url, "was": before})
