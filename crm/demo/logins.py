"""The demo shop's staff, one per role. Only ever created by seed_demo and removed with the demo data."""

from dataclasses import dataclass

from crm.core.models.people import Role


@dataclass(frozen=True, slots=True)
class Login:
    username: str
    password: str
    first_name: str
    role: Role


# Fixed so that the address `up` prints can be used at once; a login whose password is public must not exist in production,
# so seed_demo refuses to run when CRM_PRODUCTION is on.
LOGINS: tuple[Login, ...] = (
    Login("admin", "maple-admin-2026", "Ada", Role.ADMIN),
    Login("marketer", "maple-marketer-2026", "Mina", Role.MARKETER),
    Login("analyst", "maple-analyst-2026", "Anton", Role.ANALYST),
    Login("agent", "maple-agent-2026", "Ling", Role.AGENT),
)
