"""The properties that the Defender API filters and orders incidents by."""

from vigie.core.conditions import Property
from vigie.documents.defender.enum_spellings import STATUSES
from vigie.odata.properties import LiteralKind, Properties, QueryProperty

PROPERTIES: Properties = {
    "lastUpdateTime": QueryProperty(Property.LAST_UPDATE_TIME, LiteralKind.TIME),
    "createdTime": QueryProperty(Property.CREATED_TIME, LiteralKind.TIME),
    "status": QueryProperty(Property.STATUS, LiteralKind.WORD, STATUSES.members),
    "assignedTo": QueryProperty(Property.ASSIGNED_TO, LiteralKind.TEXT),
}
