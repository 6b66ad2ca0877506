"""The generator door: a prompt file, facts and a schema go in, a validated object comes out (client.py)."""
