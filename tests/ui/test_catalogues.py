"""The catalogues of texts: complete, in step with the templates, with the same placeholders in every language."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import read_mo
from babel.messages.pofile import read_po

import vigie.ui
from tests.support.paths import ROOT
from vigie.ui.languages import LANGUAGES, SOURCE_LANGUAGE, translations_of

PAGES = Path(vigie.ui.__file__).parent
LOCALES = PAGES / "locales"
TRANSLATIONS = sorted(set(LANGUAGES) - {SOURCE_LANGUAGE})
PLACEHOLDER = re.compile(r"%\(\w+\)s")

in_every_translation = pytest.mark.parametrize("language", TRANSLATIONS)


def texts_of_the_pages() -> set[str]:
    """What `make messages` extracts."""
    mappings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["babel"][
        "mappings"
    ]
    methods = [(each["pattern"], each["method"]) for each in mappings]
    options = {each.pop("pattern"): each for each in mappings}
    found = extract_from_dir(PAGES, methods, options)
    return {str(message) for _, _, message, _, _ in found}


def messages_of(language: str) -> Iterator[Message]:
    return (message for message in catalogue_of(language) if message.id)


def catalogue_of(language: str) -> Catalog:
    with (LOCALES / language / "LC_MESSAGES" / "vigie.po").open("rb") as file:
        return read_po(file, locale=language, abort_invalid=True)


def test_there_is_a_catalogue_for_every_language_but_that_of_the_templates() -> None:
    assert [folder.name for folder in sorted(LOCALES.iterdir())] == TRANSLATIONS


@in_every_translation
def test_every_text_is_translated_and_nothing_else(language: str) -> None:
    assert {message.id for message in messages_of(language)} == texts_of_the_pages(), "`make messages`"
    assert [message.id for message in messages_of(language) if message.fuzzy or not message.string] == []
    assert not catalogue_of(language).obsolete


@in_every_translation
def test_a_translation_has_the_same_placeholders_and_no_others(language: str) -> None:
    for message in messages_of(language):
        placeholders = [sorted(PLACEHOLDER.findall(str(text))) for text in (message.id, message.string)]
        assert placeholders[0] == placeholders[1], message.id
        assert "%" not in PLACEHOLDER.sub("", str(message.string)), message.id


@in_every_translation
def test_no_text_brings_markup_of_its_own(language: str) -> None:
    """Texts of a catalogue are not escaped: only values are."""
    texts = [str(text) for message in messages_of(language) for text in (message.id, message.string)]

    assert [text for text in texts if re.search(r"[<>&]", text)] == []


@in_every_translation
def test_the_compiled_catalogue_is_that_of_the_translator(language: str) -> None:
    with (LOCALES / language / "LC_MESSAGES" / "vigie.mo").open("rb") as file:
        compiled = read_mo(file)

    assert {message.id: message.string for message in compiled if message.id} == {
        message.id: message.string for message in messages_of(language)
    }, "`make setup` compiles it anew"
    assert translations_of(language).gettext("Password") == catalogue_of(language)["Password"].string


def test_french_keeps_its_colons_and_apostrophes() -> None:
    texts = [str(message.string) for message in messages_of("fr")]

    assert [text for text in texts if re.search(r" [;:?!]|'", text)] == []
