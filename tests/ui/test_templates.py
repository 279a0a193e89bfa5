"""The templates as a set: values are escaped, a missing one is an error, and all text comes from a catalogue."""

import re
from html.parser import HTMLParser
from importlib.resources import files

import pytest
from jinja2 import nodes
from jinja2.exceptions import UndefinedError
from markupsafe import escape

from vigie.ui.languages import LANGUAGES
from vigie.ui.rendering import PageContext, environment, render

TEMPLATES = sorted(environment("en").list_templates())
PAGES = [name for name in TEMPLATES if name.endswith(".html")]
IN_ENGLISH_ALONE = {"reference.html"}
UNSAFE_FILTERS = {"safe", "tojson", "xmlattr", "urlize", "striptags"}
NAMES = {"Vigie", "openapi.json", "openapi.yaml", "readyz"}


def tree_of(name: str) -> nodes.Template:
    source = files("vigie.ui").joinpath("templates", name).read_text(encoding="utf-8")
    return environment("en").parse(source)


class Words(HTMLParser):
    """The words that stand between the tags of a template, but for scripts."""

    def __init__(self, template: str) -> None:
        super().__init__()
        self.found: set[str] = set()
        self.feed(template)
        self.close()

    def handle_data(self, data: str) -> None:
        self.found |= {word for word in data.split() if re.search(r"\w", word)}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_value_is_escaped_and_a_missing_one_is_an_error(language: str) -> None:
    hostile = "<b>\"'&"

    made = environment(language).from_string("{{ value }} {% trans %}{{ value }}{% endtrans %}")

    assert made.render(value=hostile) == f"{escape(hostile)} {escape(hostile)}"
    with pytest.raises(UndefinedError):
        made.render()


@pytest.mark.parametrize("name", TEMPLATES)
def test_no_template_turns_the_escaping_off(name: str) -> None:
    tree = tree_of(name)

    assert {each.name for each in tree.find_all(nodes.Filter)}.isdisjoint(UNSAFE_FILTERS)
    assert not list(
        tree.find_all((nodes.MarkSafe, nodes.MarkSafeIfAutoescape, nodes.ScopedEvalContextModifier))
    )


def test_no_code_marks_text_as_safe() -> None:
    package = files("vigie.ui")
    sources = [
        each for folder in (package, package / "sign_in") for each in folder.iterdir() if each.is_file()
    ]

    modules = {each.name: each.read_text(encoding="utf-8") for each in sources if each.name.endswith(".py")}
    assert "rendering.py" in modules
    assert [name for name, text in modules.items() if "Markup" in text or "markupsafe" in text] == []
    assert [name for name, text in modules.items() if "Html(" in text] == ["rendering.py"]


@pytest.mark.parametrize("name", sorted(set(PAGES) - IN_ENGLISH_ALONE))
def test_every_text_of_a_page_can_be_translated(name: str) -> None:
    literal = " ".join(each.data for each in tree_of(name).find_all(nodes.TemplateData))

    assert Words(literal).found <= NAMES


@pytest.mark.parametrize("name", [name for name in TEMPLATES if name not in PAGES])
def test_what_is_included_is_the_same_for_everybody(name: str) -> None:
    """A policy holds the hash of a script or style sheet, so no value may stand in one."""
    (output,) = tree_of(name).body

    assert isinstance(output, nodes.Output)
    assert {type(part) for part in output.nodes} == {nodes.TemplateData}


def test_a_page_without_its_values_is_not_rendered() -> None:
    with pytest.raises(UndefinedError):
        render("consent.html", PageContext(language="en", host="vigie.example"))
