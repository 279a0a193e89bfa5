"""In which language a browser is answered."""

import re

from vigie.ui.texts import ENGLISH, LANGUAGES, Texts

_WISH = re.compile(
    r"\s*([a-zA-Z]{1,8}|\*)(?:-[a-zA-Z0-9-]{1,60})?\s*(?:;\s*q\s*=\s*(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)\s*)?"
)
_WISHES_MAX = 50


def texts_for(accept_language: str | None) -> Texts:
    """The texts for an `Accept-Language`: the language that is wished for most, else English.

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
    return LANGUAGES[max(known, key=lambda wish: wish[0])[1]] if known else ENGLISH
