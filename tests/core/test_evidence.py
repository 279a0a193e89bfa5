"""Evidence: one spelling for each thing, whatever is written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vigie.core.evidence import (
    VALUE_LENGTH_MAX,
    Evidence,
    EvidenceKind,
    evidence_of,
    host_in,
    spellings_of,
)

KINDS = st.sampled_from(EvidenceKind)


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("device", " 5D0C9BE1F2A34C5D ", "5d0c9be1f2a34c5d"),
        ("device", "LAP-0441.Fabrikam.example.", "lap-0441.fabrikam.example"),
        ("account", "FABRIKAM\\Joao", "fabrikam\\joao"),
        ("account", "S-1-5-21-1111-1104", "s-1-5-21-1111-1104"),
        ("account", "Straße@contoso.example", "strasse@contoso.example"),
        ("address", "198.51.100.7", "198.51.100.7"),
        ("address", "::ffff:198.51.100.7", "198.51.100.7"),
        ("address", "::FFFF:C633:6407", "198.51.100.7"),
        ("address", "2001:0DB8:0:0::0001", "2001:db8::1"),
        ("address", "[2001:db8::1]", "2001:db8::1"),
        ("address", "fe80::1%eth0", "fe80::1%eth0"),
        ("address", "010.1.1.1", "010.1.1.1"),
        ("address", "Not An Address", "not an address"),
        ("host", "Evil.Example.", "evil.example"),
        ("host", "Bücher.example", "xn--bcher-kva.example"),
        ("host", "ü" * 300, "ü" * 300),
        ("url", "HTTPS://Evil.Example/Path?Q=A", "https://evil.example/Path?Q=A"),
        ("url", "https://evil.example/", "https://evil.example"),
        ("url", "https://evil.example:443/x", "https://evil.example/x"),
        ("url", "https://evil.example.:8443/x", "https://evil.example:8443/x"),
        ("url", "http://User@Evil.example/x", "http://User@evil.example/x"),
        ("url", "http://[2001:DB8::0001]:80/x", "http://[2001:db8::1]/x"),
        ("url", "http://[::ffff:198.51.100.7]/x", "http://198.51.100.7/x"),
        ("url", "Evil.Example/Path", "evil.example/Path"),
        ("url", "http://[broken", "http://broken"),
        ("fileHash", "A0B1C2", "a0b1c2"),
        ("fileHash", "SHA256:A0B1", "a0b1"),
        ("fileHash", "sha-1=A0B1", "a0b1"),
        ("mailbox", "Ada@Contoso.Example", "ada@contoso.example"),
        ("process", "C:\\Windows\\System32\\CMD.exe", "c:\\windows\\system32\\cmd.exe"),
        ("registry", "HKLM\\Software\\Run", "hkey_local_machine\\software\\run"),
        ("registry", "HKCU:\\Software\\Run\\", "hkey_current_user\\software\\run"),
        ("registry", "HKEY_USERS", "hkey_users"),
    ],
)
def test_each_kind_has_one_spelling(kind: str, text: str, value: str) -> None:
    assert evidence_of(EvidenceKind(kind), text) == (kind, value)


@pytest.mark.parametrize("nothing", [None, "", "  ", 7, 1.5, True, [], {}, ["198.51.100.7"]])
def test_what_is_no_text_is_no_evidence(nothing: object) -> None:
    assert [evidence_of(kind, nothing) for kind in EvidenceKind] == [None] * len(EvidenceKind)
    assert host_in(nothing) is None


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://Evil.Example:8443/x", (EvidenceKind.HOST, "evil.example")),
        ("evil.example/x", (EvidenceKind.HOST, "evil.example")),
        ("http://ada@evil.example", (EvidenceKind.HOST, "evil.example")),
        ("http://198.51.100.7/x", (EvidenceKind.ADDRESS, "198.51.100.7")),
        ("http://[::ffff:198.51.100.7]:80/x", (EvidenceKind.ADDRESS, "198.51.100.7")),
        ("file:///etc/passwd", None),
        ("/path/alone", None),
    ],
)
def test_the_host_of_a_url_is_evidence_too(url: str, host: Evidence | None) -> None:
    assert host_in(url) == host


def test_a_long_value_is_cut_and_still_told_from_others() -> None:
    long, other = ("x" * 5_000 + end for end in "ab")

    cut = evidence_of(EvidenceKind.PROCESS, long)

    assert cut is not None
    assert len(cut.value) == VALUE_LENGTH_MAX
    assert cut == evidence_of(EvidenceKind.PROCESS, long.upper())
    assert cut != evidence_of(EvidenceKind.PROCESS, other)


@given(KINDS, st.text())
def test_any_text_has_a_spelling_that_stays_the_same(kind: EvidenceKind, text: str) -> None:
    found = evidence_of(kind, text)

    assert found is None or len(found.value) <= VALUE_LENGTH_MAX
    # Casefolding is not stable for a few letters; what counts is that one text always has the same spelling.
    assert found == evidence_of(kind, text)
    if found is not None and text.isascii():
        assert evidence_of(kind, found.value) == found


@given(st.text())
def test_any_text_may_be_a_url(text: str) -> None:
    host_in(text)
    host_in(f"https://{text}")


@pytest.mark.parametrize(
    ("written", "kind", "value"),
    [
        ("hxxps://evil[.]example/x", "url", "https://evil.example/x"),
        ("HXXP://evil.example", "url", "http://evil.example"),
        ("198.51.100[.]7", "address", "198.51.100.7"),
        ("ada[@]contoso.example", "mailbox", "ada@contoso.example"),
        ("HKLM\\\\Software\\\\Run", "registry", "hkey_local_machine\\software\\run"),
        ("fabrikam\\\\joao", "account", "fabrikam\\joao"),
    ],
)
def test_a_person_may_write_it_in_other_ways(written: str, kind: str, value: str) -> None:
    assert (kind, value) in spellings_of(written, None)
    assert (kind, value) in spellings_of(written, EvidenceKind(kind))


def test_a_kind_limits_what_is_meant() -> None:
    assert spellings_of("198.51.100.7", EvidenceKind.ADDRESS) == [(EvidenceKind.ADDRESS, "198.51.100.7")]
    assert {kind for kind, _ in spellings_of("198.51.100.7", None)} == set(EvidenceKind)
    assert spellings_of("", None) == []


def test_a_text_with_half_a_character_is_nothing_worse_than_unknown() -> None:
    assert spellings_of("\udcff" * 2_000, EvidenceKind.ACCOUNT) != []
