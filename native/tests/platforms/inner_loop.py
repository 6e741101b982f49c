"""Counts the instructions of NEON's binary convolution in a disassembly (objdump -dC --no-show-raw-insn) on stdin.

``python inner_loop.py XOR COUNT ADD LIMIT``: the innermost loop with the most COUNT must consist of as many XOR and
ADD, loads and little else: at most LIMIT instructions for 16 bytes, that is 128 products. Bytes must be widened
pairwise.
"""

import re
import sys
from collections import Counter
from collections.abc import Iterable


def functions(lines: Iterable[str]) -> dict[str, list[tuple[int, str, str]]]:
    """The instructions of each function: address, mnemonic, operands."""
    found: dict[str, list[tuple[int, str, str]]] = {}
    for line in lines:
        if header := re.match(r"[0-9a-f]+ <(.*)>:", line):
            body = found.setdefault(header[1], [])
        elif code := re.match(r"\s+([0-9a-f]+):\s+(\S+)\s*(.*)", line):
            body.append((int(code[1], 16), code[2], code[3]))
    return found


def innermost_loops(code: list[tuple[int, str, str]]) -> list[Counter[str]]:
    """Mnemonics between the target of a backward branch and that branch, where no other branch lies between."""
    loops, place = [], {address: i for i, (address, _, _) in enumerate(code)}
    for i, (_, mnemonic, operands) in enumerate(code):
        target = re.match(r"(?:\w+, )?([0-9a-f]+) <", operands)
        start = place.get(int(target[1], 16)) if target and mnemonic.startswith(("b", "cb")) else None
        if (
            start is not None
            and start <= i
            and not any(name.startswith(("b.", "bn", "be", "bl", "cb")) for _, name, _ in code[start:i])
        ):
            loops.append(Counter(name for _, name, _ in code[start : i + 1]))
    return loops


def main() -> None:
    xor, count, add, limit = *sys.argv[1:4], float(sys.argv[4])
    runs = {name: code for name, code in functions(sys.stdin).items() if "neon" in name and "count_run<4, " in name}
    if not runs:
        sys.exit("inner_loop.py: no count_run<4, ...> in the disassembly")
    name, loop = max(
        ((name, loop) for name, code in runs.items() for loop in innermost_loops(code)),
        key=lambda found: found[1][count],
    )
    steps, total = loop[count], loop.total()
    print(
        f"{steps} x 128 products in {total} instructions, {total / steps:.2f} each:",
        *(f"{n} {k}" for k, n in loop.most_common()),
    )
    if steps < 8 or loop[xor] < steps or loop[add] < steps or total > limit * steps:
        sys.exit(f"inner_loop.py: more than {limit} instructions for 128 products, or not {xor}, {count} and {add}")
    if not any("addlp" in mnemonic or "adal" in mnemonic or "paddl" in mnemonic for _, mnemonic, _ in runs[name]):
        sys.exit(f"inner_loop.py: no pairwise sum in {name}")


if __name__ == "__main__":
    main()
