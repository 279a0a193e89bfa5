"""The required parameters of a form."""

from collections.abc import Collection, Mapping

from vigie.identity.refusals import MissingParameter


def first_of(form: Mapping[str, str], names: Collection[str]) -> str:
    """The first of these fields that is filled in. Raises OAuthRefusal when none is."""
    found = next((form[name] for name in names if form.get(name)), None)
    if found is None:
        raise MissingParameter(next(iter(names)))
    return found
