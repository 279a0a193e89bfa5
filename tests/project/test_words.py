"""The words of the project: plain ones, modules that open with their subject, references that lead somewhere."""

import ast
import re
from functools import cache
from itertools import chain
from pathlib import Path

import pytest

from tests.project.test_documents import DOCS, DOCUMENTS, PROGRAM, TEXTS_OF_PROGRAM, text_of
from tests.support.paths import ROOT

CODE = sorted(
    chain.from_iterable((ROOT / name).rglob("*.py") for name in ("src", "tests", "bench", "building"))
)
DEPLOYED = sorted(path for path in (ROOT / "deploy").rglob("*") if path.is_file())
PACKAGES = sorted(path.name for path in PROGRAM.iterdir() if (path / "__init__.py").exists())

PRIVATE_WORDS = re.compile(
    r"\bwhoever\b|\bleanings?\b|casework|chore|\bthe house\b|\bfrom elsewhere\b|\bof our own making\b"
    r"|(?<![a-z-])sights?(?![a-z])",
    re.IGNORECASE,
)

WHOEVER = re.compile(r"(?<![a-z])whoever(?![a-z])", re.IGNORECASE)
"""Also in the names of tests: a caller, a client or a user."""

MAY_HAVE_THEM = {
    "docs/decisions/*.md": "they record what was decided, in the words of that day",
    "src/vigie/storage/sql/migration_steps/*.sql": "they are parts of migrations",
    "src/vigie/storage/sql/migrations/*.sql": "a migration is never changed",
    "src/vigie/storage/sql/postgres/migrations/*.sql": "a migration is never changed",
}

FORMER_NAMES = re.compile(r"CHANGELOG\.md:\d+: \|[^|]*\| `[^|]*\| (?:`[^|]*|gone) \|")
"""The rows of the changelog that say what names became of others."""

ELSEWHERE = re.compile(
    r"\bcontract [A-Z]?\d|\b(?:section|chapter) [\d.]+ of the contract|\bamendments? [A-Z]\d|\bissue \d{1,2}\b",
    re.IGNORECASE,
)

HEADLESS = re.compile(
    r"(?:What|Who|Whose|Which|How|Where|When|Why|Whether|Whoever|For whom|From (?:a|the) \w+ to"
    r"|(?:In|On|Under|At|By|For|To) (?:which|what|whom))\b"
    r"|\w+ing (?:a|an|the) |(?:Reads|Writes|Tells|Fetches|Makes|Finds|Decides)\b"
)

MODULE = re.compile(r"\bvigie((?:\.(?:" + "|".join(PACKAGES) + r"))(?:\.[a-z_]+)*)\b")
MODULE_FILE = re.compile(r"(?<![\w./-])(?:[a-z_]+/)+[a-z_]+\.(?:py|sql|lua)\b")
COMMENT = re.compile(r'#.*|--.*|"""(?:.|\n)*?"""')
PATH = re.compile(r"\b(?:src|tests|bench|building|deploy|docs)/[\w./-]*\w")
DOCUMENT = re.compile(r"""(?<!["'\w./-])[\w./-]+\.md\b""")
NAME = re.compile(r"`((?:[A-Z][a-z]+){2,}|[a-z]+(?:_[a-z]+)+)(?:\(\))?`")

NAME_IN_MODULE = re.compile(r"`(\w+)`[^.;|`]{1,12}`((?:\w+/)+\w+\.py)`")

MADE_BY_A_RUN = {"bench/results.jsonl", "bench/final.jsonl"}
NO_PATHS = {"deploy/vigie": "a deployment of Kubernetes, as kubectl names it"}

NAMES_OF_OTHERS = {
    "extra_hosts": "Docker Compose",
    "login_url": "Elastic's integration",
    "request_url": "Elastic's integration",
    "max_prepared_statements": "PgBouncer",
}


@cache
def words_of_the_code() -> frozenset[str]:
    return frozenset(
        chain.from_iterable(
            re.findall(r"\w+", text_of(path)) for path in (*TEXTS_OF_PROGRAM, *CODE, *DEPLOYED)
        )
    )


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def lines_with(pattern: re.Pattern[str], path: Path) -> list[str]:
    lines = text_of(path).splitlines()
    return [
        f"{name_of(path)}:{number}: {line.strip()}"
        for number, line in enumerate(lines, 1)
        if pattern.search(line)
    ]


def is_excepted(path: Path) -> bool:
    return any(path.relative_to(ROOT).match(each) for each in MAY_HAVE_THEM)


def opening_of(path: Path) -> str | None:
    """The first line of a module's docstring; None for a module that is empty."""
    source = text_of(path)
    return (ast.get_docstring(ast.parse(source)) or "").partition("\n")[0] if source.strip() else None


@cache
def openings() -> tuple[tuple[str, str], ...]:
    return tuple(
        (name_of(path), opening)
        for path in CODE
        if not is_excepted(path)
        if (opening := opening_of(path)) is not None
    )


def spaced(text: str) -> str:
    """A text in lower case, with spaces between the words of names."""
    return re.sub(r"[\W_]+", " ", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text)).lower()


def is_module(dotted: str) -> bool:
    """Whether a dotted path below `vigie` is a package or a module, or a name in one."""
    *parents, last = dotted.strip(".").split(".")
    holder = PROGRAM.joinpath(*parents)
    if (holder / last).is_dir() or (holder / f"{last}.py").exists():
        return True
    file = holder / "__init__.py" if holder.is_dir() else holder.with_suffix(".py")
    return file.exists() and re.search(rf"\b{last}\b", text_of(file)) is not None


def is_in_module(name: str, module: str) -> bool:
    """Whether a module of the program, or of its tests, has the word."""
    files = [base / module for base in (PROGRAM, ROOT) if (base / module).exists()]
    return any(re.search(rf"\b{name}\b", text_of(file)) for file in files)


# Private words


def test_no_private_word_is_in_the_program_or_its_documents() -> None:
    read = [path for path in (*TEXTS_OF_PROGRAM, *DOCUMENTS, *DEPLOYED) if not is_excepted(path)]

    found = chain.from_iterable(lines_with(PRIVATE_WORDS, path) for path in read)
    assert [line for line in found if not FORMER_NAMES.fullmatch(line)] == []


def test_tests_and_benchmarks_name_who_does_something() -> None:
    others = [path for path in CODE if path != Path(__file__)]

    assert list(chain.from_iterable(lines_with(WHOEVER, path) for path in others)) == []


@pytest.mark.parametrize("pattern", MAY_HAVE_THEM)
def test_every_exception_is_needed(pattern: str) -> None:
    assert any(PRIVATE_WORDS.search(text_of(path)) for path in ROOT.glob(pattern))


@pytest.mark.parametrize("line", ["CREATE TABLE incident_sight (", "Whoever reads", "a chore_ended line"])
def test_a_private_word_is_found(line: str) -> None:
    assert PRIVATE_WORDS.search(line)


def test_a_word_that_holds_a_private_one_is_none() -> None:
    assert not PRIVATE_WORDS.search("AzureMonitorInsights, oversight and the greenhouse")


# References


def test_nothing_refers_to_what_is_not_in_the_repository() -> None:
    read = [path for path in (*CODE, *TEXTS_OF_PROGRAM, *DOCUMENTS, *DEPLOYED) if not is_excepted(path)]
    others = [path for path in read if path != Path(__file__)]

    assert list(chain.from_iterable(lines_with(ELSEWHERE, path) for path in others)) == []


@pytest.mark.parametrize(
    "line", ["Source: contract 3.2.", "graph contract 9", "# Amendment A6", "see section 3.2 of the contract"]
)
def test_a_reference_that_leads_nowhere_is_found(line: str) -> None:
    assert ELSEWHERE.search(line)


def test_every_document_that_code_names_exists() -> None:
    named = {
        (name_of(path), document)
        for path in (*CODE, *TEXTS_OF_PROGRAM)
        if not is_excepted(path)
        for document in DOCUMENT.findall(text_of(path))
    }

    assert {each for each in named if not any((base / each[1]).exists() for base in (ROOT, DOCS))} == set()


def test_every_module_that_a_comment_names_exists() -> None:
    named = {
        (name_of(path), module)
        for path in TEXTS_OF_PROGRAM
        for comment in COMMENT.findall(text_of(path))
        for module in MODULE_FILE.findall(comment)
    }

    assert named
    assert {each for each in named if not any((base / each[1]).exists() for base in (ROOT, PROGRAM))} == set()


def test_every_path_that_a_document_names_exists() -> None:
    named = {
        (name_of(document), path)
        for document in (*DOCUMENTS, *DEPLOYED, ROOT / "pyproject.toml")
        for path in PATH.findall(text_of(document))
    }

    missing = {(name, path) for name, path in named if not (ROOT / path).exists()}
    assert {path for _, path in missing} <= MADE_BY_A_RUN | NO_PATHS.keys(), missing


def test_every_module_that_a_document_names_exists() -> None:
    named = {
        (name_of(document), dotted) for document in DOCUMENTS for dotted in MODULE.findall(text_of(document))
    }

    assert {each for each in named if not is_module(each[1])} == set()


def test_every_name_that_a_document_puts_into_a_module_is_there() -> None:
    named = {
        (name_of(document), name, module)
        for document in DOCUMENTS
        if document.parent.name != "decisions"
        for name, module in NAME_IN_MODULE.findall(text_of(document))
    }

    assert named
    assert {each for each in named if not is_in_module(each[1], each[2])} == set()


def test_every_word_of_the_glossary_is_used() -> None:
    glossary = DOCS / "glossary.md"
    rows = re.findall(r"^\| ([^|]+?) \| [^|-]", text_of(glossary), re.MULTILINE)
    words = {word for row in rows for word in re.sub(r" \(.*\)", "", row).split(", ")} - {"word"}
    used = spaced(
        " ".join(text_of(path) for path in (*TEXTS_OF_PROGRAM, *CODE, *DOCUMENTS) if path != glossary)
    )

    assert words
    assert [word for word in words if f" {spaced(word)}" not in used] == []


def test_every_name_of_code_that_a_document_names_exists() -> None:
    named = {
        (name_of(document), name)
        for document in DOCUMENTS
        if document.parent.name != "decisions" and document.name != "CHANGELOG.md"
        for name in NAME.findall(text_of(document))
    }

    assert {each for each in named if each[1] not in words_of_the_code() | NAMES_OF_OTHERS.keys()} == set()


# Modules


def test_every_module_opens_with_a_sentence() -> None:
    assert [name for name, opening in openings() if not re.search(r"^\S.*[.:`?)]$", opening)] == []


def test_every_module_opens_with_its_subject() -> None:
    assert [f"{name}: {opening}" for name, opening in openings() if HEADLESS.match(opening)] == []


@pytest.mark.parametrize(
    "opening",
    [
        "What a database must do.",
        "Where the keys are kept.",
        "In which language a browser is answered.",
        "Moving a whole database to another.",
        "Reads the body of a form.",
    ],
)
def test_an_opening_without_a_subject_is_found(opening: str) -> None:
    assert HEADLESS.match(opening)
