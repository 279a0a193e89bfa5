"""The complaints of a decoder in the words of JSON: nobody who writes JSON knows an `int` or a `str`."""

import re

import msgspec

_PLACE = re.compile(r" - at `([^`]+)`$")
_WRONG_TYPE = re.compile(r"Expected `([^`]+)`, got `([^`]+)`")
_OUT_OF_RANGE = re.compile(r"Expected `(?:int|float)` (>=|<=) (-?\d+)")
_MISSING = re.compile(r"Object missing required field `([^`]+)`")

_WORDS = {
    "str": "a text",
    "int": "a number",
    "float": "a number with a fraction",
    "decimal": "a number with a fraction",
    "bool": "true or false",
    "object": "an object",
    "array": "a list",
    "null": "null",
}
_WANTED = {**_WORDS, "int": "a whole number", "float": "a number"}


class Complaint(msgspec.Struct, frozen=True):
    """What is wrong with a value, and where: the JSON path, None for the whole."""

    reason: str
    path: str | None
    is_of_type: bool = False


def in_words_of_json(message: str) -> Complaint:
    """The complaint of a decoder."""
    place = _PLACE.search(message)
    path = place[1] if place else None
    text = message[: place.start()] if place else message
    if found := _WRONG_TYPE.fullmatch(text):
        wanted = " or ".join(_WANTED.get(name, name) for name in found[1].split(" | "))
        got = _WORDS.get(found[2], found[2])
        return Complaint(f"it is {got} and must be {wanted}", path, is_of_type=True)
    if found := _OUT_OF_RANGE.fullmatch(text):
        return Complaint(f"it must be at {'least' if found[1] == '>=' else 'most'} {found[2]}", path)
    if found := _MISSING.fullmatch(text):
        return Complaint(f"the key '{found[1]}' is missing", path)
    return Complaint(text.replace("`", "'"), path)
