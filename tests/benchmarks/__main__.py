"""Run the benchmarks named on the command line, or all: `python -m tests.benchmarks [tracking importing portraits portrait_page stages_fit value_fit intents passages chat chat_load]`, or `scale` alone."""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ORDER = ("tracking", "importing", "portraits", "portrait_page", "stages_fit", "value_fit", "intents", "passages", "chat", "chat_load")
# Takes half an hour, so only by its name; in a folder of its own that is kept, as filling it is a third of that.
LONG = "scale"


def main(names: list[str]) -> int:
    is_long = names == [LONG]
    unknown = [] if is_long else sorted(set(names) - set(ORDER))
    if unknown:
        print(f"There is no benchmark {', '.join(unknown)}; choose from {', '.join(ORDER)}, or {LONG} alone.", file=sys.stderr)
        return 2
    # A data folder of its own: what is measured must not depend on, or disturb, somebody's shop.
    data = Path(os.environ.get("PERENNIAL_DATA_DIR", ROOT / "var"))
    os.environ["PERENNIAL_DATA_DIR"] = str(data / (f"scale-{os.environ.get('BENCH_CUSTOMERS', '1000000')}" if is_long else "bench"))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "crm.settings")
    os.environ.setdefault("CRM_LOG_LEVEL", "ERROR")

    from crm import embedded

    embedded.ensure()

    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0)
    from importlib import import_module

    for name in names or ORDER:
        if not is_long:
            call_command("flush", interactive=False, verbosity=0)
        for text in import_module(f"tests.benchmarks.{name}").run():
            print(text, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
