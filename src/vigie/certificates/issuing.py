"""Issuing: a private certificate authority made, and server certificates signed by it. No I/O, no clock."""

import secrets
from datetime import UTC, datetime, timedelta

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from vigie.certificates.names import (
    constraints_to,
    host_names,
    names_among,
    names_permitted_by,
    subject_names,
)
from vigie.core.instants import TICKS_PER_SECOND, Instant

_AUTHORITY_LASTS = timedelta(days=3652)
# Browsers take no more than 398 days.
_CERTIFICATE_LASTS = timedelta(days=365)
_RENEWED_BEFORE_END = timedelta(days=60)
# The clocks of clients may be behind.
_BACKDATED = timedelta(days=1)

# RSA, because every client takes it; 3072 bits are held to be good beyond the ten years.
_AUTHORITY_KEY_BITS = 3072
_SERVER_KEY_BITS = 2048
_SERVER_AUTHENTICATION = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])


class Certified(msgspec.Struct, frozen=True, kw_only=True):
    """A certificate, the key that belongs to it, and the certificates that it was signed with in turn."""

    certificate: x509.Certificate
    key: RSAPrivateKey
    chain: tuple[x509.Certificate, ...] = ()

    @property
    def ends_at(self) -> datetime:
        """When it expires."""
        return self.certificate.not_valid_after_utc

    def is_valid(self, now: Instant) -> bool:
        """Whether a client with the same clock takes it."""
        return self.certificate.not_valid_before_utc <= to_datetime(now) and not self.is_over(now)

    def is_over(self, now: Instant) -> bool:
        """Whether it has expired."""
        return self.ends_at <= to_datetime(now)

    def to_pem(self) -> bytes:
        """All in one text, the key in front."""
        key = self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return key + b"".join(each.public_bytes(Encoding.PEM) for each in (self.certificate, *self.chain))


class CertificateAuthority(Certified, frozen=True, kw_only=True):
    """What signs server certificates, for the names it is limited to.

    Clients trust the root above it, whose key was thrown away when it had signed this. So nothing can be
    signed but by this key. Its host names limit it towards every client. The addresses are limits of the root
    alone, which many clients do not heed in a root they trust: docs/tls.md, "What trusting it means".
    """

    @property
    def root(self) -> x509.Certificate:
        """What clients trust."""
        return self.chain[0]

    @property
    def sha256(self) -> str:
        """The fingerprint by which people recognise the root, as other tools write it."""
        return self.root.fingerprint(SHA256()).hex(":").upper()

    def root_pem(self) -> bytes:
        """What clients are given."""
        return self.root.public_bytes(Encoding.PEM)

    @property
    def names(self) -> frozenset[str]:
        """All names that it may sign for."""
        return names_permitted_by(_constraints_of(self.root))

    @property
    def suits_erlang(self) -> bool:
        """Whether Erlang/OTP can check it; an authority of Vigie before 0.1.0 limits the addresses itself."""
        permitted = names_permitted_by(_constraints_of(self.certificate))
        return permitted == host_names(permitted)

    @property
    def machine(self) -> frozenset[str]:
        """The host name, among `names`, of the machine that it was made on; empty if that had none to sign."""
        units = self.certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATIONAL_UNIT_NAME)
        return names_among(str(unit.value) for unit in units)


def certified_from_pem(text: bytes) -> Certified:
    """Read what `to_pem` wrote. Raises ValueError if it is not a certificate with its own key."""
    try:
        key = load_pem_private_key(text, password=None)
    # TypeError: the key has a passphrase.
    except TypeError as error:
        raise ValueError(str(error)) from error
    certificate, *chain = x509.load_pem_x509_certificates(text)
    if not isinstance(key, RSAPrivateKey) or key.public_key() != certificate.public_key():
        raise ValueError("not the key of the certificate")
    return Certified(certificate=certificate, key=key, chain=tuple(chain))


def authority_from_pem(text: bytes) -> CertificateAuthority:
    """As `certified_from_pem`, for an authority."""
    found = certified_from_pem(text)
    authority = CertificateAuthority(certificate=found.certificate, key=found.key, chain=found.chain)
    try:
        authority.certificate.verify_directly_issued_by(authority.root)
        if not authority.names:
            raise ValueError("not limited to any names")
    except (InvalidSignature, LookupError, TypeError, x509.ExtensionNotFound) as error:
        raise ValueError(str(error)) from error
    return authority


def new_authority(names: frozenset[str], machine: frozenset[str], now: Instant) -> CertificateAuthority:
    """Make an authority that can sign for `names` and for the machine's own host name, and for nothing else."""
    mark = secrets.token_hex(4)
    root_key, key = (generate_private_key(65537, _AUTHORITY_KEY_BITS) for _ in range(2))
    root_name, name = (
        _distinguished(f"Vigie local {kind} {mark}", machine) for kind in ("root", "authority")
    )
    moment = to_datetime(now)
    ends_at = moment + _AUTHORITY_LASTS
    root = _limited(_begun(root_name, root_key.public_key(), moment, ends_at), names | machine, path_length=1)
    # Without the addresses: Erlang/OTP ends with an error over any address that is both limited here and in a
    # server certificate, whichever name it calls.
    limited = _limited(
        _begun(name, key.public_key(), moment, ends_at), host_names(names | machine), path_length=0
    )
    root_certificate = root.issuer_name(root_name).sign(root_key, SHA256())
    certificate = _signed_by(root_certificate, limited).sign(root_key, SHA256())
    return CertificateAuthority(certificate=certificate, key=key, chain=(root_certificate,))


def issue(authority: CertificateAuthority, now: Instant) -> Certified:
    """Make a server certificate for all names of the authority."""
    key = generate_private_key(65537, _SERVER_KEY_BITS)
    name = _distinguished(next(iter(authority.machine), "localhost"), frozenset())
    moment = to_datetime(now)
    builder = (
        _signed_by(
            authority.certificate, _begun(name, key.public_key(), moment, _end_of_next(authority, moment))
        )
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(digital_signature=True, key_encipherment=True), critical=True)
        .add_extension(_SERVER_AUTHENTICATION, critical=False)
        .add_extension(subject_names(authority.names), critical=False)
    )
    certificate = builder.sign(authority.key, SHA256())
    return Certified(certificate=certificate, key=key, chain=(authority.certificate,))


def is_from(authority: CertificateAuthority, server: Certified) -> bool:
    """Whether the authority has signed this certificate, for exactly its own names."""
    try:
        server.certificate.verify_directly_issued_by(authority.certificate)
        names = server.certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (InvalidSignature, ValueError, TypeError, x509.ExtensionNotFound):
        return False
    return names == subject_names(authority.names) and server.chain == (authority.certificate,)


def is_due(server: Certified, authority: CertificateAuthority, now: Instant) -> bool:
    """Whether to make the next server certificate: if this one ends soon, and the next one does not.

    While the clock says that the authority itself is not valid, the next would be no better.
    """
    if not authority.is_valid(now) or not server.is_valid(now):
        return authority.is_valid(now)
    moment = to_datetime(now)
    return server.ends_at - moment < _RENEWED_BEFORE_END and _end_of_next(authority, moment) > server.ends_at


def to_datetime(moment: Instant) -> datetime:
    """A moment as certificates write it: in whole seconds."""
    return datetime.fromtimestamp(moment // TICKS_PER_SECOND, UTC)


def _end_of_next(authority: CertificateAuthority, moment: datetime) -> datetime:
    return min(moment - _BACKDATED + _CERTIFICATE_LASTS, authority.ends_at)


def _begun(
    name: x509.Name, key: RSAPublicKey, moment: datetime, ends_at: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(moment - _BACKDATED)
        .not_valid_after(ends_at)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _limited(
    builder: x509.CertificateBuilder, names: frozenset[str], *, path_length: int
) -> x509.CertificateBuilder:
    return (
        builder.add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
        .add_extension(_key_usage(key_cert_sign=True), critical=True)
        # For servers only: the constraints say nothing about mail, programs or people.
        .add_extension(_SERVER_AUTHENTICATION, critical=False)
        .add_extension(constraints_to(names), critical=True)
    )


def _constraints_of(certificate: x509.Certificate) -> x509.NameConstraints:
    return certificate.extensions.get_extension_for_class(x509.NameConstraints).value


def _signed_by(issuer: x509.Certificate, builder: x509.CertificateBuilder) -> x509.CertificateBuilder:
    key_id = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    authority_key_id = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(key_id)
    return builder.issuer_name(issuer.subject).add_extension(authority_key_id, critical=False)


def _distinguished(common_name: str, units: frozenset[str]) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Vigie"),
            *(x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, unit) for unit in units),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def _key_usage(
    *, key_cert_sign: bool = False, digital_signature: bool = False, key_encipherment: bool = False
) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=key_encipherment,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
