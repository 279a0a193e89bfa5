"""The incidents API as tokens know it: its names, which clients ask for, and its permissions.

docs/api/tokens.md, "Resources".
"""

from vigie.core.access import APPLICATION_PERMISSIONS, DELEGATED_PERMISSIONS
from vigie.core.api_resource import ApiResource

INCIDENTS = ApiResource(
    name="incidents",
    audiences=frozenset(
        {
            # The service principal "Microsoft Threat Protection": its id, and all its published names.
            "8ee8fdad-f234-4243-8f3b-15c294843740",
            "https://api.security.microsoft.com",
            "https://api-us.security.microsoft.com",
            "https://api-eu.security.microsoft.com",
            "https://api-uk.security.microsoft.com",
            "https://api-gcc.security.microsoft.us",
            "https://api-gov.security.microsoft.us",
            "https://security.microsoft.com/mtp",
            # "WindowsDefenderATP", the neighbouring Endpoint API, whose tokens old clients bring.
            "fc780465-2017-40d4-a0c5-307022471b92",
            "https://api.securitycenter.microsoft.com",
            "https://api-us.securitycenter.microsoft.com",
            "https://api-eu.securitycenter.microsoft.com",
            "https://api-uk.securitycenter.microsoft.com",
            "https://api-gcc.securitycenter.microsoft.us",
            "https://api-gov.securitycenter.microsoft.us",
            "https://api.securitycenter.windows.com",
            "https://api.securitycenter.windows.us",
            "https://securitycenter.onmicrosoft.com/windowsatpservice",
            "https://securitycenter.microsoft.com/mtp",
            "https://securityoperations.microsoft.com",
        }
    ),
    application_permissions=APPLICATION_PERMISSIONS,
    delegated_permissions=DELEGATED_PERMISSIONS,
    has_own_origins=True,
)
