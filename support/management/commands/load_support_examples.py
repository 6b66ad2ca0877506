"""Load the shipped intent examples, and the knowledge articles as drafts."""

from argparse import ArgumentParser

from django.core.management.base import BaseCommand

from crm.core import clock
from support import knowledge


class Command(BaseCommand):
    help = "Load the labelled utterances that come with the product, and its articles as drafts to adapt; existing ones stay as they are."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--publish", action="store_true", help="publish the articles at once, with the demo shop's prices and terms")

    def handle(self, *, publish: bool, **options: object) -> None:
        loaded = knowledge.load_shipped(now=clock.now(), publish=publish)
        self.stdout.write(f"{loaded.examples} examples, {loaded.articles} articles with {loaded.texts} texts added.")
