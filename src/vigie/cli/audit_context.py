"""What the history of incidents says of a command: who ran it, when, and in which run."""

import os
import pwd
from uuid import uuid4

from vigie.core.audit import AuditContext


def audit_context_of(command: str) -> AuditContext:
    """What one run of a command does: everything that it changes is found again under one id."""
    from vigie.runtime.clock import now

    return AuditContext(actor=f"{command} by {_login()}", request_id=str(uuid4()), at=now())


def _login() -> str:
    """The operating system's name of who runs this; the number of one that it has no name for."""
    user_id = os.getuid()
    try:
        return pwd.getpwuid(user_id).pw_name
    except KeyError:
        return str(user_id)
