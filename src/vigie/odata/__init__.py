"""OData's query options, in one grammar for every API. Each API hands in the names of its properties."""
