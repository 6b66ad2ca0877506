"""One worker of a shared refresh, as a process of its own: `python -m tests.benchmarks.scale_worker JOB`; prints its peak memory in MB."""

import resource
import sys

import django


def main(job_id: int) -> None:
    django.setup()
    from customers.portrait import runs

    runs.work(job_id)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)


if __name__ == "__main__":
    main(int(sys.argv[1]))
