"""ASGI entry: pages over HTTP, chat over websockets.

Staff sockets are checked against ALLOWED_HOSTS and use the session; visitor sockets carry their own token in the
first frame and check the origin against the widget's source, so they use no cookie at all.
"""

import gc
import os
import warnings
from importlib import import_module

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "crm.settings")
# WhiteNoise streams files synchronously; the few kilobytes of ours are read whole, which is what is wanted.
warnings.filterwarnings("ignore", message="StreamingHttpResponse must consume synchronous iterators")
# Enough for 2-4 cores; the sum over all web processes must stay below PostgreSQL's max_connections.
os.environ.setdefault("CRM_DATABASE_POOL_SIZE", "16")
http = get_asgi_application()

from channels.auth import AuthMiddlewareStack  # noqa: E402
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from channels.security.websocket import AllowedHostsOriginValidator  # noqa: E402
from django.conf import settings  # noqa: E402
from django.urls import re_path  # noqa: E402

from crm.core.bodies import BodyLimit  # noqa: E402
from customers.importing.uploads import LARGEST as LARGEST_UPLOAD  # noqa: E402
from customers.tracking import LARGEST_BODY  # noqa: E402
from support.routing import staff_routes, visitor_routes  # noqa: E402

# Room for the other fields of a form and the words between them, bytes.
MARGIN = 65_536

application = ProtocolTypeRouter(
    {
        "http": BodyLimit(
            http,
            # A little above what each view says itself, so that its own words are heard where they can be.
            doors=[
                ("/v1/", LARGEST_BODY + MARGIN),
                ("/api/", settings.DATA_UPLOAD_MAX_MEMORY_SIZE + MARGIN),
                ("/customers/import/", LARGEST_UPLOAD + MARGIN),
            ],
            otherwise=max(settings.DATA_UPLOAD_MAX_MEMORY_SIZE, settings.CRM_CHAT_FILE_BYTES) + MARGIN,
        ),
        "websocket": URLRouter(
            [
                re_path(r"^ws/visitor/", URLRouter(visitor_routes)),
                re_path(r"^ws/", AllowedHostsOriginValidator(AuthMiddlewareStack(URLRouter(staff_routes)))),
            ]
        ),
    }
)

# All pages now and not with the first request; then what is loaded stays, and Python's collector of garbage need not
# look through it again: every full pass over it stopped the process, sockets included, for 120 ms.
import_module("crm.urls")
gc.collect()
gc.freeze()
