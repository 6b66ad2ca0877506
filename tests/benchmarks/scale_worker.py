"""One worker of a shared refresh, as a process of its own: `python -m tests.benchmarks.scale_worker JOB`.

Prints its peak memory in MB, its seconds of processor time, and those of its database session (0 where the server is not
on this machine): figures that say the same on a busy machine as on a quiet one.
"""

import os
import resource
import sys
import time
from pathlib import Path

import django


def main(job_id: int) -> None:
    django.setup()
    from django.db import connection

    from customers.portrait import runs, serving

    # As a worker that waits for the night: its code and models are loaded already.
    serving.serving()
    print("ready", flush=True)
    sys.stdin.readline()
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (backend,) = cursor.fetchone()
    began, began_there = time.process_time(), _processor_seconds(backend)
    runs.work(job_id)
    here, there = time.process_time() - began, _processor_seconds(backend) - began_there
    print(_peak_megabytes(), round(here), round(there))


def _peak_megabytes() -> int:
    """Return the peak of this program alone: getrusage counts what the process was before it became this program, too."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) // 1024
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def _processor_seconds(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main(int(sys.argv[1]))
