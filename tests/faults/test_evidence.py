# SPDX-License-Identifier: LGPL-2.1-or-later
"""The rows C: what stands in certificates."""
import base64

import pytest

from faults import fault

# Object identifiers as they stand in DER, each pair of one length.
EC_KEY, UNKNOWN_KEY = bytes.fromhex("06072a8648ce3d0201"), bytes.fromhex("06072a8648ce3d027f")
RSA_KEY, ML_DSA_44 = (bytes.fromhex("06092a864886f70d010101"),
                      bytes.fromhex("0609608648016503040311"))
UNCOMPRESSED_POINT = bytes.fromhex("03420004")


def changed(certificate, old, new):
    """The certificate with other bytes in its key. Its signature is wrong then, which nobody looks
    at: the TLS service has."""
    assert certificate.der.count(old) == 1 and len(old) == len(new)
    return certificate.der.replace(old, new)


KEYS = {
    "ML-DSA": ("rsa", RSA_KEY, ML_DSA_44),
    "no known key": ("ec", EC_KEY, UNKNOWN_KEY),
    "off the curve": ("ec", UNCOMPRESSED_POINT, None),
}


@pytest.mark.parametrize("key, old, new", KEYS.values(), ids=KEYS)
@fault("C06")
def test_certificate_with_a_key_of_no_use_is_mapped_by_its_bytes(
        database, daemon, pki, key, old, new):
    certificate = pki.leaf(f"strange-{key}", key=key)
    if new is None:
        at = certificate.der.index(old) + len(old)
        old, new = certificate.der[at:at + 8], bytes(8)
    der = changed(certificate, old, new)
    database.sql(f"INSERT INTO mapping(account, certificate) VALUES('alice', x'{der.hex()}');")
    reply = daemon.ask(base64.b64encode(der).decode())
    assert (reply["reason"], reply.get("account")) == ("allowed", "alice")
    assert daemon.reason(certificate) == "unmapped"
