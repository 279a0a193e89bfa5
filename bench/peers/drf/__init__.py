"""Django REST framework under gunicorn; incidents, alerts, devices and entities are rows."""
