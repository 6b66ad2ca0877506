"""Orders, their lines, and what came back."""

from decimal import Decimal

from django.db import models
from django.utils.translation import gettext_lazy as _

from crm.core.models import Job, Source
from customers.models.catalogue import Product
from customers.models.customer import Customer

# The most that one price, fee or amount may be: every column of money holds it, however it is rounded.
LARGEST_AMOUNT = Decimal(9_999_999_999)
# The most that orders may come to: numeric(14, 2).
LARGEST_TOTAL = Decimal("999999999999.99")


class OrderStatus(models.TextChoices):
    PAID = "paid", _("Paid")
    SHIPPED = "shipped", _("Shipped")
    DELIVERED = "delivered", _("Delivered")
    CANCELLED = "cancelled", _("Cancelled")


class Order(models.Model):
    """One purchase. Without a customer it is anonymous and counts for products only."""

    source = models.ForeignKey(Source, on_delete=models.CASCADE, related_name="orders", verbose_name=_("source"))
    external_id = models.CharField(_("order number"), max_length=100)
    # No index of its own: order_of_customer begins with it, and beside a narrower one the planner would not read that alone.
    customer = models.ForeignKey(Customer, on_delete=models.SET_NULL, null=True, blank=True, db_index=False, related_name="orders", verbose_name=_("customer"))
    placed_at = models.DateTimeField(_("placed"))
    status = models.CharField(_("status"), max_length=12, choices=OrderStatus.choices, default=OrderStatus.PAID)
    currency = models.CharField(_("currency"), max_length=3)
    total_amount = models.DecimalField(_("total"), max_digits=14, decimal_places=2)
    discount_amount = models.DecimalField(_("discount"), max_digits=14, decimal_places=2, default=0)
    shipping_amount = models.DecimalField(_("shipping"), max_digits=14, decimal_places=2, default=0)
    tax_amount = models.DecimalField(_("tax"), max_digits=14, decimal_places=2, default=0)
    coupon = models.CharField(_("coupon"), max_length=60, blank=True)
    country = models.CharField(_("country"), max_length=60, blank=True)
    import_job = models.ForeignKey(Job, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", verbose_name=_("import"))
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = _("order")
        verbose_name_plural = _("orders")
        ordering = ["-placed_at", "-id"]
        constraints = [
            models.UniqueConstraint(fields=["source", "external_id"], name="order_unique"),
        ]
        indexes = [
            models.Index(fields=["customer", "-placed_at"], include=["id"], name="order_of_customer"),
            models.Index(fields=["-placed_at", "-id"], name="order_by_time"),
            models.Index(fields=["import_job"], name="order_by_import", condition=models.Q(import_job__isnull=False)),
        ]

    def __str__(self) -> str:
        return self.external_id


class OrderLine(models.Model):
    """One product within an order. Quantity is positive; what came back is a ReturnLine."""

    # No indexes of their own: those below begin with them.
    order = models.ForeignKey(Order, on_delete=models.CASCADE, db_index=False, related_name="lines", verbose_name=_("order"))
    product = models.ForeignKey(Product, on_delete=models.PROTECT, db_index=False, related_name="order_lines", verbose_name=_("product"))
    quantity = models.PositiveIntegerField(_("quantity"))
    unit_amount = models.DecimalField(_("price each"), max_digits=14, decimal_places=4)
    position = models.PositiveIntegerField(_("line"), default=0)

    class Meta:
        verbose_name = _("order line")
        verbose_name_plural = _("order lines")
        ordering = ["order", "position", "id"]
        constraints = [models.CheckConstraint(condition=models.Q(quantity__gt=0), name="orderline_quantity_positive")]
        indexes = [
            # Who bought a product: from the order to its products without reading the lines, which lie in the order of time.
            models.Index(fields=["order"], include=["product"], name="orderline_products"),
            models.Index(fields=["product"], include=["order"], name="orderline_orders"),
        ]

    def __str__(self) -> str:
        return f"{self.quantity} × {self.product_id}"


class Return(models.Model):
    """Goods that came back or a purchase cancelled after billing; amounts are positive."""

    source = models.ForeignKey(Source, on_delete=models.CASCADE, related_name="returns", verbose_name=_("source"))
    external_id = models.CharField(_("return number"), max_length=100)
    order = models.ForeignKey(Order, on_delete=models.SET_NULL, null=True, blank=True, related_name="returns", verbose_name=_("order"))
    order_number = models.CharField(
        _("awaited order"), max_length=100, blank=True, default="", db_default="", help_text=_("The number of an order that is not known yet; empty once it is")
    )
    customer = models.ForeignKey(Customer, on_delete=models.SET_NULL, null=True, blank=True, related_name="returns", verbose_name=_("customer"))
    returned_at = models.DateTimeField(_("returned"))
    currency = models.CharField(_("currency"), max_length=3)
    total_amount = models.DecimalField(_("amount"), max_digits=14, decimal_places=2)
    reason = models.CharField(_("reason"), max_length=200, blank=True)
    import_job = models.ForeignKey(Job, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", verbose_name=_("import"))

    class Meta:
        verbose_name = _("return")
        verbose_name_plural = _("returns")
        ordering = ["-returned_at", "-id"]
        constraints = [models.UniqueConstraint(fields=["source", "external_id"], name="return_unique")]
        indexes = [
            models.Index(fields=["customer", "-returned_at"], name="return_by_customer"),
            models.Index(fields=["import_job"], name="return_by_import", condition=models.Q(import_job__isnull=False)),
            models.Index(fields=["source", "order_number"], name="return_awaits_order", condition=models.Q(order__isnull=True) & ~models.Q(order_number="")),
        ]

    def __str__(self) -> str:
        return self.external_id


class ReturnLine(models.Model):
    """One product that came back, matched to the line it was bought on where that is known."""

    return_record = models.ForeignKey(Return, on_delete=models.CASCADE, related_name="lines", verbose_name=_("return"))
    product = models.ForeignKey(Product, on_delete=models.PROTECT, related_name="return_lines", verbose_name=_("product"))
    order_line = models.ForeignKey(OrderLine, on_delete=models.SET_NULL, null=True, blank=True, related_name="return_lines", verbose_name=_("bought on"))
    quantity = models.PositiveIntegerField(_("quantity"))
    unit_amount = models.DecimalField(_("price each"), max_digits=14, decimal_places=4)

    class Meta:
        verbose_name = _("return line")
        verbose_name_plural = _("return lines")
        ordering = ["return_record", "id"]

    def __str__(self) -> str:
        return f"{self.quantity} × {self.product_id}"
