"""The documents: what they name exists, what exists is named, and both READMEs say the same."""

import ast
import re
import shlex
import sys
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.metadata import packages_distributions
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.http.test_streaming import GROWTH_BYTES_MAX
from tests.support.commands import run
from tests.support.paths import ROOT
from vigie import __version__
from vigie.api.defender.error_responses import ERROR_RESPONSES
from vigie.api.defender.handlers import LISTS_AT_ONCE_MAX
from vigie.cli.command_table import COMMANDS
from vigie.config.sources import every_setting
from vigie.http.protocol import Reason
from vigie.http.response_budget import ALL_BYTES_MAX, CALLER_BYTES_MAX
from vigie.observability.metrics import (
    ISSUER_FETCHES,
    SIGN_IN_STEPS,
    STORE_READS,
    TOKEN_LOOKUPS,
    WEBHOOK_DELIVERIES,
    Metrics,
)
from vigie.storage.database import LARGE_ROW_BYTES
from vigie.storage.postgres.scans import SCANS_MAX
from vigie.storage.sqlite.database import SCAN_READERS, SNAPSHOTS_MAX
from vigie.storage.statements import migrations

DOCS = ROOT / "docs"
PROGRAM = ROOT / "src" / "vigie"
READMES = (ROOT / "README.md", ROOT / "README.fr.md")
DOCUMENTS = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
SOURCES = sorted(PROGRAM.rglob("*.py"))
TEXTS_OF_PROGRAM = sorted(
    chain(SOURCES, *(PROGRAM.rglob(f"*.{kind}") for kind in ("sql", "yaml", "lua", "css", "html", "po")))
)

ENTRY_PARTS = ["Documented", "Observed", "Vigie", "Test"]

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^(#{1,6}) (.+)$", re.MULTILINE)
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PATH_IN_CODE = re.compile(r"`((?:[\w.-]+/)+[\w.-]+\.(?:py|md|sql|css|yaml|toml))(?:::\w+)?`")
SETTING_IN_CODE = re.compile(r"`\[([a-z]+)\] ([a-z_]+)`")
DEFAULT_BESIDE = re.compile(r"`\[([a-z]+)\] ([a-z_]+)`(?: \(|, )([0-9][0-9,]*)(?: (MiB))?")
TEST_NAMED = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")
POINTER = re.compile(r"\b(docs/[\w./-]+\.md)(?:, \"([^\"]+)\")?")
METRIC = re.compile(r"\bvigie_[a-z_]+\b")
VIGIE_CALL = re.compile(r"(?:^|\s|/|\$\()vigie (?=[a-z])")

every_document = pytest.mark.parametrize(
    "document", DOCUMENTS, ids=[str(document.relative_to(ROOT)) for document in DOCUMENTS]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry of the divergences: its title, and its parts by their labels in their order."""

    title: str
    parts: dict[str, str]


@cache
def text_of(document: Path) -> str:
    return document.read_text(encoding="utf-8")


def prose_of(document: Path) -> str:
    """The document without its blocks of code, where a # is no heading."""
    return FENCED.sub("", text_of(document))


@cache
def anchors_of(document: Path) -> frozenset[str]:
    return frozenset(slug(title) for _, title in HEADING.findall(prose_of(document)))


def slug(title: str) -> str:
    """The anchor of a heading, as the usual viewers make it."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def headings_of(document: Path) -> list[str]:
    """The levels of the headings."""
    return [marks for marks, _ in HEADING.findall(prose_of(document))]


def command_lines_of(document: Path) -> list[str]:
    """The lines of the blocks of shell, without their comments."""
    blocks = [block for language, block in FENCED.findall(text_of(document)) if language == "sh"]
    lines = (line.partition(" #")[0].strip() for block in blocks for line in block.splitlines())
    return [line for line in lines if line]


def vigie_calls_in(line: str) -> Iterator[list[str]]:
    """The arguments of every call of the program in a line of shell."""
    for start, end in pairwise([*(found.end() for found in VIGIE_CALL.finditer(line)), len(line) + 1]):
        yield shlex.split(re.split(r"[|)]|\s/?[\w/]*vigie $", line[start:end])[0])


def command_of(arguments: list[str]) -> str:
    """The longest command that the arguments begin with; empty when they begin with none."""
    names = {each.name for each in COMMANDS}
    candidates = (" ".join(arguments[:length]) for length in (2, 1))
    return next((name for name in candidates if name in names), "")


@cache
def names_of_tests_in(file_name: str) -> frozenset[str]:
    source = ROOT / file_name
    if not source.exists():
        return frozenset()
    tree = ast.parse(text_of(source))
    functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return frozenset(function.name for function in functions)


def entries() -> list[Entry]:
    _, *chapters = re.split(r"^## ", text_of(DOCS / "divergences.md"), flags=re.MULTILINE)
    return [
        _entry(piece) for chapter in chapters for piece in re.split(r"^### ", chapter, flags=re.MULTILINE)[1:]
    ]


def _entry(piece: str) -> Entry:
    title, _, body = piece.partition("\n")
    found = re.findall(r"^- \*\*(\w+):\*\* (.*?)(?=^- \*\*|\Z)", body, re.MULTILINE | re.DOTALL)
    parts = {label.replace("Tests", "Test"): said.strip() for label, said in found}
    return Entry(title=title, parts=parts)


def in_turn(chosen: Iterable[Entry]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("entry", list(chosen), ids=lambda entry: slug(entry.title))


def calls_in_program() -> Iterator[ast.Call]:
    for source in SOURCES:
        yield from (node for node in ast.walk(ast.parse(text_of(source))) if isinstance(node, ast.Call))


def first_texts_of_calls(*methods: str) -> set[str]:
    """The first argument of every call of these methods, where it is written out as a text."""
    return {
        call.args[0].value
        for call in calls_in_program()
        if isinstance(call.func, ast.Attribute) and call.func.attr in methods and call.args
        if isinstance(call.args[0], ast.Constant) and isinstance(call.args[0].value, str)
    }


def names_of_metrics() -> set[str]:
    """What a server exposes: the families of every server, and those that the program adds to them."""
    none: tuple[str, ...] = ()
    metrics = Metrics(
        version=__version__,
        routes=none,
        store_operations=none,
        connection_refusals=none,
    )
    body = metrics.render()
    families = set(re.findall(r"^# TYPE (vigie_\w+) ", body.decode(), re.MULTILINE))
    return families | {name for name in first_texts_of_calls("counter", "gauge") if METRIC.fullmatch(name)}


def rows_under(document: Path, heading: str) -> list[str]:
    """The first cells of the table under a heading."""
    section = re.split(rf"^## {re.escape(heading)}$", text_of(document), flags=re.MULTILINE)[1]
    table = re.split(r"^## ", section, flags=re.MULTILINE)[0]
    cells = re.findall(r"^\| ([^|]+?) \|", table, re.MULTILINE)
    return [cell for cell in cells if cell != "package"]


def package_names(requirements: Iterable[str]) -> list[str]:
    return sorted(re.split(r"[\[<>=~!]", requirement)[0].strip() for requirement in requirements)


@pytest.fixture(scope="module")
def pyproject() -> dict[str, Any]:
    return tomllib.loads(text_of(ROOT / "pyproject.toml"))


# Both READMEs


def test_both_readmes_have_the_same_headings() -> None:
    english, french = map(headings_of, READMES)

    assert english == french


def test_both_readmes_have_the_same_commands() -> None:
    english, french = map(command_lines_of, READMES)

    assert english == french
    assert any(line.startswith("curl ") for line in english)


def test_both_readmes_lead_to_the_same_documents() -> None:
    english, french = (
        set(LINK.findall(text_of(readme))) - {other.name for other in READMES} for readme in READMES
    )

    assert english == french


def test_no_document_stands_in_the_index_twice() -> None:
    linked = LINK.findall(text_of(DOCS / "README.md"))

    assert len(linked) == len(set(linked))


@pytest.mark.parametrize(
    ("readme", "uses", "planned"),
    [
        (READMES[0], ("a test double of the API", "serving your own incidents"), "are planned"),
        (READMES[1], ("doublure de l'API pour tester", "servir des incidents que vous avez"), "sont prévues"),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_a_readme_says_what_vigie_is_good_for_today_and_what_is_planned(
    readme: Path, uses: tuple[str, ...], planned: str
) -> None:
    opening = " ".join(text_of(readme).partition("\n## ")[0].split())

    assert all(use in opening for use in uses)
    assert planned in opening
    assert "Microsoft." in opening


@pytest.mark.parametrize(
    ("readme", "said"),
    [
        (
            READMES[0],
            'The end of the API is uncertain: message MC1220762 (22 January 2026) says that "the MDE and XDR APIs" '
            "stop on 1 February 2027. The documentation that came after dates only the advanced-hunting calls; the "
            "incidents pages (edited August 2026) carry no date and go on recommending Graph.",
        ),
        (
            READMES[1],
            "La fin de l'API est incertaine : le message MC1220762 (22 janvier 2026) dit que « the MDE and XDR "
            "APIs » s'arrêtent le 1er février 2027. La documentation parue depuis ne date que les appels "
            "d'« advanced hunting » ; les pages des incidents (modifiées en août 2026) ne portent aucune date et "
            "continuent de recommander Graph.",
        ),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_a_readme_says_of_the_end_of_the_api_what_is_known_and_no_more(readme: Path, said: str) -> None:
    text = " ".join(text_of(readme).split())

    assert said in text
    assert text.count("MC1220762") == text.count("2027") == 1


def test_no_other_document_speaks_of_the_end_of_the_api() -> None:
    others = [
        *(set(DOCUMENTS) - set(READMES)),
        *PROGRAM.rglob("*.py"),
        *PROGRAM.rglob("openapi.yaml"),
    ]

    assert [
        file for file in others if re.search(r"MC1220762|February 2027|février 2027", text_of(file))
    ] == []


@pytest.mark.parametrize("readme", READMES, ids=lambda readme: readme.name)
def test_a_readme_is_about_one_screen(readme: Path) -> None:
    assert len(text_of(readme).splitlines()) <= 75


# Links and names


@every_document
def test_every_link_leads_somewhere(document: Path) -> None:
    targets = [target for target in LINK.findall(prose_of(document)) if "://" not in target]

    dead = [target for target in targets if not leads_somewhere(document, target)]

    assert dead == []


def leads_somewhere(document: Path, target: str) -> bool:
    path, _, anchor = target.partition("#")
    file = (document.parent / path).resolve() if path else document
    return file.exists() and (not anchor or anchor in anchors_of(file))


@every_document
def test_every_file_that_is_named_exists(document: Path) -> None:
    missing = [
        path
        for path in PATH_IN_CODE.findall(text_of(document))
        if not any((base / path).exists() for base in (ROOT, PROGRAM, document.parent))
    ]

    assert missing == []


FILES_MAX = {"route": 4, "API": 8, "setting": 4, "error response": 4, "command": 3}
"""How many files each addition may touch beside its own modules."""


@pytest.mark.parametrize("addition", FILES_MAX)
def test_the_files_that_an_addition_touches_exist_and_are_few(addition: str) -> None:
    (text,) = re.findall(
        rf"^### To add an? {addition}$(.*?)(?=^#|\Z)",
        text_of(DOCS / "architecture.md"),
        re.MULTILINE | re.DOTALL,
    )
    places = re.findall(r"^\d+\. (.*)$", text, re.MULTILINE)
    named = [path for place in places for path in paths_in(place)]

    assert 1 < sum(map(files_touched, places)) <= FILES_MAX[addition]
    assert all(paths_in(place) for place in places)
    assert [path for path in named if not (ROOT / path).exists()] == []


def paths_in(place: str) -> list[str]:
    return re.findall(r"`((?:src|docs|tests)/[\w./]+)`", place)


def files_touched(place: str) -> int:
    """How many files an entry of a list names; of two between which it says `else`, one is touched."""
    return max(len(paths_in(choice)) for choice in place.split(" else "))


@pytest.mark.parametrize(
    ("place", "count"),
    [
        ("`src/a.py`: the row.", 1),
        ("A page in `docs/api`, listed in `docs/README.md`.", 2),
        ("`src/a.py` for an API, else `src/b.py`.", 1),
    ],
)
def test_files_are_counted_and_not_entries(place: str, count: int) -> None:
    assert files_touched(place) == count


@every_document
def test_every_setting_that_is_named_exists(document: Path) -> None:
    known = {(setting.section, setting.key) for setting in every_setting()}

    assert set(SETTING_IN_CODE.findall(text_of(document))) <= known


@every_document
def test_a_number_beside_a_setting_is_its_default(document: Path) -> None:
    defaults = {(setting.section, setting.key): setting.default for setting in every_setting()}

    wrong = {
        f"[{section}] {key}": number
        for section, key, number, unit in DEFAULT_BESIDE.findall(text_of(document))
        if int(number.replace(",", "")) * (2**20 if unit else 1) != defaults[section, key]
    }

    assert wrong == {}


@every_document
def test_every_command_in_a_block_of_shell_exists_with_its_options(document: Path) -> None:
    calls = chain.from_iterable(map(vigie_calls_in, command_lines_of(document)))

    for arguments in calls:
        command = command_of(arguments)
        assert command, f"vigie {' '.join(arguments)}"
        described = run(*command.split(), "--help").out
        for option in (each for each in arguments if each.startswith("--")):
            assert option in described, f"vigie {command} {option}"


@every_document
def test_every_target_of_make_in_a_block_of_shell_exists(document: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", text_of(ROOT / "Makefile"), re.MULTILINE))

    named = {line.split()[1] for line in command_lines_of(document) if line.startswith("make ")}

    assert named <= targets


def test_a_call_is_found_wherever_it_stands_in_a_line() -> None:
    assert list(vigie_calls_in('curl -H "Bearer $(vigie token --app a)" http://vigie.example/')) == [
        ["token", "--app", "a"]
    ]
    assert list(vigie_calls_in("vigie generate --seed 1 | vigie import - --tenant T")) == [
        ["generate", "--seed", "1"],
        ["import", "-", "--tenant", "T"],
    ]


# Divergences


@in_turn(entries())
def test_every_divergence_says_what_is_documented_observed_done_and_tested(entry: Entry) -> None:
    assert list(entry.parts) == ENTRY_PARTS
    assert all(entry.parts.values())


@in_turn(entries())
def test_every_divergence_says_when_the_documentation_was_read(entry: Entry) -> None:
    assert re.search(r"\b20[0-9]{2}-[01][0-9]", entry.parts["Documented"])


@in_turn(entries())
def test_every_divergence_names_tests_that_exist(entry: Entry) -> None:
    named = TEST_NAMED.findall(entry.parts["Test"])

    assert named
    assert len(named) == entry.parts["Test"].count("`") // 2
    assert [f"{file}::{test}" for file, test in named if test not in names_of_tests_in(file)] == []


def test_no_two_divergences_share_a_title() -> None:
    titles = [entry.title for entry in entries()]

    assert sorted(set(titles)) == sorted(titles)


def test_no_refusal_says_that_a_feature_is_off() -> None:
    assert "DisabledFeature" not in {row.code for row in ERROR_RESPONSES.values()}


# The source archive


def test_the_source_archive_has_all_that_its_documents_speak_of(pyproject: dict[str, Any]) -> None:
    packed = set(pyproject["tool"]["hatch"]["build"]["targets"]["sdist"]["only-include"])
    documents = [document for document in DOCUMENTS if document.relative_to(ROOT).parts[0] in packed]
    linked = {
        (document.parent / target.partition("#")[0]).resolve().relative_to(ROOT).parts[:1]
        for document in documents
        for target in LINK.findall(prose_of(document))
        if "://" not in target
    }

    assert set(ROOT.glob("*.md")) <= set(documents)
    assert {name for name, *_ in filter(None, linked)} <= packed
    assert packed >= {"Makefile", "uv.lock", "tests", "src"}
    assert [name for name in packed if not (ROOT / name).exists()] == []


# Architecture


def test_every_package_has_its_layer_in_the_picture_and_its_row(
    pyproject: dict[str, Any],
) -> None:
    parts = {part.stem for part in PROGRAM.glob("[!_]*") if part.suffix in ("", ".py")}
    document = text_of(DOCS / "architecture.md")
    (picture,) = (block for language, block in FENCED.findall(document) if language == "text")
    contract = pyproject["tool"]["importlinter"]["contracts"][0]

    assert {name for layer in contract["layers"] for name in re.split(r" [|:] ", layer)} == parts
    assert {part for part in parts if not re.search(rf"\b{part}\b", picture)} == set()
    assert {part for part in parts if not re.search(rf"`{part}(\.py)?`", document)} == set()


# Dependencies


def test_every_dependency_has_its_reason_and_every_reason_its_dependency(pyproject: dict[str, Any]) -> None:
    document = DOCS / "dependencies.md"

    assert rows_under(document, "For running") == package_names(pyproject["project"]["dependencies"])
    for extra, packages in pyproject["project"]["optional-dependencies"].items():
        assert rows_under(document, f"With the extra {extra}") == package_names(packages)
    assert rows_under(document, "For developing") == package_names(pyproject["dependency-groups"]["dev"])
    assert rows_under(document, "For building") == package_names(pyproject["build-system"]["requires"])


def test_the_program_imports_what_it_depends_on_and_nothing_else(pyproject: dict[str, Any]) -> None:
    extras = pyproject["project"]["optional-dependencies"].values()
    depended_on = package_names([*pyproject["project"]["dependencies"], *chain(*extras)])
    distributions = packages_distributions()

    imported = {package for source in SOURCES for package in packages_imported_by(source)}
    # _typeshed is there for the checker of types alone.
    foreign = imported - {*sys.stdlib_module_names, "_typeshed", "vigie"}
    assert {distributions[package][0].replace("_", "-").lower() for package in foreign} == set(depended_on)


def packages_imported_by(source: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(text_of(source))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]


# Operations


def test_every_metric_is_documented_and_every_documented_one_exists() -> None:
    documented = set(METRIC.findall(text_of(DOCS / "operations.md")))

    assert documented == names_of_metrics()


@pytest.mark.parametrize(
    ("metric", "values"),
    [
        ("vigie_token_cache_total", TOKEN_LOOKUPS),
        ("vigie_sign_ins_total", SIGN_IN_STEPS),
        ("vigie_store_reads_total", STORE_READS),
        ("vigie_issuer_fetches_total", ISSUER_FETCHES),
        ("vigie_webhook_deliveries_total", WEBHOOK_DELIVERIES),
    ],
)
def test_the_values_of_a_label_are_those_that_are_documented(metric: str, values: tuple[str, ...]) -> None:
    (row,) = re.findall(
        rf"^\| `{metric}` \| `\w+` \| (.*) \|$", text_of(DOCS / "operations.md"), re.MULTILINE
    )

    assert set(re.findall(r"`(\w+)`", row)) == set(values)


def test_every_reason_to_close_a_connection_is_documented() -> None:
    named = set(re.findall(r"`([a-z_]+)`", text_of(DOCS / "operations.md")))

    assert {reason.value for reason in Reason} <= named


def test_every_event_in_the_log_has_exactly_one_row() -> None:
    texts = first_texts_of_calls("debug", "info", "warning", "error", "_warn_once") | events_that_count()
    logged = {text for text in texts if re.fullmatch(r"[a-z]+(_[a-z]+)*", text)}
    logs = text_of(DOCS / "operations.md").partition("\n## Logs\n")[2].partition("\n## ")[0]
    first_cells = re.findall(r"^\| ([^|]+?) \|", logs.partition("| event | meaning")[2], re.MULTILINE)

    assert sorted(re.findall(r"`(\w+)`", " ".join(first_cells))) == sorted(logged)


def events_that_count() -> set[str]:
    """The events of lines that say how many there were of something."""
    return {
        call.args[0].value
        for call in calls_in_program()
        if isinstance(call.func, ast.Name) and call.func.id == "counting_line"
        if isinstance(call.args[0], ast.Constant) and isinstance(call.args[0].value, str)
    }


def test_the_schema_that_commands_are_said_to_answer_is_the_newest() -> None:
    documented = re.findall(r'"schema": (\d+)\}', text_of(DOCS / "commands.md"))

    assert [int(number) for number in documented] == [migrations("sqlite")[-1][0]] * 2


@pytest.mark.parametrize(
    ("what", "limit"),
    [
        ("lists read from the database at once", f"{SCAN_READERS}; {SCANS_MAX} in PostgreSQL"),
        (
            "lists under way at once, those included that wait for their clients",
            f"{SNAPSHOTS_MAX}; {SCANS_MAX} in PostgreSQL",
        ),
        ("lists of one caller under way at once", f"{LISTS_AT_ONCE_MAX}"),
        (
            f"incidents of {LARGE_ROW_BYTES // 2**10} KiB and more under way to one caller at once",
            f"{CALLER_BYTES_MAX // 2**20} MiB, or one that is larger",
        ),
        ("the same, to all callers", f"{ALL_BYTES_MAX // 2**20} MiB, or one that is larger"),
        (
            "memory that a list takes while it is sent, a page of 140 MB too",
            f"{GROWTH_BYTES_MAX // 2**20} MiB",
        ),
    ],
)
def test_a_limit_of_large_answers_is_the_one_that_is_documented(what: str, limit: str) -> None:
    assert f"| {what} | {limit} |" in text_of(DOCS / "operations.md")


# Pointers from code into the documents


@cache
def commented_text_of(source: Path) -> str:
    """The source with every comment and docstring on one line, for pointers that run over the end of one."""
    return re.sub(r"\s+(?:# |-- )?", " ", text_of(source))


def test_every_document_that_code_points_to_exists_with_its_heading() -> None:
    dead = {
        f"{source.relative_to(ROOT)}: {document}, {heading}"
        for source in TEXTS_OF_PROGRAM
        for document, heading in POINTER.findall(commented_text_of(source))
        if not (ROOT / document).exists() or (heading and slug(heading) not in anchors_of(ROOT / document))
    }

    assert dead == set()


def test_the_index_of_the_api_leads_to_every_page() -> None:
    linked = set(LINK.findall(text_of(DOCS / "api" / "README.md")))

    assert {page.name for page in (DOCS / "api").glob("*.md")} - {"README.md"} <= linked


# Decisions and changes


def test_decisions_are_numbered_one_after_the_other_and_say_their_status() -> None:
    decisions = sorted((DOCS / "decisions").glob("*.md"))

    numbers = [int(decision.name.partition("-")[0]) for decision in decisions]
    assert numbers == list(range(1, len(decisions) + 1))
    for number, decision in zip(numbers, decisions, strict=True):
        assert text_of(decision).startswith(f"# {number}. ")
        assert "\nStatus: " in text_of(decision)


def test_the_index_leads_to_every_document() -> None:
    linked = set(LINK.findall(text_of(DOCS / "README.md")))

    assert {document.name for document in DOCS.glob("*.md")} - {"README.md"} <= linked


def test_the_changelog_has_the_version_of_the_program() -> None:
    assert f"## [{__version__}]" in text_of(ROOT / "CHANGELOG.md")
