"""Merge fields: what is on the list is filled in, everything else is refused before anything is sent."""

import pytest

from campaigns import merge


def test_values_and_fallbacks_are_filled_in() -> None:
    pieces = merge.parse("Dear {{ first_name|friend }}, {{shop_name}} calls")

    assert merge.fill(pieces, {"first_name": "Ana", "shop_name": "Moss"}) == "Dear Ana, Moss calls"
    assert merge.fill(pieces, {"shop_name": "Moss"}) == "Dear friend, Moss calls"


def test_a_missing_value_without_fallback_is_an_error_and_not_a_gap() -> None:
    with pytest.raises(merge.FieldEmpty) as caught:
        merge.fill(merge.parse("{{ last_product }}"), {"last_product": ""})

    assert caught.value.data == {"field": "last_product"}


@pytest.mark.parametrize("text", ["{{ password }}", "{{ first_name.__class__ }}", "{{ settings.SECRET_KEY }}", "{{ customer.email|friend }}"])
def test_unknown_fields_are_named(text: str) -> None:
    with pytest.raises(merge.UnknownField) as caught:
        merge.parse(text)

    assert str(caught.value.data["field"]) in text


@pytest.mark.parametrize(
    "text",
    [
        "{% load x %}",
        "{{ first_name",
        "first_name }}",
        "{# hidden #}",
        "{{ first_name|a|b }}",
        "{{ first_name() }}",
        "{{ }}",
        "{{ first name }}",
        "{{ {{ name }} }}",
    ],
)
def test_other_template_syntax_is_refused(text: str) -> None:
    with pytest.raises((merge.MalformedField, merge.UnknownField)):
        merge.parse(text)


@pytest.mark.parametrize("text", ["{{ recommendations }}", "{{ unsubscribe_link }}", "{{ shop_link }}", "two\nlines"])
def test_a_subject_is_one_line_of_words(text: str) -> None:
    with pytest.raises((merge.UnknownField, merge.MalformedField)):
        merge.parse(text, subject=True)


def test_fields_that_would_leave_customers_out_are_listed() -> None:
    text = "{{ first_name|you }} {{ last_product }} {{ favourite_category }} {{ last_product }} {{ recommendations }} {{ shop_name }}"

    assert merge.without_fallback(text) == ("last_product", "favourite_category")


def test_a_value_is_never_read_as_a_field() -> None:
    assert merge.fill(merge.parse("Hi {{ first_name|x }}"), {"first_name": "{{ name }}"}) == "Hi {{ name }}"
