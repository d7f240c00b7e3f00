"""Certificates of the server: good, expired, or of another host, all of one private authority."""

import ssl
from datetime import UTC, datetime, timedelta

import trustme

KINDS = ("valid", "expired", "wrong-host")


def context_of(kind, folder):
    """Return the TLS context of a server with such a certificate, and the file of its authority."""
    authority = trustme.CA()
    name = "another-host.example" if kind == "wrong-host" else "127.0.0.1"
    begin, end = _validity(expired=kind == "expired")
    certificate = authority.issue_cert(name, not_before=begin, not_after=end)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    certificate.configure_cert(context)
    ca_file = folder / "authority.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    return context, ca_file


def _validity(*, expired):
    now = datetime.now(UTC).replace(tzinfo=None)
    return now - timedelta(days=2), now + timedelta(days=-1 if expired else 1)
