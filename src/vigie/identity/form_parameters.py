"""Fields of forms that a request cannot do without."""

from collections.abc import Collection, Mapping

from vigie.identity.token_errors import TokenRefusal


def first_of(form: Mapping[str, str], names: Collection[str]) -> str:
    """The first of these fields that is filled in. Raises TokenRefusal when none is."""
    found = next((form[name] for name in names if form.get(name)), None)
    if found is None:
        raise missing_parameter(next(iter(names)))
    return found


def missing_parameter(name: str) -> TokenRefusal:
    """The refusal of a request that lacks something."""
    return TokenRefusal(900144, f"The request body must contain the following parameter: '{name}'.")
