"""Load the shipped intent examples and knowledge articles."""

from django.core.management.base import BaseCommand

from crm.core import clock
from support import knowledge


class Command(BaseCommand):
    help = "Load the labelled utterances and knowledge articles that come with the product; existing ones stay as they are."

    def handle(self, **options: object) -> None:
        loaded = knowledge.load_shipped(now=clock.now())
        self.stdout.write(f"{loaded.examples} examples, {loaded.articles} articles with {loaded.texts} texts added.")
