"""The certificate of web that a branch makes for itself, or asks an authority for."""

from __future__ import annotations

import subprocess
from ipaddress import ip_address
from pathlib import Path

from doorctl.admin.machine import put
from doorctl.config.tables import Setup
from doorctl.core.errors import InputError

MADE = ("self-signed", "request")
"""Certificates that are made here, with their key."""

WEB_KEY, WEB_PEM = "web.key", "web.pem"

DAYS_MADE = "1825"


def make_certificate(own: Setup, directory: Path) -> str:
    """Make or copy web's certificate and key, root's; a key there is kept. Says what it is."""
    pem, private, request = (directory / name for name in (WEB_PEM, WEB_KEY, "web.csr"))
    if own.certificate == "files":
        put(pem, own.certificate_file.read_bytes())
        put(private, own.key_file.read_bytes(), 0o600)
    if own.certificate not in MADE:
        return fingerprint(pem)
    try:
        kind = f"IP:{ip_address(own.web_name)}"
    except ValueError:
        kind = f"DNS:{own.web_name}"
    if not private.is_file():
        kind_of_key = ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")
        put(private, openssl("genpkey", *kind_of_key), 0o600)
    call = ["req", "-new", "-key", str(private), "-subj", f"/CN={own.web_name[:64]}"]
    uses = ["-addext", f"subjectAltName={kind}", "-addext", "extendedKeyUsage=serverAuth"]
    if own.certificate == "request":
        put(request, openssl(*call, *uses))
        return fingerprint(pem) or str(request)
    if f"CN={own.web_name[:64]}," not in fingerprint(pem):
        put(pem, openssl(*call, "-x509", "-days", DAYS_MADE, *uses))
    return fingerprint(pem)


def fingerprint(pem: Path) -> str:
    """Return a certificate's name, last day and SHA-256 fingerprint; "" where there is none."""
    if not pem.is_file():
        return ""
    about = ("-subject", "-enddate", "-fingerprint", "-sha256")
    return openssl("x509", "-in", str(pem), "-noout", *about).decode().strip().replace("\n", ", ")


def openssl(*words: str) -> bytes:
    """Return what OpenSSL's command answers. InputError: it is missing or fails; says why."""
    try:
        done = subprocess.run(["openssl", *words], capture_output=True, check=True, cwd="/")  # noqa: S603, S607 - our own command
    except FileNotFoundError:
        raise InputError("openssl is missing: apt install openssl") from None
    except subprocess.CalledProcessError as error:
        raise InputError("openssl failed: {why}", why=error.stderr.decode().strip()) from None
    return done.stdout
