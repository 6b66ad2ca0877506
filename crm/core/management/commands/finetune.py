"""Fine-tune a transformer on labelled texts: `manage.py finetune --train A.csv --out DIR`; a killed run goes on."""

import argparse
import json
import signal
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from crm.core.errors import CrmError

# Wrong options end with 2 by argparse's custom; so do texts and folders that make no fine-tuning.
WRONG_INPUT = 2


class Command(BaseCommand):
    help = "Fine-tune a transformer as a text classifier. The same call goes on where a killed or cancelled run stopped."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--train", required=True, metavar="A.csv", help="first column text, second label")
        parser.add_argument("--test", metavar="B.csv", help="labelled texts to measure on when it is done")
        parser.add_argument("--out", required=True, metavar="DIR", help="folder for the model, readable by transformers' from_pretrained")
        parser.add_argument("--base", default="", metavar="ID|PATH", help="transformer to start from (default: CRM_ENCODER or the packaged one)")
        parser.add_argument("--epochs", type=int, default=4)
        parser.add_argument("--batch", type=int, default=32)
        parser.add_argument("--rate", type=float, default=1e-4, help="highest learning rate (default 1e-4)")
        parser.add_argument("--frozen", type=int, default=0, metavar="LAYERS", help="lower layers to leave as they are (default 0)")
        parser.add_argument("--longest", type=int, default=96, metavar="TOKENS", help="tokens read of each text (default 96)")
        parser.add_argument("--every", type=int, default=200, metavar="STEPS", help="steps between checkpoints (default 200)")
        parser.add_argument("--seed", type=int, default=0)

    def handle(self, *args: Any, **options: Any) -> None:
        # Seconds of imports that --help does not need.
        from crm.core.text import evaluate_text
        from crm.core.text.finetune import FinetuneCancelled, Recipe, finetune
        from crm.core.text.finetuned import measured

        for name, least in (("epochs", 1), ("batch", 1), ("longest", 1), ("every", 1), ("frozen", 0), ("seed", 0)):
            if options[name] < least:
                raise CommandError(f"--{name} must be at least {least}.", returncode=WRONG_INPUT)
        if not 0 < options["rate"] <= 1:
            raise CommandError("--rate must be above 0 and 1 at most.", returncode=WRONG_INPUT)
        stop = _Stop()
        try:
            train = evaluate_text.read(options["train"], labelled=True)
            test = evaluate_text.read(options["test"], labelled=True) if options["test"] else None
            found = finetune(
                texts=train.texts,
                labels=train.labels or [],
                out=Path(options["out"]),
                base=options["base"],
                recipe=Recipe(**{name: options[name] for name in ("epochs", "batch", "rate", "frozen", "longest", "every", "seed")}),
                progress=self._progress,
                cancelled=lambda: stop.asked,
            )
            if found.fell_back:
                self.stderr.write(found.fell_back)
            self.stdout.write(f"{found.folder}: {found.base}, {len(found.labels)} classes, {found.steps} steps, last loss {found.loss:.4f}")
            if test is not None:
                self.stdout.write(json.dumps(measured(found.folder, test.texts, test.labels or [])))
        except FinetuneCancelled as error:
            raise CommandError(error.text) from error
        except CrmError as error:
            raise CommandError(error.text, returncode=WRONG_INPUT) from error
        except OSError as error:
            raise CommandError(f"{options['out']} cannot be written: {error}.", returncode=WRONG_INPUT) from error
        finally:
            stop.restore()

    def _progress(self, step: int, steps: int, loss: float) -> None:
        if step % 10 == 0 or step == steps:
            self.stderr.write(f"step {step} of {steps}, loss {loss:.4f}")


class _Stop:
    """A first interrupt or termination asks the run to stop after its step, a second one ends it at once."""

    def __init__(self) -> None:
        self.asked = False
        self._former: dict[int, Any] = {}
        for number in (signal.SIGINT, signal.SIGTERM):
            try:
                self._former[number] = signal.signal(number, self._ask)
            except ValueError:
                # Not the main thread: nobody can press Ctrl-C here.
                break

    def _ask(self, number: int, _frame: Any) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True

    def restore(self) -> None:
        for number, former in self._former.items():
            signal.signal(number, former)
