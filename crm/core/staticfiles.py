"""Hashed static file names for production, following imports inside our ES modules."""

from whitenoise.storage import CompressedManifestStaticFilesStorage


class HashedModuleStorage(CompressedManifestStaticFilesStorage):
    """Rewrites `import … from './x.js';` in js/ and widget/ only.

    Django's own switch for this (support_js_module_import_aggregation) also rewrites django-htmx's unminified
    extensions and fails on one of them.
    """

    patterns = (
        *CompressedManifestStaticFilesStorage.patterns,
        (
            "js/*.js",
            (
                (r"""(?P<matched>import(?s:(?P<import>[\s\{].*?))\s*from\s*['"](?P<url>[./].*?)["']\s*;)""", """import%(import)s from "%(url)s";"""),
                (r"""(?P<matched>import\s*['"](?P<url>[./].*?)["']\s*;)""", """import"%(url)s";"""),
            ),
        ),
    )
