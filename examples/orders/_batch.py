"""A batch of orders: who orders what. Made from its name, so that a run that was killed can make it again."""

from random import Random

from attrs import frozen

import rolebook as rb

from ._fulfilment import Fulfilment, Place
from ._stock import FillShelf, Stock
from ._wallet import Fill, Wallet

ARTICLES = {"kettle": (40, 55), "lamp": (65, 30), "chair": (120, 25), "clock": (25, 50)}
"""The price of each, and how many are on the shelf for every hundred orders."""

MONEY = 900
"""What a customer has; one of them orders eight times or so, and may run out."""


@frozen
class Batch:
    """Some orders, with the customers and articles they speak of. All keys begin with the batch's name."""

    name: str
    size: int

    @property
    def orders(self) -> list[str]:
        """The keys of its orders."""
        return [f"{self.name}/{number:04}" for number in range(1, self.size + 1)]

    @property
    def customers(self) -> list[str]:
        """The keys of its customers' wallets."""
        return [f"{self.name}/customer-{number}" for number in range(1, self.size // 8 + 2)]

    @property
    def articles(self) -> dict[str, int]:
        """The keys of its articles, and the price of each."""
        return {f"{self.name}/{article}": price for article, (price, _) in ARTICLES.items()}

    @property
    def money(self) -> int:
        """All the money in it."""
        return MONEY * len(self.customers)

    @property
    def pieces(self) -> int:
        """All the pieces in it."""
        return sum(self._shelf(article) for article in ARTICLES)

    def messages(self) -> list[rb.Tell]:
        """Everything that begins it. To send it again does nothing: wallets, shelves and orders refuse it."""
        dice = Random(self.name)
        fill = [rb.Tell(Wallet, customer, Fill(MONEY)) for customer in self.customers]
        stock = [
            rb.Tell(Stock, f"{self.name}/{article}", FillShelf(self._shelf(article))) for article in ARTICLES
        ]
        return [*fill, *stock, *(rb.Tell(Fulfilment, order, self._place(dice)) for order in self.orders)]

    def _shelf(self, article: str) -> int:
        _, pieces = ARTICLES[article]
        return max(1, pieces * self.size // 100)

    def _place(self, dice: Random) -> Place:
        article, price = dice.choice(list(self.articles.items()))
        pieces = dice.randint(1, 3)
        slow_bank = dice.random() < 0.1
        return Place(dice.choice(self.customers), article, pieces, price * pieces, 1.5 if slow_bank else 0.0)
