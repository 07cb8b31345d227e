"""Ed25519 (RFC 8032) in plain Python: a bundle's verifier holds a copy of everything below its imports.

For checking what others signed, where nothing can be installed; it signs nothing and keeps no secret, so how long it
takes gives nothing away.
"""

from __future__ import annotations

import hashlib
import os

# -- Ed25519, as RFC 8032 defines it ---------------------------------------------------------------------

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT_OF_MINUS_ONE = pow(2, (P - 1) // 4, P)
Point = tuple[int, int, int, int]  # x, y, z, t in extended coordinates: x/z, y/z on the curve, t = xy/z


def add(p: Point, q: Point) -> Point:
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % P, (p[1] + p[0]) * (q[1] + q[0]) % P
    c, d = 2 * p[3] * q[3] * D % P, 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def point_of(raw: bytes) -> Point | None:
    """The point that 32 bytes name, or None: y, and x from the curve's equation x² = (y² - 1) / (dy² + 1)."""
    number = int.from_bytes(raw, "little")
    sign, y = number >> 255, number & ((1 << 255) - 1)
    if y >= P:
        return None
    u, v = (y * y - 1) % P, (D * y * y + 1) % P
    x = u * v**3 * pow(u * v**7, (P - 5) // 8, P) % P  # RFC 8032, 5.1.3: a root and a quotient by one power
    if (v * x * x - u) % P:
        x = x * ROOT_OF_MINUS_ONE % P
    if (v * x * x - u) % P or (x == 0 and sign):
        return None
    x = P - x if x & 1 != sign else x
    return x, y, 1, x * y % P


def windows(point: Point) -> list[list[Point]]:
    """For each of 64 groups of four bits of a scalar: the 16 multiples of the point that it may add."""
    table = []
    for _ in range(64):
        row: list[Point] = [(0, 1, 1, 0)]
        for _ in range(15):
            row.append(add(row[-1], point))
        table.append(row)
        point = add(row[-1], point)
    return table


BASE_POINT = point_of((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))
assert BASE_POINT is not None  # y = 4/5 is on the curve
BASE = windows(BASE_POINT)
TABLES: dict[bytes, list[list[Point]]] = {}  # of each key: a record is signed by few


def quick(scalar: int, table: list[list[Point]]) -> Point:
    total: Point = (0, 1, 1, 0)
    for row in table:
        if scalar & 15:
            total = add(total, row[scalar & 15])
        scalar >>= 4
    return total


KEYS: dict[bytes, Point | None] = {}


def key_of(public: bytes) -> Point | None:
    if public not in KEYS:
        KEYS[public] = point_of(public) if len(public) == 32 else None
    return KEYS[public]


def challenge(public: bytes, signature: bytes, data: bytes) -> int:
    return int.from_bytes(hashlib.sha512(signature[:32] + public + data).digest(), "little") % ORDER


def signed(public: bytes, signature: bytes, data: bytes) -> bool:
    if len(signature) != 64:
        return False
    key, r, s = key_of(public), point_of(signature[:32]), int.from_bytes(signature[32:], "little")
    if key is None or r is None or s >= ORDER:
        return False
    if public not in TABLES:
        TABLES[public] = windows(key)
    left, right = quick(s, BASE), add(r, quick(challenge(public, signature, data), TABLES[public]))
    return (left[0] * right[2] - right[0] * left[2]) % P == 0 and (left[1] * right[2] - right[1] * left[2]) % P == 0


def all_signed(public: bytes, claims: list[tuple[bytes, bytes]]) -> bool:
    """Whether one key made all (signature, data), by one equation over a random sum of them: a fifth of the time.

    RFC 8032's equation with the cofactor 8, which differs from ``signed`` only for signatures that the key's own holder
    made odd on purpose. One wrong signature passes with a chance of 2**-128.
    """
    key = key_of(public)
    if key is None:
        return not claims
    points: list[Point] = []
    factors, s_sum, h_sum = [], 0, 0
    for signature, data in claims:
        r, s = (point_of(signature[:32]) if len(signature) == 64 else None), int.from_bytes(signature[32:], "little")
        if r is None or s >= ORDER:
            return False
        z = int.from_bytes(os.urandom(16), "little")
        points.append(r)
        factors.append(z)
        s_sum += z * s
        h_sum += z * challenge(public, signature, data)
    if public not in TABLES:
        TABLES[public] = windows(key)
    right = add(weighted(points, factors), quick(h_sum % ORDER, TABLES[public]))
    left = quick(s_sum % ORDER, BASE)
    gap = add(left, (-right[0] % P, right[1], right[2], -right[3] % P))
    for _ in range(3):
        gap = add(gap, gap)
    return gap[0] % P == 0 and (gap[1] - gap[2]) % P == 0


def weighted(points: list[Point], factors: list[int], bits: int = 128, width: int = 8) -> Point:
    """Sum of factor times point (Pippenger): per window of bits, points of one digit are added before they count."""
    total: Point = (0, 1, 1, 0)
    for low in range((bits + width - 1) // width * width - width, -1, -width):
        for _ in range(width if total != (0, 1, 1, 0) else 0):
            total = add(total, total)
        buckets: list[Point | None] = [None] * (1 << width)
        for point, factor in zip(points, factors):  # noqa: B905 - Python 3.9 has no strict
            digit = factor >> low & (1 << width) - 1
            held = buckets[digit]
            buckets[digit] = point if held is None else add(held, point)
        running, window = (0, 1, 1, 0), (0, 1, 1, 0)
        for held in buckets[:0:-1]:
            if held is not None:
                running = add(running, held)
            window = add(window, running)
        total = add(total, window)
    return total
