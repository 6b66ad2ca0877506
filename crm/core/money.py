"""Money as an amount and an ISO 4217 currency that never mix."""

from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal

from crm.core.errors import CrmError

# Minor-unit digits that differ from two (ISO 4217).
_DIGITS = {"JPY": 0, "KRW": 0, "VND": 0, "CLP": 0, "ISK": 0, "UGX": 0, "BHD": 3, "JOD": 3, "KWD": 3, "OMR": 3, "TND": 3}


class CurrencyMismatch(CrmError):
    code = "currency_mismatch"
    message = "Amounts in different currencies cannot be added."


@dataclass(frozen=True, slots=True)
class Money:
    """An exact amount in one currency; quantise once, on the way out."""

    amount: Decimal
    currency: str

    def __add__(self, other: "Money") -> "Money":
        return Money(self.amount + self._same(other).amount, self.currency)

    def __sub__(self, other: "Money") -> "Money":
        return Money(self.amount - self._same(other).amount, self.currency)

    def __mul__(self, factor: Decimal | int) -> "Money":
        return Money(self.amount * factor, self.currency)

    def __neg__(self) -> "Money":
        return Money(-self.amount, self.currency)

    def quantised(self) -> "Money":
        """Return the amount rounded half-even to the currency's minor unit."""
        return Money(self.amount.quantize(Decimal(1).scaleb(-digits(self.currency)), ROUND_HALF_EVEN), self.currency)

    def _same(self, other: "Money") -> "Money":
        if other.currency != self.currency:
            raise CurrencyMismatch(left=self.currency, right=other.currency)
        return other


def digits(currency: str) -> int:
    """Return how many decimals the currency has (2 unless ISO 4217 says otherwise)."""
    return _DIGITS.get(currency.upper(), 2)
