# SPDX-License-Identifier: LGPL-2.1-or-later
"""aes_gcm.py owns a second AES-256-GCM and a second reader and writer of sealed credentials, written
from FIPS 197, NIST SP 800-38D and the comment in certmapd/seal.h alone: what certmap sealed is opened
here without OpenSSL, and the other way round. Slow, and careless about timing: for tests.
"""
import hashlib
import struct


def _times_x(byte):
    """Multiplication by x in GF(2^8), FIPS 197 4.2.1."""
    return (byte << 1) ^ (0x11b if byte & 0x80 else 0)


def _times(a, b):
    product = 0
    while b:
        if b & 1:
            product ^= a
        a, b = _times_x(a), b >> 1
    return product


def _make_s_box():
    """FIPS 197 5.1.1: the inverse in GF(2^8), then an affine map."""
    inverse = [0] * 256
    for a in range(1, 256):
        inverse[a] = next(b for b in range(1, 256) if _times(a, b) == 1)
    box = []
    for value in inverse:
        turned = value
        for shift in range(1, 5):
            turned ^= (value << shift | value >> (8 - shift)) & 0xff
        box.append(turned ^ 0x63)
    return bytes(box)


S_BOX = _make_s_box()
ROUNDS = 14


def _expand(key):
    """The round keys of AES-256, FIPS 197 5.2."""
    words = [key[at:at + 4] for at in range(0, 32, 4)]
    constant = 1
    while len(words) < 4 * (ROUNDS + 1):
        word = words[-1]
        if len(words) % 8 == 0:
            word = bytes(S_BOX[byte] for byte in word[1:] + word[:1])
            word = bytes([word[0] ^ constant]) + word[1:]
            constant = _times_x(constant)
        elif len(words) % 8 == 4:
            word = bytes(S_BOX[byte] for byte in word)
        words.append(bytes(a ^ b for a, b in zip(words[-8], word)))
    return [b"".join(words[at:at + 4]) for at in range(0, len(words), 4)]


def _xor(a, b):
    return bytes(x ^ y for x, y in zip(a, b))


def _mix(column):
    """FIPS 197 5.1.3."""
    a, b, c, d = column
    return bytes([_times_x(a) ^ _times_x(b) ^ b ^ c ^ d, a ^ _times_x(b) ^ _times_x(c) ^ c ^ d,
                  a ^ b ^ _times_x(c) ^ _times_x(d) ^ d, _times_x(a) ^ a ^ b ^ c ^ _times_x(d)])


def encrypt_block(key, block):
    """One block of AES-256, FIPS 197 5.1."""
    keys = _expand(key)
    state = _xor(block, keys[0])
    for number in range(1, ROUNDS + 1):
        state = bytes(S_BOX[state[(at + 4 * (at % 4)) % 16]] for at in range(16))
        if number < ROUNDS:
            state = b"".join(_mix(state[at:at + 4]) for at in range(0, 16, 4))
        state = _xor(state, keys[number])
    return state


def _times_in_field(x, y):
    """The product of two blocks, SP 800-38D 6.3; the leftmost bit is that of x^0."""
    product = 0
    for bit in range(127, -1, -1):
        if x >> bit & 1:
            product ^= y
        y = y >> 1 ^ (0xe1 << 120 if y & 1 else 0)
    return product


def _hash(subkey, data):
    """GHASH, SP 800-38D 6.4."""
    value = 0
    for at in range(0, len(data), 16):
        value = _times_in_field(value ^ int.from_bytes(data[at:at + 16], "big"), subkey)
    return value.to_bytes(16, "big")


def _padded(data):
    return data + bytes(-len(data) % 16)


def _tag(key, nonce, aad, ciphertext):
    subkey = int.from_bytes(encrypt_block(key, bytes(16)), "big")
    lengths = struct.pack(">QQ", 8 * len(aad), 8 * len(ciphertext))
    return _xor(_hash(subkey, _padded(aad) + _padded(ciphertext) + lengths),
                encrypt_block(key, nonce + struct.pack(">I", 1)))


def _count(key, nonce, data):
    """GCTR from the second counter on, SP 800-38D 6.5 and 7.1."""
    return b"".join(
        _xor(data[at:at + 16], encrypt_block(key, nonce + struct.pack(">I", 2 + at // 16)))
        for at in range(0, len(data), 16))


def encrypt(key, nonce, aad, plaintext):
    """Ciphertext and tag, SP 800-38D 7.1, for a nonce of 12 bytes."""
    ciphertext = _count(key, nonce, plaintext)
    return ciphertext, _tag(key, nonce, aad, ciphertext)


def decrypt(key, nonce, aad, ciphertext, tag):
    """The plaintext, or ValueError."""
    if _tag(key, nonce, aad, ciphertext) != tag:
        raise ValueError("the tag does not fit")
    return _count(key, nonce, ciphertext)


def key_id(key):
    return hashlib.sha256(b"certmap credential key" + key).digest()[:8]


def _binding(service, account):
    names = (service.encode(), account.encode())
    return b"certmap credential\x01" + b"".join(
        struct.pack(">H", len(name)) + name for name in names)


def seal(key, nonce, service, account, password):
    plaintext = struct.pack(">H", len(password)) + password
    plaintext += bytes(-len(plaintext) % 64)
    ciphertext, tag = encrypt(key, nonce, _binding(service, account), plaintext)
    return b"\x01" + key_id(key) + nonce + ciphertext + tag


def unseal(key, service, account, sealed):
    """The password, or ValueError."""
    if sealed[0] != 1 or sealed[1:9] != key_id(key) or (len(sealed) - 37) % 64:
        raise ValueError("not sealed with this key")
    plaintext = decrypt(key, sealed[9:21], _binding(service, account), sealed[21:-16], sealed[-16:])
    length = struct.unpack(">H", plaintext[:2])[0]
    if plaintext[2 + length:] != bytes(len(plaintext) - 2 - length):
        raise ValueError("not padded with zeros")
    return plaintext[2:2 + length]
