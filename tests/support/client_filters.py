"""The filters and orders that real clients send, in the names of this API.

Moments are named by how many incidents are newer: `{created[300]}` is the creation of the 300th newest, so that a
filter finds as many in a small store as in a large one.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientQuery:
    """One list as a client asks for it.

    `index` is what serves it, to a caller who sees the whole tenant, along the order of the list; `range_index` is
    what serves it where the range of the other time is shorter, None where there is no such choice.
    """

    client: str
    index: str
    range_index: str | None = None
    filter: str = ""
    orderby: str = ""
    top: int | None = None
    skip: int = 0

    def options(self, moments: Mapping[str, Mapping[int, str]]) -> dict[str, str]:
        """The query options, with the moments of a store."""
        options = {
            "$filter": self.filter.format_map(moments),
            "$orderby": self.orderby,
            "$top": "" if self.top is None else str(self.top),
            "$skip": str(self.skip or ""),
        }
        return {name: value for name, value in options.items() if value}


CREATION = "PRIMARY KEY"
STATUS = LAST_UPDATE = "listing_by_status"
"""The order of the last update is merged from that of each status."""
ASSIGNEE = "listing_by_assignee"

ZERO_TRUST_ASSESSMENT = (
    "createdTime ge {created[300]} and ((assignedTo eq null and status ne 'redirected')"
    " or (severity eq 'high' and status eq 'active' and createdTime lt {created[40]})"
    " or (status eq 'resolved' and (classification eq 'unknown' or determination eq 'unknown')))"
)
ZERO_TRUST_ASSESSMENT_WITHOUT_GRADES = (
    "createdTime ge {created[300]} and ((assignedTo eq null and status ne 'redirected')"
    " or (status eq 'active' and createdTime lt {created[40]})"
    " or (status eq 'resolved'))"
)

CLIENT_QUERIES = (
    ClientQuery(
        client="XSOAR's first fetch",
        filter="createdTime gt 2016-11-23T10:57:28Z",
        top=100,
        index=LAST_UPDATE,
        range_index=CREATION,
    ),
    ClientQuery(
        client="XSOAR fetches",
        filter="createdTime gt {created[60]}",
        top=100,
        index=LAST_UPDATE,
        range_index=CREATION,
    ),
    ClientQuery(
        client="XSOAR fetches on",
        filter="createdTime gt {created[300]}",
        top=100,
        skip=100,
        index=LAST_UPDATE,
        range_index=CREATION,
    ),
    ClientQuery(client="XSOAR mirrors", filter="lastUpdateTime gt {updated[40]}", top=100, index=LAST_UPDATE),
    ClientQuery(client="XSOAR asks for a status", filter="status eq 'Active'", top=50, index=STATUS),
    ClientQuery(
        client="XSOAR asks for an assignee",
        filter="assignedTo eq 'rare@contoso.example'",
        top=50,
        index=ASSIGNEE,
    ),
    ClientQuery(
        client="XSOAR asks for both",
        filter="status eq 'InProgress' and assignedTo eq 'ana0@contoso.example'",
        index=ASSIGNEE,
    ),
    ClientQuery(
        client="XSOAR asks for all it can",
        filter="createdTime gt {created[60]} and status eq 'Active' and assignedTo eq 'ana1@contoso.example'",
        index=ASSIGNEE,
        range_index=CREATION,
    ),
    ClientQuery(
        client="Rapid7",
        filter="status eq 'Active' and createdTime ge {created[800]} and lastUpdateTime ge {updated[700]}",
        index=STATUS,
        range_index=CREATION,
    ),
    ClientQuery(client="IBM SOAR", filter="lastUpdateTime ge {updated[500]}", index=LAST_UPDATE),
    ClientQuery(
        client="off_broadway", filter="lastUpdateTime ge {updated[1500]}", top=100, index=LAST_UPDATE
    ),
    ClientQuery(client="PowerShell that lost its filter", index=LAST_UPDATE),
    ClientQuery(
        client="PowerShell", filter="lastUpdateTime ge 2021-02-01T03:00:00.1234567Z", index=LAST_UPDATE
    ),
    ClientQuery(client="Tracecat, newest", orderby="createdTime desc", top=100, index=CREATION),
    ClientQuery(client="Tracecat, oldest", orderby="createdTime asc", top=100, index=CREATION),
    ClientQuery(
        client="Splunk SOAR",
        filter="lastUpdateTime ge {updated[500]}",
        orderby="lastUpdateTime",
        skip=200,
        index=LAST_UPDATE,
    ),
    ClientQuery(client="OpenCTI", filter="lastUpdateTime gt 2021-02-01T00:00:00+00:00", index=LAST_UPDATE),
    ClientQuery(
        client="Elastic",
        filter="lastUpdateTime ge {updated[700]}",
        orderby="lastUpdateTime asc",
        top=50,
        skip=50,
        index=LAST_UPDATE,
    ),
    ClientQuery(
        client="Elastic 5.15",
        filter="lastUpdateTime gt {updated[700]}",
        orderby="lastUpdateTime asc",
        top=50,
        index=LAST_UPDATE,
    ),
    ClientQuery(
        client="Wazuh",
        filter="createdTime ge {created[200]} and createdTime lt {created[100]}",
        top=50,
        index=LAST_UPDATE,
        range_index=CREATION,
    ),
    ClientQuery(
        client="SEKOIA",
        filter="createdTime gt {created[600]} and createdTime le {created[300]}",
        orderby="createdTime asc",
        top=100,
        index=CREATION,
    ),
    ClientQuery(
        client="Google SecOps",
        filter="lastUpdateTime ge {updated[900]} and lastUpdateTime le {updated[10]}"
        " and (status eq 'Active' or status eq 'InProgress')",
        top=100,
        index=STATUS,
    ),
    ClientQuery(
        client="CIPP",
        filter="createdTime ge {created[400]} and createdTime le {created[200]}",
        index=LAST_UPDATE,
        range_index=CREATION,
    ),
    ClientQuery(
        client="Zero Trust Assessment",
        filter=ZERO_TRUST_ASSESSMENT_WITHOUT_GRADES,
        top=10,
        index=STATUS,
        range_index=CREATION,
    ),
)
"""Those of the XDR clients as they are, those of the Graph clients translated."""
