"""The properties that the Defender API filters and orders incidents by."""

from vigie.core.conditions import Property
from vigie.documents.defender.enum_spellings import STATUSES
from vigie.odata.properties import Kind, Properties, QueryProperty

PROPERTIES: Properties = {
    "lastUpdateTime": QueryProperty(Property.LAST_UPDATE_TIME, Kind.TIME),
    "createdTime": QueryProperty(Property.CREATED_TIME, Kind.TIME),
    "status": QueryProperty(Property.STATUS, Kind.WORD, STATUSES.members),
    "assignedTo": QueryProperty(Property.ASSIGNED_TO, Kind.TEXT),
}
