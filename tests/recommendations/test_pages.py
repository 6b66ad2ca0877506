"""The recommendation pages and the panel on the customer's page."""

import pytest

from crm.core.learning import registry
from crm.core.models import AuditEntry
from crm.core.models.people import Role
from recommendations.models import RecommendationFeedback, RecommendationRule
from tests.factories import CustomerFactory, UserFactory


@pytest.fixture
def trained(shop):
    registry.run("recommendations", as_of=shop.now)
    return shop


@pytest.fixture
def marketer(client, db):
    user = UserFactory(username="marketer", role=Role.MARKETER)
    client.force_login(user)
    return user


def test_the_page_tells_how_good_the_lists_are(client, marketer, trained):
    page = client.get("/recommendations/").content.decode()

    assert "Model version 1" in page
    assert "Next purchase within the first 10" in page
    assert "120 customers have a list of their own" in page


def test_before_any_training_it_says_what_is_needed(client, marketer, db):
    page = client.get("/recommendations/").content.decode()

    assert "A model needs 200 orders of known customers; you have 0." in page


@pytest.mark.parametrize("query", ["?product=SKU03", "?product=P03", "?product=thing 03", "?product=%E4%B8%9C%E8%A5%BF03", "?product_id={id}"])
def test_a_product_is_found_by_number_name_or_id(client, marketer, trained, query):
    page = client.get("/recommendations/" + query.format(id=trained.products[3].pk)).content.decode()

    assert "<h3>Thing 03</h3>" in page
    assert "bought by the same" in page


@pytest.mark.parametrize("query", ["?customer=p7@mail", "?customer=Person 007", "?customer_id={id}"])
def test_a_customer_is_found_by_address_name_or_id(client, marketer, trained, query):
    page = client.get("/recommendations/" + query.format(id=trained.customers[7].pk)).content.decode()

    assert "Person 007</a></h3>" in page
    assert "Often bought with" in page


@pytest.mark.parametrize(
    "query",
    [
        "?product_id=999999999",
        "?customer_id=-1",
        "?customer_id=abc",
        "?product_id=99999999999999999999999",
        "?product=%00",
        "?customer=%25%5F",
        "?product=" + "x" * 3000,
        "?customer_id=²",
    ],
)
def test_odd_questions_show_the_page(client, marketer, trained, query):
    assert client.get(f"/recommendations/{query}").status_code == 200


def test_the_page_stays_within_its_queries(client, marketer, trained, django_assert_max_num_queries):
    client.get("/recommendations/")
    with django_assert_max_num_queries(6):
        client.get("/recommendations/")
    with django_assert_max_num_queries(12):
        client.get(f"/recommendations/?product=Thing&product_id={trained.products[0].pk}")
    with django_assert_max_num_queries(12):
        client.get(f"/recommendations/?customer=Person&customer_id={trained.customers[0].pk}")
    with django_assert_max_num_queries(12):
        client.get(f"/recommendations/customers/{trained.customers[0].pk}/panel/")


def test_a_rule_is_made_audited_obeyed_and_removed(client, marketer, trained):
    client.post("/recommendations/rules/", {"product": "SKU03", "kind": "block"})

    rule = RecommendationRule.objects.get()
    assert (rule.product, rule.kind) == (trained.products[3], "block")
    assert "Thing 03" in client.get("/recommendations/").content.decode()

    client.post("/recommendations/rules/", {"product_id": trained.products[3].pk, "kind": "boost"})
    assert RecommendationRule.objects.get().kind == "boost"

    client.post(f"/recommendations/rules/{rule.pk}/remove/")
    assert not RecommendationRule.objects.exists()
    assert list(AuditEntry.objects.order_by("id").values_list("action", flat=True)) == [
        "model.promote",
        "recommendation.block",
        "recommendation.boost",
        "recommendation.unrule",
    ]


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"product": "nothing", "kind": "block"},
        {"product": "Thing", "kind": "block"},
        {"product": "SKU03", "kind": "drop table"},
        {"product_id": "999999999", "kind": "block"},
        {"product_id": "x", "kind": "block"},
    ],
)
def test_a_bad_rule_changes_nothing_and_says_why(client, marketer, trained, values):
    answer = client.post("/recommendations/rules/", values, follow=True)

    assert answer.status_code == 200
    assert not RecommendationRule.objects.exists()
    assert [message.level_tag for message in answer.context["messages"]] == ["error"]


def test_postage_gets_no_rule(client, marketer, trained):
    product = trained.products[0]
    product.is_goods = False
    product.save()

    answer = client.post("/recommendations/rules/", {"product_id": product.pk, "kind": "boost"}, follow=True)

    assert "never recommended anyway" in answer.content.decode()
    assert not RecommendationRule.objects.exists()


def test_the_panel_shows_five_products_with_reasons(client, marketer, trained):
    customer = trained.customers[0]

    whole = client.get(f"/recommendations/customers/{customer.pk}/panel/").content.decode()
    part = client.get(f"/recommendations/customers/{customer.pk}/panel/", headers={"HX-Request": "true"}).content.decode()

    assert "<html" in whole
    assert "<html" not in part
    assert part.count("Not for this customer:") == 5
    assert "Model version 1" in part


def test_dismissing_takes_the_product_away_for_good(client, marketer, trained):
    customer = trained.customers[0]
    path = f"/recommendations/customers/{customer.pk}/"
    first = client.get(f"{path}panel/").context["page"].list.items[0]

    part = client.post(f"{path}dismiss/", {"product_id": first.product_id, "model_version": first.model_version}, headers={"HX-Request": "true"})
    client.post(f"{path}dismiss/", {"product_id": first.product_id}, headers={"HX-Request": "true"})

    assert first.name not in part.content.decode()
    row = RecommendationFeedback.objects.get()
    assert (row.kind, row.origin, row.model_version, row.product_id) == ("dismissed", "staff", 1, first.product_id)
    assert AuditEntry.objects.filter(action="recommendation.dismiss", actor=marketer).count() == 1


def test_without_scripts_dismissing_leads_back_to_the_customer(client, marketer, trained):
    customer = trained.customers[0]

    answer = client.post(f"/recommendations/customers/{customer.pk}/dismiss/", {"product_id": trained.products[0].pk})

    assert answer["Location"] == f"/customers/{customer.pk}/"


@pytest.mark.parametrize(("values", "status"), [({}, 422), ({"product_id": "x"}, 422), ({"product_id": "999999999"}, 404)])
def test_a_bad_dismissal_changes_nothing(client, marketer, trained, values, status):
    assert client.post(f"/recommendations/customers/{trained.customers[0].pk}/dismiss/", values).status_code == status
    assert not RecommendationFeedback.objects.exists()


def test_an_analyst_sees_the_panel_without_its_button(client, trained):
    client.force_login(UserFactory(role=Role.ANALYST))
    customer = trained.customers[0].pk

    assert "Not for this customer" not in client.get(f"/recommendations/customers/{customer}/panel/").content.decode()
    assert client.post(f"/recommendations/customers/{customer}/dismiss/", {"product_id": trained.products[0].pk}).status_code == 403


def test_a_newcomers_panel_says_that_it_is_what_is_popular(client, marketer, trained):
    page = client.get(f"/recommendations/customers/{CustomerFactory().pk}/panel/").content.decode()

    assert "Too little is known yet" in page


def test_unknown_customers_are_404(client, marketer, db):
    assert client.get("/recommendations/customers/999999/panel/").status_code == 404


def test_names_are_escaped(client, marketer, trained):
    trained.products[3].name = "<script>alert(1)</script>"
    trained.products[3].save()

    assert "<script>alert(1)" not in client.get("/recommendations/?product=SKU03").content.decode()
