"""The settings of the Django peer."""

import shared

ALLOWED_HOSTS = ["*"]
DATABASES = {
    "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": shared.DATABASE, "CONN_MAX_AGE": None}
}
INSTALLED_APPS = ["rest_framework", "drf"]
REST_FRAMEWORK = {
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_AUTHENTICATION_CLASSES": ["drf.access.TokenAuthentication"],
    "DEFAULT_THROTTLE_CLASSES": ["drf.access.BothWindows"],
    "EXCEPTION_HANDLER": "drf.refusals.refuse",
    "UNAUTHENTICATED_USER": None,
}
ROOT_URLCONF = "drf.urls"
SECRET_KEY = "nothing is signed with it"
USE_TZ = True
