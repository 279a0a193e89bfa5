"""Letter case: ASCII letters alone, and one function wherever names decide anything."""

import ast
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

import vigie
from vigie.api.defender.resource import INCIDENTS
from vigie.core.letter_case import canonical, lowered
from vigie.identity.grants.user_codes import parse_user_code
from vigie.identity.tokens.audiences import own_audiences
from vigie.runtime.resources import RESOURCES

PACKAGE = Path(vigie.__file__).parent
NAMES_DECIDE_IN = ("identity", "storage", "config/issuer_settings.py")
FOLDS = {"storage/directory/users.py": {"casefold"}}
"""UPNs that fold to the same are not both taken: stricter than looking them up by it. This may only shrink."""


@given(st.text())
def test_ascii_letters_are_lowered_and_nothing_else_is_changed(text: str) -> None:
    assert lowered(text) == "".join(each.lower() if each.isascii() else each for each in text)


def test_a_word_is_no_other_that_it_only_folds_to() -> None:
    assert canonical("KEY", ["key"]) == "key"
    assert canonical("\u212aey", ["key"]) is None


def test_an_audience_is_no_other_that_it_only_folds_to() -> None:
    audiences = own_audiences(RESOURCES, "https://kiosk.example", [])

    assert audiences.grants_access(INCIDENTS, "https://KIOSK.example/")
    assert not audiences.grants_access(INCIDENTS, "https://\u212aiosk.example")


def test_the_code_of_a_device_is_typed_in_ascii() -> None:
    assert parse_user_code("wdjb-mjht") == "WDJBMJHT"
    assert parse_user_code("wdjb-mj\uff28t") is None


def test_names_are_compared_by_one_function_where_they_decide_who_is_who() -> None:
    folding = {"lower", "casefold", "upper", "swapcase", "title", "capitalize"}
    files = [
        path for name in NAMES_DECIDE_IN for path in ([*(PACKAGE / name).rglob("*.py")] or [PACKAGE / name])
    ]
    found = {
        (str(path.relative_to(PACKAGE)), node.func.attr)
        for path in files
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in folding
    }

    assert found == {(path, name) for path, names in FOLDS.items() for name in names} | {
        # A password is compared with names in every way in which it may be one.
        ("identity/sign_in/passwords.py", "casefold"),
        # What has been found to be ASCII.
        ("identity/grants/user_codes.py", "upper"),
    }
