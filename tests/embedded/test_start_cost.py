"""What every process of the stack pays at its start: the learning libraries are imported by those who learn."""

import subprocess
import sys

from tests.servers import PROJECT_DIR

# Measured: scikit-learn and scipy.stats take 1.5 s of processor time, torch and transformers 4 s; seven processes start.
HEAVY = ("sklearn", "scipy.stats", "torch", "transformers")


def test_loading_all_apps_imports_no_learning_library() -> None:
    code = "import django, sys; django.setup(); import crm.urls, crm.asgi; print(*[name for name in sys.argv[1:] if name in sys.modules])"

    done = subprocess.run([sys.executable, "-c", code, *HEAVY], cwd=PROJECT_DIR, capture_output=True, text=True, check=True)

    assert done.stdout.split() == []
