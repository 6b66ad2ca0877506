"""The admin app with our site as its default; named in INSTALLED_APPS."""

from django.contrib.admin.apps import AdminConfig


class LightAdminConfig(AdminConfig):
    default_site = "crm.core.admin_site.LightAdminSite"
