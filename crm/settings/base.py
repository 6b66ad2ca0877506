"""Django's own settings plus the project's, read from the environment with safe local defaults.

With nothing set, the project runs on one machine from `var/`: its own PostgreSQL and Redis, a generated secret key and
DEBUG off. Setting CRM_PRODUCTION=1 makes missing secrets an error and turns on everything `check --deploy` asks for.
"""

import contextlib
from pathlib import Path

from csp.constants import NONE, SELF
from django.utils.translation import gettext_lazy as _

from crm.settings import env, local_secret

BASE_DIR = Path(__file__).resolve().parent.parent.parent

# Folder for all local state: embedded databases, models, uploads, mail sink, secret key.
CRM_DATA_DIR = env.path("PERENNIAL_DATA_DIR", BASE_DIR / "var")
# Production mode: secrets must be given, cookies are secure, HTTPS is required.
CRM_PRODUCTION = env.boolean("CRM_PRODUCTION", default=False)
# Django's debug pages; off even locally, because the product must look right without them.
DEBUG = env.boolean("CRM_DEBUG", default=False)
# Signs sessions, unsubscribe links and visitor tokens. Generated once under the data folder when not in production.
SECRET_KEY = (
    env.required("CRM_SECRET_KEY", hint="write at least 50 random characters.")
    if CRM_PRODUCTION
    else env.text("CRM_SECRET_KEY") or local_secret.read_or_create(CRM_DATA_DIR)
)
# Host names this installation answers to, comma separated.
ALLOWED_HOSTS = env.listing("CRM_ALLOWED_HOSTS", ["localhost", "127.0.0.1", "[::1]", "testserver"])
# Public address used in e-mails and the widget snippet, without a trailing slash.
CRM_PUBLIC_URL = env.web_address("CRM_PUBLIC_URL", "http://127.0.0.1:8000")
# Origins allowed to post forms when behind a proxy, comma separated, with scheme.
CSRF_TRUSTED_ORIGINS = env.listing("CRM_TRUSTED_ORIGINS", [])
# Name of the organisation shown in the interface and in mails.
CRM_ORGANISATION = env.text("CRM_ORGANISATION", "Perennial")
# Shows /outbox/ (mails caught by the local sink). On by default outside production.
CRM_OUTBOX = env.boolean("CRM_OUTBOX", default=not CRM_PRODUCTION)

INSTALLED_APPS = [
    "crm.core.admin_config.LightAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.postgres",
    "django.contrib.humanize",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "channels",
    "csp",
    "django_celery_beat",
    "django_htmx",
    "heroicons",
    "rest_framework",
    "drf_spectacular",
    "template_partials",
    "crm.core",
    "crm.embedded",
    "crm.demo",
    "customers",
    "recommendations",
    "support",
    "campaigns",
]

MIDDLEWARE = [
    "crm.core.failures.FailureMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "crm.core.compression.PageCompressionMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "crm.core.tracking_cors.TrackingCorsMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "crm.core.preferences.LanguageMiddleware",
    "crm.core.http.PlainPathsMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]

ROOT_URLCONF = "crm.urls"
ASGI_APPLICATION = "crm.asgi.application"
WSGI_APPLICATION = "crm.wsgi.application"
# The tracking endpoints must never answer with a redirect; PlainPathsMiddleware adds slashes elsewhere.
APPEND_SLASH = False

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "crm.core.context.shell",
            ],
        },
    }
]

# --- Database -----------------------------------------------------------------------------------------------------
# postgresql:// URL; empty starts the embedded PostgreSQL under the data folder.
CRM_DATABASE_URL = env.text("DATABASE_URL")
CRM_EMBEDDED_POSTGRES = not CRM_DATABASE_URL
if CRM_EMBEDDED_POSTGRES:
    from crm.embedded import postgres as _embedded_postgres

    CRM_DATABASE_URL = _embedded_postgres.url(CRM_DATA_DIR)
DATABASES = {"default": env.database(CRM_DATABASE_URL)}
DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
# Connections a web process keeps for its requests; 0: none are shared. Set by crm/asgi.py, where each request runs in a
# thread of its own and a connection kept per thread would never be used again. Workers keep one per thread instead.
_pool_size = env.integer("CRM_DATABASE_POOL_SIZE", 0, minimum=0, maximum=500)
if _pool_size:
    DATABASES["default"]["CONN_MAX_AGE"] = 0
    # timeout: how long a request may wait for a connection before it answers 503, seconds. reconnect_timeout: after it
    # the pool stops trying by itself (with ever longer pauses), and the next request tries anew.
    DATABASES["default"]["OPTIONS"]["pool"] = {"min_size": 1, "max_size": _pool_size, "timeout": 3, "max_idle": 300, "reconnect_timeout": 5}  # type: ignore[index]
else:
    # Seconds a worker's connection is kept.
    DATABASES["default"]["CONN_MAX_AGE"] = env.integer("CRM_DATABASE_CONN_MAX_AGE_SECONDS", 60, minimum=0, maximum=3600)
DATABASES["default"]["OPTIONS"].setdefault("connect_timeout", "3")  # type: ignore[attr-defined]
# Django switches prepared statements off; the few statements of a tracking call (crm/core/rows.prepared) live by them.
if env.boolean("CRM_DATABASE_PREPARED_STATEMENTS", True):
    DATABASES["default"]["OPTIONS"]["prepare_threshold"] = 5  # type: ignore[index]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- Redis --------------------------------------------------------------------------------------------------------
# redis:// URL for the broker, the cache and the channel layer; empty starts the embedded server.
REDIS_URL = env.text("REDIS_URL")
CRM_EMBEDDED_REDIS = not REDIS_URL
if CRM_EMBEDDED_REDIS:
    from crm.embedded import redis as _embedded_redis

    REDIS_URL = _embedded_redis.url(CRM_DATA_DIR)
REDIS_URL = env.redis_url("REDIS_URL", REDIS_URL)
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": REDIS_URL,
        "KEY_PREFIX": "perennial",
        "OPTIONS": {"socket_connect_timeout": 2, "socket_timeout": 5},
    }
}
# Pub/sub layer: no capacity limit that drops messages silently, and unaffected by redis-py socket timeouts.
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [REDIS_URL], "prefix": "perennial"},
    }
}

# --- People and sessions ------------------------------------------------------------------------------------------
AUTH_USER_MODEL = "core.User"
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "login"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher", "django.contrib.auth.hashers.PBKDF2PasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_HTTPONLY = False
CSRF_FAILURE_VIEW = "crm.core.failures.csrf_failure"

# --- Security headers ---------------------------------------------------------------------------------------------
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
        "frame-src": [SELF],
        "manifest-src": [SELF],
    }
}
if CRM_PRODUCTION:
    SECURE_SSL_REDIRECT = env.boolean("CRM_SSL_REDIRECT", default=True)
    # Tracking and health paths answer an error or 200 over plain HTTP: a redirect loses events silently.
    SECURE_REDIRECT_EXEMPT = [r"^v1/", r"^healthz$", r"^readyz$"]
    SECURE_HSTS_SECONDS = env.integer("CRM_HSTS_SECONDS", 31_536_000, minimum=0)
    SECURE_HSTS_INCLUDE_SUBDOMAINS = True
    SECURE_HSTS_PRELOAD = True
    SESSION_COOKIE_SECURE = True
    CSRF_COOKIE_SECURE = True
    # Only behind a proxy that always sets or strips this header.
    if env.boolean("CRM_TRUST_PROXY", default=False):
        SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

# --- Languages and time -------------------------------------------------------------------------------------------
LANGUAGES = [("en", _("English")), ("zh-hans", _("Simplified Chinese"))]
LANGUAGE_CODE = env.choice("CRM_LANGUAGE", "en", [code for code, _name in LANGUAGES])
LOCALE_PATHS = [BASE_DIR / "locale"]
USE_I18N = True
USE_TZ = True
# Zone in which staff see times; storage is always UTC.
TIME_ZONE = env.time_zone("CRM_TIME_ZONE", "Asia/Shanghai")
# Currency of amounts that arrive without one.
CRM_CURRENCY = env.currency("CRM_CURRENCY", "CNY")

# --- Static and uploaded files ------------------------------------------------------------------------------------
STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
STATIC_ROOT = CRM_DATA_DIR / "static"
if not CRM_PRODUCTION:
    # Locally files are served from their sources, yet WhiteNoise warns when this folder is missing.
    # A folder that cannot be made is reported by whoever needs it, in one line.
    with contextlib.suppress(OSError):
        STATIC_ROOT.mkdir(parents=True, exist_ok=True)
MEDIA_ROOT = CRM_DATA_DIR / "media"
FILE_UPLOAD_PERMISSIONS = 0o640
FILE_UPLOAD_MAX_MEMORY_SIZE = 2_621_440
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "crm.core.staticfiles.HashedModuleStorage" if CRM_PRODUCTION else "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
WHITENOISE_USE_FINDERS = not CRM_PRODUCTION
WHITENOISE_AUTOREFRESH = DEBUG

# --- Mail ---------------------------------------------------------------------------------------------------------
# SMTP door for campaigns and notices. Empty host: the local sink that `manage.py up` runs.
CRM_SMTP_HOST = env.text("CRM_SMTP_HOST", "127.0.0.1")
CRM_SMTP_PORT = env.integer("CRM_SMTP_PORT", 0, minimum=0, maximum=65535)
CRM_SMTP_USER = env.text("CRM_SMTP_USER")
CRM_SMTP_PASSWORD = env.text("CRM_SMTP_PASSWORD")
CRM_SMTP_TLS = env.boolean("CRM_SMTP_TLS", default=False)
# Sender address of campaigns.
DEFAULT_FROM_EMAIL = env.text("CRM_MAIL_FROM", "Perennial <hello@perennial.example>")
# Folder (Maildir) the local sink writes to and /outbox/ reads from.
CRM_OUTBOX_DIR = CRM_DATA_DIR / "outbox"

# --- Partner API --------------------------------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["crm.core.api.authentication.ApiKeyAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["crm.core.api.permissions.HasScope"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["crm.core.api.parsing.BodyParser"],
    "DEFAULT_PAGINATION_CLASS": "crm.core.api.pagination.CursorPage",
    "DEFAULT_SCHEMA_CLASS": "crm.core.api.schema.PartnerSchema",
    "DEFAULT_THROTTLE_CLASSES": ["crm.core.api.throttling.KeyThrottle"],
    "EXCEPTION_HANDLER": "crm.core.api.problems.handle",
    "UNAUTHENTICATED_USER": None,
    "UNAUTHENTICATED_TOKEN": None,
    "COERCE_DECIMAL_TO_STRING": True,
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Perennial partner API",
    "DESCRIPTION": "Customers, orders, recommendations, campaigns and conversations of one shop, for its partners' programs.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SCHEMA_PATH_PREFIX": r"/api/v1",
    "COMPONENT_SPLIT_REQUEST": True,
    "PREPROCESSING_HOOKS": ["crm.core.api.schema.plain_paths"],
    "POSTPROCESSING_HOOKS": ["crm.core.api.schema.add_problem"],
}
# Requests per minute allowed to one API key.
CRM_API_RATE_PER_MINUTE = env.integer("CRM_API_RATE_PER_MINUTE", 600, minimum=1)
# Largest request body in bytes outside the tracking endpoints, which enforce their own after decompression.
DATA_UPLOAD_MAX_MEMORY_SIZE = 5_242_880
