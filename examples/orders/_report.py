"""What became of the orders, as a table."""

from collections import Counter
from collections.abc import Iterable

from ._fulfilment import Fulfilment


def table(orders: Iterable[Fulfilment]) -> str:
    """Return a line for each way an order can end."""
    ends = Counter((each.state, each.reason) for each in orders)
    worth = Counter[tuple[str, str]]()
    for each in orders:
        worth[each.state, each.reason] += each.order.price if each.order else 0
    lines = [f"{'order':<12}{'because':<18}{'orders':>7}{'worth':>9}"]
    lines += [
        f"{state:<12}{reason:<18}{count:>7}{worth[state, reason]:>9,}"
        for (state, reason), count in sorted(ends.items(), reverse=True)
    ]
    return "\n".join(lines)
