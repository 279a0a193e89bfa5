"""The languages of the pages: the choice by `Accept-Language`, and the catalogue of each."""

import re
from gettext import GNUTranslations, NullTranslations
from importlib.resources import files

SOURCE_LANGUAGE = "en"
"""The language that the templates are written in: it needs no catalogue."""

LANGUAGES = (SOURCE_LANGUAGE, "fr")

_WISH = re.compile(
    r"\s*([a-zA-Z]{1,8}|\*)(?:-[a-zA-Z0-9-]{1,60})?\s*(?:;\s*q\s*=\s*(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)\s*)?"
)
_WISHES_MAX = 50


def language_for(accept_language: str | None) -> str:
    """The language for an `Accept-Language`: the one that is wished for most, else English.

    What stands first wins a tie, and a region is not looked at: fr-CA is French.
    """
    wishes: dict[str, float] = {}
    for part in (accept_language or "").split(",")[:_WISHES_MAX]:
        if found := _WISH.fullmatch(part):
            language = found[1].lower()
            wishes[language] = max(wishes.get(language, 0.0), float(found[2] or 1))
    known = [
        (weight, language) for language, weight in wishes.items() if language in LANGUAGES and weight > 0
    ]
    return max(known, key=lambda wish: wish[0])[1] if known else SOURCE_LANGUAGE


def translations_of(language: str) -> NullTranslations:
    """The catalogue of a language, as `building/hook.py` has compiled it."""
    if language == SOURCE_LANGUAGE:
        return NullTranslations()
    catalogue = files("vigie.ui").joinpath("locales", language, "LC_MESSAGES", "vigie.mo")
    with catalogue.open("rb") as file:
        return GNUTranslations(file)
