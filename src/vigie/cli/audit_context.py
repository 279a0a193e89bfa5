"""The audit context of a command: who ran it, when, and the id of the run."""

import os
import pwd
from uuid import uuid4

from vigie.core.audit import AuditContext


def audit_context_of(command: str) -> AuditContext:
    """The audit context of one run of a command; all its changes have the same request id."""
    from vigie.runtime.clock import now

    return AuditContext(actor=f"{command} by {_login()}", request_id=str(uuid4()), at=now())


def _login() -> str:
    """The login name of the user who runs this; the uid of a user without one."""
    user_id = os.getuid()
    try:
        return pwd.getpwuid(user_id).pw_name
    except KeyError:
        return str(user_id)
