"""The URLs that a webhook may have, and the addresses that are connected to."""

from ipaddress import ip_address, ip_network

import pytest

from vigie.core.webhook_urls import InvalidWebhookUrl, check_address, check_webhook_url, host_of

PRIVATE = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"), ip_network("127.0.0.0/8"))
EVERYTHING = (ip_network("0.0.0.0/0"), ip_network("::/0"))


@pytest.mark.parametrize(
    "url",
    [
        "https://soar.example",
        "https://soar.example/vigie?key=a%20b",
        "https://SOAR.example:8443/",
        "https://xn--caf-dma.example/a/b/../c",
        "https://hooks_1.soar.example/",
        "https://8.8.8.8/",
        "https://[2606:4700::1111]:443/",
        "https://1password.example/",
    ],
)
def test_a_plain_https_url_may_be_one(url: str) -> None:
    check_webhook_url(url, allows_private=False)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://soar.example/", "must begin with https://"),
        ("ftp://soar.example/", "must be https://host"),
        ("soar.example/vigie", "must be https://host"),
        ("https:///vigie", "must be https://host"),
        ("https://soar.example:0/", "must be https://host"),
        ("https://soar.example:/", "must be https://host"),
        ("https://soar.example:65536/", "must be https://host"),
        ("https://soar.example:a/", "must be https://host"),
        ("https://[::1/", "must be https://host"),
        ("https://soar.example:22/", "port 22 belongs to another service"),
        ("https://ada:secret@soar.example/", "user name or password"),
        ("https://@soar.example/", "user name or password"),
        ("https://soar.example/#top", "fragment"),
        ("https://soar.example/a b", "printable ASCII"),
        ("https://soar.example\\@127.0.0.1/", "printable ASCII"),
        ("https://soar.example/\n", "printable ASCII"),
        ("https://café.example/", "printable ASCII"),
        ("https://soar%2eexample/", "neither a host name nor an IP address"),
        ("https://soar..example/", "neither a host name nor an IP address"),
        ("https://soar.example./", "neither a host name nor an IP address"),
        ("https://-soar.example/", "neither a host name nor an IP address"),
        ("https://127.1/", "neither a host name nor an IP address"),
        ("https://2130706433/", "neither a host name nor an IP address"),
        ("https://0x7f.0.0.1/", "neither a host name nor an IP address"),
        ("https://0177.0.0.1/", "neither a host name nor an IP address"),
        ("https://[fe80::1%25eth0]/", "neither a host name nor an IP address"),
        ("https://localhost/", "a name inside a network"),
        ("https://printer/", "a name inside a network"),
        ("https://tickets.internal/", "a name inside a network"),
        ("https://127.0.0.1/", "a private or reserved address"),
        ("https://[::ffff:10.0.0.1]/", "a private or reserved address"),
        ("https://soar.example/" + "a" * 2_000, "at most 2000 characters"),
    ],
)
def test_any_other_url_is_refused_with_a_reason(url: str, reason: str) -> None:
    with pytest.raises(InvalidWebhookUrl, match=reason):
        check_webhook_url(url, allows_private=False)


@pytest.mark.parametrize(
    "url", ["http://tickets.corp/", "http://printer:8080/", "https://localhost/", "http://10.1.2.3:9000/"]
)
def test_a_private_one_may_be_http_and_a_name_inside(url: str) -> None:
    check_webhook_url(url, allows_private=True, private=PRIVATE)


@pytest.mark.parametrize("url", ["http://192.168.0.1/", "http://169.254.169.254/latest", "http://8.8.8.8/"])
def test_a_private_one_names_no_address_that_is_not_allowed(url: str) -> None:
    with pytest.raises(InvalidWebhookUrl):
        check_webhook_url(url, allows_private=True, private=PRIVATE)


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "10.0.0.1",
        "100.64.0.1",
        "127.0.0.1",
        "127.255.255.254",
        "169.254.1.1",
        "172.16.0.1",
        "192.0.0.8",
        "192.0.2.1",
        "192.168.1.1",
        "198.18.0.1",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::7f00:1",
        "::ffff:127.0.0.1",
        "::ffff:192.168.0.1",
        "64:ff9b::a00:1",
        "64:ff9b:1::a00:1",
        "100::1",
        "2001::1",
        "2001:db8::1",
        "2002:a00:1::1",
        "3fff::1",
        "fc00::1",
        "fd12:3456::1",
        "fe80::1",
        "fec0::1",
        "ff02::1",
    ],
)
def test_nothing_private_or_reserved_is_connected_to(address: str) -> None:
    with pytest.raises(InvalidWebhookUrl, match=r"private or reserved|never an address"):
        check_address(ip_address(address), scheme="https", private=())


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1"]
)
def test_a_public_address_is_connected_to_by_https_alone(address: str) -> None:
    check_address(ip_address(address), scheme="https", private=())

    with pytest.raises(InvalidWebhookUrl, match="needs https://"):
        check_address(ip_address(address), scheme="http", private=EVERYTHING)


@pytest.mark.parametrize("address", ["10.1.2.3", "fd00::1", "::ffff:10.0.0.1", "127.0.0.1"])
def test_what_is_allowed_is_connected_to(address: str) -> None:
    check_address(ip_address(address), scheme="http", private=PRIVATE)


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "169.254.170.2",
        "169.254.170.23",
        "169.254.42.42",
        "192.0.0.192",
        "fd00:ec2::254",
        "fd00:ec2::23",
        "fd20:ce::254",
        "fd00:42::42",
        "100.100.100.200",
        "168.63.129.16",
        "0.0.0.0",
        "::",
        "224.0.0.1",
        "ff02::1",
        "255.255.255.255",
    ],
)
def test_the_metadata_of_clouds_is_never_asked(address: str) -> None:
    for scheme in ("http", "https"):
        with pytest.raises(InvalidWebhookUrl, match="never an address of a receiver"):
            check_address(ip_address(address), scheme=scheme, private=EVERYTHING)


def test_the_host_is_what_names_the_receiver() -> None:
    assert host_of("https://SOAR.example:8443/a") == "soar.example"
    assert host_of("https://[2606:4700::1111]/") == "2606:4700::1111"
