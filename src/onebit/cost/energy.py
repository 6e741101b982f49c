"""Energy of arithmetic, from a published table of single operations.

Horowitz, "Computing's energy problem (and what we can do about it)", ISSCC 2014, figure 1.1.9: a 45 nm process at 0.9
V. Integer addition 0.03 pJ (8 bits), 0.1 pJ (32 bits); integer multiplication 0.2 pJ (8 bits), 3.1 pJ (32 bits);
float32 addition 0.9 pJ, multiplication 3.7 pJ. Memory traffic, control and leakage are not in it, and on a real chip
outweigh it: the figures compare formats, they do not predict a power bill.
"""

ADD_INT32 = 0.1e-12
MULTIPLY_INT8 = 0.2e-12
ADD_FLOAT32 = 0.9e-12
MULTIPLY_FLOAT32 = 3.7e-12


def joule(wide: int, narrow: int) -> float:
    """Energy in joule of one multiply-accumulate of operands of these widths in bits, ``wide`` ≥ ``narrow``.

    The mapping of widths onto the table is ours:

    - 1 × 1: 32 products share a word; XNOR, population count and addition are charged one 32-bit integer addition each;
    - up to 8 bits × 1: a signed addition in 32 bits, no multiplication;
    - up to 8 × 8 bits: a multiplication, in proportion to b₁b₂ from that of 8 × 8, and an addition in 32 bits;
    - wider × 1: a float32 addition;
    - wider: a float32 multiplication and addition.

    Example:
        >>> joule(32, 32) / joule(1, 1) > 400
        True
    """
    if wide == 1:
        return 3 * ADD_INT32 / 32
    if wide <= 8:
        return ADD_INT32 + (MULTIPLY_INT8 * wide * narrow / 64 if narrow > 1 else 0.0)
    return ADD_FLOAT32 + (MULTIPLY_FLOAT32 if narrow > 1 else 0.0)
