"""One run of `up`, from the first check to the last process gone."""

import contextlib
import json
import os
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType

import kombu.exceptions
import redis as redis_client
from django.conf import settings
from django.core.management import get_commands
from django.db import DatabaseError, connection, connections
from django.db.migrations.executor import MigrationExecutor

from crm import embedded
from crm.embedded import catalogues, checks, lease, mailsink, places, postgres, redis, stack, unfinished
from crm.embedded.console import Console, KeeperLog
from crm.embedded.processes import Supervisor

# While the programs start, the address is asked this often; on two cores the workers need 5-10 s.
ASK_SECONDS = 0.5
READY_SECONDS = 120.0
LOOK_AT_SERVICES_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Options:
    host: str
    port: int
    demo: bool
    reset_demo: bool


class Running:
    """Starts the stack, watches over it and ends it. `end` is safe to call at any moment, however far the start came."""

    def __init__(self, options: Options, console: Console) -> None:
        self._options = options
        self._console = console
        self._data_dir: Path = settings.CRM_DATA_DIR.resolve()
        self._signals = 0
        self._only_one: int | None = None
        self._supervisor = Supervisor(say=console.say, directory=embedded.PROJECT_DIR, inherit=embedded.lease_descriptors)
        # (name, path of its log) of the services that are ours to keep.
        self._services: list[str] = []
        self._logs: dict[str, KeeperLog] = {}
        self._looked_at = 0.0
        shown = "127.0.0.1" if options.host in {"0.0.0.0", "::", ""} else options.host  # noqa: S104 - compared, not bound
        self.url = f"http://[{shown}]:{options.port}" if ":" in shown else f"http://{shown}:{options.port}"
        self._environment: dict[str, str] = {}

    @property
    def stopping(self) -> bool:
        return self._signals > 0

    def on_signal(self, _number: int, _frame: FrameType | None) -> None:
        """Note the request; the loop acts on it within a quarter of a second. The second one means "at once"."""
        self._signals += 1

    def run(self) -> int:
        """Start everything and stay until asked to end. Returns the exit code; raises EmbeddedError for wrong settings."""
        self._only_one = lease.try_exclusive(self._data_dir, "up")
        if self._only_one is None:
            raise checks.CannotStart(f"PERENNIAL_DATA_DIR: another `manage.py up` already runs on {self._data_dir}; end it, or give this one another folder.")
        self._console.plain(_banner(self.url, self._data_dir))
        catalogues.compile_all()
        self._start_services()
        if self.stopping or not self._prepare():
            return 0 if self.stopping else 1
        self._start_programs()
        ready = self._wait_until_ready()
        if ready:
            self._welcome()
        while not self.stopping:
            self._turn()
        return 0

    def end(self) -> None:
        """Stop everything that was started, in the reverse order of need, and leave no process behind."""
        if self._only_one is None:
            return
        self._console.plain("")
        self._console.up("stopping" + (" at once" if self._hurry() else "; Ctrl-C again to stop at once"))
        for group in ((stack.WEB,), (stack.BEAT,), stack.WORKERS, (stack.MAIL_IN,), (stack.SINK,)):
            self._supervisor.stop(group, hurry=self._hurry)
        connections.close_all()
        for name in (redis.NAME, postgres.NAME):
            if name in self._services and not embedded.leave(self._data_dir, name):
                self._console.say(name, "stays up: another program on this machine still uses it")
        with contextlib.suppress(OSError):
            os.close(self._only_one)
        self._only_one = None
        self._console.up("everything has stopped")

    def _hurry(self) -> bool:
        return self._signals > 1

    # --- Start ----------------------------------------------------------------------------------------------------

    def _start_services(self) -> None:
        for name, ours, start in (
            (postgres.NAME, settings.CRM_EMBEDDED_POSTGRES, embedded.ensure_database_url),
            (redis.NAME, settings.CRM_EMBEDDED_REDIS, embedded.ensure_redis_url),
        ):
            if self.stopping:
                return
            if ours:
                self._services.append(name)
                start(self._data_dir)
                self._console.up(f"{name} is running")
        if not settings.CRM_EMBEDDED_POSTGRES:
            checks.database_answers()
        if not settings.CRM_EMBEDDED_REDIS:
            checks.redis_answers(settings.REDIS_URL)

    def _prepare(self) -> bool:
        """Bring the database up to date and fill an empty one. Returns False when a step failed or we were interrupted."""
        host = self._options.host
        port = mailsink.choose_port(self._data_dir) if stack.uses_local_sink(settings) else None
        mail_in = (settings.CRM_INBOUND_MAIL_PORT or mailsink.choose_port(self._data_dir, stack.MAIL_IN)) if settings.CRM_INBOUND_MAIL_ADDRESS else None
        self._mail_in = mail_in is not None
        self._environment = stack.environment(
            public_url=self.url, smtp_port=port, mail_in_port=mail_in, allowed_host="" if host.startswith(("127.", "0.0.", "::")) else host
        )
        self._smtp_port = port
        if _migrations_are_missing() and not self._step("migrate", "migrate", "--verbosity=1", what="preparing the database"):
            return False
        if not self._fill():
            return False
        if _untrained() and not self.stopping:
            # A model that cannot be trained yet says so on its page and rests on its baseline: no reason not to start.
            self._step(
                "train",
                "retrain",
                "--all",
                "--jobs",
                str(min(4, os.cpu_count() or 1)),
                what="training the first models",
                failed="not all could be trained; their pages say why",
            )
        return not self.stopping

    def _fill(self) -> bool:
        """Build the demo shop in a database without any account, or anew when asked, or again after a broken attempt."""
        available = "seed_demo" in get_commands() and not settings.CRM_PRODUCTION
        mark = places.run_dir(self._data_dir) / "demo-unfinished"
        again = self._options.reset_demo or mark.exists()
        if not self._options.demo and _no_accounts() and "load_support_examples" in get_commands():
            # A shop of one's own: the assistant learns the shipped intents at once; what it may say waits as drafts
            # under Knowledge until somebody has read them. Safe to run twice, and no reason not to start.
            self._step("examples", "load_support_examples", what="loading the assistant's examples and drafts of its articles")
        if not available or not self._options.demo or not (again or _no_accounts()):
            return True
        mark.touch()
        arguments = ("seed_demo", "--reset") if again else ("seed_demo",)
        if not self._step("demo", *arguments, what="building the demo shop"):
            return False
        mark.unlink(missing_ok=True)
        return True

    def _step(self, name: str, *arguments: str, what: str, failed: str = "") -> bool:
        if self.stopping:
            return False
        # Not held during the step: it would keep a migration from its locks.
        connections.close_all()
        self._console.up(f"{what} ...")
        code = self._supervisor.run(stack.manage(name, *arguments, env=self._environment), interrupted=lambda: self.stopping)
        if code == 0:
            self._console.up(f"{what}: done")
        elif code is not None:
            self._console.up(f"{what}: {failed or f'failed with exit code {code}'}")
        return code == 0

    def _start_programs(self) -> None:
        env = self._environment
        connections.close_all()
        self._logs = {name: KeeperLog(places.log_path(self._data_dir, name)) for name in self._services}
        # WhiteNoise warns about a missing folder, although it serves from the apps' folders here.
        Path(settings.STATIC_ROOT).mkdir(parents=True, exist_ok=True)
        if self._smtp_port is not None:
            self._supervisor.start(stack.sink(folder=settings.CRM_OUTBOX_DIR, port=self._smtp_port, env=env))
        self._supervisor.start(stack.web(host=self._options.host, port=self._options.port, env=env))
        # The page first: seven Pythons starting at once would make each of them late.
        self._turn_until(self._answers, seconds=READY_SECONDS)
        self._console.up(f"pages are served at {self.url}")
        for queue in stack.WORKERS:
            if not self.stopping:
                self._supervisor.start(stack.worker(queue, env=env, before=partial(self._hand_back_tasks, queue)))
        if not self.stopping:
            self._supervisor.start(stack.beat(env=env))
        if self._mail_in and not self.stopping:
            self._supervisor.start(stack.mail_in(env=env))

    def _hand_back_tasks(self, queue: str) -> None:
        if not settings.CRM_EMBEDDED_REDIS:
            return  # on a shared Redis another machine's worker may be at them
        try:
            number = unfinished.hand_back(queue)
        except (redis_client.RedisError, kombu.exceptions.OperationalError) as error:
            self._console.say(queue, f"unfinished tasks stay until their timeout ({type(error).__name__})")
            return
        if number:
            self._console.say(queue, f"{number} unfinished task(s) given back to the queue")

    def _wait_until_ready(self) -> bool:
        if self._turn_until(lambda: not self._red_parts(), seconds=READY_SECONDS):
            return True
        if not self.stopping:
            self._console.up(f"not everything is ready: {', '.join(self._red_parts())}; see {self.url}/readyz")
            self._welcome()
        return False

    def _welcome(self) -> None:
        self._console.up("ready")
        self._console.plain(_welcome(self.url, _logins() if self._options.demo else []))

    # --- Watch ----------------------------------------------------------------------------------------------------

    def _turn(self) -> None:
        self._supervisor.turn()
        for name, log in self._logs.items():
            for line in log.news():
                self._console.say(name, line)
        now = time.monotonic()
        if now - self._looked_at > LOOK_AT_SERVICES_SECONDS and not self.stopping:
            self._looked_at = now
            self._look_after_keepers()

    def _look_after_keepers(self) -> None:
        """Start a keeper again that was itself killed; a keeper does the same for its service."""
        for name in self._services:
            if lease.is_held(self._data_dir, f"{name}.keeper"):
                continue
            self._console.say(name, "its keeper is gone; starting both again")
            start = embedded.ensure_database_url if name == postgres.NAME else embedded.ensure_redis_url
            try:
                start(self._data_dir)
            except embedded.EmbeddedError as error:
                self._console.say(name, str(error))

    def _turn_until(self, condition: "object", *, seconds: float) -> bool:
        until = time.monotonic() + seconds
        asked_at = 0.0
        while not self.stopping and time.monotonic() < until:
            self._turn()
            if time.monotonic() - asked_at >= ASK_SECONDS:
                asked_at = time.monotonic()
                if condition():  # type: ignore[operator]
                    return True
        return False

    def _answers(self) -> bool:
        return self._get("/healthz") is not None

    def _red_parts(self) -> list[str]:
        """Return the names of what is not ready, ["web"] when there is no answer at all."""
        body = self._get("/readyz")
        if body is None:
            return [stack.WEB]
        parts = body.get("parts", {})
        return [name for name, part in parts.items() if part.get("status") != "ok"] if isinstance(parts, dict) else []

    def _get(self, path: str) -> dict[str, object] | None:
        request = urllib.request.Request(f"{self.url}{path}")  # noqa: S310 - our own http:// address
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=3) as response:
                text = response.read()
        except urllib.error.HTTPError as error:
            if error.code != 503:
                return None
            text = error.read()
        except OSError:
            return None
        try:
            body = json.loads(text)
        except ValueError:
            return None
        return body if isinstance(body, dict) else None


def _migrations_are_missing() -> bool:
    executor = MigrationExecutor(connection)
    return bool(executor.migration_plan(executor.loader.graph.leaf_nodes()))


def _no_accounts() -> bool:
    """Return whether nobody can log in: the mark of a database that has never been used.

    Not "no customers": somebody may have removed the demo shop to begin with his own, and must not find it back.
    """
    from django.contrib.auth import get_user_model

    return not get_user_model().objects.exists()


def _untrained() -> bool:
    """Return whether some model has never been tried."""
    from crm.core.learning import registry
    from crm.core.models import ModelVersion

    try:
        return bool({task.name for task in registry.tasks()} - set(ModelVersion.objects.values_list("task", flat=True)))
    except DatabaseError:
        return True


def _logins() -> list[tuple[str, str, str]]:
    """Return (role, user name, password) of the demo shop's accounts that exist."""
    try:
        from crm.demo.logins import LOGINS
    except ImportError:
        return []
    from django.contrib.auth import get_user_model

    existing = set(get_user_model().objects.filter(username__in=[login.username for login in LOGINS], is_active=True).values_list("username", flat=True))
    connections.close_all()
    return [(str(login.role.label), login.username, login.password) for login in LOGINS if login.username in existing]


def _banner(url: str, data_dir: Path) -> str:
    return f"\n  Perennial\n  address  {url}\n  data     {data_dir}\n"


def _welcome(url: str, logins: list[tuple[str, str, str]]) -> str:
    lines = ["", f"  Perennial is ready: {url}"]
    if logins:
        lines += ["", "  role            user name     password"]
        lines += [f"  {role:<14}  {name:<12}  {password}" for role, name, password in logins]
    else:
        lines += ["  Create an account to log in with: manage.py createsuperuser"]
    return "\n".join([*lines, "", "  Ctrl-C ends everything.", ""])
