"""Certificates for servers of tests: an authority of their own, and what it vouches for."""

import ipaddress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

VALID = timedelta(days=2)
ADDRESS = "127.0.0.1"


class CertificateFiles(NamedTuple):
    """Where the PEM files lie: the authority to trust, and the server's certificate with its key."""

    authority: Path
    certificate: Path
    key: Path


def write_certificates(folder: Path) -> CertificateFiles:
    """Make an authority and a certificate of 127.0.0.1 and localhost in a folder, valid for two days.

    The authority's key is kept nowhere, so that it can vouch for nothing else.
    """
    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority = _authority(authority_key)
    certificate = _certificate(key, authority, authority_key)
    files = CertificateFiles(folder / "authority.pem", folder / "certificate.pem", folder / "key.pem")
    files.authority.write_bytes(authority.public_bytes(serialization.Encoding.PEM))
    files.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    files.key.touch(mode=0o600)
    files.key.write_bytes(_pem(key))
    return files


def _authority(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = _named("hyperplane tests")
    builder = _valid(x509.CertificateBuilder().subject_name(name).issuer_name(name), key)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_may_sign_certificates(), critical=True)
    return builder.sign(key, hashes.SHA256())


def _certificate(
    key: ec.EllipticCurvePrivateKey, authority: x509.Certificate, authority_key: ec.EllipticCurvePrivateKey
) -> x509.Certificate:
    builder = x509.CertificateBuilder().subject_name(_named("localhost")).issuer_name(authority.subject)
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address(ADDRESS))]
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key())
    builder = _valid(builder, key).add_extension(x509.SubjectAlternativeName(names), critical=False)
    builder = builder.add_extension(issuer, critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    return builder.sign(authority_key, hashes.SHA256())


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _valid(builder: x509.CertificateBuilder, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    return (
        builder.public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - VALID)
        .not_valid_after(now + VALID)
        .add_extension(identifier, critical=False)
    )


def _may_sign_certificates() -> x509.KeyUsage:
    return x509.KeyUsage(
        key_cert_sign=True,
        crl_sign=True,
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
