"""AUTH: is a signature of our token made with a key that was accepted before?"""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterable

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey, RSAPublicNumbers
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA1

TOKEN_BYTES = 20
"""As long as a SHA-1 digest, because the host signs the token as if it were one."""
KEY = struct.Struct("<II256s256sI")
"""Words of the modulus, n0inv, modulus, R², exponent: numbers little-endian."""


def parsed_key(text: bytes) -> RSAPublicKey:
    """The key in `base64 comment NUL`; raises ValueError for anything else."""
    fields = text.rstrip(b"\0").split()
    if not fields:
        raise ValueError("an empty public key")
    blob = base64.b64decode(fields[0], validate=True)
    if len(blob) != KEY.size:
        raise ValueError(f"a public key of {len(blob)} bytes, not {KEY.size}")
    words, _, modulus, _, exponent = KEY.unpack(blob)
    if words != 64:
        raise ValueError(f"a modulus of {words} words, not 64")
    return RSAPublicNumbers(exponent, int.from_bytes(modulus, "little")).public_key()


def signed_by_any(token: bytes, signature: bytes, keys: Iterable[RSAPublicKey]) -> bool:
    return any(_signed_by(key, token, signature) for key in keys)


def _signed_by(key: RSAPublicKey, token: bytes, signature: bytes) -> bool:
    try:
        key.verify(signature, token, PKCS1v15(), Prehashed(SHA1()))
    except InvalidSignature:
        return False
    return True
